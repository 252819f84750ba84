"""Gaussian averages over many pixels, in a time that does not grow with their width."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

Floats = NDArray[np.float64]


def wide_blur(image: Floats, sigma_px: float) -> Floats:
    """Smooth a (Y, X) image by a Gaussian, reflected at its borders.

    As `scipy.ndimage.gaussian_filter` in its mode ``reflect``, without its cut at four sigma:
    cosines are symmetric about the borders, so that the cosine transform reflects by itself.
    """
    spectrum = dctn(image, type=2)
    for axis, size in enumerate(image.shape):
        fall = np.exp(-0.5 * (np.pi * np.arange(size) / size * sigma_px) ** 2)
        spectrum *= fall[:, None] if axis == 0 else fall[None, :]
    smooth: Floats = idctn(spectrum, type=2)
    return smooth


def wide_mean(values: Floats, weight: Floats, sigma_px: float) -> Floats:
    """Average (Y, X) values, each with its weight of 0 or 1, over a wide Gaussian.

    `values` must be 0 where the weight is.
    """
    if weight.all():
        return wide_blur(values, sigma_px)
    near = np.maximum(wide_blur(weight, sigma_px), 1e-3)
    return wide_blur(values, sigma_px) / near
