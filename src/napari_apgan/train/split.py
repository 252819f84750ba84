"""What to train on and what to validate on: never the same atoms. numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_apgan.atoms import positions
from napari_apgan.io.pairs import Pair
from napari_apgan.regions import learn_mask

Bools = NDArray[np.bool_]
SplitKind = Literal["regions", "frames", "blocks", "folder", "simulated", "none"]

#: Fewer held-out atoms than this tell nothing; then the training labels themselves are scored.
FEWEST_ATOMS = 6
#: Whole frames are held out from this many independent ones on.
FEWEST_GROUPS = 4
#: A gap may cost at most this fraction of the labelled extent.
LARGEST_GAP = 0.12


@dataclass(frozen=True, slots=True)
class Split:
    """Where each pair is trained on and where it is validated on.

    Parameters
    ----------
    kind : SplitKind
        ``regions`` the user's held-out regions, ``frames`` whole frames, ``blocks`` a strip of
        each frame, ``folder`` pairs of their own, ``simulated`` simulated frames alone, ``none``
        too few atoms: both masks are the same.
    train, validation : list of (Y, X) bool arrays
        One for each pair.
    gap_px : float
        Unused width between the two.
    message : str
        One sentence for the user.
    """

    kind: SplitKind
    train: list[Bools]
    validation: list[Bools]
    gap_px: float
    message: str


def atoms_in(xy_px: NDArray[np.float64], mask: Bools) -> Bools:
    """Tell for (N, 2) positions which lie on a pixel that is True."""
    column, row = np.rint(xy_px).astype(int).T.reshape(2, -1)
    inside = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
    out = np.zeros(len(inside), dtype=bool)
    out[inside] = mask[row[inside], column[inside]]
    return out


def split_pairs(
    pairs: Sequence[Pair],
    elements: Sequence[str],
    *,
    fraction: float,
    receptive_field_px: int,
    radius_px: float,
    seed: int,
) -> Split:
    """Divide the labels of the pairs.

    Held-out regions win; else whole frames where at least four independent ones exist; else a
    strip at one side of each frame, with a gap. Frames of one source show the same atoms (a
    series, a repeated exposure), so they are held out together or at the same places.

    Parameters
    ----------
    pairs : sequence of Pair
    elements : sequence of str
    fraction : float
        Of the labelled atoms, to validate on.
    receptive_field_px : int
        The gap wanted between both parts; it is cut to 12 % of the labelled extent.
    radius_px : float
        Of the discs; the gap is never smaller than a disc.
    seed : int

    Returns
    -------
    Split
    """
    labelled = [labelled_mask(p, radius_px) for p in pairs]
    groups = _groups(pairs)
    if any(r.held_out and r.kind == "complete" for p in pairs for r in p.regions):
        split = _by_regions(pairs, groups, radius_px)
    elif len(groups) >= FEWEST_GROUPS:
        split = _by_frames(pairs, labelled, groups, elements, fraction, seed)
    else:
        split = _by_blocks(
            pairs, labelled, groups, elements, fraction, receptive_field_px, radius_px
        )
    held = _count(pairs, split.validation, elements)
    if held.sum() < FEWEST_ATOMS or not _count(pairs, split.train, elements).sum():
        return Split(
            "none",
            labelled,
            labelled,
            0.0,
            "There are too few labelled atoms to keep some for validation: the score says how well "
            "the model repeats its own labels.",
        )
    return split


def labelled_mask(pair: Pair, radius_px: float, *, held_out: bool | None = None) -> Bools:
    """Where the labels of a pair say all there is to be seen.

    That is inside its complete regions, farther than a disc's radius from where nothing is
    labelled: nearer to it lie parts of discs whose atoms are not labelled, which a network would
    be taught to overlook, and a score would call false.

    Parameters
    ----------
    pair : Pair
    radius_px : float
        Of the discs.
    held_out : bool, optional
        As for :func:`napari_apgan.regions.learn_mask`.
    """
    mask = learn_mask(pair.regions, pair.frame.shape, held_out=held_out)
    inner = mask & ~_near(~learn_mask(pair.regions, pair.frame.shape), radius_px)
    return inner if inner.any() else mask


def _groups(pairs: Sequence[Pair]) -> list[list[int]]:
    """Numbers of the pairs that may show the same atoms; simulated frames are independent."""
    found: dict[str, list[int]] = {}
    for number, pair in enumerate(pairs):
        alone = pair.origin == "simulated" or not pair.source
        found.setdefault(f"\0{number}" if alone else pair.source, []).append(number)
    return list(found.values())


def _count(
    pairs: Sequence[Pair], masks: Sequence[Bools], elements: Sequence[str]
) -> NDArray[np.int_]:
    """Count the atoms of each element inside the masks."""
    total = np.zeros(len(elements), dtype=np.int_)
    for pair, mask in zip(pairs, masks, strict=True):
        names = pair.atoms["element"].to_numpy()[atoms_in(positions(pair.atoms), mask)]
        total += np.array([(names == e).sum() for e in elements])
    return total


def _near(mask: Bools, distance_px: float) -> Bools:
    """Return the pixels within a distance of a mask, itself included."""
    if not mask.any():
        return mask
    from scipy.ndimage import distance_transform_edt  # not while a window opens

    near: Bools = np.asarray(distance_transform_edt(~mask)) <= distance_px
    return near


def _by_regions(pairs: Sequence[Pair], groups: list[list[int]], radius_px: float) -> Split:
    shapes = [p.frame.shape for p in pairs]
    gap = math.ceil(2 * radius_px)
    validation = [labelled_mask(p, radius_px, held_out=True) for p in pairs]
    train = [labelled_mask(p, radius_px, held_out=False) for p in pairs]
    for group in groups:
        for number in group:
            same = [validation[k] for k in group if shapes[k] == shapes[number]]
            train[number] &= ~_near(np.logical_or.reduce(same), gap)
    return Split("regions", train, validation, gap, "Validated on the held-out regions.")


def _by_frames(
    pairs: Sequence[Pair],
    labelled: list[Bools],
    groups: list[list[int]],
    elements: Sequence[str],
    fraction: float,
    seed: int,
) -> Split:
    """Hold out whole groups: of many random choices the one that suits the elements best."""
    counts = np.array(
        [_count([pairs[k] for k in g], [labelled[k] for k in g], elements) for g in groups]
    )
    rng = np.random.default_rng(seed)
    total = counts.sum(axis=0)
    best, best_cost = np.zeros(len(groups), dtype=bool), math.inf
    for _ in range(64):
        held = np.zeros(len(groups), dtype=bool)
        for group in rng.permutation(len(groups))[: len(groups) - 1]:
            held[group] = True
            if counts[held].sum() >= fraction * total.sum():
                break
        part = counts[held].sum(axis=0)
        lacking = ((part == 0) | (part == total)).sum()
        cost = 10 * lacking + abs(part.sum() / max(total.sum(), 1) - fraction)
        if cost < best_cost:
            best, best_cost = held, float(cost)
    out = {k for g, chosen in zip(groups, best, strict=True) if chosen for k in g}
    nothing = [np.zeros_like(m) for m in labelled]
    return Split(
        "frames",
        [nothing[k] if k in out else m for k, m in enumerate(labelled)],
        [m if k in out else nothing[k] for k, m in enumerate(labelled)],
        0.0,
        f"Validated on {len(out)} of {len(pairs)} frames, which the model is not trained on.",
    )


def _by_blocks(
    pairs: Sequence[Pair],
    labelled: list[Bools],
    groups: list[list[int]],
    elements: Sequence[str],
    fraction: float,
    receptive_field_px: int,
    radius_px: float,
) -> Split:
    train, validation = [m.copy() for m in labelled], [np.zeros_like(m) for m in labelled]
    smallest_gap = math.inf
    for group in groups:
        for shape in sorted({labelled[k].shape for k in group}):
            # Frames of one source and shape show the same atoms at the same places.
            same = [k for k in group if labelled[k].shape == shape]
            tries = [
                _strip(
                    [pairs[k] for k in same],
                    [labelled[k] for k in same],
                    side,
                    fraction,
                    receptive_field_px,
                    radius_px,
                )
                for side in range(4)
            ]
            part = [pairs[k] for k in same]
            held, kept, gap = max(
                tries, key=lambda t: _worth(part, [labelled[k] for k in same], t[0], t[1], elements)
            )
            smallest_gap = min(smallest_gap, gap)
            for k in same:
                validation[k], train[k] = labelled[k] & held, labelled[k] & kept
    return Split(
        "blocks",
        train,
        validation,
        smallest_gap,
        f"Validated on a strip of each frame, {smallest_gap:.0f} px away from what the model is "
        "trained on.",
    )


def _strip(
    pairs: Sequence[Pair],
    labelled: Sequence[Bools],
    side: int,
    fraction: float,
    receptive_field_px: int,
    radius_px: float,
) -> tuple[Bools, Bools, float]:
    """Cut off a strip that holds `fraction` of the atoms, at the left, right, top or bottom.

    Returns
    -------
    held, kept : (Y, X) bool arrays
    gap : float
        Width between them in px.
    """
    axis, from_end = side // 2, bool(side % 2)  # axis 0: along x
    shape = labelled[0].shape
    along = np.arange(shape[1 - axis], dtype=np.float64)
    coordinates = np.concatenate(
        [
            positions(p.atoms)[atoms_in(positions(p.atoms), m), axis]
            for p, m in zip(pairs, labelled, strict=True)
        ]
    )
    if not len(coordinates):
        return np.zeros(shape, bool), np.ones(shape, bool), 0.0
    union = np.logical_or.reduce(list(labelled)).any(axis=axis)
    extent = float(np.ptp(np.flatnonzero(union)) + 1)
    gap = max(min(float(receptive_field_px), LARGEST_GAP * extent), 2 * radius_px)
    gap = float(math.ceil(gap))
    if from_end:
        cut = float(np.quantile(coordinates, 1 - fraction))
        held, kept = along >= cut, along < cut - gap
    else:
        cut = float(np.quantile(coordinates, fraction))
        held, kept = along <= cut, along > cut + gap
    if axis == 0:
        return (
            np.broadcast_to(held[None, :], shape),
            np.broadcast_to(kept[None, :], shape),
            gap,
        )
    return np.broadcast_to(held[:, None], shape), np.broadcast_to(kept[:, None], shape), gap


def _worth(
    pairs: Sequence[Pair],
    labelled: Sequence[Bools],
    held: Bools,
    kept: Bools,
    elements: Sequence[str],
) -> tuple[int, int, int]:
    """Rank a strip: elements present on both sides, then atoms left to train on, then held out."""
    in_held = _count(pairs, [m & held for m in labelled], elements)
    in_kept = _count(pairs, [m & kept for m in labelled], elements)
    both = int(((in_held > 0) & (in_kept > 0)).sum())
    return both, int(in_kept.sum()), int(in_held.sum())


def split_folder(training: Sequence[Pair], held: Sequence[Pair], *, radius_px: float) -> Split:
    """Train on all of some pairs and validate on all of others; masks in that order.

    `radius_px` is that of the discs, as for :func:`split_pairs`.
    """
    simulated = not training and all(p.origin == "simulated" for p in held)
    masks = [labelled_mask(p, radius_px) for p in [*training, *held]]
    nothing = [np.zeros_like(m) for m in masks]
    n = len(training)
    return Split(
        "simulated" if simulated else "folder",
        masks[:n] + nothing[n:],
        nothing[:n] + masks[n:],
        0.0,
        f"Validated on {len(held)} simulated frames that the model is not trained on."
        if simulated
        else f"Validated on {len(held)} pairs of their own.",
    )
