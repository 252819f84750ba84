"""Displacements between images, found to a fraction of a pixel: rigid, or smooth over a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from .correlate import Prepared

Floats = NDArray[np.float64]

#: Pixels that take part at most: more bring no precision that matters.
MOST_PIXELS = 60_000
STEPS = 4


class Grid:
    """A smooth displacement field, given at few control points.

    Between them it is interpolated linearly along x and along y.

    Parameters
    ----------
    shape : (int, int)
        (rows, columns) of the frames.
    points : (int, int)
        Control points along y and x; (1, 1) is a rigid shift.
    """

    def __init__(self, shape: tuple[int, int], points: tuple[int, int]) -> None:
        self.shape, self.points = shape, points

    def weights(self, xy_px: Floats) -> Floats:
        """Return (N, K): how much each control point counts at each position; rows add up to 1."""
        along = []
        for axis in (1, 0):  # y, then x
            number, length = self.points[1 - axis], self.shape[1 - axis]
            place = np.clip(xy_px[:, axis], 0, length - 1) / max(length - 1, 1) * (number - 1)
            distance = np.abs(place[:, None] - np.arange(number))
            along.append(np.maximum(1 - distance, 0))
        product: Floats = (along[0][:, :, None] * along[1][:, None, :]).reshape(len(xy_px), -1)
        return product

    def bending(self) -> Floats:
        """Return (K, K): twice the sum of squared differences between neighbouring points."""
        rows, columns = self.points
        number = np.arange(rows * columns).reshape(rows, columns)
        matrix = np.zeros((rows * columns, rows * columns))
        pairs = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:])]
        for first, second in pairs:
            for a, b in zip(first.ravel(), second.ravel(), strict=True):
                matrix[a, a] += 1
                matrix[b, b] += 1
                matrix[a, b] -= 1
                matrix[b, a] -= 1
        return matrix


def refine_field(
    reference: Prepared,
    frame: Prepared,
    start: Floats,
    grid: Grid,
    *,
    stiffness: float = 0.5,
) -> Floats:
    """Improve a displacement field by least squares.

    B. D. Lucas and T. Kanade, Proc. IJCAI (1981) 674-679: the frame, taken at the displaced
    positions, differs from the reference to first order by its gradient times the error of the
    displacement. The gradient is that of the reference, which has less noise.

    Parameters
    ----------
    reference, frame : Prepared
    start : (K, 2) array
        Displacements x, y in px at the control points.
    grid : Grid
    stiffness : float
        How strongly neighbouring control points are held together; 1 is as much as the image
        itself holds them at their places.

    Returns
    -------
    (K, 2) array
        The start where the images have nothing in common.
    """
    rows, columns = reference.band.shape
    step = max(1, int(np.ceil(np.sqrt(rows * columns / MOST_PIXELS))))
    yy, xx = (axis.ravel() for axis in np.mgrid[0:rows:step, 0:columns:step].astype(float))
    part = (slice(None, None, step), slice(None, None, step))
    gx, gy = (
        np.asarray(np.gradient(reference.band, axis=axis), np.float64)[part].ravel()
        for axis in (1, 0)
    )
    target = reference.band[part].ravel().astype(np.float64)
    own = reference.weight[part].ravel().astype(np.float64)
    basis = grid.weights(np.column_stack([xx, yy]))
    field = np.array(start, dtype=np.float64)
    bending = grid.bending()
    for _ in range(STEPS):
        moved = basis @ field
        at = np.stack([yy + moved[:, 1], xx + moved[:, 0]])
        seen = map_coordinates(frame.band, at, order=1, mode="constant", prefilter=False)
        there = map_coordinates(frame.weight, at, order=1, mode="constant", prefilter=False)
        weight = own * there
        power = float((weight * target * target).sum())
        if weight.sum() < 0.1 * len(weight) or power <= 0:
            return np.array(start, dtype=np.float64)
        # The frame carries noise and so less of the common signal for the same variance.
        seen = seen * min(power / max(float((weight * target * seen).sum()), 0.05 * power), 20.0)
        change = _solve(basis, gx, gy, weight, target - seen, bending, stiffness, field)
        # Half a px at a time keeps to the valley it started in.
        field = field + np.clip(change, -0.5, 0.5)
        if float(np.abs(change).max()) < 2e-3:
            break
    return field


def _solve(
    basis: Floats,
    gx: Floats,
    gy: Floats,
    weight: Floats,
    residual: Floats,
    bending: Floats,
    stiffness: float,
    field: Floats,
) -> Floats:
    """Return the (K, 2) change that takes the residual away, with the penalty on bending."""
    number = basis.shape[1]
    xx = basis.T @ (basis * (weight * gx * gx)[:, None])
    xy = basis.T @ (basis * (weight * gx * gy)[:, None])
    yy = basis.T @ (basis * (weight * gy * gy)[:, None])
    hold = stiffness * 0.5 * (np.trace(xx) + np.trace(yy)) / number
    right_x = basis.T @ (weight * gx * residual) - hold * bending @ field[:, 0]
    right_y = basis.T @ (weight * gy * residual) - hold * bending @ field[:, 1]
    matrix = np.block([[xx + hold * bending, xy], [xy, yy + hold * bending]])
    matrix += 1e-6 * max(float(np.trace(matrix)), 1e-12) / number * np.eye(2 * number)
    change: Floats = np.linalg.solve(matrix, np.concatenate([right_x, right_y]))
    return change.reshape(2, number).T
