"""How far positions read from a probability map may be off, told by the map itself.

A network trained on solid discs by squared error or cross-entropy answers each pixel with the
probability that it lies in a disc: the disc, blurred by what the network does not know of the
position. The blur shows at the rim. Over a straight edge blurred by a normal distribution of
standard deviation s, the integral of p (1 - p) is s / sqrt(pi); around a rim of radius R the sum
over the pixels is therefore ``u = 2 sqrt(pi) R s``, and ``s² = (u / (2 sqrt(pi) R))²``. Part of it
comes from the pixels, which cut the rim of a perfectly known disc too; it is computed in the same
way from the drawn disc and taken off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.maps import disc_coverage

from .calibration import ONE_SIGMA
from .patches import CHUNK, own_pixels, patches

Floats = NDArray[np.float64]

#: Error of a position whose disc is drawn sharp (px), and the variance for one of blur, before a
#: validation has told better.
USUAL_FLOOR_PX, USUAL_FACTOR = 0.1, 1.0
#: Bounds of an atom's blur as a multiple of the usual one among its own: single atoms are noisy.
RATIO_BOUNDS = (0.3, 4.0)
#: What is tried for them.
FLOORS_PX = np.geomspace(0.01, 1.0, 33)
FACTORS = np.geomspace(0.1, 10.0, 33)
#: Atoms that the usual values weigh against those of a validation.
BELIEF = 3.0


@dataclass(frozen=True, slots=True)
class Spread:
    """The blur of N discs.

    Parameters
    ----------
    excess_px2 : (N,) array
        Variance of the blur beyond that of the pixels, in px²: the median over the atoms of the
        same element.
    ratio : (N,) array
        How uncertain the pixels of each are, as a multiple of the median; more where the border
        cuts the disc.
    certain : (N,) array
        Part of p (1 - p) that a perfectly known disc would show too.
    """

    excess_px2: Floats
    ratio: Floats
    certain: Floats

    def variance_px2(
        self, floor_px: float = USUAL_FLOOR_PX, factor: float = USUAL_FACTOR
    ) -> Floats:
        """Return the (N,) variances of the positions along each axis, in px²."""
        variance: Floats = (floor_px**2 + factor * self.excess_px2) * self.ratio
        return variance

    @staticmethod
    def join(parts: Sequence[Spread]) -> Spread:
        """Put those of several frames together."""
        return Spread(
            np.concatenate([p.excess_px2 for p in parts]),
            np.concatenate([p.ratio for p in parts]),
            np.concatenate([p.certain for p in parts]),
        )

    def of(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Spread:
        """Return those of some atoms."""
        return Spread(self.excess_px2[which], self.ratio[which], self.certain[which])


def measure_spread(
    maps: NDArray[np.floating],
    elements: Sequence[str],
    atoms: pd.DataFrame,
    radius_px: float | Mapping[str, float],
) -> Spread:
    """Measure the blur of the discs of atoms on the maps that they were read from.

    Parameters
    ----------
    maps : (C, Y, X) array
        Probabilities.
    elements : sequence of str
        Name of each channel.
    atoms : DataFrame
        As `find_atoms` returns them for these maps.
    radius_px : float or mapping
        See :func:`napari_apgan.measure.find_atoms`.
    """
    xy = atoms[["x_map_px", "y_map_px"]].to_numpy(np.float64)
    names = atoms["element"].to_numpy()
    out = Spread(np.zeros(len(xy)), np.ones(len(xy)), np.ones(len(xy)))
    for name, channel in zip(elements, maps, strict=True):
        rows = np.flatnonzero(names == name)
        if not len(rows):
            continue
        radius = float(radius_px[name] if isinstance(radius_px, Mapping) else radius_px)
        unsure, seen, whole = _sums(channel, xy[rows], radius)
        # What lies outside the image is taken to be as unsure as what is seen.
        share = np.clip(seen / np.maximum(whole, 1e-9), 0.1, 1.0)
        unsure = unsure / share
        typical = float(np.median(unsure))
        rim = 2 * math.sqrt(math.pi) * radius
        excess = max((typical / rim) ** 2 - float(np.mean(whole) / rim) ** 2, 0.0)
        out.excess_px2[rows] = excess
        out.ratio[rows] = np.clip(unsure / max(typical, 1e-9), *RATIO_BOUNDS) / share
        out.certain[rows] = np.clip(whole / np.maximum(unsure, 1e-9), 0.0, 1.0)
    return out


def _sums(
    channel: NDArray[np.floating], xy: Floats, radius: float
) -> tuple[Floats, Floats, Floats]:
    """Return per atom the sum of p (1 - p), and that of a drawn disc: its seen part, and whole."""
    reach = math.ceil(radius + 2.0)
    tree = cKDTree(xy)
    sums = np.empty((3, len(xy)))
    for first in range(0, len(xy), CHUNK):
        part = slice(first, first + CHUNK)
        sums[:, part] = _sums_of_chunk(channel, xy[part], tree, radius, reach)
    return sums[0], sums[1], sums[2]


def _sums_of_chunk(
    channel: NDArray[np.floating], xy: Floats, tree: cKDTree, radius: float, reach: int
) -> Floats:
    px, py, inside, value = patches(channel, xy, reach)
    p = np.clip(value, 0.0, 1.0)
    disc = disc_coverage(px - xy[:, :1], py - xy[:, 1:], radius)
    drawn = disc * (1 - disc)
    unsure = p * (1 - p) * (inside & own_pixels(xy, px, py, tree))
    return np.stack([a.sum(axis=(1, 2)) for a in (unsure, drawn * inside, drawn)])


def fit_spread(error_px: Floats, spread: Spread) -> tuple[float, float]:
    """Find the floor and the factor that make error bars right.

    Those of the largest likelihood of normal errors on a grid, held near the usual ones as if a
    few atoms had asked for them.

    Parameters
    ----------
    error_px : (N, 2) array
        Errors of atoms along x and y.
    spread : Spread
        Of the same atoms.

    Returns
    -------
    floor_px, factor : float
        For :meth:`Spread.variance_px2`.
    """
    squared = (np.asarray(error_px, dtype=np.float64) ** 2).sum(axis=1)
    best, chosen = math.inf, (USUAL_FLOOR_PX, USUAL_FACTOR)
    for floor in FLOORS_PX.tolist():
        for factor in FACTORS.tolist():
            variance = spread.variance_px2(floor, factor)
            unlikely = float((np.log(variance) + 0.5 * squared / variance).sum())
            away = math.log(floor / USUAL_FLOOR_PX) ** 2 + math.log(factor / USUAL_FACTOR) ** 2
            unlikely += 0.5 * BELIEF * away
            if unlikely < best:
                best, chosen = unlikely, (floor, factor)
    return chosen


def element_factors(
    error_px: Floats, variance_px2: Floats, element: NDArray[np.str_]
) -> dict[str, float]:
    """Find for each element what makes the error bars of its atoms right.

    Weak columns are further off than the blur of their discs says, beside strong ones.

    Parameters
    ----------
    error_px : (N, 2) array
        Errors of atoms along x and y.
    variance_px2 : (N,) array
        Their variance along each axis, as far as it is known for all elements together.
    element : (N,) array of str

    Returns
    -------
    dict
        By element, the factor of the variance that puts 68.3 % of the errors within one error bar,
        held near 1 as if a few atoms had asked for it. A few that are far off, as where the wrong
        atom was matched, do not widen the bars of all.
    """
    squared = np.square(np.asarray(error_px, dtype=np.float64)) / variance_px2[:, None]
    factors = {}
    for name in np.unique(element).tolist():
        own = squared[element == name]
        within = float(np.quantile(own, ONE_SIGMA))
        factors[name] = (len(own) * within + BELIEF) / (len(own) + BELIEF)
    return factors
