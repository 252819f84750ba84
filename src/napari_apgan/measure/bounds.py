"""The best precision that a frame allows: Cramér-Rao bounds on the positions of its atoms."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import block_diag, csr_array, diags_array, eye_array, kron
from scipy.sparse.linalg import splu
from scipy.special import ellipe

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .canvas import Canvas
from .fisher import Correlations, local_covariances, own_blocks
from .kernels import Kernel

Floats = NDArray[np.float64]
Unknown = Literal["amplitude", "width"]

#: Reach of a peak in widths; beyond it less than 1e-5 of the information lies.
REACH = 5.0
#: Right-hand sides solved at once; bounds the memory.
CHUNK = 256
#: Added to the normalised Fisher matrix: what pixels do not tell gets a huge error, not a failure.
RIDGE = 1e-12
#: Atoms open together in the bound of one that looks like a kernel.
NEIGHBOURS = 37


def cramer_rao_pm(
    frame: Frame,
    atoms: pd.DataFrame,
    *,
    noise: ArrayLike,
    unknown: Collection[Unknown] = ("amplitude", "width"),
    kernel: Kernel | None = None,
) -> Floats:
    """Smallest standard errors of unbiased positions, of Gaussian peaks in independent noise.

    With the model ``I = Σ A exp(-r² / 2 s²)`` and derivatives J of the valid pixels by all
    parameters of all atoms, the Fisher matrix is ``F = Jᵀ diag(1 / σ²) J`` (its entries between
    neighbours that overlap are what neighbours cost), and the bound of the positions is their part
    of ``F⁻¹``. F is sparse and never inverted as a whole. For one isolated peak in white noise this
    is ``sqrt(2 / π) Δ σ / A`` = 0.798 Δ σ / A per axis, Δ the pixel size; for counts without a
    background it is ``s / sqrt(N)`` (Bobroff 1986, Rev. Sci. Instrum. 57, 1152; den Dekker et al.
    2005, Ultramicroscopy 104, 83).

    Parameters
    ----------
    frame : Frame
        Its shape, valid pixels and calibration count; its intensities do not.
    atoms : DataFrame
        Atom table with `x_px`, `y_px`, `amplitude` and `width_px` of every atom, best of those
        outside the frame too whose peaks reach in.
    noise : float or (Y, X) array
        Standard deviation σ of the noise, of all pixels or of each: ``sqrt(expected counts)`` for
        counting noise.
    unknown : collection of {"amplitude", "width"}
        What has to be found along with the positions. The background is taken as known, and so is
        the width where there is a kernel.
    kernel : Kernel, optional
        What single atoms look like, instead of Gaussians;
        :func:`~napari_apgan.measure.learn_kernel` returns it along with the atoms.
        The bound of each atom is then that of its :data:`NEIGHBOURS` nearest ones
        open together, and the matrix between neighbours that of
        :mod:`~napari_apgan.measure.fisher`.

    Returns
    -------
    (N, 2) array
        Along x and y in pm; infinite for atoms of which no valid pixel sees anything.

    Raises
    ------
    UserError
        When the frame has no pixel size, or amplitudes, widths or noise are not usable.
    """
    return _bound(frame, atoms, noise, None, kernel, unknown)


def bayesian_pm(
    frame: Frame,
    atoms: pd.DataFrame,
    *,
    noise: ArrayLike,
    prior_pm: float,
    kernel: Kernel | None = None,
    unknown: Collection[Unknown] = ("amplitude", "width"),
) -> Floats:
    """Smallest root mean square errors when displacements are known to be normal and small.

    The bound of van Trees (1968, Detection, Estimation, and Modulation Theory I, §2.4): the inverse
    of ``F + 1 / τ²`` on the positions, F the Fisher matrix and τ the standard deviation of the
    displacements along each axis. A map that knows the lattice can come below the Cramér-Rao bound
    down to here, at the price of displacements that are drawn too small.

    Parameters
    ----------
    frame, atoms, noise, kernel, unknown
        As in :func:`cramer_rao_pm`.
    prior_pm : float
        τ in pm; for a mean radial displacement d it is ``d sqrt(2 / π)``.

    Returns
    -------
    (N, 2) array
        Along x and y in pm.

    Raises
    ------
    UserError
        As :func:`cramer_rao_pm`, and when the prior is not a positive number.
    """
    if not (np.isfinite(prior_pm) and prior_pm > 0):
        raise UserError("The displacements' standard deviation must be a positive number of pm.")
    return _bound(frame, atoms, noise, prior_pm, kernel, unknown)


def mean_radial_pm(deviations: Floats) -> Floats:
    """Mean distance from the truth of normal errors with these deviations along x and y.

    ``sqrt(2 / π) σ₁ E(1 - σ₂² / σ₁²)`` with σ₁ ≥ σ₂ and the complete elliptic integral E of the
    second kind (of the parameter m); ``σ sqrt(π / 2)`` where both are equal.

    Parameters
    ----------
    deviations : (N, 2) array

    Returns
    -------
    (N,) array
    """
    large, small = np.max(deviations, axis=1), np.min(deviations, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(np.isfinite(large) & (large > 0), small / large, 1.0)
    mean: Floats = np.sqrt(2 / np.pi) * large * ellipe(1.0 - ratio**2)
    return mean


def _bound(
    frame: Frame,
    atoms: pd.DataFrame,
    noise: ArrayLike,
    prior_pm: float | None,
    kernel: Kernel | None,
    unknown: Collection[Unknown],
) -> Floats:
    """Return (N, 2) bounds in pm, with a prior of the positions or without."""
    if frame.calibration.matrix_pm is None:
        raise UserError("A bound in picometres needs a pixel size: enter the image's pixel size.")
    table = atoms[["amplitude", "width_px"]].to_numpy(np.float64, copy=True)
    if kernel is not None:
        table[:, 1] = 1.0
    xy = positions(atoms)
    if not (np.isfinite(table).all() and np.isfinite(xy).all() and (table[:, 1] > 0).all()):
        raise UserError(
            "The bound needs the position, amplitude and width of every atom: fit them first."
        )
    sigma = np.broadcast_to(np.asarray(noise, dtype=np.float64), frame.shape)
    if not (np.isfinite(sigma[frame.valid]).all() and (sigma[frame.valid] > 0).all()):
        raise UserError("The noise must be a positive number for every valid pixel.")
    weight = np.where(frame.valid, 1.0 / np.where(frame.valid, sigma, 1.0), 0.0)
    matrix = np.asarray(frame.calibration.matrix_pm, dtype=np.float64)
    prior = np.zeros((2, 2)) if prior_pm is None else matrix.T @ matrix / prior_pm**2
    if kernel is None:
        jacobian = _jacobian(xy, table, frame.shape, weight.ravel(), unknown)
        fisher = csr_array(jacobian.T @ jacobian) + _prior_of_all(prior, len(xy), jacobian.shape[1])
        covariance = _position_covariance(csr_array(fisher), len(atoms))
    else:
        covariance = _kernel_covariance(
            xy, table[:, 0], atoms["element"].to_numpy(str), weight**2, kernel, prior, unknown
        )
    with np.errstate(invalid="ignore"):
        in_pm = np.einsum("ij,njk,ik->ni", matrix, covariance, matrix)
    return np.where(np.isfinite(in_pm), np.sqrt(np.maximum(in_pm, 0.0)), np.inf)


def _prior_of_all(prior: Floats, n: int, size: int) -> csr_array[Any]:
    """Return the precision of all parameters, ordered as in :func:`_jacobian`."""
    places = kron(csr_array(prior), eye_array(n))
    rest = csr_array((size - 2 * n, size - 2 * n))
    return csr_array(block_diag((places, rest)))


def _kernel_covariance(
    xy: Floats,
    height: Floats,
    elements: NDArray[np.str_],
    weight: Floats,
    kernel: Kernel,
    prior: Floats,
    unknown: Collection[Unknown],
) -> Floats:
    """Return (N, 2, 2) covariances of x and y of atoms that look like a kernel."""
    if not len(xy):
        return np.empty((0, 2, 2))
    names, element = np.unique(elements, return_inverse=True)
    stamps = kernel.stamps(list(names))
    reach = kernel.profile.reach_px
    amplitude = height / stamps[element, reach, reach]
    rows, columns = weight.shape
    edge = np.array([columns, rows]) - 0.5 + reach
    near = np.flatnonzero(((xy > -0.5 - reach) & (xy < edge)).all(axis=1))
    canvas = Canvas((rows, columns), reach)
    own = [np.flatnonzero(element[near] == e) for e in range(len(names))]
    blocks = own_blocks(
        canvas,
        weight.astype(np.float32),
        [canvas.kernel_hat(s) for s in stamps],
        [canvas.places(xy[near][r]) for r in own],
        own,
        amplitude[near],
    )
    known = np.zeros((len(near), 3, 3))
    known[:, 1:, 1:] = prior
    if "amplitude" not in unknown:
        known[:, 0, 0] = 1e9 * np.maximum(blocks[:, 0, 0], blocks[:, 0, 0].max(initial=1e-12))
    out = np.full((len(xy), 2, 2), np.inf)
    covariance = local_covariances(
        xy[near],
        amplitude[near],
        element[near],
        blocks,
        known,
        Correlations.of(stamps),
        neighbours=NEIGHBOURS,
        reach=2.0 * reach,
    )
    out[near] = covariance[:, 1:, 1:]
    unseen = np.einsum("nii->n", blocks[:, 1:, 1:]) <= 1e-9 * blocks[:, 1, 1].max(initial=0.0)
    out[near[unseen]] = np.inf if not prior.any() else np.linalg.inv(prior)
    return out


def _jacobian(
    xy: Floats,
    table: Floats,
    shape: tuple[int, int],
    weight: Floats,
    unknown: Collection[Unknown],
) -> csr_array[Any]:
    """Return derivatives of all pixels over their noise: (pixels, parameters), all x first."""
    rows, columns = shape
    n, half = len(xy), int(np.ceil(REACH * table[:, 1].max(initial=0.0)))
    offset = np.arange(-half, half + 1)
    px = np.rint(xy[:, :1]).astype(np.intp) + offset
    py = np.rint(xy[:, 1:]).astype(np.intp) + offset
    amplitude, width = table[:, 0, None, None], table[:, 1, None, None]
    dx, dy = (px - xy[:, :1])[:, None, :], (py - xy[:, 1:])[:, :, None]
    squared = dx**2 + dy**2
    inside = ((py >= 0) & (py < rows))[:, :, None] & ((px >= 0) & (px < columns))[:, None, :]
    inside &= squared <= (REACH * width) ** 2
    pixel = np.where(inside, py[:, :, None] * columns + px[:, None, :], 0)
    shape_of = np.exp(-squared / (2 * width**2))
    parts = [amplitude * shape_of * d / width**2 for d in (dx, dy)]
    if "amplitude" in unknown:
        parts.append(shape_of)
    if "width" in unknown:
        parts.append(amplitude * shape_of * squared / width**3)
    atom = np.broadcast_to(np.arange(n)[:, None, None], inside.shape)[inside]
    place = pixel[inside]
    return csr_array(
        (
            np.concatenate([p[inside] * weight[place] for p in parts]),
            (np.tile(place, len(parts)), np.concatenate([atom + n * k for k in range(len(parts))])),
        ),
        shape=(rows * columns, n * len(parts)),
    )


def _position_covariance(fisher: csr_array[Any], n: int) -> Floats:
    """Return the (N, 2, 2) part of the inverse of the Fisher matrix that belongs to x and y."""
    size = np.sqrt(fisher.diagonal())
    seen = np.flatnonzero(size > 0)
    out = np.full((n, 2, 2), np.inf)
    known = (size[:n] > 0) & (size[n : 2 * n] > 0)
    if not known.any():
        return out
    scale = diags_array(1.0 / size[seen])
    normal = (scale @ fisher[seen][:, seen] @ scale + RIDGE * eye_array(len(seen))).tocsc()
    solver = splu(normal, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    place = np.full(len(size), -1)
    place[seen] = np.arange(len(seen))
    index = np.flatnonzero(known)
    for first in range(0, len(index), CHUNK):
        part = index[first : first + CHUNK]
        ours = np.stack([place[part], place[n + part]])  # (2, chunk): where x and y stand
        for axis in (0, 1):
            unit = np.zeros((len(seen), len(part)))
            unit[ours[axis], np.arange(len(part))] = 1.0
            column = solver.solve(unit)[ours, np.arange(len(part))]
            out[part, :, axis] = (column / (size[part], size[n + part])).T / (
                size[part + axis * n][:, None]
            )
    return out
