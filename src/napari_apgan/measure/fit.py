"""Positions on the raw image: all atoms of a frame fitted together with the right kernel.

The image is taken for ``b + Σ a_i K_e(i)(r - r_i)``: a smooth background and one kernel an atom,
with all its tails or fringes, learned from the frame itself (:mod:`~.together`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import concat, make_atoms, positions
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .ellipses import fit_ellipses
from .fits import Fits
from .jointly import Begin, fits_of, kernel_of, run, spacing_px
from .kernels import Kernel, half_widths, mean_kernel
from .local import fit_locally, left_in_discs
from .pieces import THREADS, fit_in_pieces, is_large, learn_from_part

Floats = NDArray[np.float64]
#: What single atoms are taken for: one profile of the frame for all, a Gaussian on a plane each, or
#: an ellipse each with those of its neighbours.
Shape = Literal["profile", "gaussian", "ellipse"]

#: Atoms that a kernel takes to be learned from.
FEWEST_FOR_A_KERNEL = 12
#: Nearest distance in widths beyond which atoms may have a background each of their own, and the
#: part of the joint fit's squared residual that this has to leave.
SPARSE = 6.0
LEAST_GAIN = 0.9


def refine(
    frame: Frame,
    atoms: pd.DataFrame,
    *,
    polarity: Polarity | Mapping[str, Polarity] = "bright",
    kernel: Kernel | None = None,
    prior: Kernel | None = None,
    shape: Shape = "profile",
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
    prior : Kernel, optional
        What the kernel that is learned from the frame is drawn to where the frame leaves it open:
        on a perfect lattice all atoms have the same neighbours, and what a tail adds to a peak
        cannot be told from the peak (:func:`~napari_apgan.measure.usual_kernel`).
    shape : {"profile", "gaussian", "ellipse"}
        ``gaussian`` fits each atom by a Gaussian on a plane of its own, its neighbours' taken off
        (:func:`~.local.fit_locally`): ten to thirty times faster, and less precise where atoms
        overlap or have tails. ``ellipse`` fits elliptical Gaussians, neighbours together on a local
        plane (:func:`~.ellipses.fit_ellipses`): for columns that are not round. Neither knows a
        kernel.

    Returns
    -------
    DataFrame
        A copy with `x_px`, `y_px` (the start where the fit failed), `sigma_x_pm`, `sigma_y_pm`
        (NaN without a pixel size), `amplitude`, `intensity` (integral of the Gaussian of that
        amplitude and width, with `intensity_error`), `background`, `width_px` (of the Gaussian as
        wide as the peak at half its height), and `flag`: why a fit failed, else unchanged.

    Notes
    -----
    All atoms of the frame are fitted together with a kernel learned on the way
    (:func:`~.together.fit_together`), in pieces where the frame is large. Fewer than 12 atoms teach
    no kernel and are fitted by Gaussians on planes (:func:`~.local.fit_locally`). So are atoms that
    stand far apart (more than six widths), where that leaves less than 0.9 of the joint fit's
    squared residual in the discs around them, for each degree of freedom: single atoms on a thick
    support, whose background a smooth one does not follow.

    Standard errors are from the inverse of the Fisher matrix of each atom with its nearest
    neighbours over the valid pixels, with a variance of the pixels that is linear in the model and
    taken from the residuals (each widened by what the fit took from it), times the inflation that
    the correlation of the residuals causes in a sum weighted with the kernel's derivative. What
    shifts whole rows (scan jitter) moves an atom without a trace in its residuals.

    Where a fit failed the error is that of one isolated Gaussian in white noise,
    ``sqrt(2 / π) σ / A`` px, with the amplitude found at the start.
    """
    if not len(atoms):
        return atoms.copy()
    mapped = atoms[["x_map_px", "y_map_px"]].to_numpy(np.float64)
    start = np.where(np.isfinite(mapped), mapped, atoms[["x_px", "y_px"]].to_numpy(np.float64))
    sign = _signs(atoms["element"], polarity)
    if shape == "gaussian":
        return fit_locally(frame, start, atoms["element"], sign).table(atoms, frame)
    if shape == "ellipse":
        return fit_ellipses(frame, start, atoms["element"], sign).table(atoms, frame)
    return _fit(frame, start, atoms["element"], sign, kernel, prior).table(atoms, frame)


def _fit(
    frame: Frame,
    start: Floats,
    elements: pd.Series,
    sign: Floats,
    kernel: Kernel | None,
    prior: Kernel | None,
) -> Fits:
    """Choose how to fit, and fit."""
    if len(start) < FEWEST_FOR_A_KERNEL and kernel is None:
        return fit_locally(frame, start, elements, sign)
    if is_large(frame.shape, len(start)):
        return fit_in_pieces(frame, start, elements, sign, kernel, prior)
    begin = Begin.of(frame, elements, start, sign)
    fit = run(begin, frame.valid, kernel, held=False, prior=prior)
    joint = fits_of(fit, begin, sign)
    if kernel is not None or begin.spacing < SPARSE * begin.width:
        return joint
    local = fit_locally(frame, start, elements, sign)
    left = begin.scale**2 * left_in_discs(frame, start, fit.residual)
    return local if local.left < LEAST_GAIN * left else joint


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
    begin = Begin.of(frame, atoms["element"], xy, _signs(atoms["element"], polarity))
    fit = run(begin, frame.valid, None, held=True)
    kernel, state = kernel_of(fit, begin), fit.state
    stamps = kernel.stamps(list(begin.names))
    middle = kernel.profile.reach_px
    heights = begin.scale * stamps[state.element, middle, middle]
    outside = make_atoms(state.xy[len(xy) :], list(begin.names[state.element[len(xy) :]]))
    table = concat([atoms, outside]).assign(
        amplitude=state.amplitude * heights, width_px=half_widths(stamps)[state.element]
    )
    return kernel, table


def usual_kernel(
    labelled: Iterable[tuple[Frame, pd.DataFrame]],
    *,
    polarity: Polarity | Mapping[str, Polarity] = "bright",
) -> Kernel | None:
    """Return what single atoms look like in labelled frames: a `prior` for :func:`refine`.

    The mean of the kernels of the frames. Labels need not be exact: they are where fits of the
    positions begin. Displaced atoms and defects in them tell what a perfect lattice does not.

    Parameters
    ----------
    labelled : iterable of (Frame, DataFrame)
        Frames of one pixel size, and all their atoms. Those with fewer than 12 are left out.
    polarity : {"bright", "dark"} or mapping

    Returns
    -------
    Kernel, or None
        When no frame has enough atoms.
    """
    enough = [(frame, atoms) for frame, atoms in labelled if len(atoms) >= FEWEST_FOR_A_KERNEL]

    def learned(one: tuple[Frame, pd.DataFrame]) -> Kernel:
        frame, atoms = one
        xy, elements, sign = positions(atoms), atoms["element"], _signs(atoms["element"], polarity)
        if is_large(frame.shape, len(xy)):
            return learn_from_part(frame, xy, elements, sign, spacing_px(xy))
        begin = Begin.of(frame, elements, xy, sign)
        return kernel_of(run(begin, frame.valid, None, held=False), begin)

    # Transforms and sparse products let other threads run.
    with ThreadPoolExecutor(THREADS) as pool:
        kernels = list(pool.map(learned, enough))
    return mean_kernel(kernels) if kernels else None


def _signs(elements: pd.Series, polarity: Polarity | Mapping[str, Polarity]) -> Floats:
    """+1 for bright, -1 for dark."""
    if isinstance(polarity, str):
        return np.full(len(elements), 1.0 if polarity == "bright" else -1.0)
    return np.array([-1.0 if polarity.get(e) == "dark" else 1.0 for e in elements])
