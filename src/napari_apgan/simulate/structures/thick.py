"""Crystals of a given thickness: wedges, vacancies, and the filling of columns with atoms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from napari_apgan.elements import SYMBOLS
from napari_apgan.simulate.specimen import Floats, Ints, Specimen, Strings, drop_columns

from .abo3 import SITES, Projection, octahedron_turn, polar_response
from .base import BaseStructure, thermal_pm


class ThickStructure(BaseStructure):
    """A crystal many atoms thick.

    Parameters
    ----------
    thickness_nm : float
        Thickness at the middle, in nm; made of whole repeats of the crystal.
    wedge_deg : float
        Angle between the two surfaces in degrees; the entrance surface stays flat. Where the wedge
        runs out there is vacuum.
    wedge_direction_deg : float, optional
        Where the crystal grows thicker, in degrees from x towards y of the unrotated crystal; any
        direction when empty.
    vacancies_on : {"A", "B", "O"}
        The sites that vacancies are on.
    vacancies_percent : float
        Share of the atoms on those sites that are missing, at random: columns of partial occupancy.
    missing_columns_percent : float
        Share of the columns of that sublattice that are missing as a whole.
    """

    thickness_nm: float = Field(default=20.0, gt=0, le=200)
    wedge_deg: float = Field(default=0.0, ge=0, le=60)
    wedge_direction_deg: float | None = None
    vacancies_on: Literal["A", "B", "O"] = "A"
    vacancies_percent: float = Field(default=0.0, ge=0, le=100)
    missing_columns_percent: float = Field(default=0.0, ge=0, le=100)


def count_repeats(
    settings: ThickStructure, xy_pm: Floats, repeat_pm: float, rng: np.random.Generator
) -> Ints:
    """Return how many repeats along the beam stand at each of (N, 2) places.

    At least one at the thickness asked for, none where a wedge has run out.
    """
    direction = rng.uniform(0.0, 2 * math.pi)
    if settings.wedge_direction_deg is not None:
        direction = math.radians(settings.wedge_direction_deg)
    along = xy_pm @ np.array([math.cos(direction), math.sin(direction)])
    thickness = max(settings.thickness_nm * 1000.0, repeat_pm)
    thickness_there = thickness + along * math.tan(math.radians(settings.wedge_deg))
    repeats: Ints = np.rint(np.maximum(thickness_there, 0.0) / repeat_pm).astype(np.int_)
    return repeats


def cells_within(reach_pm: float, edges_pm: Floats) -> Ints:
    """Return the (M, 2) indices of the rectangular cells that cover a circle about the origin.

    Parameters
    ----------
    reach_pm : float
    edges_pm : (2,) array
        Edges of the cell; cell (0, 0) begins at the origin.
    """
    reach = reach_pm + 0.5 * math.hypot(*edges_pm)
    x, y = (np.arange(-math.ceil(reach / e) - 1, math.ceil(reach / e) + 1) for e in edges_pm)
    cells = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    near = np.hypot(*((cells + 0.5) * edges_pm).T) <= reach
    found: Ints = cells[near]
    return found


@dataclass(frozen=True, slots=True)
class Turn:
    """Rotations of the octahedra.

    Tangent of the angle about each crystal axis, and whether octahedra along that axis turn alike;
    `lengths_pm` are a, b and c.
    """

    tangents: tuple[float, float, float]
    in_phase: tuple[bool, bool, bool]
    lengths_pm: Floats


@dataclass(frozen=True, slots=True)
class Filled:
    """Columns filled with atoms whose elements are not chosen yet.

    Parameters
    ----------
    xyz_pm : (N, 3) array
    role : (N,) int array
        Index into :data:`SITES`.
    column : (N,) int array
    site_pm : (C, 2) array
        Average site of A; the unpolar, unturned site of B and O: for B the middle of its cage of A.
    sublattice : (C,) str array
    cell : (C, 2) int array
        Projected cell of each column.
    """

    xyz_pm: Floats
    role: Ints
    column: Ints
    site_pm: Floats
    sublattice: Strings
    cell: Ints


def fill_columns(
    projection: Projection,
    cells: Ints,
    repeats: Ints,
    repeat_pm: float,
    to_pm: Callable[[Floats], Floats],
    polar_pm: Callable[[Floats], Floats],
    oxygen: tuple[float, float],
    turn: Turn | None = None,
) -> Filled:
    """Fill the columns of projected cells with atoms.

    Parameters
    ----------
    projection : Projection
    cells : (M, 2) int array
    repeats : (M,) int array
        Repeats along the beam in each cell; cells without any have no columns.
    repeat_pm : float
        Length of one repeat.
    to_pm : callable
        From (K, 2) places in units of projected cells to x, y in pm.
    polar_pm : callable
        From (K, 2) places in pm to the shift of B there, (K, 2) in pm.
    oxygen : (float, float)
        See :class:`.abo3.Perovskite`.
    turn : Turn, optional
    """
    cells, repeats = cells[repeats > 0], repeats[repeats > 0]
    axes, count = projection.axes(), len(cells)
    site = np.concatenate([to_pm(cells + np.array(s.at)) for s in projection.stacks])
    shift = polar_pm(site)
    # Of all atoms of one kind: the cell they stand in, and which repeat from the entrance they are.
    home = np.repeat(np.arange(count), repeats)
    layer = np.arange(len(home)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    xyz, role, column = [], [], []
    for number, stack in enumerate(projection.stacks):
        rows = slice(number * count, (number + 1) * count)
        for atom in stack.atoms:
            moved = shift[rows] @ polar_response(atom, oxygen, axes).T
            moved[:, :2] += site[rows]
            here = moved[home]
            here[:, 2] += (layer + atom.depth) * repeat_pm
            if turn is not None and atom.chain >= 0:
                index = np.column_stack([cells[home], layer]) @ projection.vectors + atom.cell
                by = octahedron_turn(
                    index, atom.chain, turn.tangents, turn.in_phase, turn.lengths_pm
                )
                here += by @ axes.T
            xyz.append(here)
            role.append(np.full(len(home), SITES.index(atom.site)))
            column.append(home + number * count)
    return Filled(
        np.concatenate(xyz),
        np.concatenate(role),
        np.concatenate(column),
        site,
        np.repeat(np.array([s.sublattice for s in projection.stacks]), count),
        np.tile(cells, (len(projection.stacks), 1)),
    )


def atomic_number(symbol: str) -> int:
    """Return the atomic number of an element."""
    return SYMBOLS.index(symbol) + 1


def finish(
    filled: Filled, number: Ints, settings: ThickStructure, rng: np.random.Generator
) -> Specimen:
    """Make a specimen of filled columns, with the vacancies asked for.

    Parameters
    ----------
    filled : Filled
    number : (N,) int array
        Atomic number of each atom.
    settings : ThickStructure
    rng : numpy Generator
    """
    thermal = np.zeros(max(len(SYMBOLS), int(number.max(initial=0))) + 1)
    for z in np.unique(number).tolist():
        thermal[z] = thermal_pm(SYMBOLS[z - 1], settings)
    specimen = Specimen(
        filled.xyz_pm,
        number,
        filled.column,
        thermal[number],
        filled.site_pm,
        filled.sublattice,
        np.zeros(len(filled.site_pm), dtype=np.int_),
    )
    return _with_vacancies(specimen, filled.role, settings, rng)


def _with_vacancies(
    specimen: Specimen, role: Ints, settings: ThickStructure, rng: np.random.Generator
) -> Specimen:
    if settings.vacancies_percent == 0 and settings.missing_columns_percent == 0:
        return specimen
    ours = role == SITES.index(settings.vacancies_on)
    gone = rng.random(specimen.n_columns) < settings.missing_columns_percent / 100
    gone &= specimen.sublattice == settings.vacancies_on
    left = ~(ours & (rng.random(len(role)) < settings.vacancies_percent / 100))
    empty = np.bincount(specimen.column[left], minlength=specimen.n_columns) == 0
    missing = np.flatnonzero(gone | empty)
    number = _commonest(specimen.column[ours], specimen.number[ours], specimen.n_columns)
    thinned = Specimen(
        specimen.xyz_pm[left],
        specimen.number[left],
        specimen.column[left],
        specimen.thermal_pm[left],
        specimen.site_pm,
        specimen.sublattice,
        specimen.grain,
        specimen.site_pm[missing],
        np.array([SYMBOLS[z - 1] for z in number[missing].tolist()], dtype=np.str_),
    )
    return drop_columns(thinned, ~(gone | empty))


def _commonest(column: Ints, number: Ints, n_columns: int) -> Ints:
    """Return the most frequent atomic number in each column."""
    kinds = np.unique(number)
    counts = np.stack([np.bincount(column[number == z], minlength=n_columns) for z in kinds])
    commonest: Ints = kinds[counts.argmax(axis=0)]
    return commonest
