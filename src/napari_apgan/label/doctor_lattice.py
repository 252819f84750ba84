"""What a labelled lattice expects: which element stands on a site, and where one lacks an atom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Names = NDArray[np.object_]

#: Fewer atoms show no lattice.
FEWEST = 25
#: Part of the atoms that must have a mate at a translation; two grains share them.
OCCUPANCY = 0.35
#: A mate may lie this far off, in spacings.
TOLERANCE = 0.28


@dataclass(frozen=True, slots=True)
class Mates:
    """Atoms one short translation away, for each atom.

    Parameters
    ----------
    steps : (T, 2) array
        Translations dx, dy in px, each with its opposite; empty without a lattice.
    index : (N, T) int array
        The mate's row; -1 where there is none.
    """

    steps: Floats
    index: Ints


def translations(xy: Floats, kinds: Names, spacing_px: float) -> Floats:
    """Find the short steps that lead from most atoms to one of their own element.

    The steps between equal atoms are drawn as a smoothed histogram over 0.08 spacings; its peaks
    that enough atoms follow are kept, up to the shortest twelve.

    Returns
    -------
    (T, 2) array
        dx, dy in px; with each its opposite.
    """
    nothing = np.empty((0, 2))
    if len(xy) < FEWEST or not spacing_px > 0:
        return nothing
    reach = 3.2 * spacing_px
    pairs = cKDTree(xy).query_pairs(reach, output_type="ndarray")
    pairs = pairs[kinds[pairs[:, 0]] == kinds[pairs[:, 1]]]
    if len(pairs) < FEWEST:
        return nothing
    steps = xy[pairs[:, 1]] - xy[pairs[:, 0]]
    steps = np.concatenate([steps, -steps])
    bins = 2 * int(np.ceil(reach / (0.08 * spacing_px))) + 1
    counts, edges, _ = np.histogram2d(
        steps[:, 0], steps[:, 1], bins=bins, range=[[-reach, reach]] * 2
    )
    smooth = gaussian_filter(counts, 1.2)
    peak = (smooth == maximum_filter(smooth, size=5)) & (smooth > 0.2 * smooth.max())
    centres = 0.5 * (edges[1:] + edges[:-1])
    candidates = np.column_stack([centres[i] for i in np.nonzero(peak)])
    found = cKDTree(steps).query_ball_point(candidates, TOLERANCE * spacing_px)
    kept = [
        steps[near].mean(axis=0)
        for near in found
        if len(near) >= OCCUPANCY * len(xy) * _inside_share(xy, reach)
    ]
    kept.sort(key=lambda v: float(np.hypot(*v)))
    return np.array(kept[:12]).reshape(-1, 2)


def _inside_share(xy: Floats, reach: float) -> float:
    """Part of the atoms that have room for a mate on the labelled area, at least."""
    extent = np.maximum(np.ptp(xy, axis=0), 1e-9)
    return float(np.clip(np.prod(1 - 0.6 * reach / extent), 0.2, 1.0))


def find_mates(xy: Floats, kinds: Names, spacing_px: float) -> Mates:
    """Find for each atom those one short translation away, of any element."""
    steps = translations(xy, kinds, spacing_px)
    if not len(steps):
        return Mates(steps, np.empty((len(xy), 0), dtype=np.int64))
    targets = (xy[:, None] + steps[None]).reshape(-1, 2)
    distance, index = cKDTree(xy).query(targets)
    found = np.where(np.asarray(distance) < TOLERANCE * spacing_px, np.asarray(index), -1)
    mates = found.reshape(len(xy), len(steps)).astype(np.int64)
    whole = _repeat(steps, mates >= 0)
    return Mates(steps[whole], mates[:, whole])


def _repeat(steps: Floats, has: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which steps repeat: leading to an atom both ways, as a honeycomb's bonds do not."""
    apart, opposite = cKDTree(steps).query(-steps)
    there, back = has, has[:, np.asarray(opposite)]
    both = (there & back).sum(axis=0) >= 0.5 * np.maximum((there | back).sum(axis=0), 1)
    whole: NDArray[np.bool_] = both & (np.asarray(apart) < 0.1 * np.linalg.norm(steps, axis=1))
    return whole


def empty_sites(
    xy: Floats, kinds: Names, mates: Mates, spacing_px: float
) -> tuple[Floats, Names, Floats]:
    """Find sites that atoms around them expect and that no label stands near.

    Every atom votes for the places one translation away. A place with votes of a third of the
    translations, at least three and not all from one side, is an empty site.

    Returns
    -------
    sites : (H, 2) array
        x, y in px.
    kinds : (H,) array of str
        The element that most voters have.
    share : (H,) array
        Votes over translations.
    """
    nothing = (np.empty((0, 2)), np.empty(0, dtype=object), np.empty(0))
    if len(mates.steps) < 4:
        return nothing
    voter, step = np.nonzero(mates.index < 0)
    places = xy[voter] + mates.steps[step]
    free = np.asarray(cKDTree(xy).query(places)[0]) > 0.5 * spacing_px
    voter, step, places = voter[free], step[free], places[free]
    if not len(places):
        return nothing
    directions = mates.steps[step] / np.linalg.norm(mates.steps[step], axis=1, keepdims=True)
    needed = max(3, round(len(mates.steps) / 3))
    groups: Any = cKDTree(places).query_ball_point(places, TOLERANCE * spacing_px)
    taken = np.zeros(len(places), dtype=bool)
    sites, names, shares = [], [], []
    for k in np.argsort([-len(g) for g in groups], kind="stable").tolist():
        group = [i for i in groups[k] if not taken[i]]
        if taken[k] or len(group) < needed:
            continue
        taken[group] = True
        if np.linalg.norm(directions[group].mean(axis=0)) > 0.55:
            continue
        values, counts = np.unique(kinds[voter[group]].astype(str), return_counts=True)
        sites.append(places[group].mean(axis=0))
        names.append(str(values[int(counts.argmax())]))
        shares.append(len(group) / len(mates.steps))
    return np.array(sites).reshape(-1, 2), np.array(names, dtype=object), np.array(shares)


def expected_places(xy: Floats, mates: Mates, spacing_px: float) -> Floats:
    """Return where the atoms one translation away expect each atom.

    Mates may lie half a spacing off here: a misplaced atom misses all of them alike.

    Returns
    -------
    (N, 2) array
        Median over the mates of their position less the step to them; NaN for fewer than five, and
        where they do not agree.
    """
    places = np.full(xy.shape, np.nan)
    if not len(mates.steps):
        return places
    targets = (xy[:, None] + mates.steps[None]).reshape(-1, 2)
    distance, index = cKDTree(xy).query(targets)
    each = (xy[np.asarray(index)] - targets).reshape(len(xy), -1, 2) + xy[:, None]
    each[(np.asarray(distance) > 0.5 * spacing_px).reshape(len(xy), -1)] = np.nan
    enough = np.isfinite(each[:, :, 0]).sum(axis=1) >= 5
    if enough.any():
        middle = np.nanmedian(each[enough], axis=1)
        scatter = np.nanmedian(
            np.hypot(*(each[enough] - middle[:, None]).transpose(2, 0, 1)), axis=1
        )
        middle[scatter > 0.15 * spacing_px] = np.nan
        places[enough] = middle
    return places
