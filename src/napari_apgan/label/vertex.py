"""Where a maximum lies between the pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def paraboloid_vertex(smooth: Floats, col: int, row: int, half: int) -> Floats:
    """Return the vertex (x, y) in px of a paraboloid fitted to the pixels around a maximum.

    Parameters
    ----------
    smooth : (Y, X) array
        An image that is smooth on the scale of a pixel.
    col, row : int
        The maximum.
    half : int
        Pixels this far along each axis take part, near ones most.

    Returns
    -------
    (2,) array
        The maximum itself where the paraboloid has none.
    """
    rows, columns = smooth.shape
    y0, y1 = max(row - half, 0), min(row + half + 1, rows)
    x0, x1 = max(col - half, 0), min(col + half + 1, columns)
    yy, xx = np.mgrid[y0:y1, x0:x1]
    dx, dy = (xx - col).ravel().astype(float), (yy - row).ravel().astype(float)
    terms = np.column_stack([np.ones_like(dx), dx, dy, dx * dx, dx * dy, dy * dy])
    weights = np.exp(-(dx**2 + dy**2) / (2 * (0.7 * half + 0.3) ** 2))
    root = np.sqrt(weights)
    if len(dx) < 6:
        return np.array([col, row], dtype=np.float64)
    _, bx, by, cxx, cxy, cyy = np.linalg.lstsq(
        terms * root[:, None], smooth[y0:y1, x0:x1].ravel() * root, rcond=None
    )[0]
    hessian = np.array([[2 * cxx, cxy], [cxy, 2 * cyy]])
    if cxx >= 0 or np.linalg.det(hessian) <= 0:
        return np.array([col, row], dtype=np.float64)
    step = -np.linalg.solve(hessian, [bx, by])
    limit = half + 0.5
    centre: Floats = np.array([col, row]) + np.clip(step, -limit, limit)
    return centre
