"""Pair predicted with true atoms, one to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from napari_apgan.errors import UserError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def match(xy_a: ArrayLike, xy_b: ArrayLike, tolerance_px: float) -> tuple[Ints, Ints]:
    """Pair the points of two sets one to one, within a tolerance.

    As many pairs as possible, and among those the smallest sum of squared distances: the
    Hungarian method, run on each cluster of points within reach of one another.

    Parameters
    ----------
    xy_a, xy_b : (N, 2) and (M, 2) arrays
        x, y in px.
    tolerance_px : float
        Largest distance of a pair.

    Returns
    -------
    index_a, index_b : (K,) int arrays
        Rows of `xy_a` and `xy_b` that belong together; no row appears twice.
    """
    a = np.asarray(xy_a, dtype=np.float64).reshape(-1, 2)
    b = np.asarray(xy_b, dtype=np.float64).reshape(-1, 2)
    if not tolerance_px > 0:
        raise UserError("The tolerance for matching atoms must be positive.")
    empty = np.empty(0, dtype=np.int64)
    if not len(a) or not len(b):
        return empty, empty
    near = cKDTree(a).sparse_distance_matrix(
        cKDTree(b), tolerance_px, p=2.0, output_type="coo_matrix"
    )
    i, j = near.row.astype(np.int64), near.col.astype(np.int64)
    if not len(i):
        return empty, empty
    squared = np.square(a[i] - b[j]).sum(axis=1)
    return _assign(i, j, squared, len(a), len(b), tolerance_px**2)


def _assign(
    i: Ints, j: Ints, squared: Floats, n_a: int, n_b: int, limit: float
) -> tuple[Ints, Ints]:
    """Solve the assignment among candidate pairs (i, j), cluster by cluster."""
    size = n_a + n_b
    graph = coo_array((np.ones(len(i)), (i, n_a + j)), shape=(size, size))
    label = connected_components(graph, directed=False)[1][i]
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(label[order]) > 0])
    lengths = np.diff(np.r_[starts, len(order)])
    alone = lengths == 1
    chosen = [order[starts[alone]]]
    for start, length in zip(starts[~alone].tolist(), lengths[~alone].tolist(), strict=True):
        edges = order[start : start + length]
        rows, row_of = np.unique(i[edges], return_inverse=True)
        cols, col_of = np.unique(j[edges], return_inverse=True)
        # A pair that is not allowed costs more than all allowed ones together could save.
        forbidden = (limit + 1.0) * (min(len(rows), len(cols)) + 1)
        cost = np.full((len(rows), len(cols)), forbidden)
        cost[row_of, col_of] = squared[edges]
        which = np.full(cost.shape, -1, dtype=np.int64)
        which[row_of, col_of] = edges
        picked = which[linear_sum_assignment(cost)]
        chosen.append(picked[picked >= 0])
    edge = np.concatenate(chosen)
    edge = edge[np.argsort(i[edge], kind="stable")]
    return i[edge], j[edge]
