"""The probe of a STEM: how sharply it lights a specimen, as a transfer of spatial frequencies.

The probe is ``ψ(r) = ∫ A(k) exp(-iχ(k)) exp(2πi k·r) dk`` (Kirkland, Advanced Computing in Electron
Microscopy, chapter 3), its intensity ``|ψ|²`` is averaged over the focal spread and blurred by the
effective source. What an incoherent image needs is the Fourier transform of that intensity: the
autocorrelation of the pupil. It is zero beyond twice the aperture, so that the tails of the probe,
whatever the aberrations, are carried exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from .aberrations import gradient, phase
from .settings import ImagingSettings
from .transfer import foci, wavelength_pm

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Fourier transform of the probe's intensity, 1 at frequency 0.

    Parameters
    ----------
    value : (2M+1, 2N+1) complex array
        At frequencies ``m / height_pm`` and ``n / width_pm`` for m from -M to M and n from -N to N.
    fy, fx : (2M+1,), (2N+1,) arrays
        Those frequencies in 1/pm.
    """

    value: NDArray[np.complex128]
    fy: Floats
    fx: Floats


def blur_pm(settings: ImagingSettings) -> float:
    """Return how far (pm) rays of the probe land from its centre: the largest |∇χ| / 2π.

    The focal spread counts three times its standard deviation and the source likewise.
    """
    wavelength = wavelength_pm(settings.voltage_kv)
    edge = settings.aperture_mrad * 1e-3 / wavelength
    turn = np.linspace(0.0, 2 * math.pi, 73)
    radius = edge * np.linspace(0.2, 1.0, 9)[:, None]
    rays = gradient(settings.aberrations, radius * np.cos(turn), radius * np.sin(turn), wavelength)
    spread = 3 * settings.focal_spread_nm * settings.aperture_mrad
    return float(np.abs(rays).max() / (2 * math.pi)) + spread + 3 * settings.source_size_pm


@lru_cache(maxsize=8)
def probe_transfer(settings: ImagingSettings, height_pm: float, width_pm: float) -> Transfer:
    """Return how a probe passes on the spatial frequencies of a field that repeats.

    Parameters
    ----------
    settings : ImagingSettings
    height_pm, width_pm : float
        Periods of the field; much larger than the probe.
    """
    wavelength = wavelength_pm(settings.voltage_kv)
    edge = settings.aperture_mrad * 1e-3 / wavelength
    reach = (math.floor(2 * edge * height_pm) + 1, math.floor(2 * edge * width_pm) + 1)
    # The autocorrelation of the pupil needs twice its diameter.
    rows, columns = (fft.next_fast_len(2 * r + 1) for r in reach)
    ky = np.fft.fftfreq(rows, height_pm / rows)[:, None].astype(np.float64)
    kx = np.fft.fftfreq(columns, width_pm / columns)[None].astype(np.float64)
    # Pixels that the edge of the aperture cuts count in part.
    step = 1 / math.sqrt(height_pm * width_pm)
    opening = np.clip((edge - np.hypot(ky, kx)) / step + 0.5, 0.0, 1.0)
    pupil = opening * np.exp(-1j * phase(settings.aberrations, kx, ky, wavelength))
    defocus = math.pi * wavelength * (ky**2 + kx**2)
    intensity = np.zeros((rows, columns))
    for focus_pm, weight in foci(settings):
        wave = fft.ifft2(pupil * np.exp(-1j * focus_pm * defocus))
        intensity += weight * (wave.real**2 + wave.imag**2)
    transform = fft.fft2(intensity)
    # A pixel that the edge halves lets half of the electrons pass, not a quarter.
    transform *= transform.size / opening.sum()
    transform[0, 0] = 1.0
    m, n = np.arange(-reach[0], reach[0] + 1), np.arange(-reach[1], reach[1] + 1)
    fy, fx = m / height_pm, n / width_pm
    source = 2 * math.pi**2 * settings.source_size_pm**2
    value = transform[np.ix_(m % rows, n % columns)]
    value *= np.exp(-source * fy**2)[:, None] * np.exp(-source * fx**2)
    return Transfer(value, fy, fx)
