"""Output maps: what a network is trained to draw. Solid discs per element on black."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .atoms import positions
from .elements import PAPER_COLORS, Element
from .errors import UserError
from .frames import Calibration

Floats = NDArray[np.float64]

#: Pixels drawn at once; bounds the memory.
CHUNK_PIXELS = 1 << 18

#: Elements that three colour channels can tell apart.
MOST_COLORS = 3


def default_radius_px(atoms: pd.DataFrame) -> float:
    """Suggest a disc radius in px from the spacing of the atoms.

    A quarter of the median distance to the nearest neighbour: discs then never touch, and leave a
    dark gap as wide as themselves. Bounded to 1.5..12 px.
    """
    xy = positions(atoms)
    if len(xy) < 2:
        return 3.0
    from scipy.spatial import cKDTree  # 0.2 s that opening the window need not wait for

    distance = np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]
    return float(np.clip(0.25 * np.median(distance), 1.5, 12.0))


def disc_radii_px(
    elements: Iterable[Element], atoms: pd.DataFrame, calibration: Calibration
) -> dict[str, float]:
    """Return the radius in px of each element's discs: its own, else by the atoms' spacing."""
    usual, size = default_radius_px(atoms), calibration.mean_pm
    return {
        e.name: e.radius_pm / size if e.radius_pm is not None and size is not None else usual
        for e in elements
    }


def disc_coverage(dx: Floats, dy: Floats, radius_px: float) -> Floats:
    """Return how much of each pixel's area lies inside a disc.

    The part of a disc left of x and below y has a closed form of functions of x alone and of y
    alone; the differences of that part between the four corners of a pixel are its covered area.
    Pixels are coarse for small discs: the centre of mass of the areas would lie up to 0.02 px
    beside the centre of a disc of radius 1.5. The disc is therefore drawn that little on the other
    side, so that its centre of mass, which is what a network learns, is right to 0.001 px.

    Parameters
    ----------
    dx : (N, K) array
        Columns of consecutive pixels relative to the centres of N discs, in px.
    dy : (N, L) array
        Rows likewise.
    radius_px : float

    Returns
    -------
    (N, L, K) array, 0..1
    """
    radius = float(radius_px)
    x, arc_x = _edges(dx - _centring_shift(dx, radius), radius)
    y, arc_y = _edges(dy - _centring_shift(dy, radius), radius)
    x, arc_x = x[:, None, :], arc_x[:, None, :]
    y, arc_y = y[:, :, None], arc_y[:, :, None]
    # A corner inside the disc: a quarter disc, a rectangle, and two strips under the arc.
    quarter = 0.25 * np.pi * radius**2
    part = np.where(
        x**2 + y**2 < radius**2,
        quarter + arc_x + arc_y + x * y,
        # A corner outside: the whole left of x and the whole below y, less what is counted twice.
        np.where(
            y > 0,
            np.where(x > 0, 2 * (arc_x + arc_y), 2 * (quarter + arc_x)),
            np.where(x > 0, 2 * (quarter + arc_y), 0.0),
        ),
    )
    area: Floats = np.diff(np.diff(part, axis=1), axis=2)
    return np.clip(area, 0.0, 1.0, out=area)


def _edges(pixel: Floats, radius: float) -> tuple[Floats, Floats]:
    """Return the pixels' edges, cut to the disc, and the area under the half circle from 0 to each.

    The area is ``(t sqrt(r² - t²) + r² asin(t / r)) / 2``.
    """
    edge = np.concatenate([pixel - 0.5, pixel[:, -1:] + 0.5], axis=1)
    edge = np.clip(edge, -radius, radius)
    height = np.sqrt(np.maximum(radius**2 - edge**2, 0.0))
    return edge, 0.5 * (edge * height + radius**2 * np.arcsin(edge / radius))


def _centring_shift(pixel: Floats, radius: float) -> Floats:
    """Return (N, 1) shifts along one axis that put the centre of mass of each disc at its centre.

    The columns of a disc are strips whose areas are known, so each axis is solved by itself, by
    iteration. Discs narrower than a pixel cannot be placed so; the shift is bounded.
    """
    reach = int(np.ceil(radius + 1))
    place = pixel[:, :1] - np.rint(pixel[:, :1]) + np.arange(-reach, reach + 1)
    shift = np.zeros((len(pixel), 1))
    for _ in range(2):
        strip = 2 * np.diff(_edges(place - shift, radius)[1], axis=1)
        off = (place * strip).sum(axis=1, keepdims=True) / (np.pi * radius**2)
        shift = np.clip(shift - off, -0.1, 0.1)
    return shift


def draw_discs(
    xy_px: NDArray[np.floating], radius_px: float, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Draw solid discs with partial pixels at their rims.

    Each pixel holds the fraction of its area inside a disc, and the centre of mass of a disc lies
    at its true sub-pixel position (:func:`disc_coverage`). Where discs touch, the larger value
    stays.

    Parameters
    ----------
    xy_px : (N, 2) array
        x, y in px; discs outside may reach in.
    radius_px : float
    shape : (int, int)
        (rows, columns).

    Returns
    -------
    (Y, X) float32 array, 0..1
    """
    if not radius_px > 0:
        raise UserError("The radius of the discs must be positive.")
    rows, columns = shape
    out = np.zeros(shape, dtype=np.float32)
    reach = int(np.ceil(radius_px + 0.5))
    xy = np.asarray(xy_px, dtype=np.float64).reshape(-1, 2)
    far = radius_px + 0.5
    xy = xy[((xy > -0.5 - far) & (xy < np.array([columns, rows]) - 0.5 + far)).all(axis=1)]
    offset = np.arange(-reach, reach + 1)
    step = max(1, CHUNK_PIXELS // len(offset) ** 2)
    for first in range(0, len(xy), step):
        centre = xy[first : first + step]
        base = np.rint(centre).astype(np.intp)
        px, py = base[:, :1] + offset, base[:, 1:] + offset
        disc = disc_coverage(px - centre[:, :1], py - centre[:, 1:], radius_px)
        inside = ((py >= 0) & (py < rows))[:, :, None] & ((px >= 0) & (px < columns))[:, None, :]
        inside &= disc > 0
        index = (py * columns)[:, :, None] + px[:, None, :]
        np.maximum.at(out.reshape(-1), index[inside], disc[inside].astype(np.float32))
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


def color_code(n_elements: int) -> Floats:
    """Return the colours in which a network with three colour channels draws its elements.

    Those of Chen et al. 2023: green for the only element, as their carbon; magenta, cyan and
    yellow, as their Pb, Sr and Ti, in the order of the elements, for two or three. Each of these is
    made of two channels, and two of them share one. The colours on the screen, which the user
    chooses, have no part in it.

    Returns
    -------
    (N, 3) array
        Red, green, blue of each element, each 0 or 1.

    Raises
    ------
    UserError
        When there are more elements than three colour channels can tell apart.
    """
    if not 1 <= n_elements <= MOST_COLORS:
        raise UserError(
            f"Three colour channels tell at most {MOST_COLORS} elements apart, and here are "
            f"{n_elements}: train with one channel per element instead."
        )
    names = ("C",) if n_elements == 1 else ("Pb", "Sr", "Ti")[:n_elements]
    colors = [PAPER_COLORS[name] for name in names]
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colors])
