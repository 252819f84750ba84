"""Random crops: where they lie, how they are turned, and what a crop then holds. numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates, spline_filter

from napari_apgan.atoms import positions
from napari_apgan.io.pairs import Pair
from napari_apgan.maps import draw_discs
from napari_apgan.models.normalise import normalise
from napari_apgan.models.recipe import Augmentation

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TrainingFrame:
    """One frame, ready to be cut.

    Parameters
    ----------
    image : (Y, X) float32 array
        Normalised; missing pixels filled from their neighbours, so that turning it smears no hole.
    spline : (Y, X) float32 array, optional
        Its cubic spline coefficients; None where crops are only taken pixel by pixel.
    valid : (Y, X) bool array
    learn : (Y, X) bool array
        Where the loss may look.
    xy : (N, 2) float64 array
        Atoms x, y in px.
    channel : (N,) int array
        Element of each.
    """

    image: Floats
    spline: Floats | None
    valid: Bools
    learn: Bools
    xy: NDArray[np.float64]
    channel: NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class Crop:
    """What a network sees and should answer: (Y, X) image, valid, learn and (C, Y, X) target.

    `learn` may be (C, Y, X) where a frame says something about some elements only. Missing pixels
    hold plausible values until the grey values have been changed; then 0.
    """

    image: Floats
    valid: Bools
    learn: Bools
    target: Floats


def make_training_frame(
    pair: Pair,
    learn: Bools,
    elements: Sequence[str],
    radius_px: float,
    normalisation: str,
    *,
    turned: bool = True,
) -> TrainingFrame:
    """Prepare a pair; `turned` says whether crops will be turned by any angle.

    Inside the complete regions the labels say what lies under single missing pixels too, so the
    loss counts them; where nothing was measured within a disc's radius it does not.
    """
    frame = pair.frame
    image = normalise(frame, normalisation)
    filled = fill_missing(image, frame.valid)
    if not frame.valid.all():
        learn = learn & (distance_transform_edt(~frame.valid) <= max(radius_px, 1.5))
    names = pair.atoms["element"].to_numpy()
    index = {e: k for k, e in enumerate(elements)}
    channel = np.array([index.get(n, -1) for n in names], dtype=np.int_)
    spline = None
    if turned:
        spline = spline_filter(filled, order=3, output=np.float32, mode="mirror")
    return TrainingFrame(
        filled,
        spline,
        frame.valid,
        learn,
        positions(pair.atoms)[channel >= 0],
        channel[channel >= 0],
    )


def fill_missing(image: Floats, valid: Bools) -> Floats:
    """Replace missing pixels by a local weighted mean of the valid ones (0 far from any)."""
    if valid.all():
        return image
    weight = gaussian_filter(valid.astype(np.float32), 1.2)
    mean = gaussian_filter(np.where(valid, image, 0).astype(np.float32), 1.2)
    filled: Floats = np.where(valid, image, mean / np.maximum(weight, 1e-3)).astype(np.float32)
    return filled


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a crop lies: source position = centre + matrix @ (crop position - middle)."""

    centre: NDArray[np.float64]
    matrix: NDArray[np.float64]
    exact: bool


def choose_placement(
    frame: TrainingFrame,
    side: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
    anchor: NDArray[np.float64] | None = None,
) -> Placement:
    """Choose a crop around a labelled pixel (or an anchor x, y), how it is turned and magnified.

    Three crops of four are turned by any angle where that is wanted; the others, and all
    otherwise, by mirror images and quarter turns, which interpolate nothing.
    """
    rows, columns = frame.learn.shape
    if anchor is None:
        candidates = np.flatnonzero(frame.learn)
        row, column = divmod(int(candidates[rng.integers(len(candidates))]), columns)
        anchor = np.array([column, row], dtype=np.float64)
    centre = anchor + rng.uniform(-side / 3, side / 3, size=2)
    # Half-integer centres of an even side put crop pixels on frame pixels.
    centre = np.floor(centre) + 0.5
    for axis, size in ((0, columns), (1, rows)):
        low, high = side / 2 - 0.5, size - side / 2 - 0.5
        centre[axis] = (
            np.floor((size - 1) / 2) + 0.5 if high < low else np.clip(centre[axis], low, high)
        )
    turned = augmentation.rotate and rng.random() < 0.75
    mirror = np.diag([-1.0 if augmentation.flip and rng.random() < 0.5 else 1.0, 1.0])
    if turned:
        angle = rng.uniform(0, 2 * math.pi)
        zoom = 1 + augmentation.scale * rng.uniform(-1, 1)
    else:
        angle = math.pi / 2 * rng.integers(4) if augmentation.flip else 0.0
        zoom = 1.0
    c, s = math.cos(angle), math.sin(angle)
    rotation = np.array([[c, -s], [s, c]])
    if not turned:
        rotation = np.rint(rotation)
    return Placement(centre, rotation @ mirror / zoom, not turned)


def cut_crop(
    frame: TrainingFrame, placement: Placement, side: int, radius_px: Sequence[float]
) -> Crop:
    """Cut a crop and draw its output map at the atoms' transformed positions.

    Parameters
    ----------
    frame : TrainingFrame
    placement : Placement
    side : int
        Even.
    radius_px : sequence of float
        Of each element's discs, which keep their size whatever the magnification.
    """
    middle = (side - 1) / 2
    offset = np.arange(side) - middle
    ox, oy = np.meshgrid(offset, offset)
    (a, b), (c, d) = placement.matrix
    x = placement.centre[0] + a * ox + b * oy
    y = placement.centre[1] + c * ox + d * oy
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    rows, columns = frame.image.shape
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    row, column = np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)
    valid = frame.valid[row, column] & inside
    if placement.exact:
        image = frame.image[row, column]
    else:
        if frame.spline is None:
            raise ValueError("this frame was not prepared for crops turned by any angle")
        image = map_coordinates(
            frame.spline, [y, x], order=3, mode="mirror", prefilter=False, output=np.float32
        )
    inverse = np.linalg.inv(placement.matrix)
    xy = (frame.xy - placement.centre) @ inverse.T + middle
    reach = max(radius_px) + 2
    near = ((xy > -reach) & (xy < side - 1 + reach)).all(axis=1)
    xy, channel = xy[near], frame.channel[near]
    target = np.stack(
        [draw_discs(xy[channel == c], r, (side, side)) for c, r in enumerate(radius_px)]
    )
    return Crop(image, valid, frame.learn[row, column] & inside, target)
