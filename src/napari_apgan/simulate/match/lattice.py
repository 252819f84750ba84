"""Checking a pixel size: peaks of the power spectrum against those of the simulated lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

Floats = NDArray[np.float64]

#: Peaks must rise this far above the median of their ring.
RISE = 30.0
#: How many of the strongest peaks count.
MOST = 16
#: Two frequencies agree within this part of themselves.
AGREEMENT = 0.012
#: Largest factor by which a stated pixel size is believed to be wrong.
LARGEST_FACTOR = 2.6


@dataclass(frozen=True, slots=True)
class Peaks:
    """Peaks of a power spectrum.

    Parameters
    ----------
    k : (N,) array
        Distance from the origin in cycles per px.
    weight : (N,) array
        Logarithm of their height above the ring's median.
    """

    k: Floats
    weight: Floats


def find_peaks(flat: Floats) -> Peaks:
    """Find the peaks of the power spectrum of a (Y, X) image without background."""
    peaks, _ = spectrum_peaks(flat, most=MOST, below=0.45)
    return Peaks(np.hypot(peaks[:, 0], peaks[:, 1]), peaks[:, 2])


def spectrum_peaks(flat: Floats, *, most: int, below: float) -> tuple[Floats, Floats]:
    """Find what rises out of the rings of a power spectrum.

    Parameters
    ----------
    flat : (Y, X) array
        An image without background.
    most : int
        As many of the strongest peaks are returned.
    below : float
        Largest frequency that counts, in cycles per px.

    Returns
    -------
    peaks : (P, 3) array
        Frequencies along x and y in cycles per px, of each pair the half with positive y, and the
        logarithm of the height above the ring's median; strongest first.
    rings : (R,) array
        Median power at 0, 1, 2 … cycles per shorter side, smoothed.
    """
    rows, columns = flat.shape
    window = np.outer(np.hanning(rows), np.hanning(columns))
    power = np.fft.fftshift(np.abs(np.fft.fft2(flat * window)) ** 2)
    ky, kx = (np.fft.fftshift(np.fft.fftfreq(n)) for n in (rows, columns))
    k = np.hypot(ky[:, None], kx[None, :])
    ring = np.rint(k * min(rows, columns)).astype(np.int_)
    order = np.argsort(ring.ravel(), kind="stable")
    parts = np.split(power.ravel()[order], np.cumsum(np.bincount(ring.ravel()))[:-1])
    medians = np.array([np.median(p) if len(p) else 0.0 for p in parts])
    rings = np.convolve(np.pad(medians, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    rise = power / np.maximum(rings[ring], 1e-300)
    lowest = max(4.0 / min(rows, columns), 0.012)
    found = (power == maximum_filter(power, 5)) & (rise > RISE) & (k > lowest) & (k < below)
    found &= (ky[:, None] > 0) | ((ky[:, None] == 0) & (kx[None, :] > 0))
    found[[0, -1]] = False
    found[:, [0, -1]] = False
    y, x = np.nonzero(found)
    strongest = np.argsort(-power[y, x], kind="stable")[:most]
    y, x = y[strongest], x[strongest]
    log = np.log(np.maximum(power, 1e-300))
    fy = ky[y] + _vertex(log[y - 1, x], log[y, x], log[y + 1, x]) / rows
    fx = kx[x] + _vertex(log[y, x - 1], log[y, x], log[y, x + 1]) / columns
    return np.column_stack([fx, fy, np.log(rise[y, x])]), rings


def _vertex(before: Floats, at: Floats, after: Floats) -> Floats:
    bend = 2 * at - before - after
    where: Floats = np.clip((after - before) / (2 * np.maximum(bend, 1e-12)), -0.5, 0.5)
    return where


def scale_between(measured: Peaks, reference: Peaks) -> tuple[float, float] | None:
    """Return the factor from the reference's frequencies to the measured ones, and its trust.

    Every pair of peaks proposes a factor. The one taken explains most of both sets; of multiples
    that explain as much the one nearest to 1.

    Returns
    -------
    (factor, share) or None
        The share of both sets' weight that agrees; None where one of them shows no lattice.
    """
    if len(measured.k) < 2 or len(reference.k) < 2:
        return None
    ratios = (measured.k[:, None] / reference.k[None, :]).ravel()
    ratios = np.unique(np.round(ratios, 4))
    ratios = ratios[(ratios > 1 / LARGEST_FACTOR) & (ratios < LARGEST_FACTOR)]
    if not len(ratios):
        return None
    scores = np.array([_agreement(measured, reference, float(r)) for r in ratios])
    liked = scores - 0.15 * np.abs(np.log(ratios))
    best = float(ratios[int(liked.argmax())])
    for _ in range(3):
        off = measured.k[:, None] / (best * reference.k[None, :]) - 1
        nearest = np.abs(off).argmin(axis=1)
        residual = off[np.arange(len(off)), nearest]
        near = np.abs(residual) < 2 * AGREEMENT
        if not near.any():
            break
        best *= 1 + float(np.average(residual[near], weights=measured.weight[near]))
    return best, float(_agreement(measured, reference, best))


def _agreement(measured: Peaks, reference: Peaks, factor: float) -> float:
    def explained(a: Peaks, b: Floats) -> float:
        off = np.abs(a.k[:, None] / b[None, :] - 1).min(axis=1)
        return float(np.average(np.exp(-0.5 * (off / AGREEMENT) ** 2), weights=a.weight))

    there = explained(measured, reference.k * factor)
    back = explained(Peaks(reference.k * factor, reference.weight), measured.k)
    return float(np.sqrt(there * back))
