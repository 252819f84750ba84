"""What a frame looks like in numbers that do not depend on where its atoms are.

The same numbers are taken from an experimental and from a simulated frame, so that what an estimate
gets wrong it gets wrong on both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, maximum_filter1d

from napari_apgan.frames import Frame

from .lattice import Peaks, find_peaks
from .rows import row_jitter

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Part of a frame that is looked at, in px.
LARGEST = 512
#: Steps of the spectrum's radius, as its logarithm; the scale is found to a fraction of one.
LOG_STEP = 0.01
#: Lowest and highest spatial frequency of the spectra, in cycles per px.
BAND = (0.02, 0.5)
#: A peak's power exceeds the noise by this (logarithm), at frequencies above.
PEAK_RISE = math.log(15.0)
LOWEST_PEAK = 0.022
#: Frequencies along x above this hold hardly anything but noise in images sampled as they should.
NOISE_ABOVE = 0.42
#: Wavelengths longer than this part of the frame are background.
BACKGROUND_PART = 0.12
#: Row jitter (px) that coarsely sampled lattices without any imitate.
JITTER_FLOOR_PX = 0.2
#: Bins of the histogram, over 4 standard deviations to both sides.
BINS = 64


@dataclass(frozen=True, slots=True)
class Statistics:
    """Numbers of one frame.

    Parameters
    ----------
    mean, std : float
        Of all measured pixels.
    noise : float
        Standard deviation of the white part of the noise.
    snr : float
        var(signal) / var(noise), the background left out of the signal.
    width_px : float
        Length over which the signal varies: sqrt(var(signal) / var(its derivative along x)).
    background : float
        Standard deviation of the slowly varying part over that of the signal.
    noise_growth : float
        Variance of the noise in the brightest third of the pixels over that in the darkest.
    jitter_px : float
        Standard deviation of the shifts of the rows.
    jitter_memory : float
        Their correlation from row to row.
    skewness : float
        Of the signal: positive for bright peaks on a dark ground.
    profile : (K,) array
        Largest power of the spectrum at each radius (logarithmic steps), as its logarithm.
    radial : (K,) array
        Mean power at each radius, as its logarithm.
    histogram : (B,) array
        Of the standardised pixels, sum 1.
    peaks : Peaks
        Of the power spectrum.
    missing : float
        Fraction of pixels without a measurement.
    """

    mean: float
    std: float
    noise: float
    snr: float
    width_px: float
    background: float
    noise_growth: float
    jitter_px: float
    jitter_memory: float
    skewness: float
    profile: Floats
    radial: Floats
    histogram: Floats
    peaks: Peaks
    missing: float


def measure_statistics(frame: Frame, *, side: int = LARGEST) -> Statistics:
    """Take the numbers of the middle part of a frame.

    Parameters
    ----------
    frame : Frame
    side : int
        Of the square that is looked at, in px; compare only numbers of equal sides.
    """
    data, valid = _middle(frame, side)
    values = data[valid]
    mean, std = float(values.mean()), max(float(values.std()), 1e-30)
    filled = _fill(data, valid)
    slow = gaussian_filter(filled, BACKGROUND_PART * min(filled.shape) / 2, mode="reflect")
    flat = filled - slow
    noise = _noise(flat, valid)
    total = float(flat[valid].var())
    signal = max(total - noise**2, 1e-6 * total, 1e-30)
    jitter, memory = row_jitter(flat, valid, noise)
    profile, radial = _spectra(flat)
    counts, _ = np.histogram((values - mean) / std, BINS, (-4.0, 4.0))
    return Statistics(
        mean=mean,
        std=std,
        noise=noise,
        snr=signal / max(noise**2, 1e-30),
        width_px=_width(flat, valid, noise, signal),
        background=float(slow.std()) / math.sqrt(signal),
        noise_growth=_noise_growth(filled, valid),
        jitter_px=jitter,
        jitter_memory=memory,
        skewness=float(np.mean(gaussian_filter(flat, 1.0)[valid] ** 3)) / signal**1.5,
        profile=profile,
        radial=radial,
        histogram=counts / max(counts.sum(), 1),
        peaks=find_peaks(flat),
        missing=frame.missing_fraction,
    )


def _middle(frame: Frame, side: int) -> tuple[Floats, Bools]:
    rows, columns = frame.shape
    top, left = max((rows - side) // 2, 0), max((columns - side) // 2, 0)
    cut = np.s_[top : top + side, left : left + side]
    return frame.data[cut].astype(np.float64), frame.valid[cut]


def _fill(data: Floats, valid: Bools) -> Floats:
    """Replace missing pixels by the mean of their measured neighbours."""
    if valid.all():
        return data
    weight = gaussian_filter(valid.astype(np.float64), 1.5)
    local = gaussian_filter(np.where(valid, data, 0.0), 1.5) / np.maximum(weight, 1e-6)
    filled: Floats = np.where(valid, data, np.where(weight > 1e-3, local, data[valid].mean()))
    return filled


def _noise(flat: Floats, valid: Bools) -> float:
    """Return the noise from the highest frequencies along x, which rows' shifts do not touch.

    Where pixels are missing, neighbouring pixels' fourth differences take their place.
    """
    if valid.all():
        spectrum = np.abs(fft.rfft(flat * np.hanning(flat.shape[1]), axis=1)) ** 2
        frequency = fft.rfftfreq(flat.shape[1])
        window = float(np.square(np.hanning(flat.shape[1])).sum())
        return math.sqrt(
            float(np.median(spectrum[:, frequency > NOISE_ABOVE]) / math.log(2)) / window
        )
    difference, used = _fourth_difference(flat, valid)
    return float(difference[used].std()) if used.sum() > 50 else float(flat[valid].std()) / 2


def _fourth_difference(image: Floats, valid: Bools) -> tuple[Floats, Bools]:
    """Return differences along x with the noise of one pixel, and where all five are measured."""
    weights = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / math.sqrt(70)
    columns = image.shape[1] - 4
    difference = sum(w * image[:, k : k + columns] for k, w in enumerate(weights))
    used = np.all([valid[:, k : k + columns] for k in range(5)], axis=0)
    return np.asarray(difference, dtype=np.float64), used


def _noise_growth(image: Floats, valid: Bools) -> float:
    difference, used = _fourth_difference(image, valid)
    if used.sum() < 300:
        return 1.0
    local = gaussian_filter(image, 1.5)[:, 2:-2][used]
    low, high = np.quantile(local, [1 / 3, 2 / 3])
    power = difference[used] ** 2
    # Medians forget the few pixels where the signal itself is sharp.
    dark, bright = float(np.median(power[local <= low])), float(np.median(power[local >= high]))
    return bright / max(dark, 1e-30)


def _width(flat: Floats, valid: Bools, noise: float, signal: float) -> float:
    slope = (flat[:, 2:] - flat[:, :-2]) / 2
    used = valid[:, 2:] & valid[:, :-2]
    power = float(slope[used].var()) - noise**2 / 2 if used.any() else 0.0
    return math.sqrt(signal / max(power, 1e-3 * signal))


def _spectra(flat: Floats) -> tuple[Floats, Floats]:
    """Return largest and mean log power at each radius of a 2-D spectrum."""
    rows, columns = flat.shape
    window = np.outer(np.hanning(rows), np.hanning(columns))
    power = np.abs(fft.rfft2(flat * window)) ** 2
    power /= max(float(power.mean()), 1e-300)
    k = np.hypot(fft.fftfreq(rows)[:, None], fft.rfftfreq(columns)[None])
    step = np.floor(np.log(np.maximum(k, 1e-9) / BAND[0]) / LOG_STEP).astype(int)
    count = int(math.log(BAND[1] / BAND[0]) / LOG_STEP)
    inside = (step >= 0) & (step < count)
    largest = np.full(count, 1e-12)
    np.maximum.at(largest, step[inside], power[inside])
    total = np.bincount(step[inside], power[inside], count)
    number = np.bincount(step[inside], minlength=count)
    empty = number == 0
    at = np.arange(count)
    mean = np.where(empty, 1e-12, total / np.maximum(number, 1))
    # Narrow rings at low frequencies hold no pixel: they take their neighbours' values.
    for curve in (largest, mean):
        curve[empty] = np.interp(at[empty], at[~empty], curve[~empty])
    return np.log(largest), np.log(mean)


def relative_scale(one: Statistics, other: Statistics, *, most: float = 0.3) -> tuple[float, float]:
    """Return by what factor spacings of `one` in px exceed those of `other`, and how sure that is.

    The spectra's largest values at each radius, against its logarithm, are shifted until they
    agree best. The second value is their correlation there.

    Parameters
    ----------
    one, other : Statistics
        Of equal sides.
    most : float
        Largest deviation from 1 that is looked for.
    """
    a, b = (gaussian_filter(_standard(s.profile), 1.0) for s in (one, other))
    reach = int(math.log(1 + most) / LOG_STEP)
    shifts = np.arange(-reach, reach + 1)
    scores = np.array([_overlap(a, b, int(n)) for n in shifts])
    best = int(scores.argmax())
    fraction = 0.0
    if 0 < best < len(scores) - 1:
        left, middle, right = scores[best - 1 : best + 2]
        curve = left - 2 * middle + right
        fraction = 0.5 * float(left - right) / float(curve) if curve < 0 else 0.0
    return math.exp((shifts[best] + fraction) * LOG_STEP), float(scores[best])


def blur_between(one: Statistics, other: Statistics) -> float | None:
    """Return by how much `one` is blurred more than `other`: difference of variances in px².

    A Gaussian blur of standard deviation s multiplies the power at k by ``exp(-4π² s² k²)``: the
    logarithms of the spectra's peaks are compared at equal radii, and the slope of their difference
    against k² is read. None where they have fewer than four peaks in common.

    Parameters
    ----------
    one, other : Statistics
        Of equal sides and spacings.
    """
    k = BAND[0] * np.exp((np.arange(len(one.profile)) + 0.5) * LOG_STEP)
    first, second = (maximum_filter1d(s.profile, 5) for s in (one, other))
    peaks = _rising(first, k) & _rising(second, k)
    if peaks.sum() < 4 or np.ptp(k[peaks] ** 2) <= 0:
        return None
    line = np.polynomial.Polynomial.fit(k[peaks] ** 2, (first - second)[peaks], 1).convert()
    slope = float(line.coef[1])
    return -slope / (4 * math.pi**2)


def _rising(profile: Floats, k: Floats) -> Bools:
    """Where a profile shows peaks: above its surroundings, and far above the noise."""
    floor = float(np.median(profile[k > NOISE_ABOVE]))
    around = gaussian_filter(profile, 12.0)
    return (profile > around + 0.3) & (profile > floor + PEAK_RISE) & (k > LOWEST_PEAK)


def _overlap(a: Floats, b: Floats, shift: int) -> float:
    """Correlate a(k) with b(k + shift): larger spacings lie at smaller frequencies."""
    n = len(a) - abs(shift)
    first = a[:n] if shift >= 0 else a[-shift:]
    second = b[shift:] if shift >= 0 else b[:n]
    return float(np.corrcoef(first, second)[0, 1])


def _standard(profile: Floats) -> Floats:
    """Return a profile without its slow fall, which is the envelope and not the lattice."""
    slow = gaussian_filter(profile, 25.0)
    left: Floats = profile - slow
    return left


def similarity(one: Statistics, other: Statistics) -> float:
    """Return how alike two frames look, from 0 to 1.

    The geometric mean of five likenesses: correlation of the mean spectra (log power against log
    frequency), overlap of the histograms of the standardised pixels, and the smaller over the
    larger of SNR (its square root), of the width, and of the rows' jitter (to a twentieth of a
    pixel). None depends on where the atoms are. Frames of the same settings reach about 0.9.
    """
    spectra = max(float(np.corrcoef(one.radial, other.radial)[0, 1]), 0.0)
    histograms = float(np.minimum(one.histogram, other.histogram).sum())
    parts = [
        spectra,
        histograms,
        math.sqrt(_ratio(one.snr, other.snr)),
        _ratio(one.width_px, other.width_px),
        _ratio(one.jitter_px + JITTER_FLOOR_PX, other.jitter_px + JITTER_FLOOR_PX),
    ]
    return float(np.prod(parts) ** (1 / len(parts)))


def _ratio(a: float, b: float) -> float:
    return min(a, b) / max(a, b, 1e-30)
