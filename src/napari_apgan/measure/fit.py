"""Positions on the raw image: Gaussians with local backgrounds, fitted with their neighbours.

Every atom is ``A exp(-r² / 2 s²)`` on a plane of its own inside a disc that ends before its
neighbours; the Gaussians of all other atoms are taken off first, and all are fitted in turns until
they agree. Invalid pixels take no part. The work is done for all atoms at once, by Gauss-Newton
steps on (atoms, pixels, parameters) arrays.

A Gaussian has no tails. Where probes have (HAADF), a strong neighbour's tail is taken for a slope
of the background, and what the slope does not take pulls a weak atom towards it; where a peak has
fringes (thin HRTEM), neighbours a few atoms away shift it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.elements import Polarity
from napari_apgan.frames import Frame

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ROUNDS = 6
#: Order of the parameters of an atom.
AMPLITUDE, X, Y, WIDTH, LEVEL, SLOPE_X, SLOPE_Y = range(7)
#: Lags in px over which the correlation of the residuals is taken into account.
LAGS = 4
#: Fraction of the pixels of its disc that an atom needs.
FEWEST_PIXELS = 0.6
SQRT_2_OVER_PI = 0.7978845608


@dataclass(frozen=True, slots=True)
class _Windows:
    """A square of pixels around each atom: (N, K) arrays.

    `column`, `row` are the pixels' positions (some may lie outside the frame), `index` their place
    in the flattened frame, `use` whether a pixel is in the disc, in the frame and valid; `disc_px`
    is how many pixels a whole disc has.
    """

    column: Floats
    row: Floats
    index: NDArray[np.intp]
    use: Bools
    data: Floats
    disc_px: NDArray[np.int64]


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
    ``(1 - i² / 2 s²) exp(-(i² + j²) / 4 s²)``. Where a fit failed the error is that of one isolated
    Gaussian in white noise, ``sqrt(2 / π) σ / A`` px, with the amplitude found at the start.
    """
    if not len(atoms):
        return atoms.copy()
    mapped = atoms[["x_map_px", "y_map_px"]].to_numpy(np.float64)
    start = np.where(np.isfinite(mapped), mapped, atoms[["x_px", "y_px"]].to_numpy(np.float64))
    sign = _signs(atoms["element"], polarity)
    width, radius = _sizes(start)
    windows = _windows(frame, start, radius)
    guess = _first_guess(windows, start, width, sign)
    fitted = guess
    for _ in range(ROUNDS):
        fitted = _step(windows, fitted, _others(frame, fitted, windows), start, width, radius)
    model, derivatives = _model(windows, fitted)
    residual = windows.use * (windows.data - _others(frame, fitted, windows) - model)
    variance = _noise_variance(windows, model + _others(frame, fitted, windows), residual)
    variance *= _inflation(frame, windows, residual, float(np.median(fitted[:, WIDTH])))
    covariance = _covariance(windows, derivatives, variance)
    flag = _failures(windows, fitted, covariance, start, width, radius, sign)
    noise = np.sqrt((variance * windows.use).sum(axis=1) / np.maximum(windows.use.sum(axis=1), 1))
    return _table(atoms, frame, fitted, guess, covariance, noise, flag)


def _signs(elements: pd.Series, polarity: Polarity | Mapping[str, Polarity]) -> Floats:
    """+1 for bright, -1 for dark."""
    if isinstance(polarity, str):
        return np.full(len(elements), 1.0 if polarity == "bright" else -1.0)
    return np.array([-1.0 if polarity.get(e) == "dark" else 1.0 for e in elements])


def _sizes(start: Floats) -> tuple[Floats, Floats]:
    """First width and fit radius of each atom in px, from its distance to the nearest one."""
    usual = 8.0
    nearest = np.full(len(start), usual)
    if len(start) > 1:
        nearest = np.asarray(cKDTree(start).query(start, k=2)[0])[:, 1]
        usual = float(np.median(nearest))
    nearest = np.clip(nearest, 0.6 * usual, 1.6 * usual)
    return np.clip(0.18 * nearest, 0.7, 5.0), np.clip(0.55 * nearest, 2.0, 12.0)


def _windows(frame: Frame, start: Floats, radius: Floats) -> _Windows:
    half = int(np.ceil(radius.max()))
    dy, dx = (g.ravel() for g in np.mgrid[-half : half + 1, -half : half + 1])
    column = np.rint(start[:, :1]).astype(np.intp) + dx
    row = np.rint(start[:, 1:]).astype(np.intp) + dy
    rows, columns = frame.shape
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    index = np.clip(row, 0, rows - 1) * columns + np.clip(column, 0, columns - 1)
    disc = np.hypot(column - start[:, :1], row - start[:, 1:]) <= radius[:, None]
    use = disc & inside & frame.valid.ravel()[index]
    data = frame.data.ravel()[index].astype(np.float64)
    return _Windows(column.astype(float), row.astype(float), index, use, data, disc.sum(axis=1))


def _model(w: _Windows, p: Floats) -> tuple[Floats, Floats]:
    """Return the model of each atom on its window (N, K), and its derivatives (N, K, 7)."""
    dx, dy = w.column - p[:, X, None], w.row - p[:, Y, None]
    variance = p[:, WIDTH, None] ** 2
    shape = np.exp(-(dx**2 + dy**2) / (2 * variance))
    peak = p[:, AMPLITUDE, None] * shape
    model = peak + p[:, LEVEL, None] + p[:, SLOPE_X, None] * dx + p[:, SLOPE_Y, None] * dy
    by_width = peak * (dx**2 + dy**2) / (variance * p[:, WIDTH, None])
    # The plane's own dependence on the centre is left out: the slopes take it up.
    parts = (shape, peak * dx / variance, peak * dy / variance, by_width, np.ones_like(dx), dx, dy)
    return model, np.stack(parts, axis=-1) * w.use[..., None]


def _first_guess(w: _Windows, start: Floats, width: Floats, sign: Floats) -> Floats:
    """Amplitude and level by linear least squares at the start, with the first width."""
    guess = np.zeros((len(start), 7))
    guess[:, X:WIDTH] = start
    guess[:, WIDTH] = width
    shape = np.exp(
        -((w.column - start[:, :1]) ** 2 + (w.row - start[:, 1:]) ** 2) / (2 * width[:, None] ** 2)
    )
    n = np.maximum(w.use.sum(axis=1), 1)
    mean_shape, mean_data = (w.use * shape).sum(1) / n, (w.use * w.data).sum(1) / n
    away = w.use * (shape - mean_shape[:, None])
    product, spread = (away * (w.data - mean_data[:, None])).sum(1), (away**2).sum(1)
    amplitude = np.divide(product, spread, out=np.zeros_like(product), where=spread > 1e-12)
    # A weak start on the right side, so that noise does not turn the peak over for good.
    smallest = 0.1 * np.median(np.abs(amplitude)) + 1e-12
    guess[:, AMPLITUDE] = sign * np.maximum(sign * amplitude, smallest)
    guess[:, LEVEL] = mean_data - guess[:, AMPLITUDE] * mean_shape
    return guess


def _others(frame: Frame, p: Floats, w: _Windows) -> Floats:
    """Return what all other atoms add to each pixel of each window, (N, K)."""
    half = int(np.ceil(4 * p[:, WIDTH].max()))
    dy, dx = (g.ravel() for g in np.mgrid[-half : half + 1, -half : half + 1])
    rows, columns = frame.shape
    column = np.rint(p[:, X]).astype(np.intp)[:, None] + dx
    row = np.rint(p[:, Y]).astype(np.intp)[:, None] + dy
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    whole = np.bincount(
        (row * columns + column)[inside],
        weights=_peaks(p, column, row)[inside],
        minlength=rows * columns,
    )
    return whole[w.index] - _peaks(p, w.column, w.row)


def _peaks(p: Floats, column: NDArray[Any], row: NDArray[Any]) -> Floats:
    """Return each atom's Gaussian at (N, K) pixels."""
    distance = (column - p[:, X, None]) ** 2 + (row - p[:, Y, None]) ** 2
    peaks: Floats = p[:, AMPLITUDE, None] * np.exp(-distance / (2 * p[:, WIDTH, None] ** 2))
    return peaks


def _step(
    w: _Windows, p: Floats, others: Floats, start: Floats, width: Floats, radius: Floats
) -> Floats:
    """Make one damped Gauss-Newton step for every atom at once."""
    model, jacobian = _model(w, p)
    residual = w.use * (w.data - others - model)
    normal = np.einsum("nki,nkj->nij", jacobian, jacobian)
    scale = np.einsum("nii->ni", normal)
    damping = 1e-3 * scale + 1e-9 * scale.max(axis=1, keepdims=True) + 1e-12
    normal += damping[:, :, None] * np.eye(7)
    change = np.linalg.solve(normal, np.einsum("nki,nk->ni", jacobian, residual)[..., None])[..., 0]
    # Steps are bounded, so that an early one cannot throw an atom onto its neighbour.
    change[:, X:WIDTH] = np.clip(change[:, X:WIDTH], -0.5, 0.5)
    limit = 0.25 * p[:, WIDTH]
    change[:, WIDTH] = np.clip(change[:, WIDTH], -limit, limit)
    new = p + change
    away = 0.7 * radius[:, None]
    new[:, X:WIDTH] = np.clip(new[:, X:WIDTH], start - away, start + away)
    new[:, WIDTH] = np.clip(new[:, WIDTH], 0.4 * width, 2.5 * width)
    return new


def _noise_variance(w: _Windows, model: Floats, residual: Floats) -> Floats:
    """Variance of the noise in each pixel, ``a + b * model``, from the residuals of all atoms.

    Counting noise grows with the signal, so that one value a window would be too small on the
    peak, where the position is read. Residuals are widened for the 7 parameters that each fit took
    from its own pixels.
    """
    n = w.use.sum(axis=1)
    usable = w.use & (n > 10)[:, None]
    squared = (residual**2 * (n / np.maximum(n - 7, 1))[:, None])[usable]
    if not squared.size:
        return np.ones_like(model)
    level = model[usable]
    slope, offset = 0.0, float(squared.mean())
    if level.std() > 0:
        slope = float(np.mean((level - level.mean()) * (squared - offset)) / level.var())
        offset -= slope * float(level.mean())
    floor = 0.2 * float(np.median(squared)) + 1e-30
    return np.maximum(offset + slope * model, floor)


def _covariance(w: _Windows, jacobian: Floats, variance: Floats) -> Floats:
    """Return (N, 7, 7) covariances of the parameters of fits of equal weights.

    ``(JᵀJ)⁻¹ Jᵀ V J (JᵀJ)⁻¹`` with the variances V of the pixels.
    """
    normal = np.einsum("nki,nkj->nij", jacobian, jacobian)
    size = np.sqrt(np.maximum(np.einsum("nii->ni", normal), 1e-30))
    inverse = np.linalg.pinv(normal / (size[:, :, None] * size[:, None, :]), hermitian=True)
    inverse = inverse / (size[:, :, None] * size[:, None, :])
    middle = np.einsum("nki,nk,nkj->nij", jacobian, variance * w.use, jacobian)
    covariance: Floats = inverse @ middle @ inverse
    return covariance


def _inflation(frame: Frame, w: _Windows, residual: Floats, width: float) -> float:
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
    w: _Windows,
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
    at_limit = (p[:, WIDTH] <= 0.41 * width) | (p[:, WIDTH] >= 2.45 * width)
    reasons = (
        (~np.isfinite(p).all(axis=1) | (covariance[:, X, X] <= 0), "fit: no solution"),
        (at_limit, "fit: the peak has no width of an atom"),
        (moved > 0.6 * radius, "fit: moved too far from the map's position"),
        (p[:, AMPLITUDE] * sign <= 0, "fit: no peak there on the raw image"),
        (w.use.sum(axis=1) < FEWEST_PIXELS * w.disc_px, "fit: cut by the border or missing pixels"),
    )
    for where, reason in reasons:
        flag[where] = reason
    return flag


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
