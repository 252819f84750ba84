"""Regions: where the labelling of a frame is complete, and where nothing may be learned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

RegionKind = Literal["complete", "vacuum", "amorphous", "contamination", "ignore"]

#: Kinds inside which everything is known: a loss and a score look there.
LEARNED: frozenset[RegionKind] = frozenset({"complete", "vacuum"})
#: Kinds inside which nothing counts, also not inside a region of the others.
LEFT_OUT: frozenset[RegionKind] = frozenset({"amorphous", "contamination", "ignore"})
#: Kinds that are painted with a brush.
PAINTED: frozenset[RegionKind] = LEFT_OUT | {"vacuum"}


#: Comparisons of a corner with a point made at once.
_AT_ONCE = 1_000_000


def inside_polygon(corners: NDArray[np.floating], xy_px: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell for (N, 2) positions x, y in px which lie inside a polygon of (M, 2) corners.

    By the even-odd rule, so that a polygon may cross itself or hold a hole.
    """
    xy = np.asarray(xy_px, dtype=np.float64).reshape(-1, 2)
    first = np.asarray(corners, dtype=np.float64)
    second = np.roll(first, -1, axis=0)
    slanted = first[:, 1] != second[:, 1]
    (xa, ya), (xb, yb) = (p[slanted].T[:, :, None] for p in (first, second))
    inside = np.zeros(len(xy), dtype=bool)
    step = max(1, _AT_ONCE // max(len(xa), 1))
    for start in range(0, len(xy), step):
        x, y = xy[start : start + step].T
        crosses = (ya > y) != (yb > y)
        crosses &= x < (xb - xa) * (y - ya) / (yb - ya) + xa
        inside[start : start + step] = np.logical_xor.reduce(crosses, axis=0)
    return inside


class Region(BaseModel):
    """A polygon on a frame.

    Parameters
    ----------
    id : int
        Never reused within a frame.
    kind : {"complete", "vacuum", "amorphous", "contamination", "ignore"}
        ``complete``: every atom inside is labelled, so what is unlabelled is background.
        ``vacuum``: complete, and no atom is expected: it teaches background. A label inside all the
        same is learned as any other.
        ``amorphous``, ``contamination``, ``ignore``: nothing inside counts, also not inside a
        complete region.
    polygon : list of (x, y)
        Corners in px, in order.
    held_out : bool
        Kept for validation, never trained on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int = Field(ge=0)
    kind: RegionKind = "complete"
    polygon: tuple[tuple[float, float], ...]
    held_out: bool = False

    @field_validator("polygon")
    @classmethod
    def _finite(cls, value: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if len(value) < 3 or not np.isfinite(np.asarray(value)).all():
            raise ValueError("a region needs at least three corners with finite coordinates")
        return value

    @classmethod
    def rectangle(
        cls,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        *,
        id: int = 0,
        kind: RegionKind = "complete",
    ) -> Region:
        """Make a rectangle with the corners (x0, y0) and (x1, y1) in px."""
        return cls(id=id, kind=kind, polygon=((x0, y0), (x1, y0), (x1, y1), (x0, y1)))

    @classmethod
    def whole(cls, shape: tuple[int, int], *, id: int = 0) -> Region:
        """Make a complete region that covers every pixel of a frame of (rows, columns)."""
        return cls.rectangle(-0.5, -0.5, shape[1] - 0.5, shape[0] - 0.5, id=id)

    def contains(self, xy_px: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell for (N, 2) positions x, y in px which lie inside (even-odd rule)."""
        return inside_polygon(np.asarray(self.polygon), xy_px)

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return a (Y, X) mask of the pixels whose centre lies inside."""
        out = np.zeros(shape, dtype=bool)
        corners = np.asarray(self.polygon)
        x0, y0 = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
        x1, y1 = np.ceil(corners.max(axis=0)).astype(int) + 1
        x1, y1 = min(int(x1), shape[1]), min(int(y1), shape[0])
        if x1 <= x0 or y1 <= y0:
            return out
        # Each side of the polygon turns the pixels left of it over: the same rule as `contains`,
        # row by row, since painted areas have hundreds of sides.
        width = x1 - x0
        turns = np.zeros((y1 - y0, width + 1), dtype=np.int32)
        for (xa, ya), (xb, yb) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            low, high = max(min(ya, yb), y0), min(max(ya, yb), y1)
            if ya == yb or high < low:
                continue
            y = np.arange(int(np.floor(low)), int(np.ceil(high)) + 1, dtype=np.float64)
            y = y[((ya > y) != (yb > y)) & (y >= y0) & (y < y1)]
            left = np.ceil((xb - xa) * (y - ya) / (yb - ya) + xa) - x0
            np.add.at(turns, (y.astype(int) - y0, np.clip(left, 0, width).astype(int)), 1)
        out[y0:y1, x0:x1] = np.cumsum(turns[:, ::-1], axis=1)[:, -2::-1] % 2 == 1
        return out


def learn_mask(
    regions: Iterable[Region], shape: tuple[int, int], *, held_out: bool | None = None
) -> NDArray[np.bool_]:
    """Where a loss or a score may look: inside complete regions and vacuum, outside the others.

    Parameters
    ----------
    regions : iterable of Region
    shape : (int, int)
        (rows, columns) of the frame.
    held_out : bool, optional
        Take only held-out (True) or only other (False) regions; None takes both.

    Returns
    -------
    (Y, X) bool array
    """
    out = np.zeros(shape, dtype=bool)
    ignored = np.zeros(shape, dtype=bool)
    for region in regions:
        if region.kind in LEFT_OUT:
            ignored |= region.mask(shape)
        elif held_out is None or region.held_out == held_out:
            out |= region.mask(shape)
    return out & ~ignored
