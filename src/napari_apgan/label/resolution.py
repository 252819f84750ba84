"""What an image can tell apart, and sentences where a lattice is finer than that."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .cell import Cell
from .landscape import Landscape
from .period import is_hexagonal
from .spacing import estimate_scale

#: Two equal Gaussians closer than this many of their widths have one maximum (Sparrow's limit).
SPARROW = 2.0
#: Two maxima need a pixel between them.
LEAST_PX = 2.0
#: Peaks this much longer than wide may be two columns.
LONG = 1.3


def resolved_px(landscape: Landscape) -> float:
    """Return the distance in px below which two equal columns show one peak.

    Twice the width (standard deviation) of the peaks, and no less than two pixels.
    """
    return max(LEAST_PX, SPARROW * estimate_scale(landscape.frame).width_px)


def too_close(landscape: Landscape, cell: Cell) -> str | None:
    """Say that a cell is finer than the image resolves; None when it is not."""
    shortest, limit = min(cell.lengths_px), resolved_px(landscape)
    if shortest >= limit:
        return None
    return (
        f"The atoms of this lattice would stand {shortest:.1f} px apart, but this image shows "
        f"columns closer than {limit:.1f} px as one: record it at a higher magnification or "
        "resolution, or pick a larger cell."
    )


def remarks(landscape: Landscape, cells: Sequence[Cell]) -> tuple[str, ...]:
    """Return what the user should know of the lattices found."""
    if not cells:
        return (
            "Nothing repeats in two directions here: the spacing is below what the image resolves, "
            "the noise hides it, or there is no crystal. Pick an atom and two neighbours, or click "
            "the atoms.",
        )
    out = []
    first = cells[0]
    if first.by_holes and is_hexagonal(first.basis):
        out.append(
            "The gaps between the atoms are clearer than the atoms, so they guide the lattice and "
            "the atoms are placed between them."
        )
    elif first.by_holes:
        bright, dark = ("bright", "dark") if landscape.polarity == "bright" else ("dark", "bright")
        out.append(
            f"The {dark} places are clearer than the {bright} ones: if the atoms of this image are "
            f"{dark}, say so and propose again."
        )
    longer, angle = elongation(landscape, first)
    if longer > LONG and not first.by_holes:  # between holes atoms have no clear peaks to judge
        out.append(
            f"The peaks are {longer:.1f} times as long as wide, along {angle:.0f}°: two columns "
            f"closer than the {resolved_px(landscape):.1f} px that this image resolves may stand "
            "in each, or the image is astigmatic or drifted. Each is taken as one atom."
        )
    return tuple(out)


def elongation(landscape: Landscape, cell: Cell) -> tuple[float, float]:
    """Return how much longer than wide the strongest peak of a cell is, and its angle in degrees.

    The response falls off by the curvature along a direction; widths are inverse to its root.
    """
    rows, columns = landscape.frame.shape
    corners = np.array([[0, 0], [columns, 0], [0, rows], [columns, rows]], dtype=np.float64)
    reach = np.abs((corners - cell.origin) @ np.linalg.inv(cell.basis)).max(axis=0)
    most = np.minimum(np.ceil(reach).astype(int), 8)
    i, j = np.mgrid[-most[0] : most[0] + 1, -most[1] : most[1] + 1]
    site = next(s for s in cell.sites if not s.hole)
    steps = np.column_stack([i.ravel() + site.u, j.ravel() + site.v])
    xy = np.asarray(cell.origin) + steps @ cell.basis
    step = max(1.0, landscape.sigma_px)
    limit = np.array([columns, rows]) - 1 - 2 * step
    xy = xy[((xy > 2 * step) & (xy < limit)).all(axis=1)]
    if len(xy) < 4:
        return 1.0, 0.0
    top = landscape.height_at(xy).mean()
    angles = np.deg2rad(np.arange(0, 180, 15))
    falls = []
    for angle in angles.tolist():
        move = step * np.array([math.cos(angle), math.sin(angle)])
        sides = landscape.height_at(xy + move).mean() + landscape.height_at(xy - move).mean()
        falls.append(2 * top - sides)
    fall = np.maximum(np.array(falls), 1e-9)
    if fall.max() <= 1e-6:
        return 1.0, 0.0
    return float(np.sqrt(fall.max() / fall.min())), float(np.degrees(angles[fall.argmin()]))
