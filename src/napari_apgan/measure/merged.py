"""Discs that a map has run into one: two atoms nearer to each other than the network ever saw.

Where atoms are that near, a network fills what lies between their discs, and the map has a single
maximum somewhere in the middle. Two discs are long, no wider than one and hold more than one; a
disc that is drawn wide because nobody knows its place is as faint as it is wide, one that is drawn
too large is round, and something else is wide and long.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .patches import CHUNK, own_pixels, patches

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Map = NDArray[np.float32]

#: Two discs of one are looked for within so many radii.
REACH = 3.0
#: Of the height of the disc: what belongs to it.
SOLID = 0.5
#: Probability in two discs that overlap, in discs, and how far apart they are at least, in radii.
LEAST_MASS = 1.2
LEAST_APART = 1.2
#: Two discs in one are solid at so many radii from their common maximum, in one of so many
#: directions.
FARTHER, DIRECTIONS = 1.6, 8
#: Variance across two discs, in that of a perfect one, and what the pixels add to it.
MOST_ACROSS = 1.1
PIXEL = 1 / 12


def part_merged(channel: Map, xy: Floats, height: Floats, radius_px: float) -> Floats:
    """Put two centres in the place of one where a map shows two discs in one.

    Parameters
    ----------
    channel : (Y, X) array
        Map of one element.
    xy, height : (N, 2), (N,) arrays
        Centres x, y in px, and how high the map is there.
    radius_px : float
        Radius of a disc.

    Returns
    -------
    (M, 2) array
        M ≥ N centres about where the discs are, all of them on the map.
    """
    if not len(xy):
        return xy
    tree = cKDTree(xy)
    far = _reaches_far(channel, xy, height, radius_px)
    long, level = xy[far], height[far]
    parts = [
        _parted(channel, long[k : k + CHUNK], level[k : k + CHUNK], tree, radius_px)
        for k in range(0, len(long), CHUNK)
    ]
    return np.concatenate([xy[~far], *parts])


def _reaches_far(channel: Map, xy: Floats, height: Floats, radius: float) -> Bools:
    """Tell where the map is solid farther from a centre than one disc reaches; few are."""
    angle = np.arange(DIRECTIONS) * 2 * math.pi / DIRECTIONS
    ring = FARTHER * radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    limit = np.array(channel.shape[::-1]) - 1
    x, y = np.clip(np.rint(xy[:, None] + ring), 0, limit).astype(int).transpose(2, 0, 1)
    far: Bools = (channel[y, x] > SOLID * height[:, None]).any(axis=1)
    return far


def _parted(channel: Map, xy: Floats, height: Floats, tree: cKDTree, radius: float) -> Floats:
    px, py, inside, value = patches(channel, xy, math.ceil(REACH * radius))
    solid = inside & (value > SOLID * height[:, None, None])
    solid &= own_pixels(xy, px, py, tree)
    area = math.pi * radius**2
    mass = np.einsum("nij,nij->n", solid, value)
    count = np.maximum(solid.sum(axis=(1, 2)), 1)

    def mean(x: Floats) -> Floats:
        total: Floats = np.einsum("nij,nij->n", solid, x) / count
        return total

    shape = solid.shape
    x = np.broadcast_to(px[:, None, :], shape).astype(np.float64)
    y = np.broadcast_to(py[:, :, None], shape).astype(np.float64)
    centre = np.stack([mean(x), mean(y)], axis=1)
    x, y = x - centre[:, 0, None, None], y - centre[:, 1, None, None]
    xx, yy, xy_ = mean(x * x), mean(y * y), mean(x * y)
    # Half the difference of the two principal variances, and the direction of the larger one.
    excess = np.hypot(0.5 * (xx - yy), xy_)
    angle = 0.5 * np.arctan2(xy_, 0.5 * (xx - yy))
    apart = 2.0 * np.sqrt(2.0 * excess)
    across = 0.5 * (xx + yy) - excess
    two = (mass > LEAST_MASS * area) & (apart > LEAST_APART * radius)
    two &= across < MOST_ACROSS * 0.25 * radius**2 + PIXEL
    half = 0.5 * apart[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    pairs = np.concatenate([(centre - half)[two], (centre + half)[two]])
    return np.concatenate([xy[~two], np.clip(pairs, 0, np.array(channel.shape[::-1]) - 1)])
