"""Ask the image which reading of a table fits it: which column is x, where pixels begin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_apgan.frames import Frame

Floats = NDArray[np.float64]

#: What other programs call the centre of the first pixel.
FIRST_PIXELS = (0.0, 0.5, 1.0)
#: Fewer atoms decide nothing.
FEWEST = 8


@dataclass(frozen=True, slots=True)
class Fit:
    """How well each reading fits the image.

    Parameters
    ----------
    swapped : bool
        Whether the first coordinate is the row.
    order_sigmas : float
        By how many standard errors the better order wins; 0 when it cannot be told.
    first_pixel : float
    first_pixel_sigmas : float
        By how many standard errors it wins over the next best.
    """

    swapped: bool
    order_sigmas: float
    first_pixel: float
    first_pixel_sigmas: float


def ask_image(frame: Frame, first: Floats, second: Floats) -> Fit:
    """Compare readings of two columns of coordinates in px.

    Atoms stand on extrema: the curvature under them, taken of the slightly smoothed image, is
    larger than anywhere else. The reading with the largest mean (in its usual sign) wins.
    """
    curved = _curvature(frame)
    pairs = {False: (first, second), True: (second, first)}
    scores = {
        (swapped, origin): _values(curved, x - origin, y - origin)
        for swapped, (x, y) in pairs.items()
        for origin in FIRST_PIXELS
    }
    best = max(scores, key=lambda key: abs(_mean(scores[key])))
    if len(first) < FEWEST or not np.isfinite(_mean(scores[best])):
        return Fit(False, 0.0, 0.0, 0.0)
    sign = np.sign(_mean(scores[best]))
    other = max((k for k in scores if k[0] != best[0]), key=lambda k: abs(_mean(scores[k])))
    rival = max(
        (k for k in scores if k[0] == best[0] and k != best),
        key=lambda k: float(sign) * _mean(scores[k]),
    )
    order = (abs(_mean(scores[best])) - abs(_mean(scores[other]))) / _error(
        scores[best], scores[other], paired=False
    )
    origin = (
        float(sign)
        * _mean(scores[best] - scores[rival])
        / _error(scores[best], scores[rival], paired=True)
    )
    return Fit(best[0], float(max(order, 0.0)), best[1], float(max(origin, 0.0)))


def _curvature(frame: Frame) -> Floats:
    """Return a difference of Gaussians in units of its own spread, over the valid pixels."""
    weight = frame.valid.astype(np.float64)
    level = float(frame.data[frame.valid].mean())
    data = (frame.data - level) * weight

    def smooth(sigma: float) -> Floats:
        blurred: Floats = gaussian_filter(data, sigma) / np.maximum(
            gaussian_filter(weight, sigma), 1e-3
        )
        return blurred

    difference = smooth(1.2) - smooth(3.0)
    return difference / max(float(difference.std()), 1e-30)


def _values(image: Floats, x: Floats, y: Floats) -> Floats:
    """Read an image at positions; NaN outside."""
    values: Floats = map_coordinates(image, [y, x], order=1, mode="constant", cval=np.nan)
    outside = (x < 0) | (y < 0) | (x > image.shape[1] - 1) | (y > image.shape[0] - 1)
    values[outside] = np.nan
    return values


def _mean(values: Floats) -> float:
    """Mean with those outside the image counting as nothing found."""
    return float(np.nan_to_num(values).mean()) if len(values) else 0.0


def _error(one: Floats, other: Floats, *, paired: bool) -> float:
    a, b = np.nan_to_num(one), np.nan_to_num(other)
    variance = float((a - b).var()) if paired else float(a.var() + b.var())
    return max(float(np.sqrt(variance / len(a))), 1e-9)
