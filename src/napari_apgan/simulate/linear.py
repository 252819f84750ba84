"""Linear imaging: columns become a picture by adding one peak shape for each, then noise.

A linear model is what incoherent imaging (HAADF) of a thin crystal is to first order, and thin
graphene under a coherent beam nearly so. Its peaks have tails, as real probes do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PeakShape:
    """A radially symmetric peak made of Gaussians.

    Parameters
    ----------
    sigma_pm : tuple of float
        Standard deviation of each Gaussian in pm.
    weight : tuple of float
        Height of each at the centre; negative ones make fringes. They should add up to 1.
    """

    sigma_pm: tuple[float, ...]
    weight: tuple[float, ...]


#: Core of an aberration-corrected probe on a vibrating column, and the tails (source size, residual
#: aberrations) that reach the neighbouring columns.
HAADF_PEAK = PeakShape((44.0, 120.0), (0.9, 0.1))


def render(
    xy_px: Floats,
    height: Floats,
    peak: PeakShape,
    pixel_size_pm: float,
    shape: tuple[int, int],
) -> Floats:
    """Add up one peak for each column.

    A Gaussian is the product of one along x and one along y, so the sum over all columns is a
    matrix product.

    Parameters
    ----------
    xy_px : (N, 2) array
        Centres x, y in px; also those outside the frame whose tails reach in.
    height : (N,) array
        Peak height of each column.
    peak : PeakShape
    pixel_size_pm : float
    shape : (int, int)
        (rows, columns).

    Returns
    -------
    (Y, X) float64 array
    """
    image = np.zeros(shape)
    dx = xy_px[:, 0, None] - np.arange(shape[1])
    dy = xy_px[:, 1, None] - np.arange(shape[0])
    for sigma_pm, weight in zip(peak.sigma_pm, peak.weight, strict=True):
        scale = -0.5 * (pixel_size_pm / sigma_pm) ** 2
        along_y = np.exp(scale * dy**2) * (weight * height)[:, None]
        image += along_y.T @ np.exp(scale * dx**2)
    return image


def row_jitter(
    image: Floats, rms_px: float, rng: np.random.Generator, *, memory: float = 0.7
) -> Floats:
    """Shift each row along x by a random walk that forgets, as a scanned image jitters.

    Parameters
    ----------
    image : (Y, X) array
    rms_px : float
        Standard deviation of the shifts in px.
    rng : numpy Generator
    memory : float
        Correlation of a row's shift with the one before.
    """
    rows, cols = image.shape
    kick: Floats = np.asarray(rng.normal(0.0, rms_px, rows))
    shift: Floats = np.array(kick)
    for row in range(1, rows):
        shift[row] = memory * shift[row - 1] + np.sqrt(1 - memory**2) * kick[row]
    y, x = np.mgrid[:rows, :cols].astype(np.float64)
    moved: Floats = map_coordinates(image, [y, x + shift[:, None]], order=3, mode="nearest")
    return moved


def smooth_background(
    shape: tuple[int, int], rng: np.random.Generator, *, modes: int = 3
) -> Floats:
    """Return a slowly varying field of mean 0 and standard deviation 1 (contamination)."""
    y, x = (np.linspace(0.0, 1.0, n) for n in shape)
    field = np.zeros(shape)
    for ky in range(modes):
        for kx in range(modes):
            if ky or kx:
                along_y = np.cos(np.pi * ky * y + rng.uniform(0, 2 * np.pi))
                along_x = np.cos(np.pi * kx * x + rng.uniform(0, 2 * np.pi))
                field += rng.normal() / (ky + kx) * np.outer(along_y, along_x)
    field -= field.mean()
    scaled: Floats = field / max(float(field.std()), 1e-12)
    return scaled


def scale_to_snr(expected: Floats, snr: float) -> float:
    """Return the factor that gives an expected image the wanted signal-to-noise ratio in counts.

    SNR is var(signal) / var(noise); counting noise has a variance equal to the mean count.
    """
    return snr * float(expected.mean()) / max(float(expected.var()), 1e-30)


def count(
    expected: Floats,
    rng: np.random.Generator,
    *,
    snr: float | None = None,
    dose: float | None = None,
) -> Floats:
    """Draw counts for an expected image.

    Parameters
    ----------
    expected : (Y, X) array
        Not negative, any scale.
    rng : numpy Generator
    snr : float, optional
        Wanted var(signal) / var(noise).
    dose : float, optional
        Wanted mean count a pixel, in place of `snr`.

    Returns
    -------
    (Y, X) float64 array
        Counts; without `snr` and `dose` the expected image itself.
    """
    if dose is not None:
        factor = dose / float(expected.mean())
    elif snr is not None:
        factor = scale_to_snr(expected, snr)
    else:
        return expected
    drawn: Floats = rng.poisson(np.maximum(expected, 0.0) * factor).astype(np.float64)
    return drawn


def inside(xy_px: Floats, shape: Sequence[int], margin_px: float = 0.0) -> NDArray[np.bool_]:
    """Whether positions lie on the frame, or within a margin (px) around it."""
    x, y = xy_px[:, 0], xy_px[:, 1]
    low, right, bottom = -0.5 - margin_px, shape[1] - 0.5 + margin_px, shape[0] - 0.5 + margin_px
    on: NDArray[np.bool_] = (x >= low) & (x < right) & (y >= low) & (y < bottom)
    return on
