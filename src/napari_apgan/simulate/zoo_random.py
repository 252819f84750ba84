"""What the stream of everything draws again and again."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

Floats = NDArray[np.float64]
Image = NDArray[np.float32]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Say yes with a probability."""
    return bool(rng.random() < probability)


def wave(xy: Floats, length_px: float, rng: np.random.Generator) -> Floats:
    """Return a smooth random field of zero mean and unit variance at some places."""
    total = np.zeros(len(xy))
    for _ in range(6):
        q = rng.normal(0, 1 / length_px, 2)
        total += np.cos(2 * math.pi * (xy @ q) + rng.uniform(0, 2 * math.pi))
    return total / math.sqrt(3.0)


def smooth_field(shape: tuple[int, ...], length_px: float, rng: np.random.Generator) -> Image:
    """Return a smooth random field of zero mean and unit variance."""
    coarse = max(length_px / 3, 1.0)
    small = [max(4, math.ceil(n / coarse) + 3) for n in shape]
    field = gaussian_filter(rng.standard_normal(small, dtype=np.float32), length_px / coarse / 2)
    if coarse > 1:
        field = zoom(field, coarse, order=1, grid_mode=True, mode="nearest")
    field = field[: shape[0], : shape[1]]
    out: Image = ((field - field.mean()) / max(float(field.std()), 1e-6)).astype(np.float32)
    return out
