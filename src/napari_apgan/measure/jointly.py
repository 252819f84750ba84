"""A joint fit from a frame to what the atom table takes of it: units, error bars, failures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.frames import Frame

from .fisher import Correlations
from .fits import Fits
from .gaussians import AMPLITUDE, LEVEL, First
from .kernels import Kernel, half_widths
from .together import Together, fit_together

Floats = NDArray[np.float64]

#: Lags in px over which the correlation of the residuals is taken into account.
LAGS = 4
#: Part of what the valid pixels usually tell about a place that they need to tell about an atom's.
LEAST_TOLD = 0.25
#: Amplitude over its standard error that a peak needs.
LEAST_AMPLITUDE = 0.7
#: Farthest from the start in nearest distances.
FARTHEST = 0.4


def spacing_px(xy: Floats) -> float:
    """Return the usual distance of nearest atoms in px."""
    if len(xy) < 2:
        return np.inf
    nearest = np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]
    return float(np.median(nearest))


@dataclass(frozen=True, slots=True)
class Begin:
    """What is seen of a frame at first: heights and levels of its peaks, and how far apart."""

    image: NDArray[np.float32]
    scale: float
    level: float
    names: NDArray[np.str_]
    element: NDArray[np.intp]
    heights: Floats
    guess: Floats
    start: Floats
    width: float
    spacing: float

    @classmethod
    def of(cls, frame: Frame, elements: pd.Series, start: Floats, sign: Floats) -> Begin:
        """Look at Gaussians at the start."""
        first = First.of(frame, start, sign)
        guess = first.guess
        names, element = np.unique(elements.to_numpy(str), return_inverse=True)
        heights = np.array([np.median(guess[element == e, AMPLITUDE]) for e in range(len(names))])
        scale, level = float(np.abs(heights).max()), float(np.median(guess[:, LEVEL]))
        image = ((frame.data - level) / scale).astype(np.float32)
        return cls(
            image,
            scale,
            level,
            names,
            element,
            heights / scale,
            guess,
            start,
            float(np.median(first.width)),
            spacing_px(start),
        )


def run(
    begin: Begin,
    valid: NDArray[np.bool_],
    kernel: Kernel | None,
    held: bool,
    prior: Kernel | None = None,
) -> Together:
    """Fit all atoms together from what was seen at first."""
    return fit_together(
        begin.image,
        valid,
        begin.start,
        begin.element,
        begin.heights,
        width=begin.width,
        spacing=begin.spacing,
        known=None if kernel is None else (kernel, list(begin.names)),
        prior=None if prior is None else (prior, list(begin.names)),
        held=held,
    )


def kernel_of(fit: Together, begin: Begin) -> Kernel:
    """Return the kernel that a fit has learned."""
    state = fit.state
    blur = {str(n): float(b) for n, b in zip(begin.names, state.blur, strict=True)}
    return Kernel(fit.scene.profile, state.weights, blur)


def fits_of(fit: Together, begin: Begin, sign: Floats) -> Fits:
    """Say what came of each listed atom."""
    start, element, scale = begin.start, begin.element, begin.scale
    n = len(start)
    state = fit.state
    stamps = fit.scene.stamps(state)
    widths, middle = half_widths(stamps), stamps.shape[-1] // 2
    width = widths[element]
    factor = _inflation(fit, widths)
    covariance = fit.covariance[:n] * factor[element][:, None, None]
    xy, amplitude = state.xy[:n], state.amplitude[:n]
    pixel = np.clip(np.rint(start).astype(np.intp), 0, np.array(fit.variance.shape[::-1]) - 1)
    at = pixel[:, 1], pixel[:, 0]
    background = state.background + np.tensordot(state.trend, fit.scene.trends, axes=1)
    flag = np.full(n, "", dtype=object)
    error = np.sqrt(np.maximum(covariance[:, 0, 0], 0))
    moved = np.hypot(*(xy - start).T)
    told = fit.told[:n]
    told = told / max(float(np.median(told)), 1e-9)
    edge = np.array(fit.variance.shape[::-1]) - 1
    at_border = (np.minimum(start, edge - start) < 2.0 * width[:, None]).any(axis=1)
    reasons = (
        (~np.isfinite(xy).all(axis=1), "fit: no solution"),
        (moved > FARTHEST * begin.spacing, "fit: moved too far from the map's position"),
        (
            fit.atoms.absent[:n] | (amplitude * sign <= LEAST_AMPLITUDE * error),
            "fit: no peak there on the raw image",
        ),
        (told < LEAST_TOLD, "fit: too few pixels were measured there"),
        ((told < LEAST_TOLD) & at_border, "fit: cut by the border"),
    )
    for where, reason in reasons:
        flag[where] = reason
    variance = covariance[:, [1, 2], [1, 2]]
    return Fits(
        xy,
        variance,
        start,
        scale * amplitude * stamps[element, middle, middle],
        width,
        scale * background[at] + begin.level,
        begin.guess[:, AMPLITUDE],
        2 * np.pi * width**2 * scale * error * stamps[element, middle, middle],
        scale * np.sqrt(fit.variance[at]),
        flag,
    )


def _inflation(fit: Together, widths: Floats) -> Floats:
    """How much correlated noise widens the variance of positions of each element; 1 for white.

    The sum over lags of the correlation of the residuals, times that of the kernel's derivative.
    """
    white = fit.residual / np.sqrt(fit.variance)
    known = fit.scene.valid
    power = float((white**2)[known].mean()) + 1e-30
    rows, columns = white.shape
    lags = [(i, j) for j in range(-LAGS, LAGS + 1) for i in range(-LAGS, LAGS + 1)]
    correlation = []
    for i, j in lags:
        a = (slice(max(j, 0), rows + min(j, 0)), slice(max(i, 0), columns + min(i, 0)))
        b = (slice(max(-j, 0), rows - max(j, 0)), slice(max(-i, 0), columns - max(i, 0)))
        both = known[a] & known[b]
        total = float((white[a] * white[b])[both].mean()) if both.sum() > 50 else 0.0
        correlation.append(total / power)
    correlations = Correlations.of(fit.scene.stamps(fit.state))
    factor = []
    distance = np.array(lags, dtype=np.float64)
    for e in range(len(widths)):
        kind = np.full(len(lags), e)
        weight = correlations.at(distance, kind, kind)[:, [1, 2], [1, 2]]
        weight /= weight[len(lags) // 2]
        factor.append(float((np.array(correlation) @ weight).mean()))
    return np.clip(factor, 1.0, 25.0)
