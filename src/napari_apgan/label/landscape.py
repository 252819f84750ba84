"""What a lattice is laid on: a band-passed frame and all of its peaks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter
from scipy.spatial import cKDTree

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .spacing import ROUNDING, estimate_scale

Floats = NDArray[np.float64]
Image = NDArray[np.float32]

#: Smallest side (px) of a frame that a lattice is looked for on.
SMALLEST = 24
#: Bounds (px) of the smoothing, and the wider smoothing that is taken away, in units of the first.
SMOOTHING_BOUNDS = (0.6, 8.0)
WIDER = 2.5
#: Smoothing in units of the width of the peaks.
OF_THE_WIDTH = 0.8


@dataclass(frozen=True)
class Peaks:
    """Local extrema of a band-passed frame, strongest first.

    Parameters
    ----------
    xy : (N, 2) array
        x, y in px, between the pixels.
    strength : (N,) array
        Heights (of holes: depths) in robust standard deviations of the response.
    tree : cKDTree or None
        Of `xy`; None where there are none.
    """

    xy: Floats
    strength: Floats
    tree: cKDTree | None = field(repr=False)

    @classmethod
    def of(cls, xy: Floats, strength: Floats) -> Peaks:
        """Make them of positions and heights."""
        return cls(xy, strength, cKDTree(xy) if len(xy) else None)


@dataclass(frozen=True)
class Landscape:
    """A frame with its atoms upwards, without background, and its local maxima.

    Parameters
    ----------
    frame : Frame
    polarity : {"bright", "dark"}
    sigma_px : float
        Smoothing that was applied.
    response : (Y, X) float32 array
        Difference of Gaussians in robust standard deviations, atoms positive.
    peaks : Peaks
        Local maxima of the response.
    holes : Peaks
        Local minima, with their depths: the rings of graphene are often clearer than its atoms.
    unit : float
        One robust standard deviation of the response in the frame's own units.
    """

    frame: Frame
    polarity: Polarity
    sigma_px: float
    response: Image
    peaks: Peaks
    holes: Peaks
    unit: float

    def height_at(self, xy_px: Floats) -> Floats:
        """Return the (N,) response at (N, 2) positions x, y in px."""
        at = map_coordinates(self.response, np.asarray(xy_px).T[::-1], order=1, mode="nearest")
        return np.asarray(at, dtype=np.float64)


def survey(
    frame: Frame, *, polarity: Polarity = "bright", sigma_px: float | None = None
) -> Landscape:
    """Band-pass a frame and find all its peaks: the dear part of laying a lattice, done once.

    Parameters
    ----------
    frame : Frame
    polarity : {"bright", "dark"}
        Whether atoms are maxima or minima.
    sigma_px : float, optional
        Smoothing; by default 0.8 of the width of the peaks that the frame shows. Less parts columns
        that stand close to each other, and lets more noise through.

    Returns
    -------
    Landscape

    Raises
    ------
    UserError
        When the frame is too small, or `sigma_px` is not positive.
    """
    if min(frame.shape) < SMALLEST:
        raise UserError(
            f"The image is smaller than {SMALLEST} px, too small for a lattice: click the atoms "
            "instead."
        )
    if sigma_px is not None and not sigma_px > 0:
        raise UserError("The smoothing must be positive.")
    if sigma_px is None:
        scale = estimate_scale(frame)
        width = scale.width_px
        if scale.spacing_px is not None:
            width = min(width, 0.3 * scale.spacing_px)
        sigma_px = OF_THE_WIDTH * width
    sigma = float(np.clip(sigma_px, *SMOOTHING_BOUNDS))
    response, unit = _band_pass(frame, sigma, -1.0 if polarity == "dark" else 1.0)
    peaks, holes = _maxima(response), _maxima(-response)
    return Landscape(frame, polarity, sigma, response, peaks, holes, unit)


def _band_pass(frame: Frame, sigma: float, sign: float) -> tuple[Image, float]:
    """Return the difference of two smoothed frames in robust standard deviations, and one such."""
    difference = sign * (_smoothed(frame, sigma) - _smoothed(frame, WIDER * sigma))
    valid = difference[frame.valid] if not frame.valid.all() else difference.ravel()
    valid = valid[:: max(1, valid.size // 100_000)]
    # On a particle in vacuum more than half of the pixels may not vary at all.
    spread = max(
        1.4826 * float(np.median(np.abs(valid - np.median(valid)))), 0.05 * float(valid.std())
    )
    if spread <= ROUNDING * float(np.abs(frame.data).max()):
        return np.zeros(frame.shape, dtype=np.float32), 1.0
    response: Image = (difference / np.float32(spread)).astype(np.float32)
    return response, spread


def _smoothed(frame: Frame, sigma: float) -> Image:
    """Smooth over the valid pixels."""
    if frame.valid.all():
        level = np.float32(frame.data.mean(dtype=np.float64))
        plain: Image = gaussian_filter(frame.data - level, sigma, mode="reflect", truncate=3.0)
        return plain
    weight = frame.valid.astype(np.float32)
    level = np.float32(frame.data[frame.valid].mean(dtype=np.float64))
    total = gaussian_filter((frame.data - level) * weight, sigma, mode="reflect", truncate=3.0)
    below = gaussian_filter(weight, sigma, mode="reflect", truncate=3.0)
    smooth: Image = (total / np.maximum(below, 1e-4)).astype(np.float32)
    return smooth


def _maxima(response: Image) -> Peaks:
    """Return all positive local maxima, strongest first.

    The vertex of the parabola through a maximum and its neighbours, along each axis, is its place.
    """
    peak = (response == maximum_filter(response, size=3, mode="nearest")) & (response > 0)
    rows, columns = np.nonzero(peak)
    height = response[rows, columns].astype(np.float64)
    order = np.argsort(-height, kind="stable")
    rows, columns, height = rows[order], columns[order], height[order]
    shift = np.zeros((len(rows), 2))
    rise = np.zeros(len(rows))
    for axis, at, other in ((0, columns, rows), (1, rows, columns)):
        size = response.shape[1 - axis]
        inner = (at > 0) & (at < size - 1)
        a, o = at[inner], other[inner]
        line = (
            (response[o, a - 1], response[o, a], response[o, a + 1])
            if axis == 0
            else (response[a - 1, o], response[a, o], response[a + 1, o])
        )
        before, middle, after = (v.astype(np.float64) for v in line)
        bend = np.maximum(2 * middle - before - after, 1e-9)
        move = np.clip(0.5 * (after - before) / bend, -0.5, 0.5)
        shift[inner, axis] = move
        rise[inner] += 0.5 * bend * move**2
    xy = np.column_stack([columns, rows]) + shift
    return Peaks.of(xy, height + rise)
