"""How far atoms lie apart and how wide they are, from the image alone."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import gaussian_filter, maximum_filter

from napari_apgan.frames import Frame

Floats = NDArray[np.float64]

#: Part of a frame that the estimate looks at, in px: more brings no precision that matters.
LARGEST = 512
#: Spacings and widths outside these bounds (px) are not believed.
SPACING_BOUNDS = (3.0, 80.0)
WIDTH_BOUNDS = (0.6, 12.0)
#: Of the largest value: images that vary less are empty.
ROUNDING = 1e-7


@dataclass(frozen=True, slots=True)
class Scale:
    """The sizes that labelling works with.

    Parameters
    ----------
    spacing_px : float or None
        Distance to the nearest neighbour of a lattice; None where the image shows no lattice.
    width_px : float
        Standard deviation of a peak.
    """

    spacing_px: float | None
    width_px: float

    @property
    def reach_px(self) -> float:
        """Distance from which a click still means an atom."""
        if self.spacing_px is None:
            return float(np.clip(2.5 * self.width_px, 2.5, 12.0))
        # A lattice of two atoms a cell, such as graphene's, has neighbours nearer than its
        # translations: 0.58 of them.
        return float(np.clip(0.29 * self.spacing_px, 2.0, 12.0))


# Frames are never changed in place, so an estimate holds as long as the array lives.
_known: dict[int, tuple[weakref.ref[NDArray[np.float32]], Scale]] = {}


def estimate_scale(frame: Frame) -> Scale:
    """Estimate spacing and peak width from the autocorrelation; remembered for each frame."""
    key = id(frame.data)
    kept = _known.get(key)
    if kept is not None and kept[0]() is frame.data:
        return kept[1]
    scale = _estimate(frame)
    reference = weakref.ref(frame.data, lambda _: _known.pop(key, None))
    _known[key] = (reference, scale)
    return scale


def flattened(frame: Frame, sigma_px: float) -> Floats:
    """Return the image without what varies slower than `sigma_px`; 0 where nothing was measured.

    Missing pixels take no part: both the image and its mask are smoothed, and divided.
    """
    weight = frame.valid.astype(np.float64)
    total = gaussian_filter(frame.data * weight, sigma_px, mode="reflect")
    background = total / np.maximum(gaussian_filter(weight, sigma_px, mode="reflect"), 1e-6)
    return (frame.data - background) * weight


def _estimate(frame: Frame) -> Scale:
    rows, columns = frame.shape
    top, left = max((rows - LARGEST) // 2, 0), max((columns - LARGEST) // 2, 0)
    window = (slice(top, top + LARGEST), slice(left, left + LARGEST))
    part = Frame(frame.data[window], frame.valid[window])
    flat = flattened(part, min(max(min(part.shape) / 12, 6.0), 30.0))
    if flat.std() <= ROUNDING * float(np.abs(part.data).max()):  # nothing but rounding
        return Scale(None, 1.5)
    correlation = _autocorrelation(flat, part.valid)
    width = _width(correlation)
    spacing = _spacing(correlation, width, int(part.valid.sum()))
    if spacing is None:
        return Scale(None, _blob_width(part))
    return Scale(spacing, min(width, 0.25 * spacing))


def _blob_width(frame: Frame) -> float:
    """Width of sparse peaks: where the strongest of a band-passed image stand out most.

    The ratio of the 99.8th percentile to the median absolute deviation is largest when the filter
    matches the peaks; texture of the support is wider and stands out less.
    """
    best, width = 0.0, 1.5
    for sigma in (1.0, 1.4, 2.0, 2.8, 4.0, 5.6):
        if 6 * sigma > min(frame.shape):
            break
        band = gaussian_filter(flattened(frame, 1.6 * sigma), sigma)[frame.valid]
        spread = float(np.median(np.abs(band - np.median(band))))
        if spread > 0:
            ratio = float(np.percentile(np.abs(band), 99.8)) / spread
            if ratio > best:
                best, width = ratio, sigma
    return width


def _autocorrelation(flat: Floats, valid: NDArray[np.bool_]) -> Floats:
    """Return the autocorrelation over valid pairs of pixels, zero lag in the middle."""
    reach = int(min(2 * SPACING_BOUNDS[1], min(flat.shape) // 2))
    shape = [next_fast_len(n + reach, real=True) for n in flat.shape]

    def correlate(a: Floats) -> Floats:
        spectrum = rfft2(a, s=shape)
        full: Floats = irfft2(np.abs(spectrum) ** 2, s=shape)
        return np.roll(full, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1]

    overlap = np.maximum(correlate(valid.astype(np.float64)), 1.0)
    return correlate(flat) / overlap


def _width(correlation: Floats) -> float:
    """Peak width from the central peak of the autocorrelation, which is twice as wide in square.

    White noise adds to lag zero only, so the curve is read from lag one on: with
    c(r) = c0 exp(-r² / 4 s²), s² = (r2² - r1²) / (4 log(c(r1) / c(r2))); along x only, since
    scanned rows are jittered against each other.
    """
    middle = correlation.shape[0] // 2
    line = correlation[middle, middle:]
    lag, value = np.arange(1, len(line)), line[1:]
    falling = int(np.argmax(value < 0.35 * value[0])) or 2
    first, last = 1, max(falling + 1, 2)
    if value[0] <= 0 or value[last - 1] <= 0 or last == first:
        return 1.5
    ratio = np.log(value[0] / value[last - 1])
    if ratio <= 0:
        return 1.5
    width = np.sqrt((lag[last - 1] ** 2 - 1) / (4 * ratio))
    return float(np.clip(width, *WIDTH_BOUNDS))


def _spacing(correlation: Floats, width: float, n_pixels: int) -> float | None:
    """Distance of the nearest significant peak of the autocorrelation beside the central one."""
    middle = correlation.shape[0] // 2
    # Of n independent values the correlation scatters by its value at lag zero over sqrt(n).
    by_chance = 5.0 * float(correlation[middle, middle]) / np.sqrt(max(n_pixels, 1))
    without_noise = correlation.copy()  # white noise adds to lag zero alone
    without_noise[middle, middle] = correlation[middle, [middle - 1, middle + 1]].mean()
    smooth = gaussian_filter(without_noise, 0.5 * width)
    yy, xx = np.mgrid[-middle : middle + 1, -middle : middle + 1]
    distance = np.hypot(yy, xx)
    peaks = (smooth == maximum_filter(smooth, size=max(3, int(2 * width) | 1))) & (
        distance >= max(SPACING_BOUNDS[0], 1.6 * width)
    )
    peaks &= distance <= min(SPACING_BOUNDS[1], middle - 2)
    if not peaks.any():
        return None
    heights = smooth[peaks]
    strongest = float(heights.max())
    # Lattices of the real images reach 0.5 to 1.0 of the central peak, textures without one 0.2.
    if strongest < max(0.3 * float(smooth[middle, middle]), by_chance):
        return None
    good = distance[peaks][heights >= 0.4 * strongest]
    return float(good.min())
