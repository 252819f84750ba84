"""Output maps of crops, drawn many times a second."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stamp_discs(
    xy_px: NDArray[np.float64],
    channel: NDArray[np.int_],
    radius_px: Sequence[float],
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Draw the output map of a crop; the same values as :func:`napari_apgan.maps.draw_discs`.

    All discs of an element are drawn at once, which is some ten times faster.

    Parameters
    ----------
    xy_px : (N, 2) array
        x, y in px of the crop; atoms outside may reach in.
    channel : (N,) int array
        Element of each atom.
    radius_px : sequence of float
        Radius of each element's discs.
    shape : (int, int)
        (rows, columns).

    Returns
    -------
    (C, Y, X) float32 array, 0..1
    """
    rows, columns = shape
    out = np.zeros((len(radius_px), rows, columns), dtype=np.float32)
    for c, radius in enumerate(radius_px):
        xy = xy_px[channel == c]
        reach = math.ceil(radius + 1)
        offset = np.arange(-reach, reach + 1)
        base = np.rint(xy).astype(int)
        px = base[:, 0, None, None] + offset[None, None, :]
        py = base[:, 1, None, None] + offset[None, :, None]
        distance = np.hypot(px - xy[:, 0, None, None], py - xy[:, 1, None, None])
        disc = np.clip(radius + 0.5 - distance, 0.0, 1.0).astype(np.float32)
        px, py = np.broadcast_to(px, disc.shape), np.broadcast_to(py, disc.shape)
        inside = (px >= 0) & (px < columns) & (py >= 0) & (py < rows) & (disc > 0)
        np.maximum.at(out[c].reshape(-1), py[inside] * columns + px[inside], disc[inside])
    return out
