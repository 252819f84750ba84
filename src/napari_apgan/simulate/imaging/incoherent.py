"""Drawing what a probe sees: points, exactly between the pixels, blurred by the probe."""

from __future__ import annotations

import math

import numpy as np
from scipy import fft

from napari_apgan.simulate.specimen import Floats

from .column_signals import Signals
from .points import KEPT, REACH, spread, window_spectrum
from .probe import blur_pm, probe_transfer
from .settings import ImagingSettings
from .tables import HAZE_PM, WIDTHS_PM
from .transfer import wavelength_pm

#: A variance may be taken off the Gaussians only as far as the narrowest two allow.
LEAST_SOFTER_PM2 = -100.0


def margin_pm(settings: ImagingSettings) -> float:
    """Return how far outside a frame a column can still light it, in pm."""
    return 300.0 + 3 * HAZE_PM + blur_pm(settings)


def draw(
    signals: Signals, shape: tuple[int, int], pixel_size_pm: float, settings: ImagingSettings
) -> Floats:
    """Return the image of points under a probe.

    ``I(R) = Σ_points Σ_k w_k (p ⊗ Gaussian_k)(r - R)`` at the centres of the pixels; frequencies
    that the pixels are too coarse for fold back, as they do in a scan.

    Parameters
    ----------
    signals : Signals
        Within :func:`margin_pm` of the frame.
    shape : (int, int)
    pixel_size_pm : float
    settings : ImagingSettings
        Voltage, aperture, aberrations, focal spread and source size are used.

    Returns
    -------
    (Y, X) array
    """
    band = 2e-3 * settings.aperture_mrad / wavelength_pm(settings.voltage_kv)
    fine = max(1, math.ceil(2 * band * pixel_size_pm / KEPT))
    step = pixel_size_pm / fine
    margin = math.ceil(margin_pm(settings) / pixel_size_pm) + REACH
    rows, columns = (fine * fft.next_fast_len(n + 2 * margin, real=True) for n in shape)
    transfer = probe_transfer(settings, rows * step, columns * step)
    # Of a real image the frequencies with x >= 0 suffice.
    right = len(transfer.fx) // 2
    fx, fy = transfer.fx[right:], transfer.fy
    m = np.arange(len(fy)) - len(fy) // 2
    at = (signals.xy_pm / pixel_size_pm + margin) * fine
    grids = spread(at, signals.weight, (rows, columns))
    softer = max(signals.softer_pm2, LEAST_SOFTER_PM2)
    total = np.zeros((len(fy), len(fx)), dtype=np.complex128)
    for grid, width in zip(grids, (*WIDTHS_PM, HAZE_PM), strict=True):
        part = fft.rfft2(grid)[np.ix_(m % rows, np.arange(len(fx)))]
        bend = 2 * math.pi**2 * max(width**2 + softer, 0.0)
        part *= np.exp(-bend * fy**2)[:, None] * np.exp(-bend * fx**2)
        total += part
    # A point at r is lit by a probe at R where the probe has r - R: its mirror image.
    total *= transfer.value[:, right:].conj()
    total /= window_spectrum(fy * step)[:, None] * window_spectrum(fx * step)
    spectrum = np.zeros((rows, columns // 2 + 1), dtype=np.complex128)
    spectrum[m % rows, : len(fx)] = total
    image = fft.irfft2(spectrum, s=(rows, columns), norm="forward")
    image /= rows * columns * step**2
    first = margin * fine
    kept: Floats = image[first::fine, first::fine][: shape[0], : shape[1]]
    return np.ascontiguousarray(kept)
