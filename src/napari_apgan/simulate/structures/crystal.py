"""Crystals: a lattice with its atoms, cut along a zone axis and filled to any shape.

The beam runs along +z, from the entrance surface on, and the zone axis [uvw] points along the beam.
x points right, y down and z away from the viewer, so that x, y, z are right-handed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BeforeValidator

from napari_apgan.errors import UserError
from napari_apgan.simulate.specimen import Floats, Ints, Strings

from .columns import TOLERANCE_PM, Bools, group_periodic, mean_by, name_species

#: More atoms would fill the memory of a usual computer.
MOST_ATOMS = 20_000_000
#: Slack (pm) in comparing depths, so that atoms of a surface stand or fall together.
SLACK_PM = 1e-3


def _read_zone(value: Any) -> Any:
    """Read ``[1-10]``, ``1 -1 0`` or, of hexagonal crystals, ``11-20`` as three indices."""
    if not isinstance(value, str):
        return value
    text = value.strip().strip("[]<>() ")
    parts = re.split(r"[\s,]+", text) if re.search(r"[\s,]", text) else re.findall(r"-?\d", text)
    if not parts or not all(re.fullmatch(r"[+-]?\d+", p) for p in parts):
        raise ValueError(f"a direction is three indices such as [110], not {value!r}")
    indices = [int(p) for p in parts]
    if len(indices) == 4:
        u, v, t, w = indices
        if u + v + t:
            raise ValueError(f"the first three indices of {value!r} must add up to zero")
        indices = [u - t, v - t, w]
    return tuple(indices)


#: A direction [uvw] of a crystal; text such as ``[1-10]`` or ``11-20`` is read.
Direction = Annotated[tuple[int, int, int], BeforeValidator(_read_zone)]


@dataclass(frozen=True, slots=True)
class Crystal:
    """A cell and its atoms.

    Parameters
    ----------
    lattice_pm : (3, 3) array
        Rows a, b, c.
    fraction : (M, 3) array
        Positions in the cell.
    species : (K,) int array
        Atomic numbers.
    occupancy : (M, K) array
        Share of each species on each site; what lacks to 1 is vacant.
    """

    lattice_pm: Floats
    fraction: Floats
    species: Ints
    occupancy: Floats


@dataclass(frozen=True, slots=True)
class Cut:
    """A crystal turned so that its zone axis runs along the beam.

    Parameters
    ----------
    axes : (3, 3) array
        Rows: x, y and z of the specimen in the crystal's Cartesian axes.
    plane_pm : (2, 2) array
        Rows: the two shortest vectors of the projected lattice.
    lift_pm : (2,) array
        How far each of them climbs along the beam.
    repeat_pm : float
        Distance after which the atoms of a column repeat.
    site_pm : (M, 3) array
        Atoms of one cell, those of a column next to each other.
    group : (M,) int array
        Column of each site.
    """

    axes: Floats
    plane_pm: Floats
    lift_pm: Floats
    repeat_pm: float
    site_pm: Floats
    group: Ints


def cut_along(
    crystal: Crystal,
    zone: tuple[int, int, int],
    *,
    right: tuple[int, int, int] | None = None,
    tolerance_pm: float = TOLERANCE_PM,
) -> Cut:
    """Turn a crystal to a zone axis and sort its sites into columns.

    Parameters
    ----------
    crystal : Crystal
    zone : (int, int, int)
        Direction [uvw] of the beam.
    right : (int, int, int), optional
        Direction whose projection points along x; by default the shortest vector of the projected
        lattice.
    tolerance_pm : float
        Sites whose projections are this close form one column.

    Raises
    ------
    UserError
        The zone axis is [000] or along `right`, or there are no columns along it.
    """
    if not any(zone):
        raise UserError("The zone axis [0 0 0] is no direction: give three indices, not all zero.")
    steps = complete_basis(zone)
    axes = beam_axes(np.array(zone) @ crystal.lattice_pm)
    if right is not None:
        axes = turn_to(axes, np.array(right) @ crystal.lattice_pm)
    edges = steps @ crystal.lattice_pm @ axes.T
    plane, lift, repeat = edges[:2, :2], edges[:2, 2], float(edges[2, 2])
    whole = reduce_plane(plane)
    plane, lift = whole @ plane, whole @ lift
    lift -= repeat * np.round(lift / repeat)
    if right is None:
        axes = turn_to(axes, plane[0] @ axes[:2])
        c, s = plane[0] / math.hypot(*plane[0])
        plane = plane @ np.array([[c, -s], [s, c]])
    site = crystal.fraction @ crystal.lattice_pm @ axes.T
    group, moved = group_periodic(site[:, :2], plane, tolerance_pm)
    site[:, :2] += moved @ plane
    site[:, 2] += moved @ lift
    return Cut(axes, plane, lift, repeat, site, group)


def zero_zone() -> UserError:
    """Return the error for a zone axis of zeros."""
    return UserError("The zone axis [0 0 0] is no direction: give three indices, not all zero.")


def complete_basis(zone: tuple[int, int, int]) -> Ints:
    """Return (3, 3) integer steps that span a lattice, the last one along `zone`.

    The determinant is ±1, and the last step is the shortest one along the zone axis.
    """
    u, v, w = (n // math.gcd(*zone) for n in zone)
    g, p, q = _bezout(u, v)
    if g == 0:
        return np.array([[1, 0, 0], [0, 1, 0], [0, 0, w]])
    # e = (u/g, v/g, 0) and (-q, p, 0) span the plane of a and b; [uvw] = g e + w c.
    _, r, s = _bezout(g, w)
    return np.array([[-q, p, 0], [-s * (u // g), -s * (v // g), r], [u, v, w]])


def _bezout(a: int, b: int) -> tuple[int, int, int]:
    """Return (g, p, q) with g = gcd(a, b) = p a + q b."""
    old, new, p, next_p, q, next_q = a, b, 1, 0, 0, 1
    while new:
        times = old // new
        old, new = new, old - times * new
        p, next_p = next_p, p - times * next_p
        q, next_q = next_q, q - times * next_q
    return (old, p, q) if old >= 0 else (-old, -p, -q)


def reduce_plane(plane_pm: Floats) -> Ints:
    """Return the (2, 2) integer steps from two vectors to the shortest ones of their lattice.

    This is the reduction of Lagrange and Gauss.
    """
    whole = np.eye(2, dtype=np.int_)
    while True:
        first, second = whole @ plane_pm
        # The slack keeps vectors of equal length from changing places for ever.
        if second @ second < first @ first * (1 - 1e-9):
            whole = whole[::-1]
            continue
        times = round(float(first @ second / (first @ first)) * (1 - 1e-9))
        if times == 0:
            return whole
        whole = np.stack([whole[0], whole[1] - times * whole[0]])


def beam_axes(beam: Floats) -> Floats:
    """Return (3, 3) rows x, y, z with z along a Cartesian vector, and x near the Cartesian x."""
    z = beam / np.linalg.norm(beam)
    aside = np.eye(3)[0 if abs(z[0]) < 0.9 else 1]
    return turn_to(np.array([aside, aside, z]), aside)


def turn_to(axes: Floats, direction: Floats) -> Floats:
    """Return axes with the same z, and x along the projection of a Cartesian vector.

    Raises
    ------
    UserError
        The vector runs along z.
    """
    z = axes[2]
    x = direction - (direction @ z) * z
    if np.linalg.norm(x) <= 1e-6 * np.linalg.norm(direction):
        raise UserError(
            "The direction that shall point right is the zone axis itself: give another one."
        )
    x = x / np.linalg.norm(x)
    return np.array([x, np.cross(z, x), z])


@dataclass(frozen=True, slots=True)
class Strands:
    """Lines of equal sites along the beam; one or several form a column.

    Parameters
    ----------
    xyz_pm : (S, 3) array
        One site of each.
    site : (S,) int array
        Which site of the cell.
    column : (S,) int array
        Column, numbered from 0.
    group : (C,) int array
        Which column of the cell each column is.
    repeat_pm : float
    """

    xyz_pm: Floats
    site: Ints
    column: Ints
    group: Ints
    repeat_pm: float


def strands_within(cut: Cut, reach_pm: float, origin_pm: ArrayLike = (0.0, 0.0)) -> Strands:
    """Return the strands of all columns within a circle.

    Parameters
    ----------
    cut : Cut
    reach_pm : float
        Radius about the specimen's origin.
    origin_pm : (2,) array
        Point of the projected lattice that comes to the origin.
    """
    count = int(cut.group.max(initial=-1)) + 1
    middle = mean_by(cut.group, cut.site_pm[:, :2], count) - np.asarray(origin_pm)
    node = _nodes(cut.plane_pm, middle, reach_pm)
    spot = middle[:, None] + node @ cut.plane_pm
    inside = np.hypot(spot[..., 0], spot[..., 1]) <= reach_pm
    number = np.full(inside.shape, -1)
    number[inside] = np.arange(int(inside.sum()))
    column = number[cut.group]
    site, which = np.nonzero(column >= 0)
    xyz = cut.site_pm[site]
    xyz[:, :2] += node[which] @ cut.plane_pm - np.asarray(origin_pm)
    xyz[:, 2] += node[which] @ cut.lift_pm
    return Strands(xyz, site, column[site, which], np.nonzero(inside)[0], cut.repeat_pm)


def _nodes(plane_pm: Floats, middle_pm: Floats, reach_pm: float) -> Ints:
    """Return the (L, 2) steps of a projected lattice that may bring a spot into a circle."""
    inverse = np.linalg.inv(plane_pm)
    around = reach_pm * np.linalg.norm(inverse, axis=0)
    fraction = middle_pm @ inverse
    low = np.floor(-around - fraction.max(axis=0)).astype(np.int_)
    high = np.ceil(around - fraction.min(axis=0)).astype(np.int_)
    if float(np.prod(high - low + 1.0)) > MOST_ATOMS:
        raise too_many_atoms()
    ranges = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    nodes: Ints = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 2)
    return nodes


def too_many_atoms() -> UserError:
    """Return the error for specimens that do not fit into memory."""
    return UserError(
        f"The specimen would hold more than {MOST_ATOMS // 1_000_000} million atoms: make it "
        "thinner, or the frame smaller."
    )


def fill(strands: Strands, low_pm: ArrayLike, high_pm: ArrayLike) -> tuple[Floats, Ints]:
    """Put atoms on strands.

    Parameters
    ----------
    strands : Strands
    low_pm, high_pm : float or (S,) array
        Depths between which a strand is filled; an atom at `low_pm` belongs, one at `high_pm` not.

    Returns
    -------
    (N, 3) array
        Atoms.
    (N,) int array
        Strand of each.
    """
    z, repeat = strands.xyz_pm[:, 2] + SLACK_PM, strands.repeat_pm
    first = np.ceil((np.asarray(low_pm) - z) / repeat)
    count = np.maximum(np.ceil((np.asarray(high_pm) - z) / repeat) - first, 0)
    if float(count.sum()) > MOST_ATOMS:
        raise too_many_atoms()
    count = count.astype(np.int_)
    strand = np.repeat(np.arange(len(z)), count)
    turn = np.arange(len(strand)) - np.repeat(np.cumsum(count) - count, count)
    xyz = strands.xyz_pm[strand]
    xyz[:, 2] += (first[strand] + turn) * repeat
    return xyz, strand


def draw_species(
    species: Ints, occupancy: Floats, site: Ints, rng: np.random.Generator
) -> tuple[Ints, Bools]:
    """Draw what stands on each site.

    Parameters
    ----------
    species : (K,) int array
    occupancy : (M, K) array
        As in :class:`Crystal`.
    site : (N,) int array
        Site of each atom.
    rng : numpy Generator

    Returns
    -------
    (N,) int array
        Atomic numbers; on vacant sites, of the species most often there.
    (N,) bool array
        Sites that hold an atom.
    """
    number: Ints = species[occupancy.argmax(axis=1)][site].astype(np.int_)
    present = np.ones(len(site), dtype=np.bool_)
    unsure = np.flatnonzero((occupancy.max(axis=1) < 1 - 1e-6)[site])
    shares = np.cumsum(occupancy, axis=1)
    # Refined occupancies add up to 1 with rounding only.
    shares[np.abs(shares - 1) < 1e-3] = 1.0
    drawn = (rng.random(len(unsure))[:, None] >= shares[site[unsure]]).sum(axis=1)
    present[unsure] = drawn < len(species)
    filled = unsure[present[unsure]]
    number[filled] = species[drawn[present[unsure]]]
    return number, present


def name_groups(species: Ints, occupancy: Floats, group: Ints) -> Strings:
    """Return the (G,) names of the columns of a cell: what they may hold, such as ``Ti/O``."""
    present = np.zeros((int(group.max(initial=-1)) + 1, len(species)), dtype=np.bool_)
    site, kind = np.nonzero(occupancy > 0)
    present[group[site], kind] = True
    return name_species(present, species)
