"""Columns: which atoms stand behind one another along the beam."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_apgan.elements import SYMBOLS
from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import Z_POWER
from napari_apgan.simulate.specimen import Floats, Ints, Specimen, Strings

from .base import BaseStructure, thermal_pm

#: Atoms whose projections are this close (pm) belong to one column: less than the narrowest pairs
#: that microscopes resolve (63 pm in GaN along [1-100]).
TOLERANCE_PM = 50.0
#: A chain of close projections longer than this many tolerances is no column.
LONGEST_CHAIN = 2.0

Bools = NDArray[np.bool_]


def group_projected(xy_pm: Floats, tolerance_pm: float = TOLERANCE_PM) -> Ints:
    """Gather atoms into columns by their projections.

    Parameters
    ----------
    xy_pm : (N, 2) array
    tolerance_pm : float
        Atoms this close to another of the column belong to it.

    Returns
    -------
    (N,) int array
        Column of each atom, numbered from 0; -1 where the projections run into each other (a chain
        wider than twice the tolerance), as in amorphous material.
    """
    # Of thick columns only spots enter: N atoms in a column would make N² pairs.
    label = _linked(xy_pm, tolerance_pm, tolerance_pm / 16)
    wide = _extent(xy_pm, label) > LONGEST_CHAIN * tolerance_pm
    number = np.where(wide, -1, np.cumsum(~wide) - 1)
    column: Ints = number[label]
    return column


def group_periodic(
    xy_pm: Floats, plane_pm: Floats, tolerance_pm: float = TOLERANCE_PM
) -> tuple[Ints, Ints]:
    """Gather the atoms of a projected cell into columns, across its borders.

    Parameters
    ----------
    xy_pm : (M, 2) array
    plane_pm : (2, 2) array
        Rows: reduced (shortest) vectors of the projected lattice.
    tolerance_pm : float

    Returns
    -------
    (M,) int array
        Column of each atom, numbered from 0.
    (M, 2) int array
        Steps of the lattice that bring each atom to the others of its column.

    Raises
    ------
    UserError
        The projections run into each other, so that there are no columns.
    """
    count = len(xy_pm)
    fraction = xy_pm @ np.linalg.inv(plane_pm)
    home = -np.floor(fraction).astype(np.int_)
    # Nine images of the cell, cut to what a column that touches the cell can reach.
    steps = np.stack(np.meshgrid([0, -1, 1], [0, -1, 1], indexing="ij"), axis=-1).reshape(-1, 2)
    shift = (home[None] + steps[:, None]).reshape(-1, 2)
    atom = np.tile(np.arange(count), len(steps))
    margin = (LONGEST_CHAIN + 1) * tolerance_pm * np.linalg.norm(np.linalg.inv(plane_pm), axis=0)
    inside = fraction[atom] + shift
    near = ((inside > -margin) & (inside < 1 + margin)).all(axis=1)
    atom, shift = atom[near], shift[near]
    xy = xy_pm[atom] + shift @ plane_pm
    label = _linked(xy, tolerance_pm, 1e-3)
    # Of the images of a column, that one counts whose first atom stands in the cell itself.
    order = np.lexsort((atom, label))
    first = order[np.searchsorted(label[order], np.arange(label.max(initial=-1) + 1))]
    counts = (shift[first] == home[atom[first]]).all(axis=1)
    wide = _extent(xy, label) > LONGEST_CHAIN * tolerance_pm
    member = np.flatnonzero(counts[label])
    if (wide & counts).any() or len(member) != count or len(np.unique(atom[member])) != count:
        raise UserError(
            f"Along this zone axis atoms less than {tolerance_pm:g} pm apart run into each other "
            "and form no columns: choose a zone axis of lower indices, or a smaller column "
            "tolerance."
        )
    member = member[np.argsort(atom[member])]
    column: Ints = np.unique(label[member], return_inverse=True)[1].astype(np.int_)
    return column, shift[member]


def _linked(xy: Floats, tolerance: float, grain: float) -> Ints:
    """Return the (N,) number of the chain that each projection belongs to.

    Projections within one square of a grid of `grain` count as one spot, at their mean.
    """
    spot, index = np.unique(np.round(xy / grain).astype(np.int64), axis=0, return_inverse=True)
    index = index.reshape(-1)
    pairs = scipy.spatial.cKDTree(mean_by(index, xy, len(spot))).query_pairs(
        tolerance, output_type="ndarray"
    )
    graph = scipy.sparse.coo_array(
        (np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(spot), len(spot))
    )
    label: Ints = scipy.sparse.csgraph.connected_components(graph, directed=False)[1].astype(
        np.int_
    )
    return label[index]


def _extent(xy: Floats, label: Ints) -> Floats:
    """Return the (L,) larger side of the box around each chain."""
    count = int(label.max(initial=-1)) + 1
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, label, xy)
    np.maximum.at(high, label, xy)
    extent: Floats = (high - low).max(axis=1, initial=0.0)
    return extent


def mean_by(group: Ints, values: Floats, count: int) -> Floats:
    """Return the (G, K) means of (N, K) values over the members of each of `count` groups."""
    size = np.maximum(np.bincount(group, minlength=count), 1)
    mean: Floats = np.stack([np.bincount(group, v, count) / size for v in values.T], axis=1)
    return mean


def name_species(present: Bools, species: Ints) -> Strings:
    """Name columns by what they hold, heaviest first, such as ``Ti/O``.

    Parameters
    ----------
    present : (C, K) bool array
        Which species each column may hold.
    species : (K,) int array
        Atomic numbers.
    """
    order = np.argsort(-species)
    symbols = [SYMBOLS[int(z) - 1] for z in species[order]]
    kinds, which = np.unique(present[:, order], axis=0, return_inverse=True)
    names = ["/".join(s for s, p in zip(symbols, row, strict=True) if p) for row in kinds.tolist()]
    named: Strings = np.array(names, dtype=np.str_)[which.reshape(-1)]
    return named


def thermal_of(number: Ints, settings: BaseStructure) -> Floats:
    """Return the (N,) thermal displacements in pm (rms per axis) of atoms."""
    kinds, which = np.unique(number, return_inverse=True)
    usual = np.array([thermal_pm(SYMBOLS[z - 1], settings) for z in kinds.tolist()])
    thermal: Floats = usual[which.reshape(-1)] if len(kinds) else np.zeros(0)
    return thermal


def make_specimen(
    xyz_pm: Floats,
    number: Ints,
    column: Ints,
    settings: BaseStructure,
    *,
    sublattice: Strings | None = None,
    grain: Ints | None = None,
    present: Bools | None = None,
) -> Specimen:
    """Make a specimen of atoms whose columns are known; its entrance surface comes to z = 0.

    The site of a column is the mean of the atoms of its element, like the truth made of it.

    Parameters
    ----------
    xyz_pm : (N, 3) array
    number : (N,) int array
        Atomic numbers.
    column : (N,) int array
        Any numbers; columns without atoms vanish, negative ones mean none.
    settings : BaseStructure
    sublattice : (C,) str array, optional
        By the numbers in `column`; by composition where it is not given.
    grain : (C,) int array, optional
    present : (N,) bool array, optional
        Sites that hold an atom; a column whose sites are all empty is listed as a vacancy.
    """
    held = column >= 0
    names, inverse = np.unique(column[held], return_inverse=True)
    count, dense = len(names), np.full(len(column), -1)
    dense[held] = inverse.reshape(-1)
    stays = np.ones(len(column), dtype=np.bool_) if present is None else present
    filled = np.bincount(dense[held & stays], minlength=count) > 0
    # The sites of a column that count: its atoms, or all of them where it has none.
    counts = held & (stays | ~np.append(filled, True)[dense])
    species, kind = np.unique(number, return_inverse=True)
    kind = kind.reshape(-1)
    atoms = np.zeros((count, len(species)), dtype=np.int_)
    np.add.at(atoms, (dense[counts], kind[counts]), 1)
    weight = atoms * species.astype(np.float64) ** Z_POWER
    main = weight.argmax(axis=1) if len(species) else np.zeros(count, dtype=np.int_)
    of_main = counts & (kind == np.append(main, -1)[dense])
    site = mean_by(dense[of_main], xyz_pm[of_main, :2], count)
    label = name_species(atoms > 0, species) if sublattice is None else sublattice[names]
    renumber = np.full(count + 1, -1)
    renumber[:-1][filled] = np.arange(int(filled.sum()))
    would_be = [SYMBOLS[int(z) - 1] for z in species[main[~filled]]]
    xyz = xyz_pm[stays]
    xyz[:, 2] -= xyz[:, 2].min(initial=np.inf) if len(xyz) else 0.0
    return Specimen(
        xyz,
        number[stays].astype(np.int_),
        renumber[dense[stays]].astype(np.int_),
        thermal_of(number[stays], settings),
        site[filled],
        label[filled],
        (np.zeros(count, dtype=np.int_) if grain is None else grain[names])[filled],
        site[~filled],
        np.array(would_be, dtype=np.str_),
    )
