"""Whether each atom of the mean is in one frame, and where: a joint fit of what differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import splu

from napari_apgan.frames import Frame

Floats = NDArray[np.float64]

#: Steps of the fit; positions move by no more than a third of a peak's width in each.
STEPS = 4
#: Peaks are cut off at this many widths.
REACH = 3.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one frame shows of the atoms.

    Parameters
    ----------
    xy_px : (N, 2) array
        Where each is.
    moved_px : (N, 2) array
        By how much that differs from where the registration puts it.
    amplitude, amplitude_error : (N,) arrays
        Height of each peak, in the units of the frame, with its standard error.
    position_error_px : (N,) array
        Standard error along one axis.
    measured : (N,) array
        Which part of each peak lies on measured pixels, 0 to 1.
    residual : (Y, X) array
        What the atoms do not explain; 0 where nothing was measured.
    """

    xy_px: Floats
    moved_px: Floats
    amplitude: Floats
    amplitude_error: Floats
    position_error_px: Floats
    measured: Floats
    residual: Floats


class Peaks:
    """Gaussian peaks at given places, and their derivatives, as sparse columns over the pixels."""

    def __init__(self, xy_px: Floats, width_px: float, valid: NDArray[np.bool_]) -> None:
        rows, columns = valid.shape
        reach = int(np.ceil(REACH * width_px))
        around = np.arange(-reach, reach + 1)
        oy, ox = (axis.ravel() for axis in np.meshgrid(around, around, indexing="ij"))
        corner = np.round(xy_px).astype(int)
        px, py = corner[:, :1] + ox, corner[:, 1:] + oy
        inside = (px >= 0) & (px < columns) & (py >= 0) & (py < rows)
        pixel = np.clip(py, 0, rows - 1) * columns + np.clip(px, 0, columns - 1)
        here = inside & valid.ravel()[pixel]
        dx, dy = px - xy_px[:, :1], py - xy_px[:, 1:]
        peak = np.exp(-0.5 * (dx**2 + dy**2) / width_px**2)
        whole = peak.sum(axis=1)
        self.measured: Floats = (peak * here).sum(axis=1) / np.maximum(whole, 1e-12)
        atom = np.broadcast_to(np.arange(len(xy_px))[:, None], peak.shape)
        places = (pixel[here], atom[here])
        shape = (rows * columns, len(xy_px))

        def column(values: Floats) -> csr_matrix:
            return csr_matrix((values[here], places), shape=shape)

        self.value = column(peak)
        self.along_x = column(peak * dx / width_px**2)
        self.along_y = column(peak * dy / width_px**2)


def fit_heights(image: Floats, valid: NDArray[np.bool_], xy_px: Floats, width_px: float) -> Floats:
    """Return (N,) heights of the peaks of an image whose background was taken away."""
    peaks = Peaks(xy_px, width_px, valid)
    gram = peaks.value.T @ peaks.value
    heights: Floats = splu((gram + 1e-3 * _mean(gram) * identity(len(xy_px))).tocsc()).solve(
        peaks.value.T @ np.where(valid, image, 0.0).ravel()
    )
    return heights


def fit_width(image: Floats, valid: NDArray[np.bool_], xy_px: Floats, guess_px: float) -> float:
    """Return the standard deviation of the peaks that explains an image best.

    A kernel too narrow leaves the skirts of a peak where they were when the peak moves, and so
    finds too small a move.
    """
    inside = np.where(valid, image, 0.0).ravel()
    tried = guess_px * np.array([0.7, 0.85, 1.0, 1.2, 1.4, 1.7])
    left = []
    for width in tried:
        heights = fit_heights(image, valid, xy_px, float(width))
        left.append(float(np.sum((inside - Peaks(xy_px, width, valid).value @ heights) ** 2)))
    best = int(np.argmin(left))
    if not 0 < best < len(tried) - 1:
        return float(tried[best])
    # The vertex of a parabola through the best and its neighbours.
    square, linear, _ = np.polyfit(tried[best - 1 : best + 2], left[best - 1 : best + 2], 2)
    return float(-linear / (2 * square)) if square > 0 else float(tried[best])


def look(
    frame: Frame,
    expected: Floats,
    xy_px: Floats,
    amplitude: Floats,
    width_px: float,
    noise: float,
) -> Seen:
    """Fit, together, by how much each atom differs from the mean's.

    What the frame has beyond the mean is explained by changes of height and place of the peaks;
    backgrounds, tails and whatever is not labelled are the same in both and drop out.

    Parameters
    ----------
    frame : Frame
    expected : (Y, X) array
        The mean, brought into the frame's coordinates and intensities; NaN where it knows nothing.
    xy_px : (N, 2) array
        Where the registration puts the atoms.
    amplitude : (N,) array
        Their heights in the mean; negative for dark atoms.
    width_px : float
        Standard deviation of the peaks.
    noise : float
        Standard deviation of the frame's noise.

    Returns
    -------
    Seen
    """
    valid = frame.valid & np.isfinite(expected)
    base = np.where(valid, frame.data - np.where(np.isfinite(expected), expected, 0), 0.0).ravel()
    mean_peaks = Peaks(xy_px, width_px, valid)
    without = base + mean_peaks.value @ amplitude  # the frame less everything but the atoms
    height, place = amplitude.astype(np.float64).copy(), xy_px.astype(np.float64).copy()
    count = len(xy_px)
    for _ in range(STEPS):
        peaks = Peaks(place, width_px, valid)
        residual = without - peaks.value @ height
        gram = peaks.value.T @ peaks.value
        held = gram + 1e-3 * _mean(gram) * identity(count)
        height = height + splu(held.tocsc()).solve(peaks.value.T @ residual)
        residual = without - peaks.value @ height
        place = place + _steps(peaks, residual, height, amplitude, width_px)
    peaks = Peaks(place, width_px, valid)
    residual = np.where(valid.ravel(), without - peaks.value @ height, 0.0)
    norm = np.asarray(peaks.value.multiply(peaks.value).sum(axis=0)).ravel()
    slope = np.asarray(peaks.along_x.multiply(peaks.along_x).sum(axis=0)).ravel()
    with np.errstate(divide="ignore"):
        height_error = noise / np.sqrt(norm)
        place_error = noise / (np.abs(amplitude) * np.sqrt(slope))
    return Seen(
        place,
        place - xy_px,
        height,
        height_error,
        place_error,
        peaks.measured,
        residual.reshape(frame.shape),
    )


def _steps(
    peaks: Peaks, residual: Floats, height: Floats, amplitude: Floats, width_px: float
) -> Floats:
    """Return (N, 2) changes of the places; none for atoms of less than a third of their height."""
    there = height * np.sign(amplitude) > np.abs(amplitude) / 3
    moved = np.zeros((len(height), 2))
    safe = np.where(there, height, 1.0)
    for axis, column in enumerate((peaks.along_x, peaks.along_y)):
        gram = column.T @ column
        held = gram + 0.02 * _mean(gram) * identity(len(height))
        change = splu(held.tocsc()).solve(column.T @ residual) / safe
        moved[:, axis] = np.where(there, np.clip(change, -width_px / 3, width_px / 3), 0.0)
    return moved


def _mean(gram: csr_matrix) -> float:
    """Return the mean of the diagonal, as a scale for what holds a solution down."""
    return max(float(gram.diagonal().mean()), 1e-12)


def in_the_frame(
    mean: Frame, xy_of_mean: Callable[[Floats], Floats], shape: tuple[int, int]
) -> Floats:
    """Bring the mean into a frame's coordinates; NaN where it knows nothing."""
    rows, columns = shape
    yy, xx = np.mgrid[:rows, :columns].astype(np.float64)
    at = xy_of_mean(np.column_stack([xx.ravel(), yy.ravel()]))[:, ::-1].T.reshape(2, rows, columns)
    image = map_coordinates(mean.data.astype(np.float64), at, order=3, mode="nearest")
    share = map_coordinates(mean.valid.astype(np.float64), at, order=1, mode="constant")
    return np.where(share > 0.99, image, np.nan)
