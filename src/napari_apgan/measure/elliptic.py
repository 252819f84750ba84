"""Elliptical Gaussians: what many of them make of pixels, and the derivatives.

An ellipse is a row ``A, x, y, s, e1, e2``: its height, place, and covariance ``s² exp(S)`` with
``S = [[e1, e2], [e2, -e1]]``. So `s` is the geometric mean of its two widths
``s exp(±h / 2)``, ``h = |e|``, whose long axis stands at half the angle of (e1, e2), and every e is
an ellipse; a round one is nothing special.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Parameters of an ellipse; the first four stand where those of a round Gaussian do.
N_PARAMETERS = 6
E1, E2 = 4, 5
#: Widths to which an ellipse is drawn, and numbers held at once while drawing.
REACH = 4.5
MOST_AT_ONCE = 2_000_000


def elongation(p: Floats) -> Floats:
    """Return ``h``, the logarithm of the ratio of the widths, of (..., 6) ellipses."""
    h: Floats = np.hypot(p[..., E1], p[..., E2])
    return h


def _form(p: Floats, dx: Floats, dy: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return ``dᵀ exp(-S) d`` at (N, K) distances, with cosh h, sinh h / h, and h, as (N, 1)."""
    h = elongation(p)[:, None]
    c = np.cosh(h)
    g = np.where(h > 1e-4, np.sinh(h) / np.maximum(h, 1e-4), 1.0)
    along = p[:, E1, None] * (dx**2 - dy**2) + 2 * p[:, E2, None] * dx * dy
    return c * (dx**2 + dy**2) - g * along, c, g, h


def peaks(p: Floats, column: Floats, row: Floats) -> Floats:
    """Return each of (N, 6) ellipses at its (N, K) pixels."""
    form = _form(p, column - p[:, 1, None], row - p[:, 2, None])[0]
    height: Floats = p[:, 0, None] * np.exp(-form / (2 * p[:, 3, None] ** 2))
    return height


def derivatives(p: Floats, column: Floats, row: Floats) -> Floats:
    """Return (N, K, 6) derivatives of (N, 6) ellipses at their (N, K) pixels."""
    dx, dy = column - p[:, 1, None], row - p[:, 2, None]
    form, c, g, h = _form(p, dx, dy)
    e1, e2, s = p[:, E1, None], p[:, E2, None], p[:, 3, None]
    shape = np.exp(-form / (2 * s**2))
    peak = p[:, 0, None] * shape
    # How cosh h and sinh h / h change with e, over e.
    k = np.where(h > 1e-2, (c - g) / np.maximum(h, 1e-2) ** 2, 1.0 / 3.0)
    squared, apart, mixed = dx**2 + dy**2, dx**2 - dy**2, 2 * dx * dy
    both = g * squared - k * (e1 * apart + e2 * mixed)
    by_form = -peak / (2 * s**2)
    parts = (
        shape,
        -by_form * 2 * (c * dx - g * (e1 * dx + e2 * dy)),
        -by_form * 2 * (c * dy - g * (e2 * dx - e1 * dy)),
        peak * form / s**3,
        by_form * (e1 * both - g * apart),
        by_form * (e2 * both - g * mixed),
    )
    return np.stack(parts, axis=-1)


def draw(p: Floats, shape: tuple[int, int]) -> Floats:
    """Return the sum of (N, 6) ellipses on the pixels of a frame, flattened."""
    rows, columns = shape
    whole = np.zeros(rows * columns)
    if not len(p):
        return whole
    half = int(np.ceil(REACH * float((p[:, 3] * np.exp(elongation(p) / 2)).max())))
    dy, dx = (g.ravel() for g in np.mgrid[-half : half + 1, -half : half + 1])
    chunk = max(MOST_AT_ONCE // len(dx), 1)
    for first in range(0, len(p), chunk):
        own = p[first : first + chunk]
        column = np.rint(own[:, 1]).astype(np.intp)[:, None] + dx
        row = np.rint(own[:, 2]).astype(np.intp)[:, None] + dy
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        value = peaks(own, column.astype(float), row.astype(float))
        whole += np.bincount(
            (row * columns + column)[inside], weights=value[inside], minlength=len(whole)
        )
    return whole
