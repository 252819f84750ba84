"""What stands around an atom: neighbours that are missing, defects nearby, the frame's border."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_apgan.errors import UserError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: Neighbours are atoms within this many times the usual distance to the nearest one. It parts first
#: from second neighbours in a honeycomb (1 and 1.73), a perovskite along [001] (1 and 1.41) and a
#: close-packed plane (1 and 1.73), strained by some percent.
NEIGHBOUR_REACH = 1.25
#: Atoms this near (px) to a frame's edge, which are those on its outermost row of pixels, do not
#: count in a score: on which side of the edge their centres lie, and so whether they are atoms of
#: the frame at all, is less than the errors of the best position.
EDGE_PX = 1.0


def nearest_spacing_px(xy_px: ArrayLike) -> float:
    """Return the median distance of (N, 2) positions to their nearest neighbours, in px.

    Raises
    ------
    UserError
        When there are fewer than two.
    """
    xy = _pairs(xy_px)
    if len(xy) < 2:
        raise UserError("A spacing needs at least two atoms.")
    return float(np.median(np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]))


def missing_neighbours(
    xy_px: ArrayLike,
    *,
    kinds: Sequence[str] | None = None,
    around_px: ArrayLike | None = None,
    spacing_px: float | None = None,
) -> Ints:
    """Count how many neighbours fewer each atom has than most atoms of its kind.

    Parameters
    ----------
    xy_px : (N, 2) array
        Positions x, y in px; undisplaced sites where they are known.
    kinds : sequence of str, optional
        Element or sublattice of each: atoms are compared with those of the same kind.
    around_px : (M, 2) array, optional
        Atoms beyond the frame, which are neighbours too. Without them atoms at the border count as
        lacking what lies outside.
    spacing_px : float, optional
        Usual distance to the nearest neighbour; measured on the atoms when left out.

    Returns
    -------
    (N,) int array
        0 for an atom that has them all; negative for one that has more than usual.
    """
    xy = _pairs(xy_px)
    if len(xy) < 2:
        return np.zeros(len(xy), dtype=np.int64)
    reach = NEIGHBOUR_REACH * (spacing_px or nearest_spacing_px(xy))
    everything = xy if around_px is None else np.concatenate([xy, _pairs(around_px)])
    # Each finds itself too, which is no neighbour.
    count = np.asarray(cKDTree(everything).query_ball_point(xy, reach, return_length=True)) - 1
    names = np.zeros(len(xy), dtype=np.int64)
    if kinds is not None:
        names = np.unique(np.asarray(kinds), return_inverse=True)[1]
    usual = np.zeros(len(xy), dtype=np.int64)
    for name in np.unique(names):
        usual[names == name] = np.bincount(count[names == name]).argmax()
    return usual - count.astype(np.int64)


def near(xy_px: ArrayLike, others_px: ArrayLike, reach_px: float) -> Bools:
    """Tell which (N, 2) positions lie within a distance (px) of any of (M, 2) others."""
    xy, others = _pairs(xy_px), _pairs(others_px)
    if not len(others) or not len(xy):
        return np.zeros(len(xy), dtype=np.bool_)
    return np.isfinite(cKDTree(others).query(xy, distance_upper_bound=reach_px * (1 + 1e-12))[0])


def in_border_band(xy_px: ArrayLike, shape: tuple[int, int], width_px: float) -> Bools:
    """Tell which (N, 2) positions lie on a frame within a distance (px) of its edge.

    Parameters
    ----------
    xy_px : (N, 2) array
    shape : (int, int)
        (rows, columns) of the frame; its edge runs half a pixel outside the outermost centres.
    width_px : float
    """
    inwards = _inwards(xy_px, shape)
    band: Bools = (inwards >= 0) & (inwards < width_px)
    return band


def off_edge(xy_px: ArrayLike, shape: tuple[int, int]) -> Bools:
    """Tell which (N, 2) positions lie on a frame of (rows, columns), :data:`EDGE_PX` from its edge.

    Those that do not are not counted in scores.
    """
    inner: Bools = _inwards(xy_px, shape) >= EDGE_PX
    return inner


def _inwards(xy_px: ArrayLike, shape: tuple[int, int]) -> Floats:
    """Return the distances (px) of (N, 2) positions from the nearest edge; negative outside."""
    x, y = _pairs(xy_px).T
    distance: Floats = np.minimum(
        np.minimum(x + 0.5, shape[1] - 0.5 - x), np.minimum(y + 0.5, shape[0] - 0.5 - y)
    )
    return distance


def _pairs(xy: ArrayLike) -> Floats:
    return np.asarray(xy, dtype=np.float64).reshape(-1, 2)
