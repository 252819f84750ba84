"""Atoms that lie outside the frame but whose tails and fringes reach in: the lattice continued.

Along the border the translations that bring most atoms onto like ones are found, window by window,
so that grains and strain are followed; what they say about the places beyond the border is put to
the vote. Where there is no lattice nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

#: Sizes in nearest distances: of a window along the border, and of the longest translation.
WINDOW = 15.0
LONGEST = 3.8
#: Two places are one within this part of the nearest distance.
SAME = 0.3
#: Fraction of the atoms that a translation has to bring onto others, and of the votes for an atom.
LEAST_OVERLAP = 0.6
LEAST_VOTES = 0.6
FEWEST_ATOMS = 12


def continue_lattice(
    xy: Floats, element: Ints, shape: tuple[int, int], reach: float, spacing: float
) -> tuple[Floats, Ints]:
    """Return where atoms stand up to `reach` px beyond the border.

    Parameters
    ----------
    xy : (N, 2) array
        Atoms in the frame, px.
    element : (N,) int array
    shape : (rows, columns)
    reach : float
    spacing : float
        Usual distance of nearest atoms in px.

    Returns
    -------
    (M, 2) array, (M,) int array
    """
    found = [
        _beyond(xy, element, low, high, shape, reach, spacing)
        for low, high in _windows(shape, WINDOW * spacing)
    ]
    places = np.concatenate([np.empty((0, 2)), *[f[0] for f in found]])
    kinds = np.concatenate([np.empty(0, dtype=np.intp), *[f[1] for f in found]])
    sure = np.concatenate([np.empty(0), *[f[2] for f in found]])
    keep = thin_out(places, sure, 1.5 * SAME * spacing)
    return places[keep], kinds[keep]


def _windows(shape: tuple[int, int], side: float) -> Iterator[tuple[Floats, Floats]]:
    """Yield corners (x, y) of windows along the border."""
    cuts = []
    for length in (shape[1], shape[0]):
        n = max(round(length / side), 1)
        cuts.append(np.linspace(-0.5, length - 0.5, n + 1))
    for i in range(len(cuts[0]) - 1):
        for j in range(len(cuts[1]) - 1):
            if i in (0, len(cuts[0]) - 2) or j in (0, len(cuts[1]) - 2):
                yield (
                    np.array([cuts[0][i], cuts[1][j]]),
                    np.array([cuts[0][i + 1], cuts[1][j + 1]]),
                )


def _beyond(
    xy: Floats,
    element: Ints,
    low: Floats,
    high: Floats,
    shape: tuple[int, int],
    reach: float,
    spacing: float,
) -> tuple[Floats, Ints, Floats]:
    """Continue the lattice of one window; also return the share of the votes of each place."""
    slack = LONGEST * spacing
    near = ((xy > low - slack) & (xy < high + slack)).all(axis=1)
    here, kind = xy[near], element[near]
    nothing = np.empty((0, 2)), np.empty(0, dtype=np.intp), np.empty(0)
    if len(here) < FEWEST_ATOMS:
        return nothing
    shifts = _translations(here, kind, shape, spacing)
    if len(shifts) < 4:
        return nothing
    first, last = np.array([-0.5, -0.5]), np.array(shape[::-1]) - 0.5
    places, kinds, sure = nothing
    # Each round goes on from what the one before has found.
    for depth in np.arange(1.0, np.ceil(reach / (2 * spacing)) + 1) * 2 * spacing:
        edge_low, edge_high = first - min(depth, reach), last + min(depth, reach)
        inner_low, inner_high = first - depth + 2 * spacing, last + depth - 2 * spacing
        more = _vote(here, kind, shifts, (inner_low, inner_high), (edge_low, edge_high), spacing)
        ours = ((more[0] > low - reach - 1) & (more[0] < high + reach + 1)).all(axis=1)
        here = np.concatenate([here, more[0]])
        kind = np.concatenate([kind, more[1]])
        places = np.concatenate([places, more[0][ours]])
        kinds = np.concatenate([kinds, more[1][ours]])
        sure = np.concatenate([sure, more[2][ours] / (1.0 + 0.01 * depth)])
    # A window speaks for what is nearer to it than to others.
    outside = np.maximum(np.maximum(low - places, places - high), 0.0).max(axis=1)
    in_frame = np.maximum(np.maximum(first - places, places - last), 0.0).max(axis=1)
    own = outside <= in_frame + 1.0
    return places[own], kinds[own], sure[own]


def _translations(xy: Floats, kind: Ints, shape: tuple[int, int], spacing: float) -> Floats:
    """Return (T, 2) shifts that bring most atoms onto atoms of the same element."""
    pairs = cKDTree(xy).query_pairs(LONGEST * spacing, output_type="ndarray")
    pairs = pairs[kind[pairs[:, 0]] == kind[pairs[:, 1]]]
    if not len(pairs):
        return np.empty((0, 2))
    vector = xy[pairs[:, 1]] - xy[pairs[:, 0]]
    vector = np.concatenate([vector, -vector])
    tree = cKDTree(vector)
    count = tree.query_ball_point(vector, SAME * spacing, return_length=True)
    left = np.ones(len(vector), dtype=bool)
    low, high = xy.min(axis=0) - 0.3 * spacing, xy.max(axis=0) + 0.3 * spacing
    found = []
    for number in np.argsort(-count):
        if not left[number] or count[number] < 0.25 * count.max():
            continue
        members = tree.query_ball_point(vector[number], SAME * spacing)
        left[tree.query_ball_point(vector[number], 2 * SAME * spacing)] = False
        shift = np.median(vector[members], axis=0)
        members = tree.query_ball_point(shift, SAME * spacing)
        possible = ((xy + shift > low) & (xy + shift < high)).all(axis=1).sum()
        if len(members) >= LEAST_OVERLAP * max(possible, 4):
            found.append(vector[members].mean(axis=0))
    return np.array(found).reshape(-1, 2)


def _vote(
    xy: Floats,
    kind: Ints,
    shifts: Floats,
    inner: tuple[Floats, Floats],
    edge: tuple[Floats, Floats],
    spacing: float,
) -> tuple[Floats, Ints, Floats]:
    """Return places between the rectangles `inner` and `edge` for which most votes are cast."""
    from_inside = ((xy >= inner[0]) & (xy <= inner[1])).all(axis=1)
    votes = (xy[from_inside, None, :] + shifts[None, :, :]).reshape(-1, 2)
    named = np.repeat(kind[from_inside], len(shifts))
    new = ~((votes >= inner[0]) & (votes <= inner[1])).all(axis=1)
    new &= ((votes >= edge[0]) & (votes <= edge[1])).all(axis=1)
    votes, named = votes[new], named[new]
    if not len(votes):
        return np.empty((0, 2)), np.empty(0, dtype=np.intp), np.empty(0)
    tree = cKDTree(votes)
    groups = list(tree.query_ball_point(votes, SAME * spacing, return_sorted=False))
    size = np.array([len(g) for g in groups])
    left = np.ones(len(votes), dtype=bool)
    places, kinds, sure = [], [], []
    for number in np.argsort(-size):
        if not left[number]:
            continue
        members = [m for m in groups[number] if left[m]]
        left[members] = False
        kinds_here = named[members]
        most = int(np.bincount(kinds_here).argmax())
        agreed = np.array(members)[kinds_here == most]
        place = votes[agreed].mean(axis=0)
        could = ((place - shifts >= inner[0]) & (place - shifts <= inner[1])).all(axis=1).sum()
        share = len(agreed) / max(could, 1)
        if share >= LEAST_VOTES:
            places.append(place)
            kinds.append(most)
            sure.append(share + 0.01 * len(agreed))
    return (
        np.array(places).reshape(-1, 2),
        np.array(kinds, dtype=np.intp),
        np.array(sure, dtype=np.float64),
    )


def thin_out(xy: Floats, rank: Floats, distance: float) -> Ints:
    """Return which places stay when of those closer than `distance` the highest ranks do."""
    if not len(xy):
        return np.empty(0, dtype=np.intp)
    left = np.ones(len(xy), dtype=bool)
    for i, j in cKDTree(xy).query_pairs(distance, output_type="ndarray")[:, :]:
        if left[i] and left[j]:
            left[j if rank[i] >= rank[j] else i] = False
    return np.flatnonzero(left)
