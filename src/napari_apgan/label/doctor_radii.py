"""How close two atoms may stand: covalent radii, and what the labels themselves show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.elements import SYMBOLS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Names = NDArray[np.object_]

#: Covalent radii in pm, hydrogen to curium: B. Cordero et al., Dalton Trans. (2008) 2832, table 2.
_RADII: tuple[int, ...] = (
    31, 28, 128, 96, 84, 76, 71, 66, 57, 58, 166, 141, 121, 111, 107, 105, 102, 106, 203, 176, 170,
    160, 153, 139, 139, 132, 126, 124, 132, 122, 122, 120, 119, 120, 120, 116, 220, 195, 190, 175,
    164, 154, 147, 146, 142, 139, 145, 144, 142, 139, 139, 138, 139, 140, 244, 215, 207, 204, 203,
    201, 199, 198, 198, 196, 194, 192, 192, 189, 190, 187, 187, 175, 170, 162, 151, 144, 141, 136,
    136, 132, 145, 146, 148, 140, 150, 150, 260, 221, 215, 206, 200, 196, 190, 187, 180, 169,
)  # fmt: skip

#: Two labels are one atom when closer than this part of the distance usual between their elements.
CLOSEST = 0.62
#: Bonds are at least this part of the sum of the radii: double ones, foreshortened ones.
SHORTEST_BOND = 0.66
#: Part of the distances that are within a third of their median where there is order.
ALIKE = 0.6
#: From this many neighbours on the labels themselves say what is usual.
ENOUGH = 10


def bond_length_pm(one: str, other: str) -> float | None:
    """Return the sum of two elements' covalent radii in pm; None when one of them is no element."""
    radii = [_RADII[SYMBOLS.index(e)] for e in (one, other) if e in SYMBOLS[: len(_RADII)]]
    return float(sum(radii)) if len(radii) == 2 else None


def usual_distance(xy: Floats, others: Floats, *, same: bool) -> tuple[float, int, bool]:
    """Return the median distance of (N, 2) atoms to the nearest of others, from how many.

    Atoms with no such neighbour within 1.8 of that median do not count: they have none. Last,
    whether most distances are alike: single atoms stand as they like.
    """
    if not len(xy) or len(others) < 2:
        return np.inf, 0, False
    found = np.asarray(cKDTree(others).query(xy, k=2)[0])
    distance = found[:, 1] if same else found[:, 0]
    distance = distance[np.isfinite(distance)]
    if not len(distance):
        return np.inf, 0, False
    near = distance[distance < 1.8 * float(np.median(distance))]
    middle = float(np.median(near))
    alike = float(np.mean((distance > 0.75 * middle) & (distance < 1.33 * middle)))
    return middle, len(near), alike > ALIKE


def limits_px(
    xy: Floats, kinds: Names, names: Sequence[str], spacing_px: float, pixel_pm: float | None
) -> dict[tuple[str, str], float]:
    """Return for each two elements the distance in px below which two labels are one atom.

    Columns in projection may stand closer together than any bond, so the labels' own distances
    decide; bond lengths raise the limit only where the labels show that bonds are seen at their
    length, and stand in for distances where two elements are hardly ever neighbours.

    Parameters
    ----------
    xy : (N, 2) array
        x, y in px.
    kinds : (N,) array of str
    names : sequence of str
        The elements.
    spacing_px : float
        Median distance to the nearest neighbour, or what the image shows.
    pixel_pm : float, optional
    """
    limits: dict[tuple[str, str], float] = {}
    for i, one in enumerate(names):
        for other in names[i:]:
            mine, its = xy[kinds == one], xy[kinds == other]
            usual, n, ordered = usual_distance(mine, its, same=one == other)
            bond = bond_length_pm(one, other)
            bond_px = None if bond is None or pixel_pm is None else bond / pixel_pm
            if n < ENOUGH:
                limit = CLOSEST * min(spacing_px, bond_px if bond_px is not None else np.inf)
            elif not ordered:
                limit = CLOSEST * min(0.5 * usual, bond_px if bond_px is not None else np.inf)
            else:
                limit = CLOSEST * min(usual, 1.5 * spacing_px)
                if bond_px is not None and 0.85 * bond_px <= usual <= 1.25 * bond_px:
                    limit = max(limit, min(SHORTEST_BOND * bond_px, 0.8 * usual))
            first, second = sorted((one, other))
            limits[(first, second)] = float(limit)
    return limits


def close_pairs(xy: Floats, kinds: Names, limits: dict[tuple[str, str], float]) -> Ints:
    """Return the (P, 2) pairs of atoms closer together than their elements' limit."""
    none = np.empty((0, 2), dtype=np.int64)
    if len(xy) < 2 or not limits:
        return none
    pairs = cKDTree(xy).query_pairs(max(limits.values()), output_type="ndarray").astype(np.int64)
    if not len(pairs):
        return none
    apart = np.hypot(*(xy[pairs[:, 0]] - xy[pairs[:, 1]]).T)
    limit = []
    for a, b in kinds[pairs]:
        first, second = sorted((str(a), str(b)))
        limit.append(limits[(first, second)])
    close: Ints = pairs[apart < np.array(limit)]
    return close
