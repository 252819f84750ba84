"""Whether probabilities and error bars mean what they say, and what makes them do so."""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from napari_apgan.errors import UserError

Floats = NDArray[np.float64]

#: Standard deviations within which 95 % of normal errors lie.
Z95 = 1.959963984540054
#: Part of normal errors within one standard deviation.
ONE_SIGMA = 0.6826894921370859
#: Probabilities nearer to 0 or 1 than this are taken as this far from it.
NEAREST = 1e-3
#: Strength of the belief that probabilities are right as they are, in labelled atoms.
BELIEF = 1.0


class ReliabilityBin(BaseModel):
    """Atoms (or pixels) of similar probability.

    Parameters
    ----------
    low, high : float
        Edges of the bin.
    n : int
    predicted : float or None
        Mean probability; None where the bin is empty.
    observed : float or None
        Part of them that is true.
    observed_low, observed_high : float or None
        Its 95 % binomial interval (Wilson 1927).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    n: int
    predicted: float | None = None
    observed: float | None = None
    observed_low: float | None = None
    observed_high: float | None = None


class ReliabilityCurve(BaseModel):
    """Observed frequency against predicted probability.

    Parameters
    ----------
    bins : tuple of ReliabilityBin
    n : int
    ece : float or None
        Expected calibration error: mean distance of observed and predicted, weighted by the
        numbers in the bins (Naeini et al., AAAI 2015). None without any.
    brier : float or None
        Mean squared difference of probability and outcome.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: tuple[ReliabilityBin, ...]
    n: int
    ece: float | None
    brier: float | None


class Coverage(TypedDict):
    """How often errors lie within their error bars.

    `within_68` and `within_95` are the parts within 1 and 1.96 error bars, each with a 95 %
    binomial interval; `ratio` is the root mean square of error over error bar, 1 when right.
    """

    n: int
    within_68: float | None
    within_68_low: float | None
    within_68_high: float | None
    within_95: float | None
    within_95_low: float | None
    within_95_high: float | None
    ratio: float | None


def reliability(
    probability: ArrayLike, is_true: ArrayLike, bins: int | ArrayLike = 10
) -> ReliabilityCurve:
    """Compare probabilities with what came true.

    Parameters
    ----------
    probability : array
        0..1, of any shape; what is not finite is left out.
    is_true : array
        Of the same shape: whether each came true; a fraction where it came true in part, as a
        pixel on the rim of a disc.
    bins : int or array
        Number of equal bins from 0 to 1, or their edges.

    Returns
    -------
    ReliabilityCurve

    Raises
    ------
    UserError
        When the shapes differ or the edges of the bins do not rise.
    """
    p = np.asarray(probability, dtype=np.float64).ravel()
    true = np.asarray(is_true, dtype=np.float64).ravel()
    if p.shape != true.shape:
        raise UserError(f"There are {len(p)} probabilities and {len(true)} outcomes.")
    edges = (
        np.linspace(0.0, 1.0, int(np.asarray(bins)) + 1)
        if np.ndim(bins) == 0
        else np.asarray(bins, dtype=np.float64)
    )
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise UserError("The edges of the bins must rise, and there must be at least one bin.")
    known = np.isfinite(p) & np.isfinite(true)
    p, true = p[known], true[known]
    which = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, len(edges) - 2)
    count = np.bincount(which, minlength=len(edges) - 1)
    sum_p = np.bincount(which, weights=p, minlength=len(count))
    sum_true = np.bincount(which, weights=true, minlength=len(count))
    made = tuple(
        _bin(float(edges[k]), float(edges[k + 1]), int(count[k]), sum_p[k], sum_true[k])
        for k in range(len(count))
    )
    n = len(p)
    return ReliabilityCurve(
        bins=made,
        n=n,
        ece=float(np.abs(sum_p - sum_true).sum() / n) if n else None,
        brier=float(np.mean((p - true) ** 2)) if n else None,
    )


def _bin(low: float, high: float, n: int, sum_p: float, sum_true: float) -> ReliabilityBin:
    if not n:
        return ReliabilityBin(low=low, high=high, n=0)
    observed_low, observed_high = wilson_interval(float(sum_true), n)
    return ReliabilityBin(
        low=low,
        high=high,
        n=n,
        predicted=float(sum_p) / n,
        observed=float(sum_true) / n,
        observed_low=observed_low,
        observed_high=observed_high,
    )


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a binomial frequency (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    if n < 1:
        return 0.0, 1.0
    share, z2 = successes / n, Z95**2 / n
    middle = (share + 0.5 * z2) / (1 + z2)
    half = math.sqrt(max(share * (1 - share) / n * Z95**2 + 0.25 * z2**2, 0.0)) / (1 + z2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def coverage(error_pm: ArrayLike, sigma_pm: ArrayLike) -> Coverage:
    """Count the errors within their error bars.

    Parameters
    ----------
    error_pm : array
        Errors along one axis, or (N, 2) along both; any unit.
    sigma_pm : array
        Error bars of the same shape and unit; errors without a finite, positive one are left out.

    Returns
    -------
    Coverage
        Its intervals take the errors as independent.

    Raises
    ------
    UserError
        When the shapes differ.
    """
    z = _ratios(error_pm, sigma_pm)
    n = len(z)
    if not n:
        return Coverage(
            n=0,
            within_68=None,
            within_68_low=None,
            within_68_high=None,
            within_95=None,
            within_95_low=None,
            within_95_high=None,
            ratio=None,
        )
    in_68, in_95 = int((z <= 1.0).sum()), int((z <= Z95).sum())
    low_68, high_68 = wilson_interval(in_68, n)
    low_95, high_95 = wilson_interval(in_95, n)
    return Coverage(
        n=n,
        within_68=in_68 / n,
        within_68_low=low_68,
        within_68_high=high_68,
        within_95=in_95 / n,
        within_95_low=low_95,
        within_95_high=high_95,
        ratio=float(np.sqrt(np.mean(z**2))),
    )


def _ratios(error: ArrayLike, sigma: ArrayLike) -> Floats:
    """Return |error| / error bar of those that have one."""
    error = np.asarray(error, dtype=np.float64)
    sigma = np.asarray(sigma, dtype=np.float64)
    if error.shape != sigma.shape:
        raise UserError(f"Errors of shape {error.shape} and error bars of shape {sigma.shape}.")
    error, sigma = error.ravel(), sigma.ravel()
    known = np.isfinite(error) & np.isfinite(sigma) & (sigma > 0)
    ratios: Floats = np.abs(error[known]) / sigma[known]
    return ratios


def fit_probability(probability: ArrayLike, is_true: ArrayLike) -> tuple[float, float]:
    """Find the slope and offset that make probabilities right.

    ``sigmoid(slope * logit(p) + offset)`` is fitted by maximum likelihood (Platt 1999), held near
    the identity by a weak normal prior, so that few or unanimous outcomes leave probabilities
    nearly as they are. The slope is kept positive: the order of atoms stays.

    Parameters
    ----------
    probability : (N,) array
    is_true : (N,) array of bool

    Returns
    -------
    slope, offset : float
        1 and 0 where nothing was given.
    """
    p = np.asarray(probability, dtype=np.float64).ravel()
    true = np.asarray(is_true, dtype=np.float64).ravel()
    x = logit(p)
    log_slope = offset = 0.0
    for _ in range(50):
        slope = math.exp(log_slope)
        q = _sigmoid(slope * x + offset)
        lever = np.stack([slope * x, np.ones_like(x)])
        gradient = lever @ (q - true) + BELIEF * np.array([log_slope, offset])
        # The curvature that a change of the slope's logarithm adds is left out: Fisher scoring.
        curvature = (lever * (q * (1 - q))) @ lever.T + BELIEF * np.eye(2)
        step = np.clip(np.linalg.solve(curvature, gradient), -0.5, 0.5)
        log_slope, offset = log_slope - float(step[0]), offset - float(step[1])
        if np.abs(step).max() < 1e-6:
            break
    return math.exp(log_slope), offset


def calibrated(probability: ArrayLike, slope: float, offset: float) -> Floats:
    """Return ``sigmoid(slope * logit(p) + offset)``."""
    return _sigmoid(slope * logit(np.asarray(probability, dtype=np.float64)) + offset)


def logit(probability: Floats) -> Floats:
    """Return ``log(p / (1 - p))``, of probabilities kept :data:`NEAREST` away from 0 and 1."""
    p = np.clip(probability, NEAREST, 1 - NEAREST)
    odds: Floats = np.log(p / (1 - p))
    return odds


def _sigmoid(x: Floats) -> Floats:
    out: Floats = 1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0)))
    return out
