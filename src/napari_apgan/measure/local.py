"""Atoms one by one: Gaussians with local backgrounds, fitted with their neighbours.

Every atom is ``A exp(-r² / 2 s²)`` on a plane of its own inside a disc that ends before its
neighbours; the Gaussians of all other atoms are taken off first, and all are fitted in turns until
they agree. How wide the atoms of one element are, and how much that differs among them, is learned
on the way and holds the widths of weak ones. Invalid pixels take no part.

A Gaussian has no tails. Where probes have (HAADF), a strong neighbour's tail is taken for a slope
of the background, and what the slope does not take pulls a weak atom towards it; where a peak has
fringes (thin HRTEM), neighbours a few atoms away shift it. So this is for atoms that stand alone,
best on a support that changes from one to the next: each has its own plane.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.frames import Frame

from .fits import Fits
from .gaussians import (
    AMPLITUDE,
    LEVEL,
    WIDTH,
    WIDTH_LIMITS,
    Bools,
    First,
    Floats,
    Prior,
    Windows,
    X,
    Y,
    advance,
    cut_windows,
    evaluate,
    first_sizes,
    invert,
    other_atoms,
    width_prior,
)

#: Most steps before the widths of an element are compared, and again after.
ROUNDS = 5
#: Steps end when this part of the atoms moves by less than so many px.
MOST, SETTLED = 0.9, 3e-3
#: Lags in px over which the correlation of the residuals is taken into account.
LAGS = 4
#: Fraction of its disc that an atom needs inside the frame.
FEWEST_PIXELS = 0.6
#: Amplitude over its (widened) standard error that a peak needs; the noise makes such bumps too.
LEAST_AMPLITUDE = 0.7
#: Fraction of what all pixels tell about its place that an atom needs.
LEAST_TOLD = 0.25
#: Largest distance in widths of the centre of what is told from the atom; 0.85 for half a peak.
MOST_ONE_SIDED = 0.5


def fit_locally(frame: Frame, start: Floats, elements: pd.Series, sign: Floats) -> Fits:
    """Fit every atom on a plane of its own.

    Parameters
    ----------
    frame : Frame
    start : (N, 2) array
        Where the atoms are about, px.
    elements : Series
        Of each atom: those of one share what is known of their widths.
    sign : (N,) array
        +1 for bright atoms, -1 for dark ones.

    Notes
    -----
    Standard errors come from the covariance of the fit, with a variance of the pixels that is
    linear in their expected value and taken from the residuals of all atoms, times the inflation
    that the measured correlation of the residuals causes in a sum weighted with the derivative of
    a Gaussian: for a lag (i, j) in px that weight is
    ``(1 - i² / 2 s²) exp(-(i² + j²) / 4 s²)``, and wider for weak atoms (:func:`selection`). The
    errors themselves are 1.0 to 1.2 times the bound (:func:`~napari_apgan.measure.cramer_rao_pm`)
    for isolated peaks.
    """
    first = First.of(frame, start, sign)
    width, radius, windows, guess = first.width, first.radius, first.windows, first.guess
    fitted = _advanced(frame, first, guess, start, Prior(width, np.zeros(len(start))))
    prior = width_prior(windows, fitted, other_atoms(frame, fitted, windows), elements)
    fitted = _advanced(frame, first, fitted, start, prior)
    others = other_atoms(frame, fitted, windows)
    model, derivatives = evaluate(windows, fitted)
    residual = windows.use * (windows.data - others - model)
    inverse = invert(derivatives, prior)
    leverage = ((inverse @ derivatives) * derivatives).sum(axis=1)
    variance = noise_variance(windows, model + others, residual, leverage)
    variance *= inflation(frame, windows, residual, float(np.median(fitted[:, WIDTH])))
    covariance = _covariance(windows, derivatives, variance, inverse)
    covariance *= selection(fitted[:, AMPLITUDE], covariance[:, AMPLITUDE, AMPLITUDE])[
        :, None, None
    ]
    flag = _failures(windows, fitted, covariance, start, width, radius, sign)
    noise = np.sqrt((variance * windows.use).sum(axis=1) / np.maximum(windows.use.sum(axis=1), 1))
    good = flag == ""
    chosen = np.where(good[:, None], fitted, guess)
    return Fits(
        fitted[:, X:WIDTH],
        covariance[:, [X, Y], [X, Y]],
        start,
        fitted[:, AMPLITUDE],
        chosen[:, WIDTH],
        chosen[:, LEVEL],
        guess[:, AMPLITUDE],
        intensity_error(fitted, covariance),
        noise,
        flag,
        float((residual**2).sum() / max(windows.use.sum() - 7 * len(start), 1)),
    )


def _advanced(frame: Frame, first: First, p: Floats, start: Floats, prior: Prior) -> Floats:
    """Make steps until most atoms stand still."""
    for _ in range(ROUNDS):
        before, others = p, other_atoms(frame, p, first.windows)
        p = advance(first.windows, p, others, start, first.width, first.radius, prior)
        moved = np.abs(p[:, X:WIDTH] - before[:, X:WIDTH]).max(axis=1)
        if float(np.quantile(moved, MOST)) < SETTLED:
            break
    return p


def left_in_discs(frame: Frame, start: Floats, residual: NDArray[np.float32]) -> float:
    """Return the squared residual of a joint fit in the discs of a local one, the same way."""
    discs = cut_windows(frame, start, first_sizes(frame, start)[1])
    squared = residual.ravel()[discs.index].astype(np.float64) ** 2
    return float((squared * discs.use).sum() / max(discs.use.sum() - 3 * len(start), 1))


def intensity_error(p: Floats, covariance: Floats) -> Floats:
    """Return the error of ``2π A s²``, with ``d(2π A s²) = 2π s² dA + 4π A s ds``."""
    area = 2 * np.pi * p[:, WIDTH] ** 2
    by_width = 4 * np.pi * p[:, AMPLITUDE] * p[:, WIDTH]
    variance = np.einsum("nii->ni", covariance)
    cross = 2 * area * by_width * covariance[:, AMPLITUDE, WIDTH]
    error = area**2 * variance[:, AMPLITUDE] + by_width**2 * variance[:, WIDTH] + cross
    deviation: Floats = np.sqrt(np.maximum(error, 0))
    return deviation


def noise_variance(w: Windows, model: Floats, residual: Floats, leverage: Floats) -> Floats:
    """Variance of the noise in each pixel, ``a + b * model``, from the residuals of all atoms.

    Counting noise grows with the signal, so that one value a window would be too small on the
    peak, where the position is read. Each residual is widened by what the fit took from its pixel,
    ``1 / (1 - leverage)``.
    """
    usable = w.use & (w.use.sum(axis=1) > 10)[:, None]
    squared = (residual**2 / np.maximum(1 - leverage, 0.1))[usable]
    if not squared.size:
        return np.ones_like(model)
    level = model[usable]
    slope, offset = 0.0, float(squared.mean())
    if level.std() > 0:
        slope = float(np.mean((level - level.mean()) * (squared - offset)) / level.var())
        offset -= slope * float(level.mean())
    floor = 0.2 * float(np.median(squared)) + 1e-30
    return np.maximum(offset + slope * model, floor)


def _covariance(w: Windows, jacobian: Floats, variance: Floats, inverse: Floats) -> Floats:
    """Return (N, 7, 7) covariances of the parameters of fits of equal weights.

    ``(JᵀJ)⁻¹ Jᵀ V J (JᵀJ)⁻¹`` with the variances V of the pixels.
    """
    weighted = jacobian * (variance * w.use)[:, None]
    covariance: Floats = inverse @ (weighted @ jacobian.transpose(0, 2, 1)) @ inverse
    return covariance


def selection(amplitude: Floats, variance: Floats) -> Floats:
    """Widen errors of weak atoms, whose amplitude is too large for being the best found.

    Of a fit free in place and amplitude, the amplitude squared exceeds the true one by three times
    its variance on average, and the error of the place goes with one over the amplitude.
    """
    excess = 3 * variance / np.maximum(amplitude**2, 1e-30)
    return 1.0 / np.clip(1.0 - excess, 0.25, 1.0)


def inflation(frame: Frame, w: Windows, residual: Floats, width: float) -> float:
    """How much correlated noise widens the variance of a position; 1 for white noise."""
    hits = np.bincount(w.index[w.use], minlength=frame.data.size).reshape(frame.shape)
    total = np.bincount(w.index[w.use], weights=residual[w.use], minlength=frame.data.size)
    image = total.reshape(frame.shape) / np.maximum(hits, 1)
    known = hits > 0
    power = float((image[known] ** 2).mean()) if known.any() else 0.0
    if power <= 0:
        return 1.0
    factor = np.zeros(2)
    rows, columns = frame.shape
    for j in range(LAGS + 1):
        for i in range(-LAGS if j else 0, LAGS + 1):
            a = (slice(j, rows), slice(max(i, 0), columns + min(i, 0)))
            b = (slice(0, rows - j), slice(max(-i, 0), columns - max(i, 0)))
            both = int(np.count_nonzero(known[a] & known[b]))
            if both < 50:
                continue
            # What is not known is 0 in the image. A lag and its opposite are one product.
            correlation = float((image[a] * image[b]).sum()) / both / power
            weight = np.exp(-(i * i + j * j) / (4 * width**2)) * (2 if i or j else 1)
            lag = np.array([i, j], dtype=np.float64)
            factor += correlation * weight * (1 - lag**2 / (2 * width**2))
    return float(np.clip(factor.mean(), 1.0, 25.0))


def _failures(
    w: Windows,
    p: Floats,
    covariance: Floats,
    start: Floats,
    width: Floats,
    radius: Floats,
    sign: Floats,
) -> NDArray[np.object_]:
    """Say for each atom why its fit is not to be believed; empty where it is."""
    flag = np.full(len(p), "", dtype=object)
    moved = np.hypot(*(p[:, X:WIDTH] - start).T)
    at_limit = (p[:, WIDTH] <= 1.02 * WIDTH_LIMITS[0] * width) | (
        p[:, WIDTH] >= 0.98 * WIDTH_LIMITS[1] * width
    )
    least = LEAST_AMPLITUDE * np.sqrt(np.maximum(covariance[:, AMPLITUDE, AMPLITUDE], 0))
    reasons = (
        (~np.isfinite(p).all(axis=1) | (covariance[:, X, X] <= 0), "fit: no solution"),
        (at_limit, "fit: the peak has no width of an atom"),
        (moved > 0.6 * radius, "fit: moved too far from the map's position"),
        (p[:, AMPLITUDE] * sign <= least, "fit: no peak there on the raw image"),
        (too_few_pixels(w, p), "fit: too few pixels were measured there"),
        (w.inside_px < FEWEST_PIXELS * w.disc_px, "fit: cut by the border"),
    )
    for where, reason in reasons:
        flag[where] = reason
    return flag


def too_few_pixels(w: Windows, p: Floats) -> Bools:
    """Say which peaks miss most of the pixels that tell their places, or those of one side.

    What a pixel tells goes with the slope squared, ``r² exp(-r² / s²)``. Missing pixels at random
    places only make an error larger; a missing half leaves the place to the other half's shape.
    """
    dx = (w.column - p[:, X, None]) / p[:, WIDTH, None]
    dy = (w.row - p[:, Y, None]) / p[:, WIDTH, None]
    squared = dx**2 + dy**2
    told = squared * np.exp(-squared)
    seen = told * w.use
    total = np.maximum(seen.sum(axis=1), 1e-12)
    one_sided = np.hypot((seen * dx).sum(axis=1), (seen * dy).sum(axis=1)) / total
    few: Bools = (total < LEAST_TOLD * told.sum(axis=1)) | (one_sided > MOST_ONE_SIDED)
    return few
