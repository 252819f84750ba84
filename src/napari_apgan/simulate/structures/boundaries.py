"""Grain boundaries of graphene, built from the centres of its rings.

The ring centres of graphene form a triangular lattice, and its atoms sit in the triangles. Two
rotated lattices of ring centres, joined and evened out, are triangulated again; the dual of that
triangulation is a sheet in which every atom has three bonds, whatever the two grains are, and a
centre with five or seven neighbours is a pentagon or a heptagon. Ophus, Shekhawat, Rasool and
Zettl, Phys. Rev. B 92 (2015) 205402, made boundaries of all angles in this way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import scipy

from napari_apgan.simulate.specimen import Floats, Ints

from .lattice2d import CC_PM, LATTICE_PM, Bools, Network, trim

#: Ring centres of two grains closer than this (in lattice constants) become one.
MERGE = 0.62
#: A triangle whose circumscribed circle is larger than this (in lattice constants) has room for a
#: further ring; it is 1/√3 in the crystal, and 0.85 when the corners of a heptagon miss one centre.
ROOM = 0.80
#: Rings may move within this many lattice constants of the other grain.
LOOSE = 2.6
#: Moves a round, after how many of them neighbours are found anew, and the part of the springs'
#: pull in a move.
EVEN_STEPS, RENEW, PULL = 15, 3, 0.2
#: How often the lattices of a boundary may be laid anew to avoid rings of four or eight.
TRIES = 6


def ring_lattice(reach_pm: float, turn_rad: float, offset_pm: Floats) -> Floats:
    """Return the (M, 2) ring centres of a grain whose zigzag rows run at an angle to x."""
    half = math.ceil((reach_pm + float(np.hypot(*offset_pm))) / (LATTICE_PM * math.sqrt(3) / 2)) + 2
    along = np.arange(-half, half + 1)
    i, j = np.meshgrid(2 * along, along, indexing="ij")
    i = np.concatenate([i.ravel(), i.ravel() + 1])
    j = np.concatenate([j.ravel(), j.ravel()])
    cells = np.column_stack([i + 0.5 * j, j * math.sqrt(3) / 2]) * LATTICE_PM
    c, s = math.cos(turn_rad), math.sin(turn_rad)
    centres: Floats = cells @ np.array([[c, s], [-s, c]]) + offset_pm
    inside: Floats = centres[np.hypot(*centres.T) <= reach_pm]
    return inside


def symmetric_turn(tilt_deg: float) -> tuple[int, float, float]:
    """Return the periodic dislocation array nearest to a tilt angle.

    The lattice vectors (n + 1, n) of one grain and (n, n + 1) of the other lie along the boundary;
    each period holds one dislocation of Burgers vector (1, 0), a pentagon beside a heptagon
    (Yazyev and Louie, Phys. Rev. B 81 (2010) 195420).

    Returns
    -------
    n : int
    tilt_deg : float
        21.8, 13.2, 9.4, 7.3, 6.0, 5.1, 4.4 degrees for n = 1 to 7.
    period_pm : float
    """
    tilts = {n: 60 - 2 * math.degrees(math.atan2(math.sqrt(3) * n, 3 * n + 2)) for n in range(1, 8)}
    n = min(tilts, key=lambda k: abs(tilts[k] - tilt_deg))
    return n, tilts[n], LATTICE_PM * math.sqrt(3 * n * n + 3 * n + 1)


def symmetric_boundaries(reach_pm: float, n: int, lines_pm: Floats) -> Network:
    """Join mirrored grains along lines parallel to x, each a row of 5-7 dislocations.

    Parameters
    ----------
    reach_pm : float
    n : int
        Of :func:`symmetric_turn`.
    lines_pm : (K,) array
        Rising heights y of the boundaries; each is moved to the nearest row of ring centres, since
        boundaries mirror whole rows.

    Returns
    -------
    Network
        Not yet relaxed.
    """
    turn = math.atan2(math.sqrt(3) * n, 3 * n + 2)
    row = math.sqrt(3) / 2 * LATTICE_PM / math.sqrt(3 * n * n + 3 * n + 1)
    heights = lines_pm[0] + np.round((lines_pm - lines_pm[0]) / row) * row
    edges = np.concatenate([[-np.inf], heights, [np.inf]])
    parts, turns, origin, sign = [], [], np.array([0.0, heights[0]]), 1.0
    for low, high in pairwise(edges.tolist()):
        centres = ring_lattice(reach_pm, sign * turn, origin)
        y = centres[:, 1]
        parts.append(centres[(y > low + 0.4 * LATTICE_PM) & (y < high - 0.4 * LATTICE_PM)])
        if np.isfinite(high):
            # Rings that the mirror would bring too close to their own images sit on it instead.
            on = centres[(y <= high + 1.0) & (y >= high - 0.4 * LATTICE_PM), 0]
            parts.append(np.column_stack([on, np.full(len(on), high)]))
        turns.append(sign * turn + math.pi / 2)
        # The next grain is the mirror image at the line.
        origin, sign = np.array([origin[0], 2 * high - origin[1]]), -sign
    centres = np.concatenate(parts)
    loose = np.abs(centres[:, 1, None] - heights).min(axis=1) < 3 * LATTICE_PM
    centres = even_out(centres, loose, 20)
    return dual(centres, lambda xy: np.searchsorted(heights, xy[:, 1]), np.array(turns))


def joined_grains(
    reach_pm: float,
    grain_of: Callable[[Floats], Ints],
    turn_rad: Floats,
    rng: np.random.Generator,
) -> Network:
    """Join rotated grains along any lines.

    Parameters
    ----------
    reach_pm : float
    grain_of : callable
        From (N, 2) positions in pm to the (N,) grain that holds each.
    turn_rad : (G,) array
        Direction of the zigzag rows of each grain.
    rng : numpy Generator
        Draws how the lattices are shifted against each other.

    Returns
    -------
    Network
        Not yet relaxed; every atom inside has three bonds.
    """
    fewest, best = math.inf, np.zeros((0, 2))
    for _ in range(TRIES):
        centres, loose = _join(reach_pm, grain_of, turn_rad, rng)
        inside = loose & (np.hypot(*centres.T) < reach_pm - 2 * LATTICE_PM)
        strange = int(np.sum(np.abs(_neighbours(centres)[inside] - 6) > 1))
        if strange < fewest:
            fewest, best = strange, centres
        if not strange:
            break
    return dual(best, grain_of, turn_rad + math.pi / 2)


def _join(
    reach_pm: float, grain_of: Callable[[Floats], Ints], turn_rad: Floats, rng: np.random.Generator
) -> tuple[Floats, Bools]:
    """Return the evened ring centres of all grains, and which of them are at a boundary."""
    parts = []
    for g, turn in enumerate(turn_rad.tolist()):
        shift = rng.uniform(-0.5, 0.5, 2) * LATTICE_PM
        centres = ring_lattice(reach_pm, turn, shift)
        parts.append(centres[grain_of(centres) == g])
    centres = np.concatenate(parts)
    grain: Ints = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    loose = _near_others(centres, grain, LOOSE * LATTICE_PM)
    for _ in range(3):
        centres, loose = _merge(centres, loose)
        centres, loose = _fill(centres, loose)
        centres = even_out(centres, loose, EVEN_STEPS)
        inside = loose & (np.hypot(*centres.T) < reach_pm - 2 * LATTICE_PM)
        fourfold = inside & (_neighbours(centres) < 5)
        if not fourfold.any():
            break
        centres, loose = centres[~fourfold], loose[~fourfold]
    return centres, loose


def _near_others(centres: Floats, grain: Ints, distance_pm: float) -> Bools:
    """Return which centres have one of another grain within a distance."""
    near = np.zeros(len(centres), dtype=np.bool_)
    for g in np.unique(grain).tolist():
        own, other = grain == g, grain != g
        if own.any() and other.any():
            near[own] = scipy.spatial.cKDTree(centres[other]).query(centres[own])[0] < distance_pm
    return near


def _merge(centres: Floats, loose: Bools) -> tuple[Floats, Bools]:
    """Replace pairs that are too close by their middle, the closest first."""
    pairs = scipy.spatial.cKDTree(centres).query_pairs(MERGE * LATTICE_PM, output_type="ndarray")
    length = np.hypot(*(centres[pairs[:, 0]] - centres[pairs[:, 1]]).T)
    gone = np.zeros(len(centres), dtype=np.bool_)
    centres = centres.copy()
    touched = set()
    for i, j in pairs[np.argsort(length)].tolist():
        if i not in touched and j not in touched:
            touched |= {i, j}
            centres[i] = (centres[i] + centres[j]) / 2
            gone[j] = True
    return centres[~gone], loose[~gone]


def _fill(centres: Floats, loose: Bools) -> tuple[Floats, Bools]:
    """Put a centre into every gap, the widest first."""
    for _ in range(4):
        simplices = scipy.spatial.Delaunay(centres).simplices
        simplices = simplices[loose[simplices].all(axis=1)]
        middle, radius = _circles(centres[simplices])
        wide = np.flatnonzero((radius > ROOM * LATTICE_PM) & (radius < 2 * LATTICE_PM))
        added: list[Floats] = []
        for k in wide[np.argsort(-radius[wide])].tolist():
            if all(np.hypot(*(middle[k] - a)) > LATTICE_PM for a in added):
                added.append(middle[k])
        if not added:
            break
        centres = np.concatenate([centres, np.array(added)])
        loose = np.concatenate([loose, np.ones(len(added), dtype=np.bool_)])
    return centres, loose


def _circles(corners: Floats) -> tuple[Floats, Floats]:
    """Return the (T, 2) middles and (T,) radii of the circles through (T, 3, 2) corners."""
    origin = corners[:, 0]
    b, c = corners[:, 1] - origin, corners[:, 2] - origin
    area = np.maximum(np.abs(b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0]), 1e-9)
    area *= 2 * np.where(b[:, 0] * c[:, 1] >= b[:, 1] * c[:, 0], 1, -1)
    bb, cc = (b**2).sum(axis=1), (c**2).sum(axis=1)
    x = (c[:, 1] * bb - b[:, 1] * cc) / area
    y = (b[:, 0] * cc - c[:, 0] * bb) / area
    return origin + np.column_stack([x, y]), np.hypot(x, y)


def even_out(centres: Floats, loose: Bools, steps: int) -> Floats:
    """Let springs of one lattice constant between neighbouring ring centres settle a little.

    Neighbours are found anew every few moves, so that rings may change theirs (the scheme of
    Persson and Strang, SIAM Rev. 46 (2004) 329, for meshes).
    """
    if not loose.any():
        return centres
    near = scipy.spatial.cKDTree(centres[loose]).query(centres)[0] < 2.5 * LATTICE_PM
    local, moves = centres[near], loose[near]
    for k in range(steps):
        if k % RENEW == 0:
            indices, neighbours = scipy.spatial.Delaunay(local).vertex_neighbor_vertices
            first = np.repeat(np.arange(len(local)), np.diff(indices))
        step = local[neighbours] - local[first]
        length = np.hypot(*step.T)
        pull = np.where(length < 1.6 * LATTICE_PM, 1 - LATTICE_PM / length, 0.0)[:, None] * step
        move = np.column_stack([np.bincount(first, p, len(local)) for p in pull.T])
        local = local + PULL * move * moves[:, None]
    evened = centres.copy()
    evened[near] = local
    return evened


def _neighbours(centres: Floats) -> Ints:
    """Return the (M,) number of neighbours of each ring centre."""
    return np.diff(scipy.spatial.Delaunay(centres).vertex_neighbor_vertices[0]).astype(np.int_)


def dual(centres: Floats, grain_of: Callable[[Floats], Ints], turn_rad: Floats) -> Network:
    """Return the network with an atom in each triangle of ring centres."""
    mesh = scipy.spatial.Delaunay(centres)
    corners = centres[mesh.simplices]
    keep = _circles(corners)[1] < LATTICE_PM  # the rim is closed by long thin triangles
    number = np.where(keep, np.cumsum(keep) - 1, -1)
    first, second = np.repeat(np.arange(len(keep)), 3), mesh.neighbors.ravel()
    bond = (first < second) & keep[first] & keep[second]
    bonds = np.column_stack([number[first[bond]], number[second[bond]]]).astype(np.int_)
    xy: Floats = corners[keep].mean(axis=1)
    grain = grain_of(xy).astype(np.int_)
    return trim(Network(xy, bonds, np.full(len(bonds), CC_PM), grain, turn_rad))
