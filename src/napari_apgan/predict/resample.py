"""Bring a frame to the pixel size of a model, and the model's answer back."""

from __future__ import annotations

import math

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame

from .prediction import Box

#: Pixel sizes closer than this (as a fraction) are taken as equal: scales of files are no better.
SAME_SIZE = 0.02
#: Beyond this ratio of pixel sizes nothing of what the model learned can be in the frame.
LARGEST_RATIO = 6.0


def network_scale(
    calibration: Calibration, trained_pm: float | tuple[float, float] | None
) -> tuple[tuple[float, float], str]:
    """Decide by how much a frame is enlarged for a model.

    Parameters
    ----------
    calibration : Calibration
        The frame's.
    trained_pm : float or (y, x), optional
        Pixel size that the model was trained at, in pm.

    Returns
    -------
    (y, x) : tuple of float
        Pixels of the network per pixel of the frame; 1 where the sizes agree within 2 %.
    note : str
        One sentence for the user; empty when nothing was resampled and nothing is doubtful.

    Raises
    ------
    UserError
        When the sizes differ more than six-fold.
    """
    if trained_pm is None:
        return (1.0, 1.0), ""
    sizes = trained_pm if isinstance(trained_pm, tuple) else (trained_pm, trained_pm)
    named = f"{math.sqrt(sizes[0] * sizes[1]):.3g} pm"
    if calibration.y_pm is None or calibration.x_pm is None:
        return (1.0, 1.0), (
            f"The pixel size of this image is not known; the model was trained at {named} and was "
            "applied as if this image had the same."
        )
    scale = (calibration.y_pm / sizes[0], calibration.x_pm / sizes[1])
    if max(scale) > LARGEST_RATIO or min(scale) < 1 / LARGEST_RATIO:
        raise UserError(
            f"The model was trained at {named} per pixel and this image has "
            f"{calibration.mean_pm:.3g} pm: too far apart; check the pixel size, or train on "
            "images like this one."
        )
    if all(abs(math.log(s)) <= SAME_SIZE for s in scale):
        return (1.0, 1.0), ""
    return scale, (
        f"The image was resampled from {calibration.x_pm:.3g} to {sizes[1]:.3g} pm per pixel for "
        "the model; positions are those of the image itself."
    )


def resample_frame(frame: Frame, scale: tuple[float, float]) -> Frame:
    """Enlarge (or shrink) a frame by (y, x), keeping missing pixels missing.

    Intensities are weighted means of the valid pixels; a Gaussian keeps finer detail than the new
    pixels from folding back. A new pixel counts as measured when at least a quarter of its weight
    is.
    """
    if scale == (1.0, 1.0):
        return frame
    rows, cols = (max(8, round(n * s)) for n, s in zip(frame.shape, scale, strict=True))
    factors = (rows / frame.shape[0], cols / frame.shape[1])
    weight = _resize(frame.valid.astype(np.float32), factors)
    mean = float(frame.data[frame.valid].mean())
    data = _resize(np.where(frame.valid, frame.data - mean, 0.0).astype(np.float32), factors)
    valid = weight > 0.25
    values = np.where(valid, data / np.maximum(weight, 0.25) + mean, 0.0).astype(np.float32)
    matrix = frame.calibration.matrix_pm
    calibration = frame.calibration
    if matrix is not None:
        scaled = np.asarray(matrix) / np.array([factors[1], factors[0]])
        calibration = calibration.model_copy(
            update={"matrix_pm": tuple(tuple(row) for row in scaled.tolist())}
        )
    return Frame(values, valid, calibration, frame.name, frame.index, frame.note)


def _resize(image: NDArray[np.float32], factors: tuple[float, float]) -> NDArray[np.float32]:
    blur = [_blur(f) for f in factors]
    if any(blur):
        image = scipy.ndimage.gaussian_filter(image, blur, mode="nearest")
    # grid_mode: pixels are areas, so x becomes (x + 1/2) f - 1/2.
    out: NDArray[np.float32] = scipy.ndimage.zoom(
        image, factors, order=1, mode="nearest", grid_mode=True
    )
    return out


def _blur(factor: float) -> float:
    """Return the standard deviation (px) that widens a pixel to a larger one when shrinking."""
    return 0.5 * math.sqrt(max(factor**-2 - 1.0, 0.0)) if factor < 0.95 else 0.0


def network_box(box: Box, factors: tuple[float, float], shape: tuple[int, int]) -> Box:
    """Return the pixels of the resampled frame (rows, columns) that the frame's `box` needs."""
    if factors == (1.0, 1.0):
        return box
    x0, y0, x1, y1 = box
    fy, fx = factors
    margin_y, margin_x = 2 + math.ceil(4 * _blur(1 / fy)), 2 + math.ceil(4 * _blur(1 / fx))
    return (
        max(math.floor(x0 * fx) - margin_x, 0),
        max(math.floor(y0 * fy) - margin_y, 0),
        min(math.ceil(x1 * fx) + margin_x, shape[1]),
        min(math.ceil(y1 * fy) + margin_y, shape[0]),
    )


def maps_to_frame(
    maps: NDArray[np.float32], origin: tuple[int, int], box: Box, factors: tuple[float, float]
) -> NDArray[np.float32]:
    """Interpolate maps of the resampled frame at the pixels of the frame itself.

    Parameters
    ----------
    maps : (C, Y, X) array
        On the resampled frame, beginning at its pixel `origin` (y, x).
    origin : (int, int)
    box : Box
        The wanted pixels of the frame.
    factors : (y, x)
        Resampled pixels per pixel of the frame.

    Returns
    -------
    (C, y1 - y0, x1 - x0) float32 array
    """
    x0, y0, x1, y1 = box
    blur = (0.0, _blur(1 / factors[0]), _blur(1 / factors[1]))
    if any(blur):
        maps = scipy.ndimage.gaussian_filter(maps, blur, mode="nearest", truncate=4.0)
    along_y = _linear(maps, 1, (np.arange(y0, y1) + 0.5) * factors[0] - 0.5 - origin[0])
    return _linear(along_y, 2, (np.arange(x0, x1) + 0.5) * factors[1] - 0.5 - origin[1])


def _linear(array: NDArray[np.float32], axis: int, at: NDArray[np.floating]) -> NDArray[np.float32]:
    """Interpolate linearly along one axis; beyond the ends the last value holds."""
    at = np.clip(at, 0, array.shape[axis] - 1)
    low = np.minimum(at.astype(np.intp), max(array.shape[axis] - 2, 0))
    high = np.minimum(low + 1, array.shape[axis] - 1)
    shape = [1] * array.ndim
    shape[axis] = -1
    weight = (at - low).astype(np.float32).reshape(shape)
    out: NDArray[np.float32] = (
        np.take(array, low, axis) * (1 - weight) + np.take(array, high, axis) * weight
    )
    return out
