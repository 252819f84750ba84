"""Where the lattice of the listed atoms has places that the list has not.

Beyond the border stand atoms whose tails and fringes reach in; inside are gaps, where either an
atom was overlooked or none stands. Window by window, so that grains and strain are followed, the
translations that bring most atoms onto like ones are found; what they say about places is put to
the vote. Where there is no lattice nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

#: Sizes in nearest distances: of a window, and of the longest translation.
WINDOW = 15.0
LONGEST = 3.8
#: Two places are one within this part of the nearest distance.
SAME = 0.3
#: Fraction of the atoms that a translation has to bring onto others, and of the votes for an atom.
LEAST_OVERLAP = 0.6
LEAST_VOTES = 0.6
FEWEST_ATOMS = 12
#: So many of the vectors between like atoms are where the search for translations begins.
BEGUN_WITH = 1500
#: No listed atom is nearer to a gap than this part of the nearest distance; a gap needs more votes,
#: since at the edge of a hole nothing is missing.
GAP_APART = 0.5
GAP_VOTES = 0.75

#: Places, their elements, and the share of the votes of each.
Elected = tuple[Floats, Ints, Floats]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the frame with a lattice of its own.

    Parameters
    ----------
    low, high : (2,) arrays
        Corners (x, y).
    at_border : bool
    xy, kind : (N, 2), (N,) arrays
        Atoms in and around it, and their elements.
    shifts : (T, 2) array
        Translations that bring most of them onto like ones.
    """

    low: Floats
    high: Floats
    at_border: bool
    xy: Floats
    kind: Ints
    shifts: Floats


def lattice_windows(
    xy: Floats, element: Ints, shape: tuple[int, int], spacing: float
) -> list[Window]:
    """Return the parts of a frame where there is a lattice.

    Parameters
    ----------
    xy : (N, 2) array
        Atoms in the frame, px.
    element : (N,) int array
    shape : (rows, columns)
    spacing : float
        Usual distance of nearest atoms in px.
    """
    found = []
    slack = LONGEST * spacing
    for low, high, at_border in _corners(shape, WINDOW * spacing):
        near = ((xy > low - slack) & (xy < high + slack)).all(axis=1)
        if near.sum() < FEWEST_ATOMS:
            continue
        shifts = _translations(xy[near], element[near], shape, spacing)
        if len(shifts) >= 4:
            found.append(Window(low, high, at_border, xy[near], element[near], shifts))
    return found


def continue_lattice(
    windows: Sequence[Window], shape: tuple[int, int], reach: float, spacing: float
) -> tuple[Floats, Ints]:
    """Return where atoms stand up to `reach` px beyond the border.

    Parameters
    ----------
    windows : sequence of Window
    shape : (rows, columns)
    reach : float
    spacing : float
        Usual distance of nearest atoms in px.

    Returns
    -------
    (M, 2) array, (M,) int array
    """
    return _joined([_beyond(w, shape, reach, spacing) for w in windows if w.at_border], spacing)


def lattice_gaps(
    windows: Sequence[Window], shape: tuple[int, int], spacing: float
) -> tuple[Floats, Ints]:
    """Return places in the frame where the lattice has an atom and the list has none.

    Parameters
    ----------
    windows, shape, spacing
        As for :func:`continue_lattice`.

    Returns
    -------
    (M, 2) array, (M,) int array
    """
    return _joined([_gaps(w, shape, spacing) for w in windows], spacing)


def _joined(found: Sequence[Elected], spacing: float) -> tuple[Floats, Ints]:
    """Put the places of all windows together, each once."""
    places = np.concatenate([np.empty((0, 2)), *[f[0] for f in found]])
    kinds = np.concatenate([np.empty(0, dtype=np.intp), *[f[1] for f in found]])
    sure = np.concatenate([np.empty(0), *[f[2] for f in found]])
    keep = thin_out(places, sure, 1.5 * SAME * spacing)
    return places[keep], kinds[keep]


def _corners(shape: tuple[int, int], side: float) -> Iterator[tuple[Floats, Floats, bool]]:
    """Yield corners (x, y) of windows, and whether they lie along the border."""
    cuts = []
    for length in (shape[1], shape[0]):
        n = max(round(length / side), 1)
        cuts.append(np.linspace(-0.5, length - 0.5, n + 1))
    for i in range(len(cuts[0]) - 1):
        for j in range(len(cuts[1]) - 1):
            yield (
                np.array([cuts[0][i], cuts[1][j]]),
                np.array([cuts[0][i + 1], cuts[1][j + 1]]),
                i in (0, len(cuts[0]) - 2) or j in (0, len(cuts[1]) - 2),
            )


def _gaps(window: Window, shape: tuple[int, int], spacing: float) -> Elected:
    """Return the gaps of one window."""
    frame = np.array([-0.5, -0.5]), np.array(shape[::-1]) - 0.5
    low, high = np.maximum(window.low, frame[0]), np.minimum(window.high, frame[1])
    votes, named = _cast(window.xy, window.kind, window.shifts)
    inside = ((votes >= low) & (votes <= high)).all(axis=1)
    votes, named = votes[inside], named[inside]
    free = cKDTree(window.xy).query(votes)[0] > GAP_APART * spacing
    return _elect(votes[free], named[free], window.shifts, frame, spacing, GAP_VOTES)


def _beyond(window: Window, shape: tuple[int, int], reach: float, spacing: float) -> Elected:
    """Continue the lattice of one window."""
    low, high, here, kind, shifts = window.low, window.high, window.xy, window.kind, window.shifts
    first, last = np.array([-0.5, -0.5]), np.array(shape[::-1]) - 0.5
    places, kinds, sure = np.empty((0, 2)), np.empty(0, dtype=np.intp), np.empty(0)
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
    # A translation that counts has many of the vectors, so that some are enough to begin with.
    begin = vector[:: max(len(vector) // BEGUN_WITH, 1)]
    count = tree.query_ball_point(begin, SAME * spacing, return_length=True)
    left = np.ones(len(begin), dtype=bool)
    low, high = xy.min(axis=0) - 0.3 * spacing, xy.max(axis=0) + 0.3 * spacing
    found = []
    for number in np.argsort(-count):
        if not left[number] or count[number] < 0.25 * count.max():
            continue
        members = tree.query_ball_point(begin[number], SAME * spacing)
        left &= np.hypot(*(begin - begin[number]).T) > 2 * SAME * spacing
        shift = np.median(vector[members], axis=0)
        members = tree.query_ball_point(shift, SAME * spacing)
        possible = ((xy + shift > low) & (xy + shift < high)).all(axis=1).sum()
        if len(members) >= LEAST_OVERLAP * max(possible, 4):
            found.append(vector[members].mean(axis=0))
    return np.array(found).reshape(-1, 2)


def _cast(xy: Floats, kind: Ints, shifts: Floats) -> tuple[Floats, Ints]:
    """Return the places that atoms vote for, and the element that each vote names."""
    return (xy[:, None, :] + shifts[None, :, :]).reshape(-1, 2), np.repeat(kind, len(shifts))


def _vote(
    xy: Floats,
    kind: Ints,
    shifts: Floats,
    inner: tuple[Floats, Floats],
    edge: tuple[Floats, Floats],
    spacing: float,
) -> Elected:
    """Return places between the rectangles `inner` and `edge` for which most votes are cast."""
    from_inside = ((xy >= inner[0]) & (xy <= inner[1])).all(axis=1)
    votes, named = _cast(xy[from_inside], kind[from_inside], shifts)
    new = ~((votes >= inner[0]) & (votes <= inner[1])).all(axis=1)
    new &= ((votes >= edge[0]) & (votes <= edge[1])).all(axis=1)
    return _elect(votes[new], named[new], shifts, inner, spacing)


def _elect(
    votes: Floats,
    named: Ints,
    shifts: Floats,
    inner: tuple[Floats, Floats],
    spacing: float,
    least: float = LEAST_VOTES,
) -> Elected:
    """Return places that most of the translations from the rectangle `inner` agree on."""
    if not len(votes):
        return np.empty((0, 2)), np.empty(0, dtype=np.intp), np.empty(0)
    tree = cKDTree(votes)
    groups = np.asarray(
        tree.query_ball_point(votes, SAME * spacing, return_sorted=False), dtype=object
    )
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
        if share >= least:
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
