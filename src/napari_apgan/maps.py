"""Output maps: what a network is trained to draw. Solid discs per element on black."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .atoms import positions
from .elements import Element
from .errors import UserError


def default_radius_px(atoms: pd.DataFrame) -> float:
    """Suggest a disc radius in px from the spacing of the atoms.

    A quarter of the median distance to the nearest neighbour: discs then never touch, and leave a
    dark gap as wide as themselves. Bounded to 1.5..12 px.
    """
    xy = positions(atoms)
    if len(xy) < 2:
        return 3.0
    distance = np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]
    return float(np.clip(0.25 * np.median(distance), 1.5, 12.0))


def draw_discs(
    xy_px: NDArray[np.floating], radius_px: float, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Draw solid discs with partial pixels at their rims.

    Each pixel holds the fraction of its area inside a disc, to first order in the curvature
    (exact for a straight rim): ``clip(radius + 1/2 - distance, 0, 1)``, so the centre of mass of a
    disc lies at its true sub-pixel position. Where discs touch, the larger value stays.

    Parameters
    ----------
    xy_px : (N, 2) array
        x, y in px.
    radius_px : float
    shape : (int, int)
        (rows, columns).

    Returns
    -------
    (Y, X) float32 array, 0..1
    """
    if not radius_px > 0:
        raise UserError("The radius of the discs must be positive.")
    out = np.zeros(shape, dtype=np.float32)
    reach = int(np.ceil(radius_px + 1))
    for x, y in np.asarray(xy_px, dtype=np.float64).reshape(-1, 2).tolist():
        x0, x1 = max(round(x) - reach, 0), min(round(x) + reach + 1, shape[1])
        y0, y1 = max(round(y) - reach, 0), min(round(y) + reach + 1, shape[0])
        if x0 >= x1 or y0 >= y1:
            continue
        dy = np.arange(y0, y1)[:, None] - y
        dx = np.arange(x0, x1)[None, :] - x
        disc = np.clip(radius_px + 0.5 - np.hypot(dx, dy), 0.0, 1.0).astype(np.float32)
        np.maximum(out[y0:y1, x0:x1], disc, out=out[y0:y1, x0:x1])
    return out


def output_map(
    atoms: pd.DataFrame,
    elements: Sequence[str],
    shape: tuple[int, int],
    radius_px: float | Mapping[str, float] | None = None,
) -> NDArray[np.float32]:
    """Draw the output map of a frame from its atoms.

    Parameters
    ----------
    atoms : DataFrame
        Atom table.
    elements : sequence of str
        One channel each, in this order; atoms of other elements are not drawn.
    shape : (int, int)
        (rows, columns).
    radius_px : float or mapping, optional
        One radius, or one per element; by default from the spacing.

    Returns
    -------
    (C, Y, X) float32 array, 0..1
    """
    if radius_px is None:
        radius_px = default_radius_px(atoms)
    out = np.zeros((len(elements), *shape), dtype=np.float32)
    names = atoms["element"].to_numpy()
    xy = positions(atoms)
    for channel, name in enumerate(elements):
        radius = radius_px[name] if isinstance(radius_px, Mapping) else radius_px
        out[channel] = draw_discs(xy[names == name], radius, shape)
    return out


def rgb_map(channels: NDArray[np.floating], elements: Sequence[Element]) -> NDArray[np.uint8]:
    """Paint a (C, Y, X) map in the elements' colours, as the paper codes elements.

    Returns
    -------
    (Y, X, 3) uint8 array
    """
    colors = np.array([[int(e.color[i : i + 2], 16) for i in (1, 3, 5)] for e in elements])
    painted = np.einsum("cyx,ck->yxk", np.clip(channels, 0, 1), colors)
    rgb: NDArray[np.uint8] = np.clip(np.rint(painted), 0, 255).astype(np.uint8)
    return rgb
