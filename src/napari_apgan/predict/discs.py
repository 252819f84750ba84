"""What the discs of a map tell of the atoms: their size and spacing, and whether it is regular."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

#: Radii of discs (px) that training draws, see :func:`napari_apgan.maps.default_radius_px`.
RADIUS_BOUNDS_PX = (1.5, 12.0)
#: Fewer discs than this say nothing of a spacing.
ENOUGH = 5
#: In a lattice the quartiles of the nearest distances differ by less than this part of the median.
MOST_SPREAD = 0.25
#: Discs narrower than this (px) are noise.
LEAST_AREA_PX = 3
#: At half height most discs must still be parted for their areas to mean anything.
LEAST_PARTED = 0.8


@dataclass(frozen=True, slots=True)
class Discs:
    """Sizes read from a map: median distance of neighbours (None: too few), radius, in its px."""

    spacing_px: float | None
    radius_px: float


def regular(xy_px: NDArray[np.float64]) -> bool:
    """Tell whether atoms lie as in a lattice: their nearest distances differ little.

    Parameters
    ----------
    xy_px : (N, 2) array
        x, y in px.
    """
    if len(xy_px) < ENOUGH:
        return False
    low, middle, high = np.percentile(_nearest(xy_px), [25, 50, 75])
    return bool(high - low < MOST_SPREAD * middle)


def measure_discs(values: NDArray[np.floating], threshold: float) -> Discs:
    """Measure the discs of a map without knowing how large they are.

    Connected pixels above the threshold are discs; their areas give the radius, their centres the
    spacing.

    Parameters
    ----------
    values : (Y, X) array
        Probabilities.
    threshold : float
    """
    above = values > threshold
    labels, count = ndimage.label(above)
    least, most = RADIUS_BOUNDS_PX
    if not count:
        return Discs(None, least)
    areas = np.bincount(labels.ravel())[1:]
    solid = np.flatnonzero(areas >= LEAST_AREA_PX)
    if not len(solid):
        return Discs(None, least)
    area = float(np.median(areas[solid]))
    # A disc's edge lies at half its height, which need not be where the threshold is.
    heights = ndimage.maximum(values, labels, solid + 1)
    half = values > 0.5 * float(np.median(heights))
    whole = np.bincount(ndimage.label(half)[0].ravel())[1:]
    whole = whole[whole >= LEAST_AREA_PX]
    if len(whole) >= LEAST_PARTED * len(solid):
        area = float(np.median(whole))
    radius = float(np.clip(math.sqrt(area / math.pi), least, most))
    if len(solid) < ENOUGH:
        return Discs(None, radius)
    centres = np.array(ndimage.center_of_mass(above, labels, solid + 1))
    return Discs(float(np.median(_nearest(centres))), radius)


def _nearest(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the nearest other one of (N, 2) places is, from each."""
    distance: NDArray[np.float64] = np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]
    return distance
