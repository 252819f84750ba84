"""Small squares of a map around many centres, and which of their pixels belong to which."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int_]

#: Patches looked at together; bounds the memory.
CHUNK = 1024
#: Neighbours that may take pixels of an atom's patch; a ring of six and those behind it.
NEIGHBOURS = 18


def patches(
    channel: NDArray[np.floating], xy: Floats, reach: int
) -> tuple[Ints, Ints, Bools, Floats]:
    """Cut a square of ``2 reach + 1`` px out of a map around each centre.

    Parameters
    ----------
    channel : (Y, X) array
    xy : (N, 2) array
        Centres x, y in px.
    reach : int

    Returns
    -------
    px, py : (N, K) int arrays
        Columns and rows of the pixels.
    inside : (N, K, K) bool array
        Which of them lie on the map.
    value : (N, K, K) array
        The map there; outside, that of its nearest pixel.
    """
    rows, cols = channel.shape
    offset = np.arange(-reach, reach + 1)
    base = np.rint(xy).astype(int)
    px = base[:, 0, None] + offset[None, :]
    py = base[:, 1, None] + offset[None, :]
    inside = ((py >= 0) & (py < rows))[:, :, None] & ((px >= 0) & (px < cols))[:, None, :]
    at = np.clip(py, 0, rows - 1)[:, :, None], np.clip(px, 0, cols - 1)[:, None, :]
    return px, py, inside, channel[at].astype(np.float64)


def own_pixels(xy: Floats, px: NDArray[np.int_], py: NDArray[np.int_], tree: cKDTree) -> Bools:
    """Return (N, L, K): whether a pixel of a patch is nearest to its own centre.

    It is when it lies on the near side of the line halfway to each neighbour.
    """
    own = np.ones((len(xy), py.shape[1], px.shape[1]), dtype=bool)
    if tree.n < 2:
        return own
    # A neighbour beyond twice the patch's corner takes none of its pixels.
    reach = math.sqrt(2) * (px.shape[1] + 1)
    nearest = tree.query(xy, k=min(NEIGHBOURS + 1, tree.n), distance_upper_bound=reach)
    apart, which = (np.asarray(found) for found in nearest)
    for k in range(1, apart.shape[1]):
        near = np.flatnonzero(np.isfinite(apart[:, k]))
        if not len(near):
            break
        to = tree.data[which[near, k]] - xy[near]
        along_x = (px[near] - xy[near, :1]) * to[:, :1]
        along_y = (py[near] - xy[near, 1:]) * to[:, 1:]
        half = 0.5 * (to**2).sum(axis=1) + 1e-9
        own[near] &= along_x[:, None, :] + along_y[:, :, None] <= half[:, None, None]
    return own
