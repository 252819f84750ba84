"""Quick images of any sites: peaks with tails or fringes, background, scan and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, uniform_filter

from .degradation.missing import draw_loss
from .zoo_lattices import MARGIN_PX, Sites
from .zoo_random import chance, log_uniform, smooth_field

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ideal:
    """An image before it is recorded.

    Parameters
    ----------
    signal : (Y, X) float32 array
        Atoms bright, a usual one about 1 high.
    background : (Y, X) float32 array
        What is not atoms.
    spread : float
        Standard deviation of `signal` where the atoms are.
    """

    signal: Floats
    background: Floats
    spread: float


def image_sites(sites: Sites, shape: tuple[int, int], rng: np.random.Generator) -> Ideal:
    """Image sites with a peak drawn at random, on nothing."""
    signal, kept = _peaks(sites, shape, rng)
    spread = float(signal[kept].std()) if kept.any() else 0.3
    return Ideal(signal, np.zeros_like(signal), max(spread, 1e-3))


def add_background(ideal: Ideal, sites: Sites, rng: np.random.Generator) -> Ideal:
    """Put slopes, smooth variation, patches of dirt and the grain of a film behind the atoms."""
    background = _background(sites, ideal.signal.shape, ideal.spread, rng)
    return replace(ideal, background=ideal.background + background)


def _peaks(sites: Sites, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Floats, Bools]:
    """Return the image of the sites, and where they are."""
    rows, columns = (int(fft.next_fast_len(n + 2 * MARGIN_PX, real=True)) for n in shape)
    grid = _splat(sites.xy_px + MARGIN_PX, sites.weight, (rows, columns))
    fy = fft.fftfreq(rows).astype(np.float32)[:, None]
    fx = fft.rfftfreq(columns).astype(np.float32)
    q2 = _stretched(fy, fx, 0.2 * rng.random() ** 2, rng.uniform(0, math.pi))
    transfer = _transfer(q2, sites.width_px, rng)
    image = fft.irfft2(fft.rfft2(grid) * transfer, s=(rows, columns))
    # A single peak of weight 1 is then about 1 high.
    image *= rows * columns / float(transfer.sum() + transfer[:, 1:-1].sum())
    inner = np.s_[MARGIN_PX : MARGIN_PX + shape[0], MARGIN_PX : MARGIN_PX + shape[1]]
    around = 2 * math.ceil(0.8 * min(sites.spacing_px, 4 * sites.width_px + 2)) + 1
    kept = uniform_filter((grid > 0).astype(np.float32), around)[inner] > 0.5 / around**2
    return np.ascontiguousarray(image[inner], dtype=np.float32), kept


def _splat(xy: NDArray[np.float64], weight: NDArray[np.float64], shape: tuple[int, int]) -> Floats:
    """Share each weight among the four pixels around it, so that its centre of mass is right."""
    inside = ((xy >= 0) & (xy < np.array(shape[::-1]) - 1)).all(axis=1)
    xy, weight = xy[inside], weight[inside]
    low = np.floor(xy).astype(np.int_)
    part = xy - low
    first = low[:, 1] * shape[1] + low[:, 0]
    flat = np.zeros(shape[0] * shape[1])
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = np.abs(1 - down - part[:, 1]) * np.abs(1 - across - part[:, 0]) * weight
        flat += np.bincount(first + down * shape[1] + across, share, len(flat))
    return flat.reshape(shape).astype(np.float32)


def _stretched(fy: Floats, fx: Floats, stretch: float, turn: float) -> Floats:
    """Return the squared frequency, longer along one direction: astigmatic peaks."""
    along = fy * math.sin(turn) + fx * math.cos(turn)
    q2: Floats = np.square(fy) + np.square(fx) + np.float32(stretch) * np.square(along)
    return q2


def _transfer(q2: Floats, width: float, rng: np.random.Generator) -> Floats:
    """Return the Fourier transform of a peak: a Gaussian, with tails or with a dark fringe."""

    def bell(times: float) -> Floats:
        spectrum: Floats = np.exp(np.float32(-2 * (math.pi * times * width) ** 2) * q2)
        return spectrum

    peak = bell(1.0)
    kind = rng.random()
    if kind < 0.5:
        peak = peak + np.float32(rng.uniform(0, 1.2)) * bell(rng.uniform(1.8, 3.0))
    elif kind < 0.8:
        peak = peak - np.float32(rng.uniform(0.2, 0.95)) * bell(rng.uniform(1.3, 2.2))
    return peak


def _background(
    sites: Sites, shape: tuple[int, ...], spread: float, rng: np.random.Generator
) -> Floats:
    """Return slopes, smooth variation, patches of dirt and the grain of a film."""
    total = np.zeros(shape, dtype=np.float32)
    peak = float(np.median(sites.weight)) if len(sites.weight) else 1.0
    if chance(rng, 0.6):
        slope = rng.uniform(-3, 3, 2) * spread * rng.random()
        total += np.float32(slope[0]) * np.linspace(-0.5, 0.5, shape[0], dtype=np.float32)[:, None]
        total += np.float32(slope[1]) * np.linspace(-0.5, 0.5, shape[1], dtype=np.float32)
    if chance(rng, 0.4):
        length = max(shape) * rng.uniform(0.15, 0.6)
        total += np.float32(2.5 * spread * rng.random() ** 2) * smooth_field(shape, length, rng)
    if chance(rng, 0.2):
        patches = smooth_field(shape, max(shape) * rng.uniform(0.08, 0.4), rng)
        dirt = np.clip(patches - np.float32(rng.uniform(0, 1.5)), 0, None)
        total += np.float32(3 * spread * rng.uniform(-0.5, 1)) * dirt
    thickness = np.float32(1.0) if sites.film is None else sites.film
    if sites.film is not None:
        total = total * thickness + np.float32(peak * log_uniform(rng, 0.3, 6.0)) * thickness
    if chance(rng, 0.9 if sites.kind in ("scattered", "empty") else 0.35):
        # As fine as the atoms or coarser; finer ones the microscope does not pass.
        length = 2 * sites.width_px * log_uniform(rng, 1.0, 4.0)
        grain = np.float32(0.45 * peak * rng.random() ** 2) * smooth_field(shape, length, rng)
        total += grain * thickness
    return total


def record(
    ideal: Ideal,
    snr: float,
    width_px: float,
    rng: np.random.Generator,
    *,
    dark: bool,
) -> tuple[Floats, Bools]:
    """Record an image once: scan, counting or readout noise, camera, lost pixels.

    Parameters
    ----------
    ideal : Ideal
    snr : float
        var(signal) / var(noise) where the atoms are.
    width_px : float
        Of the peaks; the jitter of rows is a part of it.
    rng : numpy Generator
    dark : bool
        Atoms are darker than what is around them.

    Returns
    -------
    image : (Y, X) float32 array
        In any unit.
    valid : (Y, X) bool array
    """
    image = ideal.signal + ideal.background
    if dark:
        image = -image
    if chance(rng, 0.4):
        image = _jittered(image, min(0.6 * width_px, 2.0) * rng.random(), rng)
    image = image - image.min()
    sigma = ideal.spread / math.sqrt(snr)
    if chance(rng, 0.5):
        image = image + np.float32(ideal.spread * log_uniform(rng, 0.05, 5.0))
        # Electrons per unit, so that the mean variance is the one asked for.
        scale = float(image.mean()) / sigma**2
        counts = image * np.float32(scale)
        if float(counts.mean()) < 30:
            noisy = rng.poisson(counts).astype(np.float32)
        else:
            noisy = counts + np.sqrt(counts) * rng.standard_normal(counts.shape, dtype=np.float32)
    else:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        if chance(rng, 0.3):  # a camera spreads each electron over its neighbours
            noise = gaussian_filter(noise, rng.uniform(0.3, 0.8))
            noise /= noise.std()
        noisy = image + np.float32(sigma) * noise
    if chance(rng, 0.03):
        hot = rng.random(noisy.shape, dtype=np.float32) < 5e-4
        noisy[hot] += 20 * noisy.std()
    return noisy.astype(np.float32), ~_lost((noisy.shape[0], noisy.shape[1]), rng)


def _lost(shape: tuple[int, int], rng: np.random.Generator) -> Bools:
    """Draw lost pixels: mostly none, single ones, all but a trajectory, or whole rows."""
    kind = rng.random()
    if kind < 0.12:
        return rng.random(shape, dtype=np.float32) < rng.uniform(0.05, 0.6)
    if kind < 0.155:
        return draw_loss(shape, "trajectory", rng.uniform(0.2, 0.7), rng)
    lost = np.zeros(shape, dtype=np.bool_)
    if kind < 0.18:
        lost[rng.integers(shape[0], size=int(rng.integers(1, 6)))] = True
    return lost


def _jittered(image: Floats, sigma_px: float, rng: np.random.Generator) -> Floats:
    """Shift each row along x; rows that follow each other move alike."""
    rows, columns = image.shape
    memory = rng.uniform(0, 0.8)
    steps = rng.normal(0, sigma_px, size=(rows,))
    shift = np.zeros(rows)
    for row in range(1, rows):
        shift[row] = memory * shift[row - 1] + math.sqrt(1 - memory**2) * steps[row]
    at = np.clip(np.arange(columns) + shift[:, None], 0, columns - 1.001)
    low = at.astype(np.int_)
    part = (at - low).astype(np.float32)
    left = np.take_along_axis(image, low, axis=1)
    right = np.take_along_axis(image, low + 1, axis=1)
    moved: Floats = left + part * (right - left)
    return moved
