"""What an image says about each label: how high the peak under it is, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    correlate1d,
    gaussian_filter,
    map_coordinates,
    maximum_filter,
    minimum_filter1d,
)
from scipy.signal import fftconvolve
from scipy.spatial import QhullError, Voronoi, cKDTree

from napari_apgan.elements import Polarity
from napari_apgan.frames import Frame

from .spacing import estimate_scale
from .vertex import paraboloid_vertex
from .wide import wide_mean

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Names = NDArray[np.object_]

#: From this many labels on, their mean is what an atom of the element looks like.
ENOUGH = 8
#: Atoms look alike within this part of the spacing; what lies farther out are neighbours.
KERNEL_REACH = 0.5
#: Bounds of a kernel's radius in px.
KERNEL_BOUNDS = (2.0, 9.0)
#: A peak within this part of the spacing is still the labelled atom's.
PEAK_REACH = 0.55
#: Peaks alike within this spread, and labels within this part of the spacing of them, are resolved.
RESOLVED_SPREAD, RESOLVED_OFFSET = 0.33, 0.12


@dataclass(frozen=True, slots=True)
class Population:
    """How high the peaks of one element's labels are, in units of their own median.

    Parameters
    ----------
    kernel : (K, K) array
        What an atom looks like, mean 0 within its disc.
    spread : float
        Robust standard deviation of the heights.
    blank, blank_spread : float
        Median and robust standard deviation of the same height where no atom is labelled.
    offset_px : float
        Standard deviation per axis of the distance from label to peak.
    noise : float
        Standard deviation that the pixels' noise alone gives a height.
    resolved : bool
        Whether the labels stand on peaks of their own, alike enough to judge one by the rest.
    """

    kernel: Floats
    spread: float
    blank: float
    blank_spread: float
    offset_px: float
    noise: float
    resolved: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured once; thresholds are laid on it later.

    Parameters
    ----------
    xy : (N, 2) array
    kinds : (N,) array of str
    spacing_px : float
        Median distance to the nearest neighbour.
    height : (N,) array
        Height of the peak at each label, 1 for the usual one of its element, 0 for none.
    peak : (N, 2) array
        Where the nearest peak is; NaN where there is none within reach.
    peak_height : (N,) array
    common : (N,) array
        Heights, at the peaks, by one kernel for all and in one unit: what compares elements.
    populations : mapping
    unlabelled : (M, 2) array
        Peaks without a label, anywhere on the frame.
    unlabelled_height : (M,) array
        In the unit of the element that explains them best.
    unlabelled_kind : (M,) array of str
    pixel_noise : (N,) array
        Standard deviation of the pixels' noise around each label.
    background : (N,) array
        The image over two spacings around each label, above its darkest pixels.
    """

    xy: Floats
    kinds: Names
    spacing_px: float
    height: Floats
    peak: Floats
    peak_height: Floats
    common: Floats
    populations: Mapping[str, Population]
    unlabelled: Floats
    unlabelled_height: Floats
    unlabelled_kind: Names
    pixel_noise: Floats
    background: Floats


def flatten(frame: Frame, spacing_px: float) -> Floats:
    """Return the image less its slow background, missing pixels filled from their neighbours."""
    weight = frame.valid.astype(np.float64)
    level = float(frame.data[frame.valid].mean())
    data = (frame.data.astype(np.float64) - level) * weight
    filled = data
    if not frame.valid.all():
        near = gaussian_filter(weight, 1.2)
        filled = np.where(frame.valid, data, gaussian_filter(data, 1.2) / np.maximum(near, 1e-3))
    sigma = float(np.clip(2.0 * spacing_px, 6.0, 40.0))
    slow = wide_mean(data, weight, sigma)
    flat: Floats = np.where(gaussian_filter(weight, 1.2) > 0.05, filled - slow, 0.0)
    return flat


def patches(flat: Floats, xy: Floats, reach: int) -> Floats:
    """Return (N, K, K) patches of an image centred below the pixel on (N, 2) positions."""
    step = np.arange(-reach, reach + 1, dtype=np.float64)
    rows = xy[:, 1, None, None] + step[None, :, None] + 0 * step[None, None, :]
    columns = xy[:, 0, None, None] + step[None, None, :] + 0 * step[None, :, None]
    values: Floats = map_coordinates(flat, [rows, columns], order=1, mode="nearest")
    return values


def gaussian_kernel(width_px: float, reach: int, sign: float) -> Floats:
    """Return a round peak of that width, mean 0 within its disc."""
    step = np.arange(-reach, reach + 1)
    square = step[:, None] ** 2 + step[None, :] ** 2
    return centred(sign * np.exp(-square / (2 * width_px**2)))


def centred(kernel: Floats) -> Floats:
    """Return a kernel cut to its disc, with mean 0 there."""
    inside = disc(len(kernel))
    return np.where(inside, kernel - kernel[inside].mean(), 0.0)


def disc(size: int) -> Bools:
    """Return which cells of a (size, size) kernel lie within its disc."""
    step = np.arange(size) - size // 2
    inside: Bools = step[:, None] ** 2 + step[None, :] ** 2 <= (size // 2 + 0.3) ** 2
    return inside


def heights(flat: Floats, xy: Floats, kernel: Floats) -> Floats:
    """Fit kernel and constant at (N, 2) positions by least squares; return the kernel's factors."""
    if not len(xy):
        return np.empty(0)
    values = patches(flat, xy, len(kernel) // 2)
    # The kernel has mean 0 on its disc, so the constant drops out.
    factor: Floats = (values * kernel).sum(axis=(1, 2)) / (kernel**2).sum()
    return factor


def response(flat: Floats, kernel: Floats) -> Floats:
    """Return the kernel's factor around every pixel."""
    out: Floats = fftconvolve(
        np.pad(flat, len(kernel) // 2, mode="edge"), kernel[::-1, ::-1], mode="valid"
    )
    return out / float((kernel**2).sum())


def spacing_of(frame: Frame, xy: Floats) -> float:
    """Return the median distance to the nearest label; what the image shows where labels are few.

    Labels of which some are doubled keep their median.
    """
    if len(xy) >= ENOUGH:
        return float(np.median(np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]))
    scale = estimate_scale(frame)
    return scale.spacing_px or 5.0 * scale.width_px


def local_noise(frame: Frame, sigma_px: float) -> Floats:
    """Return the (Y, X) standard deviation of the pixels' noise, averaged over `sigma_px`.

    From fourth differences along x, which neither slow signal nor the shifts of scanned rows touch:
    weights (1, -4, 6, -4, 1) / sqrt(70) keep white noise as it is.
    """
    weights = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / np.sqrt(70.0)
    usable = minimum_filter1d(frame.valid.astype(np.uint8), 5, axis=1).astype(np.float64)
    size = np.abs(correlate1d(frame.data.astype(np.float64), weights, axis=1)) * usable
    mean = np.maximum(wide_mean(size, usable, sigma_px), 0.0)
    noise: Floats = 1.2533 * mean  # of a normal distribution's mean absolute value
    return noise


def look(
    frame: Frame, xy: Floats, kinds: Names, polarity: Mapping[str, Polarity], names: Sequence[str]
) -> Evidence:
    """Measure everything that does not depend on a threshold.

    Parameters
    ----------
    frame : Frame
    xy : (N, 2) array
        Labels, x, y in px.
    kinds : (N,) array of str
    polarity : mapping
        By element; only where labels are too few to show it.
    names : sequence of str
        Elements that have a label.
    """
    spacing = spacing_of(frame, xy)
    flat = flatten(frame, spacing)
    reach = round(float(np.clip(KERNEL_REACH * spacing, *KERNEL_BOUNDS)))
    blanks = blank_places(xy, spacing, frame.shape)
    height, common = np.zeros(len(xy)), np.zeros(len(xy))
    peak, peak_height = np.full((len(xy), 2), np.nan), np.full(len(xy), np.nan)
    noises = local_noise(frame, 2.0 * spacing)
    noise = float(np.median(noises[frame.valid]))
    populations: dict[str, Population] = {}
    answers: dict[str, Floats] = {}
    shared = _kernel(flat, xy, reach, frame, "bright")
    unit = _median_height(heights(flat, xy, shared)) if len(xy) else 1.0
    for name in names:
        mine = kinds == name
        kernel = _kernel(flat, xy[mine], reach, frame, polarity.get(name, "bright"))
        own = heights(flat, xy[mine], kernel)
        kernel = kernel * _median_height(own)
        own = heights(flat, xy[mine], kernel)
        answer = response(flat, kernel)
        where, how_high = nearest_peaks(answer, xy, np.flatnonzero(mine), PEAK_REACH * spacing)
        empty = heights(flat, blanks, kernel)
        spread, offset = max(robust_spread(own), 0.02), _offset(where - xy[mine])
        populations[name] = Population(
            kernel=kernel,
            spread=spread,
            blank=float(np.median(empty)) if len(empty) else 0.0,
            blank_spread=max(robust_spread(empty), 0.02) if len(empty) else 0.1,
            offset_px=offset,
            noise=noise / float(np.sqrt((kernel**2).sum())),
            resolved=spread < RESOLVED_SPREAD and offset < RESOLVED_OFFSET * spacing,
        )
        height[mine], peak[mine], peak_height[mine] = own, where, how_high
        answers[name] = answer
    # A label beside its peak must not look like one of a lighter element.
    common[:] = heights(flat, np.where(own_peak(xy, peak)[:, None], peak, xy), shared) / unit
    place, how, which = unlabelled_peaks(answers, xy, spacing, frame.valid)
    return Evidence(
        xy,
        kinds,
        spacing,
        height,
        peak,
        peak_height,
        common,
        populations,
        place,
        how,
        which,
        read_at(noises, xy),
        read_at(_background(frame, 2.0 * spacing), xy),
    )


def read_at(image: Floats, xy: Floats) -> Floats:
    """Return an image's values at the pixels nearest to (N, 2) positions."""
    column, row = np.rint(np.clip(xy, 0, np.array(image.shape[::-1]) - 1)).astype(int).T
    values: Floats = image[row, column]
    return values


def _background(frame: Frame, sigma_px: float) -> Floats:
    """Return the image smoothed over the valid pixels, above its darkest ones."""
    weight = frame.valid.astype(np.float64)
    total = wide_mean(frame.data * weight, weight, sigma_px)
    dark = float(np.quantile(frame.data[frame.valid], 0.001))
    above: Floats = total - min(dark, float(total.min()))
    return above


def _kernel(flat: Floats, xy: Floats, reach: int, frame: Frame, polarity: Polarity) -> Floats:
    rows, columns = flat.shape
    whole = ((xy >= reach) & (xy <= np.array([columns, rows]) - 1 - reach)).all(axis=1)
    if whole.sum() < ENOUGH:
        sign = 1.0 if polarity == "bright" else -1.0
        return gaussian_kernel(estimate_scale(frame).width_px, reach, sign)
    some = xy[whole][:: max(1, int(whole.sum()) // 800)]
    return centred(np.median(patches(flat, some, reach), axis=0))


def _median_height(values: Floats) -> float:
    middle = float(np.median(values))
    return middle if abs(middle) > 1e-12 else 1.0


def robust_spread(values: Floats) -> float:
    """Return the standard deviation that the median absolute deviation stands for."""
    if not len(values):
        return 0.0
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _offset(steps: Floats) -> float:
    distance = np.hypot(*steps.T)
    distance = distance[np.isfinite(distance)]
    # A Rayleigh distribution's median is 1.177 standard deviations of one axis.
    return float(np.median(distance)) / 1.177 if len(distance) else 0.0


def blank_places(xy: Floats, spacing_px: float, shape: tuple[int, int]) -> Floats:
    """Return places between the labels: corners of their Voronoi cells, inside the frame."""
    if len(xy) < 4:
        return np.empty((0, 2))
    try:
        corners = Voronoi(xy).vertices
    except QhullError:  # all labels on one line
        return np.empty((0, 2))
    limit = np.array(shape[::-1]) - 1.0
    corners = corners[((corners >= 0) & (corners <= limit)).all(axis=1)]
    far = np.asarray(cKDTree(xy).query(corners)[0])
    corners = corners[(far > 0.45 * spacing_px) & (far < 1.5 * spacing_px)]
    thinned: Floats = corners[:: max(1, len(corners) // 1500)]
    return thinned


def nearest_peaks(
    answer: Floats, labels: Floats, chosen: NDArray[np.intp], reach_px: float
) -> tuple[Floats, Floats]:
    """Find the maximum of a response that each chosen one of (N, 2) labels means, and its height.

    Of the local maxima within reach the one wins that is high and near:
    ``height * exp(-(distance / reach)²)``; one on which another label stands is that label's. NaN
    where there is none.
    """
    xy = labels[chosen]
    rows, columns = np.nonzero((answer == maximum_filter(answer, size=3)) & (answer > 0))
    where, high = np.full((len(xy), 2), np.nan), np.full(len(xy), np.nan)
    if not len(rows) or not len(xy):
        return where, high
    found = np.column_stack([columns, rows]).astype(np.float64)
    level = answer[rows, columns]
    apart_of, owner = (np.asarray(v) for v in cKDTree(labels).query(found))
    standing = np.where(apart_of < 0.35 * reach_px, owner, -1)
    each: Any = cKDTree(found).query_ball_point(xy, reach_px + 0.5)
    for k, near in enumerate(each):
        near = [i for i in near if standing[i] in (-1, chosen[k])]
        if not near:
            continue
        apart = np.hypot(*(found[near] - xy[k]).T)
        best = near[int((level[near] * np.exp(-((apart / reach_px) ** 2))).argmax())]
        where[k] = paraboloid_vertex(answer, int(columns[best]), int(rows[best]), 1)
        high[k] = level[best]
    return where, high


def own_peak(xy: Floats, peak: Floats) -> Bools:
    """Tell which labels are the nearest ones to the peak found for them."""
    own = np.isfinite(peak[:, 0])
    if own.any():
        own[own] = np.asarray(cKDTree(xy).query(peak[own])[1]) == np.flatnonzero(own)
    return own


def unlabelled_peaks(
    answers: Mapping[str, Floats], xy: Floats, spacing_px: float, valid: Bools
) -> tuple[Floats, Floats, Names]:
    """Find peaks of any element's response farther than half a spacing from every label."""
    if not answers:
        return np.empty((0, 2)), np.empty(0), np.empty(0, dtype=object)
    names = list(answers)
    stack = np.stack([answers[n] for n in names])
    # A height of 1 is usual: the element whose usual height comes nearest explains a peak best.
    nearest = np.abs(np.log(np.maximum(stack, 1e-3))).argmin(axis=0)
    strongest = stack.max(axis=0)
    size = max(3, 2 * round(0.3 * spacing_px) + 1)
    rows, columns = np.nonzero((strongest == maximum_filter(strongest, size=size)) & valid)
    place = np.column_stack([columns, rows]).astype(np.float64)
    keep = strongest[rows, columns] > 0.2
    if len(xy):
        keep &= np.asarray(cKDTree(xy).query(place)[0]) > 0.5 * spacing_px
    rows, columns = rows[keep], columns[keep]
    refined = np.array(
        [
            paraboloid_vertex(strongest, c, r, 1)
            for r, c in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
    ).reshape(-1, 2)
    which = nearest[rows, columns]
    kinds = np.array([names[k] for k in which], dtype=object)
    return refined, stack[which, rows, columns], kinds
