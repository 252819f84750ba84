"""Regions: where the labelling of a frame is complete, and where nothing may be learned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

RegionKind = Literal["complete", "ignore"]


def inside_polygon(corners: NDArray[np.floating], xy_px: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell for (N, 2) positions x, y in px which lie inside a polygon of (M, 2) corners.

    By the even-odd rule, so that a polygon may cross itself or hold a hole.
    """
    xy = np.asarray(xy_px, dtype=np.float64).reshape(-1, 2)
    x, y = xy[:, 0], xy[:, 1]
    inside = np.zeros(len(xy), dtype=bool)
    for (xa, ya), (xb, yb) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if ya == yb:
            continue
        crosses = (ya > y) != (yb > y)
        inside ^= crosses & (x < (xb - xa) * (y - ya) / (yb - ya) + xa)
    return inside


class Region(BaseModel):
    """A polygon on a frame.

    Parameters
    ----------
    id : int
        Never reused within a frame.
    kind : {"complete", "ignore"}
        ``complete``: every atom inside is labelled, so what is unlabelled is background.
        ``ignore``: contamination and the like; nothing inside counts, also not inside a complete
        region.
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
        yy, xx = np.mgrid[y0:y1, x0:x1]
        inside = self.contains(np.column_stack([xx.ravel(), yy.ravel()]))
        out[y0:y1, x0:x1] = inside.reshape(yy.shape)
        return out


def learn_mask(
    regions: Iterable[Region], shape: tuple[int, int], *, held_out: bool | None = None
) -> NDArray[np.bool_]:
    """Where a loss or a score may look: inside complete regions, outside ignored ones.

    Parameters
    ----------
    regions : iterable of Region
    shape : (int, int)
        (rows, columns) of the frame.
    held_out : bool, optional
        Take only held-out (True) or only other (False) complete regions; None takes both.

    Returns
    -------
    (Y, X) bool array
    """
    out = np.zeros(shape, dtype=bool)
    ignored = np.zeros(shape, dtype=bool)
    for region in regions:
        if region.kind == "ignore":
            ignored |= region.mask(shape)
        elif held_out is None or region.held_out == held_out:
            out |= region.mask(shape)
    return out & ~ignored
