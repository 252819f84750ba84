"""Positions on the raw image: Gaussians with local backgrounds, fitted with their neighbours.

Every atom is ``A exp(-r² / 2 s²)`` on a plane of its own inside a disc that ends before its
neighbours; the Gaussians of all other atoms are taken off first, and all are fitted in turns until
they agree. How wide the atoms of one element are, and how much that differs among them, is learned
on the way and holds the widths of weak ones. Invalid pixels take no part.

A Gaussian has no tails. Where probes have (HAADF), a strong neighbour's tail is taken for a slope
of the background, and what the slope does not take pulls a weak atom towards it; where a peak has
fringes (thin HRTEM), neighbours a few atoms away shift it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.elements import Polarity
from napari_apgan.frames import Frame

from .gaussians import (
    AMPLITUDE,
    LEVEL,
    WIDTH,
    WIDTH_LIMITS,
    Bools,
    Floats,
    Prior,
    Windows,
    X,
    Y,
    advance,
    cut_windows,
    evaluate,
    first_guess,
    first_sizes,
    invert,
    other_atoms,
    width_prior,
)

#: Steps before the widths of an element are compared, and again after.
ROUNDS = 5
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
SQRT_2_OVER_PI = 0.7978845608


def refine(
    frame: Frame,
    atoms: pd.DataFrame,
    *,
    polarity: Polarity | Mapping[str, Polarity] = "bright",
) -> pd.DataFrame:
    """Refine positions on the raw image, with standard errors.

    Parameters
    ----------
    frame : Frame
    atoms : DataFrame
        Atom table; fits start at `x_map_px`, `y_map_px` where these are known, else at `x_px`,
        `y_px`.
    polarity : {"bright", "dark"} or mapping
        For all atoms, or by element.

    Returns
    -------
    DataFrame
        A copy with `x_px`, `y_px` (the start where the fit failed), `sigma_x_pm`, `sigma_y_pm`
        (NaN without a pixel size), `amplitude`, `intensity` (integral without the background, with
        `intensity_error`), `background`, `width_px`, and `flag`: why a fit failed, else unchanged.

    Notes
    -----
    Standard errors come from the covariance of the fit, with a variance of the pixels that is
    linear in their expected value and taken from the residuals of all atoms, times the inflation
    that the measured correlation of the residuals causes in a sum weighted with the derivative of
    a Gaussian: for a lag (i, j) in px that weight is
    ``(1 - i² / 2 s²) exp(-(i² + j²) / 4 s²)``, and wider for weak atoms (:func:`_selection`). On
    simulated multilayers 0.67 of the atoms lie within one of them per axis at a signal-to-noise
    ratio of 10, and 0.66 at a ratio of 3 (0.68 is right). What shifts whole rows (scan jitter)
    moves an atom without a trace in its residuals: with 3 pm of it at a ratio of 3, the share along
    x falls to 0.59 for Pb, 0.63 for all. The errors themselves are 1.0 to 1.2 times the bound
    (:func:`~napari_apgan.measure.cramer_rao_pm`) for isolated peaks, and 1.3 times in the
    multilayer: the price of a free plane under each atom.

    Where a fit failed the error is that of one isolated
    Gaussian in white noise, ``sqrt(2 / π) σ / A`` px, with the amplitude found at the start.
    """
    if not len(atoms):
        return atoms.copy()
    mapped = atoms[["x_map_px", "y_map_px"]].to_numpy(np.float64)
    start = np.where(np.isfinite(mapped), mapped, atoms[["x_px", "y_px"]].to_numpy(np.float64))
    sign = _signs(atoms["element"], polarity)
    width, radius = first_sizes(frame, start)
    windows = cut_windows(frame, start, radius)
    guess = first_guess(windows, start, width, sign)
    prior = Prior(width, np.zeros(len(atoms)))
    fitted = guess
    for number in range(2 * ROUNDS):
        if number == ROUNDS:
            prior = width_prior(
                windows, fitted, other_atoms(frame, fitted, windows), atoms["element"]
            )
        fitted = advance(
            windows, fitted, other_atoms(frame, fitted, windows), start, width, radius, prior
        )
    others = other_atoms(frame, fitted, windows)
    model, derivatives = evaluate(windows, fitted)
    residual = windows.use * (windows.data - others - model)
    inverse = invert(derivatives, prior)
    variance = _noise_variance(windows, model + others, residual, derivatives, inverse)
    variance *= _inflation(frame, windows, residual, float(np.median(fitted[:, WIDTH])))
    covariance = _covariance(windows, derivatives, variance, inverse)
    covariance *= _selection(fitted, covariance)[:, None, None]
    flag = _failures(windows, fitted, covariance, start, width, radius, sign)
    noise = np.sqrt((variance * windows.use).sum(axis=1) / np.maximum(windows.use.sum(axis=1), 1))
    return _table(atoms, frame, fitted, guess, covariance, noise, flag)


def _signs(elements: pd.Series, polarity: Polarity | Mapping[str, Polarity]) -> Floats:
    """+1 for bright, -1 for dark."""
    if isinstance(polarity, str):
        return np.full(len(elements), 1.0 if polarity == "bright" else -1.0)
    return np.array([-1.0 if polarity.get(e) == "dark" else 1.0 for e in elements])


def _noise_variance(
    w: Windows, model: Floats, residual: Floats, jacobian: Floats, inverse: Floats
) -> Floats:
    """Variance of the noise in each pixel, ``a + b * model``, from the residuals of all atoms.

    Counting noise grows with the signal, so that one value a window would be too small on the
    peak, where the position is read. Each residual is widened by what the fit took from its pixel,
    ``1 / (1 - leverage)``.
    """
    usable = w.use & (w.use.sum(axis=1) > 10)[:, None]
    leverage = ((jacobian @ inverse) * jacobian).sum(axis=-1)
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
    weighted = jacobian * (variance * w.use)[..., None]
    covariance: Floats = inverse @ np.matmul(jacobian.transpose(0, 2, 1), weighted) @ inverse
    return covariance


def _selection(p: Floats, covariance: Floats) -> Floats:
    """Widen errors of weak atoms, whose amplitude is too large for being the best found.

    Of a fit free in place and amplitude, the amplitude squared exceeds the true one by three times
    its variance on average, and the error of the place goes with one over the amplitude.
    """
    squared = np.maximum(p[:, AMPLITUDE] ** 2, 1e-30)
    excess = 3 * covariance[:, AMPLITUDE, AMPLITUDE] / squared
    return 1.0 / np.clip(1.0 - excess, 0.25, 1.0)


def _inflation(frame: Frame, w: Windows, residual: Floats, width: float) -> float:
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
    for j in range(-LAGS, LAGS + 1):
        for i in range(-LAGS, LAGS + 1):
            a = (slice(max(j, 0), rows + min(j, 0)), slice(max(i, 0), columns + min(i, 0)))
            b = (slice(max(-j, 0), rows - max(j, 0)), slice(max(-i, 0), columns - max(i, 0)))
            both = known[a] & known[b]
            if both.sum() < 50:
                continue
            correlation = float((image[a] * image[b])[both].mean()) / power
            weight = np.exp(-(i * i + j * j) / (4 * width**2))
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
        (_too_few_pixels(w, p), "fit: too few pixels were measured there"),
        (w.inside_px < FEWEST_PIXELS * w.disc_px, "fit: cut by the border"),
    )
    for where, reason in reasons:
        flag[where] = reason
    return flag


def _too_few_pixels(w: Windows, p: Floats) -> Bools:
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


def _table(
    atoms: pd.DataFrame,
    frame: Frame,
    p: Floats,
    guess: Floats,
    covariance: Floats,
    noise: Floats,
    flag: NDArray[np.object_],
) -> pd.DataFrame:
    """Put the fits into the columns of the atom table."""
    good = flag == ""
    chosen = np.where(good[:, None], p, guess)
    variance = np.einsum("nii->ni", covariance)
    isolated = SQRT_2_OVER_PI * noise / np.maximum(np.abs(chosen[:, AMPLITUDE]), 1e-12)
    sigma = np.where(good[:, None], np.sqrt(np.maximum(variance[:, X:WIDTH], 0)), isolated[:, None])
    area = 2 * np.pi * chosen[:, WIDTH] ** 2
    # d(2π A s²) = 2π s² dA + 4π A s ds
    by_width = 4 * np.pi * chosen[:, AMPLITUDE] * chosen[:, WIDTH]
    cross = 2 * area * by_width * covariance[:, AMPLITUDE, WIDTH]
    error = area**2 * variance[:, AMPLITUDE] + by_width**2 * variance[:, WIDTH] + cross
    scale = frame.calibration
    values = {
        "x_px": chosen[:, X],
        "y_px": chosen[:, Y],
        "sigma_x_pm": sigma[:, 0] * (scale.x_pm or np.nan),
        "sigma_y_pm": sigma[:, 1] * (scale.y_pm or np.nan),
        "amplitude": chosen[:, AMPLITUDE],
        "intensity": area * chosen[:, AMPLITUDE],
        "intensity_error": np.where(good, np.sqrt(np.maximum(error, 0)), np.nan),
        "background": chosen[:, LEVEL],
        "width_px": np.where(good, chosen[:, WIDTH], np.nan),
        "flag": np.where(good, atoms["flag"].to_numpy(object), flag),
    }
    out = atoms.copy()
    for name, value in values.items():
        out[name] = pd.Series(value, index=out.index, dtype="str" if name == "flag" else None)
    return out
