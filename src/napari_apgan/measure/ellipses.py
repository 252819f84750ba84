"""Multiple-ellipse fitting: an elliptical Gaussian for each atom, with its neighbours' beside it.

In the disc around every atom the image is taken for a plane and the ellipses of all atoms that
stand in the disc, which are fitted together; those farther off are taken off with the values of the
round before. Each atom keeps what its own disc says of it, and all are fitted in turns until they
agree. So peaks that overlap share their pixels rightly, and columns that are not round (tilt,
astigmatism, dumbbells) do not shift their neighbours. Invalid pixels take no part.

What the shapes of the atoms of one element are, and how much that differs among them, is learned on
the way and holds those of weak ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.frames import Frame

from .elliptic import E1, E2, N_PARAMETERS, derivatives, draw, elongation
from .fits import Fits
from .gaussians import (
    AMPLITUDE,
    FEWEST_ALIKE,
    LEVEL,
    WIDTH,
    WIDTH_LIMITS,
    Bools,
    First,
    Floats,
    Windows,
    X,
    Y,
    cut_windows,
)
from .local import (
    LEAST_AMPLITUDE,
    inflation,
    intensity_error,
    noise_variance,
    selection,
    too_few_pixels,
)

Ints = NDArray[np.intp]

#: Rounds before the shapes of an element are compared, and after, at most.
FIRST_ROUNDS, LAST_ROUNDS = 8, 12
#: Atoms open in one disc, itself among them.
MOST_TOGETHER = 9
#: Radius of a disc in widths, and of the part whose residuals tell the noise.
DISC, INNER = 4.0, 2.0
#: The first disc, in distances of nearest atoms, and its limits in widths.
FIRST_DISC, FIRST_LIMITS = 1.5, (4.0, 6.0)
#: Largest step in px at which nothing moves any more.
SETTLED = 1e-3
#: Largest ratio of the widths.
MOST_ELONGATED = 3.0
#: Least spread of the widths of an element (relative) and of its elongations.
LEAST_SPREAD = (0.05, 0.1, 0.1)
#: Largest change of an elongation in one round, and Levenberg's damping.
LONGEST_STRETCH, DAMPING = 0.3, 1e-3
#: Numbers in the derivatives that are held at once.
MOST_AT_ONCE = 4_000_000
SHAPE = (WIDTH, E1, E2)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the shapes of (N,) atoms: values and weights, (N, 3)."""

    value: Floats
    weight: Floats


@dataclass(frozen=True, slots=True)
class Discs:
    """The pixels around each atom, the atoms in them (-1 for none), and where all begin.

    `members` is (N, M) with the atom itself first, `radius` (N,), `start` (N, 2) and `width` (N,)
    what the shapes are limited by.
    """

    windows: Windows
    members: Ints
    radius: Floats
    start: Floats
    width: Floats

    @classmethod
    def of(cls, frame: Frame, start: Floats, width: Floats, radius: Floats) -> Discs:
        """Cut the discs out and see who stands in them."""
        n = len(start)
        count = min(MOST_TOGETHER, n)
        distance, members = cKDTree(start).query(start, k=list(range(1, count + 1)))
        members = np.where(distance <= radius[:, None], members, -1).astype(np.intp)
        members[:, 1:][members[:, 1:] == np.arange(n)[:, None]] = -1
        members[:, 0] = np.arange(n)
        return cls(cut_windows(frame, start, radius), members, radius, start, width)

    def chunks(self) -> Iterator[Ints]:
        """Yield numbers of atoms, few enough at once for the memory."""
        n, m = self.members.shape
        size = self.windows.use.shape[1] * (m * N_PARAMETERS + 3)
        step = max(MOST_AT_ONCE // size, 1)
        for first in range(0, n, step):
            yield np.arange(first, min(first + step, n))

    def jacobian(self, of: Ints, p: Floats) -> Floats:
        """Return (n, K, 6 M + 3) derivatives: of the ellipses in the discs of atoms, and planes."""
        w = self.windows
        column, row, use = w.column[of], w.row[of], w.use[of]
        n, m = len(of), self.members.shape[1]
        out = np.zeros((n, column.shape[1], m * N_PARAMETERS + 3))
        for j in range(m):
            who = self.members[of, j]
            there = who >= 0
            at = slice(j * N_PARAMETERS, (j + 1) * N_PARAMETERS)
            out[there, :, at] = derivatives(p[who[there]], column[there], row[there])
        out[..., -3:] = self._plane_parts(of)
        out *= use[..., None]
        return out

    def plane(self, planes: Floats) -> Floats:
        """Return (N, K) planes."""
        parts = self._plane_parts(np.arange(len(planes)))
        value: Floats = (parts @ planes[:, :, None])[..., 0]
        return value

    def _plane_parts(self, of: Ints) -> Floats:
        w, r = self.windows, self.radius[of, None]
        dx, dy = w.column[of] - self.start[of, :1], w.row[of] - self.start[of, 1:]
        return np.stack([np.ones_like(dx), dx / r, dy / r], axis=-1)

    def held(self, of: Ints, known: Known, p: Floats) -> tuple[Floats, Floats]:
        """Return what is known of the shapes in discs: (n, 6 M + 3) weights and pulls."""
        n, m = len(of), self.members.shape[1]
        weight, pull = np.zeros((2, n, m * N_PARAMETERS + 3))
        who = self.members[of]
        there = who >= 0
        for k, at in enumerate(SHAPE):
            place = slice(at, m * N_PARAMETERS, N_PARAMETERS)
            weight[:, place] = known.weight[who, k] * there
            pull[:, place] = weight[:, place] * (known.value[who, k] - p[who, at])
        return weight, pull


def fit_ellipses(frame: Frame, start: Floats, elements: pd.Series, sign: Floats) -> Fits:
    """Fit every atom by an ellipse, with those of its neighbours beside it on a local plane.

    Parameters
    ----------
    frame : Frame
    start : (N, 2) array
        Where the atoms are about, px.
    elements : Series
        Of each atom: those of one share what is known of their shapes.
    sign : (N,) array
        +1 for bright atoms, -1 for dark ones.

    Notes
    -----
    Widths are the geometric means of the two. Standard errors come from the covariance of the fit
    with the neighbours open, and a variance of the pixels from the residuals as in
    :func:`~.local.fit_locally`. On simulated ellipses (ratio 1.5) three to
    four widths apart in noise of a twentieth of their height, two thirds of the errors lie within
    one bar, and errors are within 1.1 of the bound. Nearer, or in weaker noise, the rounds end
    before the discs agree wholly, and bars may be wrong either way: at 2.5 widths half as wide as
    they should be in noise of a twentieth, and several times too wide in noise of 0.4 %, where
    errors are 3 times the bound. The joint fit with one profile is better there.
    """
    first = First.of(frame, start, sign)
    width, limit, guess = first.width, first.radius, first.guess
    p = np.concatenate([guess[:, : WIDTH + 1], np.zeros((len(start), 2))], axis=1)
    planes = np.zeros((len(start), 3))
    planes[:, 0] = guess[:, LEVEL]
    low, high = FIRST_LIMITS
    radius = np.clip(FIRST_DISC * _nearest(start), low * width, high * width)
    discs = Discs.of(frame, start, width, radius)
    known = Known(np.zeros((len(p), 3)), np.zeros((len(p), 3)))
    p, planes = _advanced(frame, discs, p, planes, known, limit, FIRST_ROUNDS)
    known = _learn_shapes(frame, discs, p, planes, known, elements)
    # Discs as large as the peaks turned out to be, which neighbours had hidden at first.
    usual = known.value[:, 0]
    discs = Discs.of(frame, start, width, DISC * usual)
    p, planes = _advanced(frame, discs, p, planes, known, limit, LAST_ROUNDS)
    model, residual = _left(frame, discs, p, planes)
    leverage = np.zeros_like(residual)
    for of in discs.chunks():
        jacobian = discs.jacobian(of, p)
        leverage[of] = ((jacobian @ _inverse(discs, of, jacobian, known, p)) * jacobian).sum(-1)
    w = discs.windows
    far = np.hypot(w.column - start[:, :1], w.row - start[:, 1:]) > INNER * usual[:, None]
    inner = replace(w, use=w.use & ~far)
    variance = noise_variance(inner, model, residual, leverage)
    variance *= inflation(frame, inner, residual, float(np.median(p[:, WIDTH])))
    covariance = _covariances(discs, p, known, variance)
    covariance *= selection(p[:, AMPLITUDE], covariance[:, AMPLITUDE, AMPLITUDE])[:, None, None]
    flag = _failures(frame, discs, p, covariance, limit, sign)
    noise = np.sqrt((variance * w.use).sum(axis=1) / np.maximum(w.use.sum(axis=1), 1))
    good = flag == ""
    return Fits(
        p[:, X:WIDTH],
        covariance[:, [X, Y], [X, Y]],
        start,
        p[:, AMPLITUDE],
        np.where(good, p[:, WIDTH], width),
        np.where(good, planes[:, 0], guess[:, LEVEL]),
        guess[:, AMPLITUDE],
        intensity_error(p, covariance),
        noise,
        flag,
    )


def _nearest(start: Floats) -> Floats:
    """Return the distance of each atom to the nearest other one."""
    if len(start) < 2:
        return np.full(len(start), np.inf)
    return np.asarray(cKDTree(start).query(start, k=2)[0], dtype=np.float64)[:, 1]


def _left(frame: Frame, discs: Discs, p: Floats, planes: Floats) -> tuple[Floats, Floats]:
    """Return the model of each disc, all atoms in it, and what it leaves of the image, (N, K)."""
    w = discs.windows
    model = draw(p, frame.shape)[w.index] + discs.plane(planes)
    return model, w.use * (w.data - model)


def _advanced(
    frame: Frame,
    discs: Discs,
    p: Floats,
    planes: Floats,
    known: Known,
    limit: Floats,
    rounds: int,
) -> tuple[Floats, Floats]:
    """Make so many steps, or as many as it takes until nothing moves any more."""
    for _ in range(rounds):
        before = p
        p, planes = _advance(frame, discs, p, planes, known, limit)
        if float(np.abs(p[:, X:WIDTH] - before[:, X:WIDTH]).max()) < SETTLED:
            break
    return p, planes


def _advance(
    frame: Frame, discs: Discs, p: Floats, planes: Floats, known: Known, limit: Floats
) -> tuple[Floats, Floats]:
    """Make one damped Gauss-Newton step in every disc; each atom moves as its own disc says."""
    residual = _left(frame, discs, p, planes)[1]
    change, tilt = np.zeros_like(p), np.zeros_like(planes)
    for of in discs.chunks():
        jacobian = discs.jacobian(of, p)
        weight, pull = discs.held(of, known, p)
        pull += (residual[of, None, :] @ jacobian)[:, 0]
        solved = _solve(jacobian, weight, pull[..., None], DAMPING)[..., 0]
        change[of], tilt[of] = solved[:, :N_PARAMETERS], solved[:, -3:]
    change[:, X:WIDTH] = np.clip(change[:, X:WIDTH], -0.5, 0.5)
    most = 0.25 * p[:, WIDTH]
    change[:, WIDTH] = np.clip(change[:, WIDTH], -most, most)
    change[:, E1:] = np.clip(change[:, E1:], -LONGEST_STRETCH, LONGEST_STRETCH)
    new = p + change
    away = 0.7 * limit[:, None]
    new[:, X:WIDTH] = np.clip(new[:, X:WIDTH], discs.start - away, discs.start + away)
    low, high = WIDTH_LIMITS
    new[:, WIDTH] = np.clip(new[:, WIDTH], low * discs.width, high * discs.width)
    most = np.log(MOST_ELONGATED)
    new[:, E1:] *= np.minimum(1.0, most / np.maximum(elongation(new), 1e-12))[:, None]
    return new, planes + tilt


def _solve(jacobian: Floats, weight: Floats, right: Floats, damping: float) -> Floats:
    """Solve the normal equations of (n,) discs; what nothing tells stays nothing."""
    normal = np.matmul(jacobian.transpose(0, 2, 1), jacobian)
    at = np.arange(normal.shape[1])
    normal[:, at, at] += weight
    size = np.einsum("nii->ni", normal).copy()
    size = np.sqrt(np.maximum(size, 1e-12 * size.max(axis=1, keepdims=True) + 1e-30))
    normal /= size[:, :, None] * size[:, None, :]
    normal[:, at, at] = np.maximum(normal[:, at, at], 1.0) * (1.0 + damping)
    solved: Floats = np.linalg.solve(normal, right / size[..., None]) / size[..., None]
    return solved


def _inverse(discs: Discs, of: Ints, jacobian: Floats, known: Known, p: Floats) -> Floats:
    """Return (n, P, P) inverses of the normal matrices of discs."""
    weight, _ = discs.held(of, known, p)
    eye = np.broadcast_to(np.eye(weight.shape[1]), (len(of), *2 * (weight.shape[1],)))
    return _solve(jacobian, weight, eye, 1e-9)


def _covariances(discs: Discs, p: Floats, known: Known, variance: Floats) -> Floats:
    """Return (N, 6, 6) covariances of the ellipses, their neighbours open.

    ``(JᵀJ)⁻¹ Jᵀ V J (JᵀJ)⁻¹`` with the variances V of the pixels.
    """
    out = np.empty((len(p), N_PARAMETERS, N_PARAMETERS))
    for of in discs.chunks():
        jacobian = discs.jacobian(of, p)
        inverse = _inverse(discs, of, jacobian, known, p)[:, :, :N_PARAMETERS]
        told = jacobian @ inverse
        out[of] = np.matmul(told.transpose(0, 2, 1), variance[of][..., None] * told)
    return out


def _learn_shapes(
    frame: Frame, discs: Discs, p: Floats, planes: Floats, known: Known, elements: pd.Series
) -> Known:
    """Learn what shapes the atoms of each element have, and how much they differ.

    What their spread exceeds the errors of single ones by is real, and a least one is allowed for.
    """
    residual = _left(frame, discs, p, planes)[1]
    used = discs.windows.use.sum(axis=1)
    noise = (residual**2).sum(axis=1) / np.maximum(used - N_PARAMETERS, 1)
    covariance = _covariances(discs, p, known, noise[:, None] * np.ones_like(residual))
    value, weight = p[:, SHAPE].copy(), np.zeros((len(p), len(SHAPE)))
    names = elements.to_numpy()
    for name in pd.unique(elements):
        own = np.flatnonzero(names == name)
        if len(own) < FEWEST_ALIKE:
            continue
        power = float(np.median(noise[own]))
        for k, at in enumerate(SHAPE):
            middle = float(np.median(p[own, at]))
            spread = 1.4826 * float(np.median(np.abs(p[own, at] - middle)))
            error = float(np.median(covariance[own, at, at]))
            least = LEAST_SPREAD[k] * (middle if at == WIDTH else 1.0)
            value[own, k] = middle
            weight[own, k] = power / max(spread**2 - error, least**2)
    return Known(value, weight)


def _failures(
    frame: Frame, discs: Discs, p: Floats, covariance: Floats, limit: Floats, sign: Floats
) -> NDArray[np.object_]:
    """Say for each atom why its fit is not to be believed; empty where it is."""
    flag = np.full(len(p), "", dtype=object)
    moved = np.hypot(*(p[:, X:WIDTH] - discs.start).T)
    low, high = WIDTH_LIMITS
    width = p[:, WIDTH] / discs.width
    least = LEAST_AMPLITUDE * np.sqrt(np.maximum(covariance[:, AMPLITUDE, AMPLITUDE], 0))
    few: Bools = too_few_pixels(discs.windows, p)
    edge = np.array(frame.shape[::-1]) - 1
    inside = np.minimum(discs.start, edge - discs.start).min(axis=1)
    reasons = (
        (~np.isfinite(p).all(axis=1) | (covariance[:, X, X] <= 0), "fit: no solution"),
        (elongation(p) >= 0.98 * np.log(MOST_ELONGATED), "fit: the peak is too long for an atom"),
        ((width <= 1.02 * low) | (width >= 0.98 * high), "fit: the peak has no width of an atom"),
        (moved > 0.6 * limit, "fit: moved too far from the map's position"),
        (p[:, AMPLITUDE] * sign <= least, "fit: no peak there on the raw image"),
        (few, "fit: too few pixels were measured there"),
        (few & (inside < 2.0 * p[:, WIDTH]), "fit: cut by the border"),
    )
    for where, reason in reasons:
        flag[where] = reason
    return flag
