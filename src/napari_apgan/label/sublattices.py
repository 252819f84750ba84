"""Elements by suggestion: by sublattice first, then by intensity and size within each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import QhullError, Voronoi, cKDTree

from napari_apgan.atoms import empty_atoms, make_atoms, positions
from napari_apgan.doubts import UNSURE, add_doubt, without_doubt
from napari_apgan.errors import UserError
from napari_apgan.measure.surroundings import nearest_spacing_px

from .landscape import Landscape
from .mixture import Mixture, find_kinds

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Corners of cages this close (in distances of neighbours) are one cage.
ONE_CAGE = 0.25
#: Cages wider than this many times the usual one are holes or lie outside the lattice.
WIDEST_CAGE = 1.25
#: A peak this far (in distances from the cage to its atoms) from a cage's middle stands in it.
IN_CAGE = 0.35
#: Atoms less sure of their kind than this are to be looked at.
SURE = 0.9


def cages(first_px: ArrayLike) -> Floats:
    """Return the middles of the cages that the atoms of one sublattice form.

    The corners of Voronoi cells are the places farthest from all atoms; of a square lattice four
    cells meet in each, which noise pulls apart into two corners. What is wider than usual is a hole
    or lies outside.

    Parameters
    ----------
    first_px : (N, 2) array
        x, y in px.

    Returns
    -------
    (M, 2) array

    Raises
    ------
    UserError
        When there are fewer than four atoms, or all lie on one line.
    """
    xy = np.asarray(first_px, dtype=np.float64).reshape(-1, 2)
    try:
        corners = Voronoi(xy).vertices
    except (QhullError, ValueError) as error:
        raise UserError(
            "A second sublattice stands in the cages of the first: mark at least four atoms of the "
            "first that do not lie on one line."
        ) from error
    tree = cKDTree(xy)
    spacing = nearest_spacing_px(xy)
    low, high = xy.min(axis=0), xy.max(axis=0)
    corners = corners[((corners >= low) & (corners <= high)).all(axis=1)]
    corners = _merged(corners, ONE_CAGE * spacing)
    if not len(corners):
        return np.empty((0, 2))
    # A cage has atoms on three sides at least, about equally far.
    apart = np.asarray(tree.query(corners, k=3)[0])
    usual = float(np.median(apart[:, 0]))
    kept: Floats = corners[(apart[:, 2] < WIDEST_CAGE * usual) & (apart[:, 0] > 0.6 * usual)]
    return kept


def _merged(xy: Floats, reach_px: float) -> Floats:
    """Return the means of points closer together than a distance, each in one group."""
    if len(xy) < 2:
        return xy
    pairs = cKDTree(xy).query_pairs(reach_px, output_type="ndarray")
    group = np.arange(len(xy))
    for _ in range(4):  # a cage has few corners
        np.minimum.at(group, pairs[:, 0], group[pairs[:, 1]])
        np.minimum.at(group, pairs[:, 1], group[pairs[:, 0]])
    index = np.unique(group, return_inverse=True)[1]
    count = np.bincount(index)
    means: Floats = np.column_stack([np.bincount(index, c) / count for c in xy.T])
    return means


def suggest_second(
    landscape: Landscape,
    first: pd.DataFrame,
    *,
    element: str = "unknown",
    sublattice: str = "B",
    presence: float = 0.3,
) -> pd.DataFrame:
    """Suggest a second sublattice: the peaks in the cages of the first.

    Parameters
    ----------
    landscape : Landscape
    first : DataFrame
        Atoms of the first sublattice.
    element, sublattice : str
        Of the second.
    presence : float
        Peaks lower than this part of the usual one are left out; 0 fills every cage.

    Returns
    -------
    DataFrame
        Atom table; where no peak stands in a cage that is filled, its middle with a flag.

    Raises
    ------
    UserError
        When the first sublattice has too few atoms.
    """
    middle = cages(positions(first))
    if not len(middle):
        return empty_atoms()
    to_first = float(np.median(np.asarray(cKDTree(positions(first)).query(middle)[0])))
    xy, height, own = middle.copy(), landscape.height_at(middle), np.zeros(len(middle), bool)
    if landscape.peaks.tree is not None:
        distance, index = landscape.peaks.tree.query(
            middle, distance_upper_bound=IN_CAGE * to_first
        )
        own = np.isfinite(np.asarray(distance))
        which = np.asarray(index)[own]
        xy[own], height[own] = landscape.peaks.xy[which], landscape.peaks.strength[which]
    if not own.any():
        return empty_atoms()
    kept = height >= presence * float(np.median(height[own])) if presence > 0 else own | ~own
    if not kept.any():
        return empty_atoms()
    return make_atoms(
        xy[kept],
        element,
        sublattice=sublattice,
        origin="detected",
        amplitude=height[kept],
        flag=np.where(own[kept], "", "placed in the cage: no peak of its own"),
    )


@dataclass(frozen=True)
class Suggestion:
    """Elements suggested for a table of atoms.

    Parameters
    ----------
    atoms : DataFrame
        A copy with `element`, `confidence` (probability of that element within its sublattice) and
        `flag` where it is unsure.
    kinds : dict of str to Mixture
        What each sublattice was parted into.
    doubtful : (M,) int array
        Rows to look at, the least sure first.
    notes : tuple of str
        Sentences for the user.
    """

    atoms: pd.DataFrame
    kinds: dict[str, Mixture]
    doubtful: Ints
    notes: tuple[str, ...]


def suggest_elements(
    atoms: pd.DataFrame,
    elements: Mapping[str, Sequence[str]],
    *,
    measure: str = "intensity",
    by_size: bool = False,
    counts: Mapping[str, int] | None = None,
    sure: float = SURE,
) -> Suggestion:
    """Name the atoms of each sublattice by their intensity, never across sublattices.

    Kinds are found in the logarithm of the intensity (:func:`~.mixture.find_kinds`). Ruthenium on
    the site of titanium can outshine strontium, but never becomes strontium.

    Parameters
    ----------
    atoms : DataFrame
        With `sublattice` and the measure.
    elements : mapping
        For each sublattice the elements that may stand on it, the weakest first. Where one is
        given all atoms become it; where several are given as many kinds are looked for, and as
        many named as are found, from the strongest down. Sublattices not in it get kinds called
        ``A1``, ``A2``, ..., the strongest first; where there is one kind, ``A``.
    measure : str
        Column to go by: ``intensity`` after a fit, ``amplitude`` before. The other one is taken
        where it is not known.
    by_size : bool
        Whether `width_px` counts too, where it is known for all atoms of the sublattice.
    counts : mapping, optional
        How many kinds a sublattice has, where that is known.
    sure : float
        Atoms with a lower probability are flagged.

    Raises
    ------
    UserError
        When there is no measure, or atoms have no sublattice.
    """
    out = atoms.reset_index(drop=True).copy()
    names = out["sublattice"].to_numpy(dtype=object)
    if len(out) and not all(names):
        raise UserError(
            "Some atoms belong to no sublattice: propose a lattice first, or mark the second "
            "sublattice, so that elements are compared with their own kind."
        )
    element, confidence = out["element"].to_numpy(dtype=object), np.ones(len(out))
    flag = np.array([without_doubt(f) for f in out["flag"].tolist()], dtype=object)
    kinds: dict[str, Mixture] = {}
    notes: list[str] = []
    for name in sorted(set(names)):
        rows = np.flatnonzero(names == name)
        wanted = list(elements.get(name, ()))
        if len(wanted) == 1:
            element[rows] = wanted[0]
            continue
        values, unusable = _values(out.iloc[rows], measure, by_size)
        if unusable:
            notes.append(f"{unusable} atoms of sublattice {name} have no intensity to go by.")
        usable = np.isfinite(values).all(axis=1)
        if not usable.any():
            raise UserError(
                f"The atoms of sublattice {name} have neither intensity nor amplitude: refine them "
                "first."
            )
        given = (counts or {}).get(name)
        exactly = None if given is None else min(given, int(usable.sum()))
        mixture = find_kinds(values[usable], most=len(wanted) or 3, exactly=exactly)
        kinds[name] = mixture
        chosen, found = rows[usable], len(mixture.shares)
        free = [f"{name}{k}" for k in range(found, 0, -1)] if found > 1 else [name]
        titles = wanted[-found:] if wanted else free
        if wanted and found < len(wanted):
            notes.append(
                f"Sublattice {name} shows {found} kind{'s' * (found > 1)} of atoms by intensity, "
                f"not {len(wanted)}: all are called {' or '.join(titles)}; change those that are "
                "not."
            )
        element[chosen] = np.array(titles, dtype=object)[mixture.kind]
        confidence[chosen] = mixture.sureness
        confidence[rows[~usable]] = 0.0
    unsure = confidence < sure
    flag[unsure] = [
        add_doubt(f, f"{UNSURE} ({p:.2f})")
        for f, p in zip(flag[unsure], confidence[unsure], strict=True)
    ]
    out = out.assign(element=element, confidence=confidence, flag=flag)
    doubtful = np.flatnonzero(unsure)
    return Suggestion(
        out,
        kinds,
        doubtful[np.argsort(confidence[doubtful], kind="stable")].astype(np.int64),
        tuple(notes),
    )


def _values(atoms: pd.DataFrame, measure: str, by_size: bool) -> tuple[Floats, int]:
    """Return (N, D) logarithms, NaN where nothing was measured, and for how many."""
    other = "amplitude" if measure == "intensity" else "intensity"
    value = atoms[measure].to_numpy(np.float64)
    if not (value > 0).any():
        value = atoms[other].to_numpy(np.float64)
    columns = [value]
    width = atoms["width_px"].to_numpy(np.float64)
    if by_size and (width > 0).all():
        columns.append(width)
    stacked = np.column_stack(columns)
    good = (np.isfinite(stacked) & (stacked > 0)).all(axis=1)
    logs = np.full(stacked.shape, np.nan)
    logs[good] = np.log(stacked[good])
    return logs, int((~good).sum())
