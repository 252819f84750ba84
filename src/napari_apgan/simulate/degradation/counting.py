"""Electrons: from a dose to expected and counted numbers, and the dose that gives a wanted SNR."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError

from .settings import Noise

Floats = NDArray[np.float64]

#: Larger expected numbers are drawn from the normal distribution: numpy's Poisson ends at 9e18.
LARGEST_COUNT = 1e15


def electrons_per_unit(dose: float, pixel_size_pm: float) -> float:
    """Return the electrons that hit one pixel.

    Parameters
    ----------
    dose : float
        Electrons per Å².
    pixel_size_pm : float
    """
    return dose * (pixel_size_pm / 100.0) ** 2


def dose_of(electrons: float, pixel_size_pm: float) -> float:
    """Return the dose in electrons per Å² that puts `electrons` on one pixel."""
    return electrons / (pixel_size_pm / 100.0) ** 2


def electrons_for_snr(
    snr: float, *, signal_variance: float, noise_variance: float, readout: float
) -> float:
    """Return the incident electrons a (fine) pixel that give the wanted SNR.

    With q electrons the signal's variance is q² V and the noise's q N + r², so that
    SNR = q² V / (q N + r²): a quadratic with one positive root.

    Parameters
    ----------
    snr : float
    signal_variance : float
        V, of the recorded image at one electron a pixel, over the material.
    noise_variance : float
        N, mean variance of the counting noise at one electron a pixel, behind the camera.
    readout : float
        r, standard deviation of the readout noise in electrons.

    Raises
    ------
    UserError
        When the image has no contrast.
    """
    if not signal_variance > 1e-24 * max(noise_variance, 1e-300) ** 2:
        raise UserError(
            "The image has no contrast over the material, so no dose gives the SNR asked for: "
            "give a dose instead, or check the structure and the imaging."
        )
    counting = snr * noise_variance
    root = math.sqrt(counting**2 + 4 * signal_variance * snr * readout**2)
    return (counting + root) / (2 * signal_variance)


def draw_counts(expected: Floats, noise: Noise, rng: np.random.Generator, level: float) -> Floats:
    """Draw electrons for expected numbers.

    Parameters
    ----------
    expected : (Y, X) array
        Not negative.
    noise : {"counting", "gaussian"}
    rng : numpy Generator
    level : float
        Mean expected number over the material: the variance of Gaussian noise.
    """
    if noise == "gaussian":
        return expected + rng.normal(0.0, math.sqrt(max(level, 0.0)), expected.shape)
    if float(expected.max(initial=0.0)) > LARGEST_COUNT:
        drawn: Floats = np.maximum(rng.normal(expected, np.sqrt(expected)), 0.0)
        return drawn
    return rng.poisson(expected).astype(np.float64)
