"""Candidates for atoms: found once with their heights, thinned by a threshold at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError, cKDTree

from napari_apgan.atoms import empty_atoms, make_atoms
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .landscape import OF_THE_WIDTH, Landscape, Peaks, survey
from .spacing import estimate_scale

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Widths looked for when atoms are of several sizes, in units of the usual one.
SEVERAL = (0.6, 1.0, 1.6)
#: Spots nearer to a stronger one than this part of the spacing are a part of it; where there is no
#: spacing, than so many widths.
APART, APART_WIDTHS = 0.4, 1.5
#: Least width of ring centres in units of the spacing: they are as wide as the lattice allows.
RING_WIDTH = 0.18
#: Ripples of an empty vacuum are lower than this part of the highest response.
RIPPLE = 0.02
#: Smallest side (px) of a frame that atoms are looked for on.
SMALLEST = 24
#: Ring centres weaker than this (robust standard deviations) are left out at first.
FIRST_RING = 0.5
#: Where no lattice shows, most spots are texture: those count at first that stand out from the
#: median by this many robust standard deviations of all heights.
OUTSTANDING = 5.0


@dataclass(frozen=True, eq=False)
class Candidates:
    """Spots of a frame, the strongest first.

    Parameters
    ----------
    xy : (N, 2) array
        x, y in px.
    strength : (N,) array
        Heights of the band-passed frame in its robust standard deviations (of the filter of the
        usual width, where there are several: heights of the same filter and others compare).
    width_px : (N,) array
        Standard deviation of the peaks that each was found with.
    spacing_px : float or None
        What the search went by: of the user, or of the autocorrelation.
    rings : bool
        Whether the spots are the centres of rings, with atoms between them.
    first : int
        How many of the strongest to show at first.
    """

    xy: Floats
    strength: Floats
    width_px: Floats
    spacing_px: float | None
    rings: bool
    first: int

    def above(self, threshold: float) -> int:
        """Return how many spots are at least this strong."""
        return int(np.searchsorted(-self.strength, -threshold, side="right"))

    def atoms_px(self, strongest: int) -> Floats:
        """Return the (M, 2) atoms that the strongest spots tell of; quick enough for a slider."""
        if self.rings:
            return _dual(self.xy[:strongest])[0]
        return self.xy[:strongest]

    def table(self, strongest: int) -> pd.DataFrame:
        """Return the same as an atom table, the strongest first.

        `amplitude` is the strength; of an atom between rings that of the weakest of its three.
        """
        xy, strength = self.xy[:strongest], self.strength[:strongest]
        if self.rings:
            xy, corners = _dual(xy)
            strength = strength[corners].min(axis=1) if len(corners) else np.empty(0)
            order = np.argsort(-strength, kind="stable")
            xy, strength = xy[order], strength[order]
        if not len(xy):
            return empty_atoms()
        return make_atoms(xy, "unknown", origin="detected", amplitude=strength)


def find_candidates(
    frame: Frame,
    *,
    polarity: Polarity = "bright",
    spacing_px: float | None = None,
    rings: bool = False,
    several_sizes: bool = False,
) -> Candidates:
    """Find all spots of a frame by differences of Gaussians: the dear part of a detection.

    Parameters
    ----------
    frame : Frame
    polarity : {"bright", "dark"}
        Whether atoms are maxima or minima. Centres of rings have the other contrast.
    spacing_px : float, optional
        Distance between nearest spots; by default what the autocorrelation shows.
    rings : bool
        Find the centres of rings (of graphene, say), to place an atom in the middle of each
        triangle of neighbouring ones.
    several_sizes : bool
        Look with filters of three widths, so that weak small columns are found beside strong large
        ones. A spot belongs to the filter that it stands out most from.

    Raises
    ------
    UserError
        When the frame is too small, or `spacing_px` is not positive.
    """
    if min(frame.shape) < SMALLEST:
        raise UserError("The image is too small to detect atoms on: click them instead.")
    if spacing_px is not None and not spacing_px > 0:
        raise UserError("The spacing of the atoms must be positive.")
    scale = estimate_scale(frame)
    spacing = spacing_px or scale.spacing_px
    width = scale.width_px if spacing is None else min(scale.width_px, 0.3 * spacing)
    if rings and spacing:
        width = max(width, RING_WIDTH * spacing)
    found = [
        survey(frame, polarity=polarity, sigma_px=OF_THE_WIDTH * factor * width)
        for factor in (SEVERAL if several_sizes else (1.0,))
    ]
    unit = found[len(found) // 2].unit
    spots = [_strong(landscape, rings) for landscape in found]
    xy = np.concatenate([s.xy for s in spots])
    strength = np.concatenate(
        [s.strength * landscape.unit / unit for s, landscape in zip(spots, found, strict=True)]
    )
    widths = np.repeat([g.sigma_px / OF_THE_WIDTH for g in found], [len(s.xy) for s in spots])
    order = np.argsort(-strength, kind="stable")
    reach = max(1.0, APART * spacing if spacing else APART_WIDTHS * width)
    order = order[_highest(xy[order], reach)]
    limit = np.array([frame.shape[1], frame.shape[0]]) - 0.5
    strength = strength[order]
    made = Candidates(
        np.clip(xy[order], -0.5, limit), strength, widths[order], spacing, rings, len(order)
    )
    if rings:
        return _starting(made, FIRST_RING)
    if spacing is None and len(strength):
        middle = float(np.median(strength))
        spread = 1.4826 * float(np.median(np.abs(strength - middle)))
        return _starting(made, middle + OUTSTANDING * spread)
    return made


def _starting(made: Candidates, threshold: float) -> Candidates:
    """Return the same, of which those above a threshold are shown at first."""
    first = min(max(made.above(threshold), 1), len(made.xy))
    return Candidates(made.xy, made.strength, made.width_px, made.spacing_px, made.rings, first)


def _strong(landscape: Landscape, rings: bool) -> Peaks:
    """Return the peaks (or holes) that are no ripples."""
    peaks = landscape.holes if rings else landscape.peaks
    lowest = RIPPLE * float(np.percentile(np.abs(landscape.response), 99.9))
    kept = peaks.strength > max(lowest, 0.0)
    return Peaks(peaks.xy[kept], peaks.strength[kept], None)


def _highest(xy: Floats, reach_px: float) -> NDArray[np.bool_]:
    """Tell which positions, the strongest first, have no stronger one within reach."""
    kept = np.ones(len(xy), bool)
    if len(xy) < 2:
        return kept
    pairs = cKDTree(xy).query_pairs(reach_px, output_type="ndarray")
    weaker, stronger = pairs.max(axis=1), pairs.min(axis=1)
    # One after the other: what lies in the shadow of a shadowed one alone stays.
    for index in np.argsort(weaker, kind="stable").tolist():
        if kept[stronger[index]]:
            kept[weaker[index]] = False
    return kept


def delaunay_dual(centres_px: Floats, longest: float = 1.6) -> Floats:
    """Return the middles of the triangles between neighbouring ring centres.

    Parameters
    ----------
    centres_px : (N, 2) array
        x, y of the ring centres in px.
    longest : float
        Triangles with an edge longer than this many times the median edge lie outside the lattice.

    Returns
    -------
    (M, 2) array
    """
    return _dual(np.asarray(centres_px, dtype=np.float64), longest)[0]


def _dual(centres: Floats, longest: float = 1.6) -> tuple[Floats, Ints]:
    """Return (M, 2) middles of the triangles and the (M, 3) numbers of their corners."""
    try:
        corners = np.asarray(Delaunay(centres).simplices, dtype=np.int64)
    except (QhullError, ValueError):  # fewer than three, or all on a line
        return np.empty((0, 2)), np.empty((0, 3), dtype=np.int64)
    triangles = centres[corners]
    sides = triangles - triangles[:, [1, 2, 0]]
    edges = np.sqrt(sides[..., 0] ** 2 + sides[..., 1] ** 2)
    kept = edges.max(axis=1) < longest * np.median(edges)
    middles: Floats = triangles[kept].mean(axis=1)
    return middles, corners[kept]
