"""From probability maps to atoms: find the discs and read their centres below the pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d, maximum_filter
from scipy.spatial import cKDTree

from napari_apgan.atoms import empty_atoms, make_atoms
from napari_apgan.errors import UserError
from napari_apgan.maps import disc_coverage

from .merged import part_merged
from .patches import CHUNK, own_pixels, patches

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Map = NDArray[np.float32]

#: Width of the smoothing that precedes the search, as a fraction of the discs' radius: wide enough
#: to bridge the ripples of a solid disc, narrow enough to part discs that overlap by half.
SMOOTHING = 0.4
#: A disc whose centre moves less (px) has found its place.
SETTLED_PX = 1e-3
BORDER_FLAG = "cut by the border"


def find_atoms(
    maps: NDArray[np.floating],
    elements: Sequence[str],
    *,
    radius_px: float | Mapping[str, float],
    threshold: float = 0.5,
    valid: Bools | None = None,
) -> pd.DataFrame:
    """Read atoms from probability maps.

    Each map is smoothed a little; its local maxima above the threshold are candidates, two where
    discs have run into one. A solid disc is then fitted to the map around each (centre and height,
    pixels shared out to the nearest candidate), so that touching and overlapping discs keep their
    own centres, and discs cut by the border are read from the part that is there. Candidates of any
    element closer together than one disc radius are the same atom: the most probable one stays.

    Parameters
    ----------
    maps : (C, Y, X) array
        Probabilities, 0..1.
    elements : sequence of str
        Name of each channel.
    radius_px : float or mapping
        Radius of the discs that the network was trained on, in px; one for all, or by element.
    threshold : float
        Smallest probability of an atom.
    valid : (Y, X) bool array, optional
        Pixels of the frame that carry a measurement; atoms without one inside their disc are left
        out.

    Returns
    -------
    DataFrame
        Atom table, most probable first within an element: `x_map_px`, `y_map_px` and, for now
        equal to them, `x_px`, `y_px`; `probability` is the smoothed map at the candidate, with a
        perfect disc as 1; `origin` is ``predicted``; `flag` says where the border cuts the disc.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or len(maps) != len(elements):
        raise UserError(
            f"Maps of shape {maps.shape} do not hold one channel for each of {len(elements)} "
            "elements."
        )
    if not 0.0 < threshold < 1.0:
        raise UserError(f"The threshold must lie between 0 and 1, not {threshold:g}.")
    found_xy, found_p, found_name, found_radius = [], [], [], []
    for name, channel in zip(elements, maps, strict=True):
        radius = float(radius_px[name] if isinstance(radius_px, Mapping) else radius_px)
        if not radius > 0:
            raise UserError("The radius of the discs must be positive.")
        xy, probability = read_channel(channel.astype(np.float32, copy=False), radius, threshold)
        found_xy.append(xy)
        found_p.append(probability)
        found_name += [name] * len(xy)
        found_radius.append(np.full(len(xy), radius))
    xy = np.concatenate(found_xy) if found_xy else np.empty((0, 2))
    if not len(xy):
        return empty_atoms()
    probability, radius_of = np.concatenate(found_p), np.concatenate(found_radius)
    keep = keep_most_probable(xy, probability, radius_of)
    if valid is not None:
        keep &= _has_data(xy, radius_of, valid)
    xy, probability, radius_of = xy[keep], probability[keep], radius_of[keep]
    limit = np.array(maps.shape[:0:-1]) - 1.0
    cut = (np.minimum(xy, limit - xy) < radius_of[:, None] - 0.5).any(axis=1)
    return make_atoms(
        xy,
        [n for n, k in zip(found_name, keep, strict=True) if k],
        x_map_px=xy[:, 0],
        y_map_px=xy[:, 1],
        probability=probability,
        origin="predicted",
        flag=np.where(cut, BORDER_FLAG, ""),
    )


def read_channel(channel: Map, radius_px: float, threshold: float) -> tuple[Floats, Floats]:
    """Read the discs of one map.

    Parameters
    ----------
    channel : (Y, X) float32 array
        Probabilities of one element.
    radius_px, threshold : float
        See :func:`find_atoms`.

    Returns
    -------
    xy : (N, 2) array
        Centres x, y in px, the most probable first.
    probability : (N,) array
        0..1.
    """
    if not np.isfinite(channel).all():
        channel = np.where(np.isfinite(channel), channel, np.float32(0))
    sigma = max(SMOOTHING * radius_px, 0.5)
    smooth = _smooth(channel, sigma)
    smooth /= np.float32(_disc_response(radius_px, sigma))
    # An odd window of about one radius: two centres are never closer than that.
    window = 2 * max(1, round(0.5 * radius_px)) + 1
    peak = (smooth == maximum_filter(smooth, size=window, mode="nearest")) & (smooth > threshold)
    rows, cols = np.nonzero(peak)
    start = np.column_stack([cols, rows]).astype(np.float64)
    height = smooth[rows, cols].astype(np.float64)
    # Plateaus give several equal maxima; one of each cluster stays.
    keep = keep_most_probable(start, height, np.full(len(start), 0.75 * radius_px))
    start, height = start[keep], height[keep]
    start = np.rint(part_merged(channel, start, height, radius_px))
    cols, rows = start.astype(int).T
    height = smooth[rows, cols].astype(np.float64)
    centre = fit_discs(channel, _parabola(smooth, start), radius_px)
    order = np.argsort(-height, kind="stable")
    return centre[order], np.clip(height[order], 0.0, 1.0)


def _smooth(channel: Map, sigma: float) -> Map:
    """Smooth with a Gaussian, taking nothing (not zeros) from outside the map."""
    smooth: Map = gaussian_filter(channel, sigma, mode="constant")
    for axis, size in enumerate(channel.shape):
        inside = gaussian_filter1d(np.ones(size, dtype=np.float32), sigma, mode="constant")
        smooth /= np.expand_dims(inside, 1 - axis)
    return smooth


def _disc_response(radius_px: float, sigma: float) -> float:
    """Return the smoothed value at the centre of a perfect disc of height 1."""
    return 1.0 - math.exp(-0.5 * (radius_px / sigma) ** 2)


def _parabola(image: Map, xy: Floats) -> Floats:
    """Move whole-pixel maxima to the vertex of the parabola through their neighbours, per axis."""
    x, y = xy[:, 0].astype(int), xy[:, 1].astype(int)
    out = xy.copy()
    for axis, size in ((0, image.shape[1]), (1, image.shape[0])):
        at = xy[:, axis].astype(int)
        inner = (at > 0) & (at < size - 1)
        step = np.array([1, 0]) if axis == 0 else np.array([0, 1])
        xi, yi = x[inner], y[inner]
        before = image[yi - step[1], xi - step[0]]
        after = image[yi + step[1], xi + step[0]]
        bend = 2 * image[yi, xi] - before - after
        shift = np.where(bend > 1e-12, 0.5 * (after - before) / np.maximum(bend, 1e-12), 0.0)
        out[inner, axis] += np.clip(shift, -0.5, 0.5)
    return out


def fit_discs(channel: Map, xy: Floats, radius_px: float, *, iterations: int = 6) -> Floats:
    """Fit a solid disc (centre and height) to the map around each start, by Gauss-Newton.

    Every pixel counts for the nearest start alone, so discs that overlap do not pull each other:
    what is missing on the side of the neighbour is cut away, not taken as dark.

    Parameters
    ----------
    channel : (Y, X) array
    xy : (N, 2) array
        Starting centres x, y in px.
    radius_px : float
    iterations : int

    Returns
    -------
    (N, 2) array
        Fitted centres; the start where the fit wandered more than half a radius.
    """
    if not len(xy):
        return xy.copy()
    reach = math.ceil(radius_px + 1.5)
    tree = cKDTree(xy)
    out = xy.copy()
    for first in range(0, len(xy), CHUNK):
        part = slice(first, first + CHUNK)
        out[part] = _fit_chunk(channel, xy[part], tree, radius_px, reach, iterations)
    wandered = np.hypot(*(out - xy).T) > 0.5 * radius_px + 0.5
    out[wandered | ~np.isfinite(out).all(axis=1)] = xy[wandered | ~np.isfinite(out).all(axis=1)]
    return out


def _fit_chunk(
    channel: Map, xy: Floats, tree: cKDTree, radius: float, reach: int, iterations: int
) -> Floats:
    """Fit the discs of one chunk; `tree` holds every start of the map."""
    px, py, inside, value = patches(channel, xy, reach)
    weight = inside & own_pixels(xy, px, py, tree)
    centre = xy.copy()
    moving = np.arange(len(xy))
    for _ in range(iterations):
        step = _step(value[moving], weight[moving], px[moving], py[moving], centre[moving], radius)
        centre[moving] += np.clip(step, -0.5, 0.5)
        moving = moving[np.abs(step).max(axis=1) >= SETTLED_PX]
        if not len(moving):
            break
    return centre


def _step(
    value: Floats,
    weight: Bools,
    px: NDArray[np.int_],
    py: NDArray[np.int_],
    centre: Floats,
    radius: float,
) -> Floats:
    """Return how far the (N, 2) centres must move, by one step of Gauss-Newton."""
    dx = px - centre[:, :1]
    dy = py - centre[:, 1:]
    distance = np.sqrt(dy[:, :, None] ** 2 + dx[:, None, :] ** 2)
    disc = disc_coverage(dx, dy, radius)
    # A rim two pixels wide feels a shift from farther away than the drawn one of one pixel.
    rim = (np.abs(distance - radius) < 1.0) * weight / np.maximum(distance, 1e-6)
    gx, gy = rim * dx[:, None, :], rim * dy[:, :, None]
    weighted = disc * weight
    height = np.einsum("nij,nij->n", weighted, value) / np.maximum(
        np.einsum("nij,nij->n", weighted, disc), 1e-9
    )
    height = np.maximum(height, 1e-3)
    residual = value - height[:, None, None] * disc
    moment_x, moment_y = (np.einsum("nij,nij->n", g, residual) for g in (gx, gy))
    xx, yy, xy = (np.einsum("nij,nij->n", a, b) for a, b in ((gx, gx), (gy, gy), (gx, gy)))
    determinant = xx * yy - xy**2
    solvable = determinant > 1e-6 * np.maximum(xx + yy, 1e-9) ** 2
    scale = np.where(solvable, 1.0 / (np.where(solvable, determinant, 1.0) * height), 0.0)
    step: Floats = np.stack(
        [(yy * moment_x - xy * moment_y) * scale, (xx * moment_y - xy * moment_x) * scale], axis=1
    )
    return step


def keep_most_probable(xy: ArrayLike, probability: ArrayLike, radius: ArrayLike) -> Bools:
    """Of candidates closer together than their radius, keep the most probable (the first if equal).

    Parameters
    ----------
    xy : (N, 2) array
    probability : (N,) array
    radius : (N,) array
        In px; for a pair the smaller one counts.

    Returns
    -------
    (N,) bool array
    """
    xy = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    probability, radius = np.asarray(probability), np.asarray(radius, dtype=np.float64)
    keep = np.ones(len(xy), dtype=bool)
    if len(xy) < 2:
        return keep
    pairs = cKDTree(xy).query_pairs(float(radius.max()), output_type="ndarray")
    if not len(pairs):
        return keep
    apart = np.hypot(*(xy[pairs[:, 0]] - xy[pairs[:, 1]]).T)
    pairs = pairs[apart < np.minimum(radius[pairs[:, 0]], radius[pairs[:, 1]])]
    rank = np.empty(len(xy), dtype=np.int64)
    rank[np.argsort(-probability, kind="stable")] = np.arange(len(xy))
    better = np.where(rank[pairs[:, 0]] < rank[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    worse = pairs.sum(axis=1) - better
    # A candidate falls only to one that stays itself: go through the pairs by the better's rank.
    order = np.argsort(rank[better], kind="stable")
    for a, b in zip(better[order].tolist(), worse[order].tolist(), strict=True):
        if keep[a]:
            keep[b] = False
    return keep


def _has_data(xy: Floats, radius: Floats, valid: Bools) -> Bools:
    """Whether at least one measured pixel lies within the disc of each atom."""
    if valid.all():
        return np.ones(len(xy), dtype=bool)
    measured = np.argwhere(valid)[:, ::-1]
    if not len(measured):
        return np.zeros(len(xy), dtype=bool)
    near: Bools = cKDTree(measured).query(xy)[0] <= radius
    return near
