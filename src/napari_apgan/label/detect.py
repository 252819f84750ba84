"""Detection without training: peaks of a band-passed image, or the dual of bright rings."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import Delaunay, QhullError

from napari_apgan.atoms import empty_atoms, make_atoms
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .spacing import ROUNDING, estimate_scale
from .vertex import paraboloid_vertex

Floats = NDArray[np.float64]
Mode = Literal["peaks", "dual"]


def detect(
    frame: Frame,
    *,
    polarity: Polarity = "bright",
    spacing_px: float | None = None,
    threshold: float = 0.0,
    mode: Mode = "peaks",
) -> pd.DataFrame:
    """Find candidates for atoms by a difference of Gaussians.

    Parameters
    ----------
    frame : Frame
    polarity : {"bright", "dark"}
        Whether atoms are maxima or minima; in mode ``dual`` the polarity of the *atoms*, whose ring
        centres have the other.
    spacing_px : float, optional
        Distance between nearest peaks; by default what the autocorrelation shows.
    threshold : float
        Candidates weaker than this many robust standard deviations of the difference are left out;
        0 keeps all, so that a slider can thin them by their `amplitude` at once.
    mode : {"peaks", "dual"}
        ``dual``: find the ring centres (of graphene, say) and place an atom in the middle of each
        triangle of neighbouring ones.

    Returns
    -------
    DataFrame
        Atom table, `origin` "detected", strongest first; `amplitude` is the strength.

    Raises
    ------
    UserError
        When the frame is too small, or `spacing_px` is not positive.
    """
    if min(frame.shape) < 16:
        raise UserError("The image is too small to detect atoms on: click them instead.")
    if spacing_px is not None and not spacing_px > 0:
        raise UserError("The spacing of the atoms must be positive.")
    if mode == "dual":
        opposite: Polarity = "dark" if polarity == "bright" else "bright"
        rings, strength = _peaks(frame, opposite, spacing_px)
        rings = rings[strength >= max(threshold, 0.5)]
        atoms = delaunay_dual(rings)
        return (
            make_atoms(atoms, "unknown", origin="detected", amplitude=1.0)
            if len(atoms)
            else empty_atoms()
        )
    xy, strength = _peaks(frame, polarity, spacing_px)
    keep = strength >= threshold
    if not keep.any():
        return empty_atoms()
    order = np.argsort(-strength[keep], kind="stable")
    return make_atoms(
        xy[keep][order], "unknown", origin="detected", amplitude=strength[keep][order]
    )


def _peaks(frame: Frame, polarity: Polarity, spacing_px: float | None) -> tuple[Floats, Floats]:
    """Return (N, 2) positions and their strengths in robust standard deviations."""
    scale = estimate_scale(frame)
    spacing = spacing_px or scale.spacing_px
    width = scale.width_px if spacing is None else min(scale.width_px, 0.3 * spacing)
    inner = float(np.clip(0.8 * width, 0.7, 8.0))
    outer = 2.5 * inner  # narrow, or strong neighbours hide weak atoms between them
    difference = _smoothed(frame, inner) - _smoothed(frame, outer)
    if polarity == "dark":
        difference = -difference
    valid = difference[frame.valid]
    # On a particle in vacuum more than half of the pixels may not vary at all.
    spread = max(
        1.4826 * float(np.median(np.abs(valid - np.median(valid)))), 0.05 * float(valid.std())
    )
    if spread <= ROUNDING * float(np.abs(frame.data).max()):
        return np.empty((0, 2)), np.empty(0)
    difference = difference / spread
    reach = max(1, round(0.4 * spacing)) if spacing else max(1, round(1.5 * width))
    yy, xx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    near = np.hypot(yy, xx) <= reach
    highest = maximum_filter(difference, footprint=near, mode="nearest")
    weakest = 0.02 * float(np.percentile(difference, 99.9))  # ripples of an empty vacuum
    rows, columns = np.nonzero((difference == highest) & (difference > max(weakest, 0.0)))
    half = max(1, round(0.8 * inner))
    xy = np.array(
        [
            paraboloid_vertex(difference, c, r, half)
            for r, c in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
    ).reshape(-1, 2)
    xy = np.clip(xy, -0.5, np.array([frame.shape[1], frame.shape[0]]) - 0.5)
    return xy, difference[rows, columns]


def _smoothed(frame: Frame, sigma: float) -> Floats:
    """Smooth over the valid pixels."""
    weight = frame.valid.astype(np.float64)
    level = float(frame.data[frame.valid].mean())
    total = gaussian_filter((frame.data - level) * weight, sigma, mode="reflect")
    smooth: Floats = total / np.maximum(gaussian_filter(weight, sigma, mode="reflect"), 1e-6)
    return smooth


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
    try:
        triangles = np.asarray(centres_px)[Delaunay(centres_px).simplices]
    except (QhullError, ValueError):  # fewer than three, or all on a line
        return np.empty((0, 2))
    edges = np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=2)
    kept = edges.max(axis=1) < longest * np.median(edges)
    middles: Floats = triangles[kept].mean(axis=1)
    return middles
