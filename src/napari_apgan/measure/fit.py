"""Positions on the raw image: all atoms of a frame fitted together with the right kernel.

The image is taken for ``b + Σ a_i K_e(i)(r - r_i)``: a smooth background and one kernel an atom, with
all its tails or fringes, learned from the frame itself (:mod:`~.together`). Single atoms on a
support that is no smooth background, and frames with too few atoms to learn a kernel from, are
fitted by Gaussians on planes of their own (:mod:`~.local`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.atoms import concat, make_atoms, positions
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .fisher import Correlations
from .fits import Fits
from .gaussians import AMPLITUDE, LEVEL, cut_windows, first_guess, first_sizes
from .kernels import Kernel, half_widths
from .local import fit_locally
from .together import Together, fit_together

Floats = NDArray[np.float64]

#: Atoms that a kernel takes to be learned from.
FEWEST_FOR_A_KERNEL = 12
#: Nearest distance in widths beyond which atoms stand alone.
ALONE = 14.0
#: Lags in px over which the correlation of the residuals is taken into account.
LAGS = 4
#: Part of what all pixels would tell about its place that an atom needs.
LEAST_TOLD = 0.25
#: Amplitude over its standard error that a peak needs.
LEAST_AMPLITUDE = 0.7


def refine(
    frame: Frame,
    atoms: pd.DataFrame,
    *,
    polarity: Polarity | Mapping[str, Polarity] = "bright",
    kernel: Kernel | None = None,
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
    kernel : Kernel, optional
        What single atoms look like (:func:`~napari_apgan.measure.learn_kernel`); learned from the
        frame when left out.

    Returns
    -------
    DataFrame
        A copy with `x_px`, `y_px` (the start where the fit failed), `sigma_x_pm`, `sigma_y_pm`
        (NaN without a pixel size), `amplitude`, `intensity` (integral of the Gaussian of that
        amplitude and width, with `intensity_error`), `background`, `width_px` (of the Gaussian as
        wide as the peak at half its height), and `flag`: why a fit failed, else unchanged.
    """
    if not len(atoms):
        return atoms.copy()
    mapped = atoms[["x_map_px", "y_map_px"]].to_numpy(np.float64)
    start = np.where(np.isfinite(mapped), mapped, atoms[["x_px", "y_px"]].to_numpy(np.float64))
    sign = _signs(atoms["element"], polarity)
    begin = _Begin.of(frame, atoms["element"], start, sign)
    few = len(start) < FEWEST_FOR_A_KERNEL or begin.spacing > ALONE * begin.width
    if kernel is None and few:
        return fit_locally(frame, start, atoms["element"], sign).table(atoms, frame)
    fit = fit_together(
        begin.image,
        frame.valid,
        start,
        begin.element,
        begin.heights,
        width=begin.width,
        spacing=begin.spacing,
        known=None if kernel is None else (kernel, list(begin.names)),
    )
    return _fits(fit, begin, start, sign).table(atoms, frame)


def learn_kernel(
    frame: Frame, atoms: pd.DataFrame, *, polarity: Polarity | Mapping[str, Polarity] = "bright"
) -> tuple[Kernel, pd.DataFrame]:
    """Learn what single atoms look like from a frame whose positions are right.

    Parameters
    ----------
    frame : Frame
        Best without noise: the `expected` image of a simulated frame.
    atoms : DataFrame
        True positions.
    polarity : {"bright", "dark"} or mapping

    Returns
    -------
    kernel : Kernel
    table : DataFrame
        The atoms with their `amplitude`, and after them those that continue the lattice beyond the
        border: what :func:`~napari_apgan.measure.cramer_rao_pm` asks for.

    Raises
    ------
    UserError
        When there are too few atoms.
    """
    if len(atoms) < FEWEST_FOR_A_KERNEL:
        raise UserError(
            f"A kernel needs at least {FEWEST_FOR_A_KERNEL} atoms to be learned from; there are "
            f"{len(atoms)}."
        )
    xy = positions(atoms)
    begin = _Begin.of(frame, atoms["element"], xy, _signs(atoms["element"], polarity))
    fit = fit_together(
        begin.image,
        frame.valid,
        xy,
        begin.element,
        begin.heights,
        width=begin.width,
        spacing=begin.spacing,
        held=True,
    )
    state = fit.state
    kernel = Kernel(
        fit.scene.profile,
        state.weights,
        {str(n): float(b) for n, b in zip(begin.names, state.blur, strict=True)},
    )
    stamps = kernel.stamps(list(begin.names))
    heights = begin.scale * stamps[state.element, kernel.profile.reach_px, kernel.profile.reach_px]
    outside = make_atoms(state.xy[len(xy) :], list(begin.names[state.element[len(xy) :]]))
    table = concat([atoms, outside]).assign(
        amplitude=state.amplitude * heights, width_px=half_widths(stamps)[state.element]
    )
    return kernel, table


def _signs(elements: pd.Series, polarity: Polarity | Mapping[str, Polarity]) -> Floats:
    """+1 for bright, -1 for dark."""
    if isinstance(polarity, str):
        return np.full(len(elements), 1.0 if polarity == "bright" else -1.0)
    return np.array([-1.0 if polarity.get(e) == "dark" else 1.0 for e in elements])


def spacing_px(xy: Floats) -> float:
    """Return the usual distance of nearest atoms in px."""
    if len(xy) < 2:
        return np.inf
    nearest = np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]
    return float(np.median(nearest))


@dataclass(frozen=True, slots=True)
class _Begin:
    """What is seen of a frame at first: heights and levels of its peaks, and how far apart."""

    image: NDArray[np.float32]
    scale: float
    level: float
    names: NDArray[np.str_]
    element: NDArray[np.intp]
    heights: Floats
    guess: Floats
    width: float
    spacing: float

    @classmethod
    def of(cls, frame: Frame, elements: pd.Series, start: Floats, sign: Floats) -> _Begin:
        """Look at Gaussians at the start."""
        width, radius = first_sizes(frame, start)
        guess = first_guess(cut_windows(frame, start, radius), start, width, sign)
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
            float(np.median(width)),
            spacing_px(start),
        )


def _fits(fit: Together, begin: _Begin, start: Floats, sign: Floats) -> Fits:
    """Say what came of each listed atom."""
    n, element, scale, spacing = len(start), begin.element, begin.scale, begin.spacing
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
    edge = np.array(fit.variance.shape[::-1]) - 1
    at_border = (np.minimum(start, edge - start) < 2.0 * width[:, None]).any(axis=1)
    reasons = (
        (~np.isfinite(xy).all(axis=1), "fit: no solution"),
        (moved > 0.4 * spacing, "fit: moved too far from the map's position"),
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
