"""Snapping: a click near an atom becomes the atom's centre."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .spacing import Scale, estimate_scale
from .vertex import paraboloid_vertex

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Snap:
    """Where a click goes.

    Parameters
    ----------
    x, y : float
        The centre found, in px; the click itself when nothing was found.
    found : bool
    reason : str
        Why nothing was found; empty otherwise.
    contrast : float
        Height above the surroundings over their spread; 0 when nothing was found.
    """

    x: float
    y: float
    found: bool
    reason: str = ""
    contrast: float = 0.0


def snap(
    frame: Frame,
    x: float,
    y: float,
    *,
    polarity: Polarity = "bright",
    radius_px: float | None = None,
) -> Snap:
    """Find the atom that a click means.

    The neighbourhood is smoothed with about the width of a peak (missing pixels left out). Among
    its local extrema within reach the one wins that is high and near:
    ``height * exp(-(distance / reach)²)``. A paraboloid fitted around it gives the centre.

    Parameters
    ----------
    frame : Frame
    x, y : float
        The click, in px.
    polarity : {"bright", "dark"}
        Whether atoms are maxima or minima.
    radius_px : float, optional
        Reach; by default from the spacing that the frame shows, less than half way to a
        neighbour.

    Returns
    -------
    Snap

    Raises
    ------
    UserError
        When the click lies outside the frame.
    """
    rows, columns = frame.shape
    if not (-0.5 <= x <= columns - 0.5 and -0.5 <= y <= rows - 0.5):
        raise UserError("That point lies outside the image: click inside it.")
    scale = estimate_scale(frame)
    reach = scale.reach_px if radius_px is None else float(radius_px)
    sigma = _smoothing(scale, reach)
    window, origin = _window(frame, x, y, reach + 4 * sigma)
    smooth, measured = _smooth(window, sigma, sign=1.0 if polarity == "bright" else -1.0)
    if not measured.any():
        return Snap(x, y, False, "No pixel was measured there.")
    found = _centre(smooth, measured, np.array([x - origin[0], y - origin[1]]), reach, scale)
    if found is None:
        kind = "maximum" if polarity == "bright" else "minimum"
        return Snap(x, y, False, f"There is no local {kind} within {reach:.1f} px.")
    centre, contrast = found
    return Snap(float(origin[0] + centre[0]), float(origin[1] + centre[1]), True, "", contrast)


def snap_many(
    frame: Frame, xy_px: Floats, *, polarity: Polarity = "bright"
) -> tuple[Floats, NDArray[np.bool_]]:
    """Snap many places of one frame, which is smoothed once for all of them.

    Parameters
    ----------
    frame : Frame
    xy_px : (N, 2) array
        x, y in px; those outside the frame are not found.
    polarity : {"bright", "dark"}

    Returns
    -------
    centres : (N, 2) array
        As :func:`snap` finds them; the place itself where nothing was found.
    found : (N,) bool array
    """
    xy = np.asarray(xy_px, dtype=np.float64).reshape(-1, 2)
    centres, found = xy.copy(), np.zeros(len(xy), dtype=bool)
    scale = estimate_scale(frame)
    reach = scale.reach_px
    sigma = _smoothing(scale, reach)
    smooth, measured = _smooth(frame, sigma, sign=1.0 if polarity == "bright" else -1.0)
    rows, columns = frame.shape
    for k, (x, y) in enumerate(xy.tolist()):
        if not (-0.5 <= x <= columns - 0.5 and -0.5 <= y <= rows - 0.5):
            continue
        cut, (x0, y0) = _cut(frame.shape, x, y, reach + 4 * sigma)
        at = np.array([x - x0, y - y0])
        if (got := _centre(smooth[cut], measured[cut], at, reach, scale)) is not None:
            centres[k], found[k] = got[0] + (x0, y0), True
    return centres, found


def _smoothing(scale: Scale, reach: float) -> float:
    return float(np.clip(0.8 * scale.width_px, 0.7, 0.5 * reach))


def _centre(
    smooth: Floats, measured: NDArray[np.bool_], at: Floats, reach: float, scale: Scale
) -> tuple[Floats, float] | None:
    """Return the centre x, y and the contrast of the peak that a place means, if there is one."""
    peak = _best_peak(smooth, measured, at, reach)
    if peak is None:
        return None
    col, row, contrast = peak
    centre = paraboloid_vertex(smooth, col, row, max(1, round(scale.width_px)))
    if np.hypot(*(centre - at)) > reach:
        centre = np.array([col, row], dtype=np.float64)
    return centre, contrast


def _cut(
    shape: tuple[int, int], x: float, y: float, reach: float
) -> tuple[tuple[slice, slice], tuple[int, int]]:
    """Return the pixels around a place, and x, y of the first of them."""
    rows, columns = shape
    x0, x1 = max(math.floor(x - reach), 0), min(math.ceil(x + reach) + 1, columns)
    y0, y1 = max(math.floor(y - reach), 0), min(math.ceil(y + reach) + 1, rows)
    return (slice(y0, y1), slice(x0, x1)), (x0, y0)


def _window(frame: Frame, x: float, y: float, reach: float) -> tuple[Frame, tuple[int, int]]:
    """Cut a square around the click; returns it and (x, y) of its first pixel."""
    cut, origin = _cut(frame.shape, x, y, reach)
    return Frame(frame.data[cut], frame.valid[cut]), origin


def _smooth(window: Frame, sigma: float, sign: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Smooth over valid pixels; second, where enough of them were near."""
    weight = window.valid.astype(np.float64)
    near = gaussian_filter(weight, sigma, mode="nearest")
    level = float(window.data[window.valid].mean()) if window.valid.any() else 0.0
    total = gaussian_filter((window.data - level) * weight, sigma, mode="nearest")
    measured = near > 0.05
    return sign * np.where(measured, total / np.maximum(near, 1e-9), 0.0), measured


def _best_peak(
    smooth: Floats, measured: NDArray[np.bool_], at: Floats, reach: float
) -> tuple[int, int, float] | None:
    """Return column, row and contrast of the extremum that the click means."""
    padded = np.pad(smooth, 1, constant_values=-np.inf)
    rows, columns = smooth.shape
    highest = np.ones(smooth.shape, dtype=bool)
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            if (dy, dx) != (1, 1):
                highest &= smooth >= padded[dy : dy + rows, dx : dx + columns]
    yy, xx = np.mgrid[:rows, :columns]
    distance = np.hypot(xx - at[0], yy - at[1])
    candidates = highest & measured & (distance <= reach)
    if not candidates.any():
        return None
    around = smooth[measured & (distance <= 2 * reach)]
    low, spread = float(np.percentile(around, 10)), float(around.std())
    if spread <= 1e-12:
        return None
    height = np.where(candidates, smooth - low, 0.0) * np.exp(-((distance / reach) ** 2))
    row, col = np.unravel_index(int(height.argmax()), smooth.shape)
    contrast = (float(smooth[row, col]) - low) / spread
    if contrast < 0.8:
        return None
    return int(col), int(row), contrast
