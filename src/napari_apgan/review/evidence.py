"""Everything suspicious about one predicted frame, found without labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass, label

from napari_apgan.atoms import positions
from napari_apgan.frames import Frame
from napari_apgan.maps import draw_discs
from napari_apgan.models.normalise import normalise
from napari_apgan.predict.prediction import Box, Prediction
from napari_apgan.predict.resample import network_scale, resample_frame

from .features import frame_features, structured_contrast, unfamiliarity
from .lattice import close_pairs, holes, nearest_distance
from .reference import Reference, brightness_at

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Flags of suspect atoms.
TOO_CLOSE = "too close to another atom"
ALONE = "stands alone"
DOUBTFUL = "low probability"
WRONG_BRIGHTNESS = "brightness of another element"

#: Below this probability an atom is worth a look.
LOW_PROBABILITY = 0.6


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found on one frame; positions in px of the frame.

    Parameters
    ----------
    box : Box
        The part of the frame that was predicted.
    atoms : DataFrame
        The predicted atoms, `flag` completed.
    too_close, alone, doubtful, wrong_brightness : (N,) bool array
        One entry an atom.
    holes : (H, 2) array
        Lattice sites without an atom.
    mismatch, drawn : (C, Y, X) float32 array
        Absolute difference between the maps and the discs of the atoms found, and the larger of
        the two; within the box. Empty when the prediction has no maps.
    faint : (F, 2) array
        x, y in px of discs on the maps that are too faint, or too torn, to have given an atom.
    undecided : (Y, X) bool array
        Half-bright pixels of the maps that no atom's rim explains; within the box.
    unfamiliar : (Y, X) float32 array
        Distance of the block around each pixel to the training blocks, about 1 where familiar;
        within the box; 0 without a reference.
    contrast : (Y, X) float32 array
        The blocks' contrast without white noise, over that of the training blocks, likewise.
    valid : (Y, X) bool array
        Within the box.
    enlarged : float
        Pixels of the reference per pixel of the frame.
    """

    box: Box
    atoms: pd.DataFrame
    too_close: Bools
    alone: Bools
    doubtful: Bools
    wrong_brightness: Bools
    holes: Floats
    mismatch: NDArray[np.float32]
    drawn: NDArray[np.float32]
    faint: Floats
    undecided: Bools
    unfamiliar: NDArray[np.float32]
    contrast: NDArray[np.float32]
    valid: Bools
    enlarged: float


def gather(frame: Frame, prediction: Prediction, reference: Reference | None) -> Evidence:
    """Look at one predicted frame.

    Parameters
    ----------
    frame : Frame
    prediction : Prediction
        Of this frame.
    reference : Reference, optional
        Without one the frame is its own yardstick: its median spacing tells what is too close,
        and nothing is said about brightness and familiarity.
    """
    rows, cols = frame.shape
    box = prediction.box or (0, 0, cols, rows)
    atoms = prediction.atoms.reset_index(drop=True).copy()
    xy, kinds = answered_positions(atoms), atoms["element"].to_numpy(object)
    scale, _ = network_scale(frame.calibration, reference.pixel_size_pm if reference else None)
    enlarged = math.sqrt(scale[0] * scale[1])
    nearest = nearest_distance(xy)
    too_close = np.zeros(len(xy), dtype=bool)
    too_close[_close(xy, kinds, nearest, reference, enlarged).ravel()] = True
    alone = _alone(nearest, reference, enlarged)
    probability = atoms["probability"].to_numpy(np.float64)
    doubtful = probability < LOW_PROBABILITY
    seen = resample_frame(frame, scale)
    factors = np.array([seen.shape[1] / cols, seen.shape[0] / rows])
    wrong = _wrong_brightness(seen, (xy + 0.5) * factors - 0.5, kinds, reference)
    for mask, flag in (
        (too_close, TOO_CLOSE),
        (alone, ALONE),
        (doubtful, DOUBTFUL),
        (wrong, WRONG_BRIGHTNESS),
    ):
        _add_flag(atoms, mask, flag)
    mismatch, larger, faint, undecided = _compare_maps(prediction, box, reference, enlarged)
    unfamiliar, contrast = _familiarity(seen, frame.shape, box, reference)
    x0, y0, x1, y1 = box
    return Evidence(
        box=box,
        atoms=atoms,
        too_close=too_close,
        alone=alone,
        doubtful=doubtful,
        wrong_brightness=wrong,
        holes=_holes(frame, xy, kinds, box),
        mismatch=mismatch,
        drawn=larger,
        faint=faint,
        undecided=undecided,
        unfamiliar=unfamiliar,
        contrast=contrast,
        valid=frame.valid[y0:y1, x0:x1],
        enlarged=enlarged,
    )


def _add_flag(atoms: pd.DataFrame, mask: Bools, flag: str) -> None:
    old = atoms["flag"].to_numpy(object)
    joined = [
        f"{before}; {flag}" if hit and before and flag not in before else (flag if hit else before)
        for before, hit in zip(old, mask, strict=True)
    ]
    atoms["flag"] = pd.Series(joined, index=atoms.index, dtype="str")


def _close(
    xy: Floats,
    kinds: NDArray[np.object_],
    nearest: Floats,
    reference: Reference | None,
    enlarged: float,
) -> NDArray[np.int64]:
    if reference is None:
        finite = nearest[np.isfinite(nearest)]
        default = 0.6 * float(np.median(finite)) if len(finite) else 0.0
        return close_pairs(xy, kinds, {}, default)
    limits: dict[tuple[str, str], float] = {}
    for pair, distance in reference.closest_px.items():
        first, second = pair.split("|", 1)
        limits[(first, second)] = distance / enlarged
    return close_pairs(xy, kinds, limits, 0.6 * reference.spacing_px / enlarged)


def _alone(nearest: Floats, reference: Reference | None, enlarged: float) -> Bools:
    if reference is not None:
        return nearest > reference.isolated_px / enlarged
    finite = nearest[np.isfinite(nearest)]
    return nearest > (2.5 * float(np.median(finite)) if len(finite) else np.inf)


def _wrong_brightness(
    seen: Frame, xy: Floats, kinds: NDArray[np.object_], reference: Reference | None
) -> Bools:
    """Atoms 3.5 standard deviations off their own element and within 2 of another one."""
    wrong = np.zeros(len(xy), dtype=bool)
    if reference is None or not len(xy) or len(reference.brightness) < 2:
        return wrong
    read = brightness_at(normalise(seen), seen.valid, xy, reference.spacing_px)
    z = {k: np.abs(read - b.mean) / b.std for k, b in reference.brightness.items()}
    for name in reference.brightness:
        mine = kinds == name
        others = np.min([z[other] for other in z if other != name], axis=0)
        wrong |= mine & (z[name] > 3.5) & (others < 2.0)
    return wrong


def _holes(frame: Frame, xy: Floats, kinds: NDArray[np.object_], box: Box) -> Floats:
    """Holes in the lattice of any one element, and in that of all together."""
    if not len(xy):
        return np.empty((0, 2))
    groups = [xy[kinds == name] for name in dict.fromkeys(kinds.tolist())]
    if len(groups) > 1:
        groups.append(xy)
    found = [holes(group, xy, frame.shape, frame.valid) for group in groups]
    sites = np.concatenate(found)
    if not len(sites):
        return sites
    tolerance = 0.5 * float(np.median(nearest_distance(xy)))
    kept: list[Floats] = []
    for site in sites:
        if all(np.hypot(*(site - other)) > tolerance for other in kept):
            kept.append(site)
    out = np.array(kept)
    x0, y0, x1, y1 = box
    inside = (out >= (x0 - 0.5, y0 - 0.5)).all(axis=1) & (out < (x1 - 0.5, y1 - 0.5)).all(axis=1)
    inner: Floats = out[inside]
    return inner


def answered_positions(atoms: pd.DataFrame) -> Floats:
    """Return where the network drew the atoms, (N, 2) px.

    Not the refined positions: those of weak atoms scatter with the noise, and would call atoms
    too close that the network keeps well apart.
    """
    xy = atoms[["x_map_px", "y_map_px"]].to_numpy(np.float64)
    return np.where(np.isfinite(xy), xy, positions(atoms))


def _compare_maps(
    prediction: Prediction, box: Box, reference: Reference | None, enlarged: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats, Bools]:
    """Set the maps against discs drawn at the atoms that were found in them."""
    x0, y0, x1, y1 = box
    shape = (y1 - y0, x1 - x0)
    if prediction.maps.shape[1:] != shape:
        empty = np.zeros((0, *shape), dtype=np.float32)
        return empty, empty, np.empty((0, 2)), np.zeros(shape, dtype=bool)
    atoms = prediction.atoms
    xy = answered_positions(atoms) - (x0, y0)
    kinds = atoms["element"].to_numpy(object)
    drawn = np.zeros_like(prediction.maps)
    claimed = np.zeros(shape, dtype=bool)
    smallest = np.inf
    for channel, name in enumerate(prediction.elements):
        mine = xy[kinds == name]
        radius = _radius(prediction.maps[channel], len(mine), name, reference, enlarged)
        smallest = min(smallest, radius)
        if len(mine):
            drawn[channel] = draw_discs(mine, radius, shape)
            claimed |= draw_discs(mine, radius + 1.5, shape) > 0
    mismatch = np.abs(prediction.maps - drawn)
    half = (prediction.maps > 0.25) & (prediction.maps < 0.75) & (mismatch > 0.25)
    free = np.where(claimed, 0.0, prediction.maps.max(axis=0))
    faint = _blobs(free > 0.25, 0.4 * math.pi * smallest**2) + np.array([x0, y0])
    return mismatch, np.maximum(prediction.maps, drawn), faint, half.any(axis=0)


def _blobs(mask: Bools, least_area: float) -> Floats:
    """Return the centres x, y of the connected parts of a mask that are large enough."""
    parts, n = label(mask)
    if not n:
        return np.empty((0, 2))
    area = np.bincount(parts.ravel(), minlength=n + 1)
    kept = np.flatnonzero(area[1:] >= least_area) + 1
    centres = np.array(center_of_mass(mask, parts, kept)).reshape(-1, 2)
    return centres[:, ::-1]


def _radius(
    channel: NDArray[np.float32], n: int, name: str, reference: Reference | None, enlarged: float
) -> float:
    """Radius of an element's discs; without a reference from the mean area of a disc."""
    if reference is not None and name in reference.radius_px:
        return reference.radius_px[name] / enlarged
    return max(math.sqrt(float(channel.sum()) / (math.pi * max(n, 1))), 1.0)


def _familiarity(
    seen: Frame, shape: tuple[int, int], box: Box, reference: Reference | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Spread the blocks' distance to the training over the box's pixels."""
    unfamiliar = np.zeros(shape, dtype=np.float32)
    contrast = np.ones(shape, dtype=np.float32)
    x0, y0, x1, y1 = box
    if reference is not None and reference.n_blocks:
        features, where = frame_features(seen)
        mean, std = np.array(reference.feature_mean), np.array(reference.feature_std)
        structure = structured_contrast(features) / max(
            float(structured_contrast(mean[None])[0]), 1e-6
        )
        if len(features):
            distance = unfamiliarity(features, mean, std)
            for (rows, cols), d, c in zip(where, distance, structure, strict=True):
                native = tuple(
                    slice(round(s.start * n / m), round(s.stop * n / m))
                    for s, n, m in zip((rows, cols), shape, seen.shape, strict=True)
                )
                unfamiliar[native] = d
                contrast[native] = c
    return unfamiliar[y0:y1, x0:x1], contrast[y0:y1, x0:x1]
