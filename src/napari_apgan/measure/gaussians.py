"""The fit behind :mod:`~napari_apgan.measure.fit`: many Gaussians on planes, all at once.

Arrays are (atoms, pixels) and (atoms, parameters, pixels); one Gauss-Newton step moves all atoms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.frames import Frame

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Order of the parameters of an atom.
AMPLITUDE, X, Y, WIDTH, LEVEL, SLOPE_X, SLOPE_Y = range(7)
#: A width may change by these factors from its first guess.
WIDTH_LIMITS = (0.4, 2.5)
#: Widths tried at first, over the one usual for the distance of the atoms.
WIDTH_FACTORS = (0.3, 0.45, 0.7, 1.0, 1.4)
#: Atoms of one element from which a width common to them is learned.
FEWEST_ALIKE = 8


@dataclass(frozen=True, slots=True)
class Windows:
    """A square of pixels around each atom: (N, K) arrays.

    `column`, `row` are the pixels' positions (some may lie outside the frame), `index` their place
    in the flattened frame, `use` whether a pixel is in the disc, in the frame and valid; `disc_px`
    is how many pixels a whole disc has, `inside_px` how many of them lie in the frame.
    """

    column: Floats
    row: Floats
    index: NDArray[np.intp]
    use: Bools
    data: Floats
    inside_px: NDArray[np.int64]
    disc_px: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of the (N,) widths: where they should lie, and how firmly."""

    width: Floats
    weight: Floats


@dataclass(frozen=True, slots=True)
class First:
    """What is seen of (N,) atoms at their starts: sizes, the pixels around, Gaussians on levels.

    `guess` is (N, 7), made of the heights and levels that fit best at the first `width`; `radius`
    is that of the `windows`.
    """

    width: Floats
    radius: Floats
    windows: Windows
    guess: Floats

    @classmethod
    def of(cls, frame: Frame, start: Floats, sign: Floats) -> First:
        """Look at (N, 2) starts; `sign` is +1 for bright atoms, -1 for dark ones."""
        width, radius = first_sizes(frame, start)
        windows = cut_windows(frame, start, radius)
        return cls(width, radius, windows, first_guess(windows, start, width, sign))


def first_sizes(frame: Frame, start: Floats) -> tuple[Floats, Floats]:
    """First width and fit radius of each atom in px.

    Both follow from the distance to the nearest atom; where peaks are narrower or wider than is
    usual for that distance, by the one factor with which Gaussians explain most of the image.
    """
    usual = 8.0
    nearest = np.full(len(start), usual)
    if len(start) > 1:
        nearest = np.asarray(cKDTree(start).query(start, k=2)[0])[:, 1]
        usual = float(np.median(nearest))
    nearest = np.clip(nearest, 0.6 * usual, 1.6 * usual)
    width, radius = np.clip(0.18 * nearest, 0.7, 5.0), np.clip(0.55 * nearest, 2.0, 12.0)
    windows = cut_windows(frame, start, radius)
    explained = [float(_explained(windows, start, f * width).sum()) for f in WIDTH_FACTORS]
    width = np.maximum(WIDTH_FACTORS[int(np.argmax(explained))] * width, 0.7)
    return width, np.minimum(radius, np.maximum(5.0 * width, 2.0))


def _explained(w: Windows, start: Floats, width: Floats) -> Floats:
    """Return how much of the sum of squares of each window a Gaussian at its start explains."""
    _, product, spread = _linear_fit(w, start, width)
    return np.divide(product**2, spread, out=np.zeros_like(product), where=spread > 1e-12)


def _linear_fit(w: Windows, start: Floats, width: Floats) -> tuple[Floats, Floats, Floats]:
    """Return mean, product with the data, and sum of squares of Gaussians less their mean."""
    squared = (w.column - start[:, :1]) ** 2 + (w.row - start[:, 1:]) ** 2
    shape = np.exp(-squared / (2 * width[:, None] ** 2))
    mean = (w.use * shape).sum(1) / np.maximum(w.use.sum(axis=1), 1)
    away = w.use * (shape - mean[:, None])
    data = w.data - _mean_data(w)[:, None]
    return mean, (away * data).sum(1), (away**2).sum(1)


def _mean_data(w: Windows) -> Floats:
    mean: Floats = (w.use * w.data).sum(1) / np.maximum(w.use.sum(axis=1), 1)
    return mean


def cut_windows(frame: Frame, start: Floats, radius: Floats) -> Windows:
    """Cut the pixels around each atom out of the frame."""
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
    return Windows(
        column.astype(float),
        row.astype(float),
        index,
        use,
        data,
        (disc & inside).sum(axis=1),
        disc.sum(axis=1),
    )


def evaluate(w: Windows, p: Floats) -> tuple[Floats, Floats]:
    """Return the model of each atom on its window (N, K), and its derivatives (N, 7, K)."""
    dx, dy = w.column - p[:, X, None], w.row - p[:, Y, None]
    shape = _on_squares(w.column, w.row, p)
    plane = p[:, LEVEL, None] + p[:, SLOPE_X, None] * dx + p[:, SLOPE_Y, None] * dy
    # The plane's own dependence on the centre is left out: the slopes take it up.
    parts = np.empty((len(p), 7, shape.shape[1]))
    parts[:, AMPLITUDE] = shape * w.use
    parts[:, LEVEL] = w.use
    parts[:, SLOPE_X], parts[:, SLOPE_Y] = dx * w.use, dy * w.use
    steep = parts[:, AMPLITUDE] * (p[:, AMPLITUDE] / p[:, WIDTH] ** 2)[:, None]
    parts[:, X], parts[:, Y] = steep * dx, steep * dy
    parts[:, WIDTH] = (parts[:, X] * dx + parts[:, Y] * dy) / p[:, WIDTH, None]
    return p[:, AMPLITUDE, None] * shape + plane, parts


def _on_squares(column: NDArray[Any], row: NDArray[Any], p: Floats) -> Floats:
    """Return each atom's Gaussian of height 1 at (N, K) pixels of squares, row by row."""
    side = round(np.sqrt(column.shape[1]))
    scale = -0.5 / p[:, WIDTH, None] ** 2
    along_x = np.exp(scale * (column[:, :side] - p[:, X, None]) ** 2)
    along_y = np.exp(scale * (row[:, ::side] - p[:, Y, None]) ** 2)
    return (along_y[:, :, None] * along_x[:, None, :]).reshape(column.shape)


def first_guess(w: Windows, start: Floats, width: Floats, sign: Floats) -> Floats:
    """Amplitude and level by linear least squares at the start, with the first width."""
    guess = np.zeros((len(start), 7))
    guess[:, X:WIDTH] = start
    guess[:, WIDTH] = width
    mean_shape, product, spread = _linear_fit(w, start, width)
    amplitude = np.divide(product, spread, out=np.zeros_like(product), where=spread > 1e-12)
    # A weak start on the right side, so that noise does not turn the peak over for good.
    smallest = 0.1 * np.median(np.abs(amplitude)) + 1e-12
    guess[:, AMPLITUDE] = sign * np.maximum(sign * amplitude, smallest)
    guess[:, LEVEL] = _mean_data(w) - guess[:, AMPLITUDE] * mean_shape
    return guess


def other_atoms(frame: Frame, p: Floats, w: Windows) -> Floats:
    """Return what all other atoms add to each pixel of each window, (N, K)."""
    half = int(np.ceil(4 * p[:, WIDTH].max()))
    dy, dx = (g.ravel() for g in np.mgrid[-half : half + 1, -half : half + 1])
    rows, columns = frame.shape
    column = np.rint(p[:, X]).astype(np.intp)[:, None] + dx
    row = np.rint(p[:, Y]).astype(np.intp)[:, None] + dy
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    height = p[:, AMPLITUDE, None]
    whole = np.bincount(
        (row * columns + column)[inside],
        weights=(height * _on_squares(column, row, p))[inside],
        minlength=rows * columns,
    )
    others: Floats = whole[w.index] - height * _on_squares(w.column, w.row, p)
    return others


def advance(
    w: Windows,
    p: Floats,
    others: Floats,
    start: Floats,
    width: Floats,
    radius: Floats,
    prior: Prior,
) -> Floats:
    """Make one damped Gauss-Newton step for every atom at once."""
    model, jacobian = evaluate(w, p)
    residual = w.use * (w.data - others - model)
    normal = _normal(jacobian, prior)
    pull = (jacobian @ residual[..., None])[..., 0]
    pull[:, WIDTH] += prior.weight * (prior.width - p[:, WIDTH])
    scale = np.einsum("nii->ni", normal)
    damping = 1e-3 * scale + 1e-9 * scale.max(axis=1, keepdims=True) + 1e-12
    normal += damping[:, :, None] * np.eye(7)
    change = np.linalg.solve(normal, pull[..., None])[..., 0]
    # Steps are bounded, so that an early one cannot throw an atom onto its neighbour.
    change[:, X:WIDTH] = np.clip(change[:, X:WIDTH], -0.5, 0.5)
    limit = 0.25 * p[:, WIDTH]
    change[:, WIDTH] = np.clip(change[:, WIDTH], -limit, limit)
    new = p + change
    away = 0.7 * radius[:, None]
    new[:, X:WIDTH] = np.clip(new[:, X:WIDTH], start - away, start + away)
    low, high = WIDTH_LIMITS
    new[:, WIDTH] = np.clip(new[:, WIDTH], low * width, high * width)
    return new


def _normal(jacobian: Floats, prior: Prior) -> Floats:
    """Return the (N, 7, 7) normal matrices, the prior of the widths among them."""
    normal: Floats = jacobian @ jacobian.transpose(0, 2, 1)
    normal[:, WIDTH, WIDTH] += prior.weight
    return normal


def invert(jacobian: Floats, prior: Prior) -> Floats:
    """Return the (N, 7, 7) inverses of the normal matrices."""
    normal = _normal(jacobian, prior)
    size = np.sqrt(np.maximum(np.einsum("nii->ni", normal), 1e-30))
    size = size[:, :, None] * size[:, None, :]
    inverse: Floats = np.linalg.pinv(normal / size, hermitian=True) / size
    return inverse


def width_prior(w: Windows, p: Floats, others: Floats, elements: pd.Series) -> Prior:
    """Learn how wide the atoms of each element are, and how much that differs, from first fits.

    What their spread exceeds the errors of single widths by is real; at least 5 % is allowed for.
    """
    model, jacobian = evaluate(w, p)
    residual = w.use * (w.data - others - model)
    free = Prior(p[:, WIDTH], np.zeros(len(p)))
    inverse = invert(jacobian, free)
    noise = (residual**2).sum(axis=1) / np.maximum(w.use.sum(axis=1) - 7, 1)
    width, weight = p[:, WIDTH].copy(), np.zeros(len(p))
    for name in pd.unique(elements):
        own = np.flatnonzero(elements.to_numpy() == name)
        if len(own) < FEWEST_ALIKE:
            continue
        middle = float(np.median(p[own, WIDTH]))
        spread = 1.4826 * float(np.median(np.abs(p[own, WIDTH] - middle)))
        power = float(np.median(noise[own]))
        error = power * float(np.median(inverse[own, WIDTH, WIDTH]))
        width[own] = middle
        weight[own] = power / max(spread**2 - error, (0.05 * middle) ** 2)
    return Prior(width, weight)
