"""Fourier coefficients of a perfect patch of a lattice, estimated from its noisy pixels.

The image of a perfect crystal is a sum of plane waves at the reciprocal lattice. In white noise
their least-squares coefficients hold all that the patch says about the motif (they are sufficient
statistics), so that any model of the motif can be fitted to a few dozen numbers in place of
thousands of pixels.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]

#: A honeycomb patch with fewer atoms leaves too much open.
FEWEST_ATOMS = 24


@dataclass(frozen=True, slots=True)
class Honeycomb:
    """A honeycomb lattice in an image.

    Parameters
    ----------
    vectors : (2, 2) array
        Rows are the lattice vectors in px, 60° apart in a perfect image.
    origin : (2,) array
        Centre of a ring, x and y in px; the two atoms of the cell lie at ±(a1 + a2) / 3 from it.
    rms_px : float
        Distance of the labelled atoms from their sites.
    """

    vectors: Floats
    origin: Floats
    rms_px: float

    @property
    def reciprocal(self) -> Floats:
        """(2, 2) array; rows in cycles per px, so that ``reciprocal @ vectors.T`` is 1."""
        inverse: Floats = np.linalg.inv(self.vectors).T.astype(np.float64)
        return inverse

    @property
    def constant_px(self) -> float:
        """Square root of the mean area of a cell, as the length of a lattice vector."""
        return math.sqrt(abs(float(np.linalg.det(self.vectors))) / math.sin(math.pi / 3))


def fit_honeycomb(xy_px: Floats) -> Honeycomb:
    """Fit a honeycomb lattice to the atoms of a perfect patch.

    Parameters
    ----------
    xy_px : (N, 2) array
        Atoms, x and y in px.

    Raises
    ------
    UserError
        When there are fewer than 24 atoms, or they do not form one honeycomb.
    """
    xy = np.asarray(xy_px, dtype=np.float64).reshape(-1, 2)
    if len(xy) < FEWEST_ATOMS:
        raise UserError(
            f"A patch of perfect graphene needs at least {FEWEST_ATOMS} labelled atoms; "
            f"this one has {len(xy)}."
        )
    bond, angle, ring = _start(xy)
    length = bond * math.sqrt(3)
    # Lattice vectors stand at 30° to the bonds.
    turns = angle + np.array([math.pi / 6, math.pi / 2])
    vectors = length * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    lattice = Honeycomb(vectors, ring, 0.0)
    reach = float(np.ptp(xy, axis=0).max())
    for radius in (2.5 * bond, 6 * bond, 2 * reach):
        # From the middle outwards, so that a small error of the start never skips a cell.
        near = np.hypot(*(xy - ring).T) <= radius
        if near.sum() >= 8:
            lattice = _refine(lattice, xy[near])
    if lattice.rms_px > 0.2 * bond:
        raise UserError(
            "The labelled atoms of the patch do not lie on one honeycomb lattice: choose a patch "
            "of perfect graphene without defects or grain boundaries."
        )
    return lattice


def _start(xy: Floats) -> tuple[float, float, Floats]:
    """Return bond length (px), direction of one bond (rad), and the ring centre in the middle."""
    tree = cKDTree(xy)
    found = tree.query(xy, k=4)
    distance, index = np.asarray(found[0]), np.asarray(found[1])
    bond = float(np.median(distance[:, 1:3]))
    near = distance[:, 1:] < 1.3 * bond
    step = (xy[index[:, 1:]] - xy[:, None])[near]
    # The three bonds of an atom and the reverse ones stand 60° apart.
    phase = np.exp(6j * np.arctan2(step[:, 1], step[:, 0])).sum()
    angle = float(np.angle(phase)) / 6
    # A ring's centre lies opposite each bond of a threefold atom.
    middle = np.argsort(np.hypot(*(xy - np.median(xy, axis=0)).T))
    for atom in middle.tolist():
        bonds = (xy[index[atom, 1:]] - xy[atom])[near[atom]]
        if len(bonds) == 3:
            centre: Floats = xy[atom] - bonds[0]
            return bond, angle, centre
    raise UserError(
        "The labelled atoms of the patch do not form a honeycomb: no atom has three neighbours."
    )


def _refine(start: Honeycomb, xy: Floats) -> Honeycomb:
    """Fit lattice vectors and origin to atoms, each assigned to its nearest site of the start."""
    shift = np.array([[1.0, 1.0], [-1.0, -1.0]]) / 3
    index = (xy - start.origin) @ np.linalg.inv(start.vectors)
    options = np.rint(index[:, None] - shift) + shift
    best = np.square((options - index[:, None]) @ start.vectors).sum(axis=-1).argmin(axis=1)
    site = options[np.arange(len(xy)), best]
    design = np.column_stack([site, np.ones(len(xy))])

    def misfit(p: Floats) -> Floats:
        away: Floats = (design @ p.reshape(3, 2) - xy).ravel()
        return away

    guess = np.vstack([start.vectors, start.origin]).ravel()
    scale = max(0.05 * start.constant_px, 1e-6)
    fit = least_squares(misfit, guess, loss="soft_l1", f_scale=scale)
    found = fit.x.reshape(3, 2)
    return Honeycomb(found[:2], found[2], float(np.sqrt(np.mean(misfit(fit.x) ** 2))))


@dataclass(frozen=True, slots=True)
class Harmonics:
    """Fourier coefficients of the image of a lattice.

    Parameters
    ----------
    order : (K, 2) int array
        Miller indices (h, k) of one half of the reciprocal lattice; (0, 0) is the mean.
    coefficient : (K,) complex array
        Image = Σ over both halves of coefficient · exp(2πi G·(r - origin)).
    noise : float
        Standard deviation of the pixels around the fit.
    n_pixels : int
    """

    order: NDArray[np.int_]
    coefficient: Complex
    noise: float
    n_pixels: int

    @property
    def sigma(self) -> float:
        """Standard error of the real and of the imaginary part of a coefficient, (h, k) ≠ 0."""
        return self.noise / math.sqrt(2 * self.n_pixels)


def measure_harmonics(
    frame: Frame, lattice: Honeycomb, xy_px: Floats, *, highest: float = 0.45
) -> Harmonics:
    """Estimate the Fourier coefficients of a patch by least squares over its valid pixels.

    Parameters
    ----------
    frame : Frame
    lattice : Honeycomb
    xy_px : (N, 2) array
        The labelled atoms of the patch: pixels within a lattice constant of one count.
    highest : float
        Largest spatial frequency in cycles per px.

    Raises
    ------
    UserError
        When the patch holds too few valid pixels.
    """
    at, value = _pixels(frame, lattice, xy_px)
    order = _half_of_orders(lattice.reciprocal, highest)
    if len(at) < 4 * len(order):
        raise UserError(f"The patch holds only {len(at)} measured pixels: choose a larger one.")
    coefficient, left = _solve(at, value, order, lattice.reciprocal)
    unknowns = 2 * len(order) - 1
    noise = float(np.sqrt(np.square(left).sum() / max(len(value) - unknowns, 1)))
    return Harmonics(order, coefficient, noise, len(value))


def refine_on_image(
    frame: Frame, lattice: Honeycomb, xy_px: Floats, *, rounds: int = 3
) -> Honeycomb:
    """Refine the lattice vectors on the image: labels are less exact than thousands of pixels.

    Gauss-Newton steps in the reciprocal vectors, with the coefficients of the innermost fringes
    solved anew each time.

    Parameters
    ----------
    frame : Frame
    lattice : Honeycomb
    xy_px : (N, 2) array
        The labelled atoms of the patch.
    rounds : int
    """
    at, value = _pixels(frame, lattice, xy_px)
    order = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    reciprocal = lattice.reciprocal
    for _ in range(rounds):
        coefficient, left = _solve(at, value, order, reciprocal)
        wave = np.exp(2j * np.pi * (at @ (order @ reciprocal).T)) * coefficient
        # d/dφ of 2 Re(c exp(iφ)) is -2 Im(c exp(iφ)), and φ = 2π (h b1 + k b2)·r.
        slope = -4 * np.pi * wave.imag[:, 1:] @ order[1:]
        design = np.concatenate([slope[:, :1] * at, slope[:, 1:] * at], axis=1)
        step, *_ = np.linalg.lstsq(design, left, rcond=None)
        reciprocal = reciprocal + step.reshape(2, 2)
    vectors = np.linalg.inv(reciprocal).T.astype(np.float64)
    moved = np.abs(vectors - lattice.vectors).max()
    # A step of a twentieth of the lattice is a failure of the pattern, not of the labels.
    return replace(lattice, vectors=vectors) if moved < 0.05 * lattice.constant_px else lattice


def _pixels(frame: Frame, lattice: Honeycomb, xy_px: Floats) -> tuple[Floats, Floats]:
    """Return positions from the lattice's origin (px) and values of a patch's valid pixels."""
    rows, columns = frame.shape
    y, x = np.mgrid[:rows, :columns]
    pixels = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
    distance, _ = cKDTree(np.asarray(xy_px)).query(pixels, distance_upper_bound=lattice.constant_px)
    used = np.isfinite(distance) & frame.valid.ravel()
    return pixels[used] - lattice.origin, frame.data.ravel()[used].astype(np.float64)


def _solve(
    at: Floats, value: Floats, order: NDArray[np.int_], reciprocal: Floats
) -> tuple[Complex, Floats]:
    """Return the coefficients that fit the pixels best, the mean first, and what is left."""
    phase = 2 * np.pi * (at @ (order @ reciprocal).T)
    # Conjugate orders add up: c e^{iφ} + c* e^{-iφ} = 2 Re c cos φ - 2 Im c sin φ.
    design = np.hstack([np.ones((len(at), 1)), 2 * np.cos(phase[:, 1:]), -2 * np.sin(phase[:, 1:])])
    # The fringes are nearly orthogonal, so the normal equations are well conditioned.
    solved = np.linalg.solve(design.T @ design, design.T @ value)
    half = len(order) - 1
    coefficient = np.concatenate([solved[:1], solved[1 : 1 + half] + 1j * solved[1 + half :]])
    return coefficient.astype(np.complex128), value - design @ solved


def _half_of_orders(reciprocal: Floats, highest: float) -> NDArray[np.int_]:
    """Return (0, 0), then one of each pair of opposite orders up to a frequency, low ones first."""
    reach = int(np.ceil(highest / np.hypot(*reciprocal.T).min() * 1.2)) + 1
    half = [
        (h, k)
        for h, k in itertools.product(range(-reach, reach + 1), repeat=2)
        if (h, k) > (0, 0) and np.hypot(*(h * reciprocal[0] + k * reciprocal[1])) <= highest
    ]
    half.sort(key=lambda hk: float(np.hypot(*(hk[0] * reciprocal[0] + hk[1] * reciprocal[1]))))
    return np.array([(0, 0), *half], dtype=np.int_)
