"""Fresh changes of grey values for each crop. numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_apgan.models.recipe import Augmentation

from .crops import Crop

Floats = NDArray[np.float32]

#: Random heights along each side of an added smooth background.
KNOTS = 5


def augment(crop: Crop, settings: Augmentation, rng: np.random.Generator) -> Crop:
    """Return the crop as another exposure might have shown it; labels stay as they are."""
    image, valid = crop.image, crop.valid
    if settings.blur_px:
        image = gaussian_filter(image, settings.blur_px * rng.random())
    if settings.row_jitter_px:
        image = jitter_rows(image, settings.row_jitter_px * rng.random(), rng)
    image = _grey_values(image, settings, rng)
    if settings.noise:
        # Squared, so that most crops stay near the noise they have.
        sigma = settings.noise * rng.random() ** 2
        image = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
        # The frame would have been normalised with this noise in it.
        image = image / np.float32(np.hypot(1.0, sigma))
    if settings.dropout and rng.random() < settings.dropout_chance:
        valid = valid & (
            rng.random(image.shape, dtype=np.float32) >= settings.dropout * rng.random()
        )
    return Crop(np.where(valid, image, 0).astype(np.float32), valid, crop.learn, crop.target)


def _grey_values(image: Floats, settings: Augmentation, rng: np.random.Generator) -> Floats:
    """Change gain, offset, slope and the curve of the grey values."""
    if settings.gamma:
        bend = settings.gamma * rng.uniform(-1, 1)
        # Monotonic, fixed at 0, and growing no faster than the value itself.
        image = image * (1 + bend * np.tanh(image / 2)).astype(np.float32)
    gain = 1 + settings.contrast * rng.uniform(-1, 1)
    offset = settings.brightness * rng.uniform(-1, 1)
    slope = settings.gradient * rng.uniform(-1, 1, size=2)
    rows, columns = image.shape
    plane = (
        slope[0] * np.linspace(-0.5, 0.5, columns)[None, :]
        + slope[1] * np.linspace(-0.5, 0.5, rows)[:, None]
    )
    changed: Floats = (gain * image + offset + plane).astype(np.float32)
    if settings.background:
        changed += smooth_surface(changed.shape, settings.background * rng.random(), rng)
    return changed


def smooth_surface(shape: tuple[int, ...], sigma: float, rng: np.random.Generator) -> Floats:
    """Return a cubic surface through 5x5 normal random heights of a standard deviation."""
    knots = rng.normal(0, sigma, size=(KNOTS, KNOTS))
    at = np.meshgrid(*(np.linspace(0, KNOTS - 1, n) for n in shape), indexing="ij")
    surface: Floats = map_coordinates(knots, at, order=3, mode="nearest").astype(np.float32)
    return surface


def jitter_rows(image: Floats, sigma_px: float, rng: np.random.Generator) -> Floats:
    """Shift each row along x by a normal random amount, as an unsteady scan does."""
    rows, columns = image.shape
    shift = np.clip(rng.normal(0, sigma_px, size=(rows, 1)), -8, 8)
    at = np.clip(np.arange(columns)[None, :] + shift, 0, columns - 1)
    low = np.minimum(at.astype(int), columns - 2)
    part = (at - low).astype(np.float32)
    left = np.take_along_axis(image, low, axis=1)
    right = np.take_along_axis(image, low + 1, axis=1)
    shifted: Floats = left * (1 - part) + right * part
    return shifted
