"""Areas painted with a brush: a stroke becomes a polygon, and areas of one kind grow together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from napari_apgan.regions import PAINTED, Region, RegionKind

Bools = NDArray[np.bool_]
XY = tuple[float, float]
Polygon = tuple[XY, ...]

#: Corners are left out where the outline stays this near to it (parts of the brush's radius, px).
SMOOTH, LEAST_SMOOTH = 0.08, 0.5
#: Holes and crumbs smaller than this part of the brush's disc are filled, or dropped.
SMALLEST = 0.3


def stroke_mask(path: Sequence[XY], radius_px: float, box: tuple[int, int, int, int]) -> Bools:
    """Return what a round brush covers on its way.

    Parameters
    ----------
    path : sequence of (x, y)
        Where it was, in px.
    radius_px : float
    box : (x0, y0, x1, y1)
        Columns and rows of the mask, the last ones not included.

    Returns
    -------
    (Y, X) bool array
        Whether the middle of each pixel is within the radius of the path.
    """
    x0, y0, x1, y1 = box
    shape = (y1 - y0, x1 - x0)
    points = np.asarray(path, dtype=np.float64)
    if len(points) > 1:
        steps = np.maximum(np.ceil(np.abs(np.diff(points, axis=0)).max(axis=1) / 0.7), 1)
        pieces = [
            a + (b - a) * np.linspace(0, 1, int(n), endpoint=False)[:, None]
            for a, b, n in zip(points, points[1:], steps, strict=False)
        ]
        points = np.concatenate([*pieces, points[-1:]])
    way = np.ones(shape, dtype=bool)
    column, row = np.floor(points - (x0, y0) + 0.5).astype(int).T
    there = (column >= 0) & (row >= 0) & (column < shape[1]) & (row < shape[0])
    way[row[there], column[there]] = False
    if way.all():
        return ~way
    return np.asarray(distance_transform_edt(way) <= max(radius_px, 0.5))


def outlines(mask: Bools, origin: tuple[int, int], *, near_px: float) -> list[Polygon]:
    """Return the polygons around the parts of a mask; a hole is joined to the outside by a cut.

    Parameters
    ----------
    mask : (Y, X) bool array
    origin : (x, y)
        Of the mask's first pixel.
    near_px : float
        The polygon stays this near to the outline.
    """
    from skimage.measure import approximate_polygon, find_contours

    parts, count = label(np.pad(mask, 1))
    found = []
    for number in range(1, count + 1):
        rings = []
        for contour in find_contours(parts == number, 0.5):
            ring = approximate_polygon(contour - 1, near_px)[:-1, ::-1]
            if len(ring) >= 3:
                rings.append(ring + np.array(origin))
        if rings:
            rings.sort(key=lambda r: -abs(_area(r)))
            joined = rings[0]
            for hole in rings[1:]:
                joined = _cut_open(joined, hole)
            found.append(tuple((round(float(x), 2), round(float(y), 2)) for x, y in joined))
    return found


def _area(ring: NDArray[np.float64]) -> float:
    x, y = ring.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _cut_open(outer: NDArray[np.float64], hole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Join a hole to the ring around it by a way there and back, which encloses nothing."""
    distance = np.hypot(*(outer[:, None, :] - hole[None, :, :]).transpose(2, 0, 1))
    i, j = np.unravel_index(int(distance.argmin()), distance.shape)
    return np.concatenate([outer[: i + 1], hole[j:], hole[: j + 1], outer[i:]])


def _around(
    path: Sequence[XY], radius_px: float, shape: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return the box of pixels that a stroke may cover; None where it lies off the frame."""
    points = np.asarray(path, dtype=np.float64)
    x0, y0 = np.maximum(np.floor(points.min(axis=0) - radius_px), 0).astype(int).tolist()
    x1, y1 = (np.ceil(points.max(axis=0) + radius_px).astype(int) + 1).tolist()
    x1, y1 = min(x1, shape[1]), min(y1, shape[0])
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def paint(
    regions: Sequence[Region],
    kind: RegionKind | None,
    path: Sequence[XY],
    radius_px: float,
    shape: tuple[int, int],
    *,
    free_id: int,
) -> list[Region]:
    """Paint an area of some kind, or rub painted areas out.

    What is painted joins areas of its kind that it touches, and takes the place of other painted
    kinds below it: a place is one of them. Complete regions are left as they are.

    Parameters
    ----------
    regions : sequence of Region
        Of the frame.
    kind : {"vacuum", "amorphous", "contamination", "ignore"} or None
        None rubs out.
    path : sequence of (x, y)
        Where the brush was, in px.
    radius_px : float
    shape : (int, int)
        (rows, columns) of the frame.
    free_id : int
        The lowest id that no region of the frame ever had.

    Returns
    -------
    list of Region
        All regions of the frame after the stroke, in their order, new ones last.
    """
    box = _around(path, radius_px, shape)
    if box is None:
        return list(regions)
    boxes = {k: b for k, r in enumerate(regions) if (b := _painted_near(r, box, shape))}
    x0, y0 = np.min([b[:2] for b in (box, *boxes.values())], axis=0).tolist()
    x1, y1 = np.max([b[2:] for b in (box, *boxes.values())], axis=0).tolist()
    window, origin = np.s_[y0:y1, x0:x1], (x0, y0)
    stroke = stroke_mask(path, radius_px, (x0, y0, x1, y1))
    touching = stroke if kind is None else binary_dilation(stroke, iterations=1)
    near = max(SMOOTH * radius_px, LEAST_SMOOTH)
    least = SMALLEST * np.pi * radius_px**2
    joined = stroke.copy()
    home: int | None = None  # the place in the list of the area that the stroke joins
    after: list[Region] = []
    more: list[Region] = []
    for k, region in enumerate(regions):
        mask = region.mask(shape)[window] if k in boxes else None
        same = region.kind == kind and not region.held_out
        if mask is None or not (mask & (touching if same else stroke)).any():
            after.append(region)
        elif same:
            joined |= mask
            if home is None:
                home = len(after)
                after.append(region)
        else:
            left = _without_crumbs(mask & ~stroke, least)
            for n, polygon in enumerate(outlines(left, origin, near_px=near)):
                if n == 0:
                    after.append(region.model_copy(update={"polygon": polygon}))
                else:
                    number = free_id + len(more)
                    more.append(region.model_copy(update={"polygon": polygon, "id": number}))
    if kind is None:
        return [*after, *more]
    whole = _without_holes(joined, least)
    for n, polygon in enumerate(outlines(whole, origin, near_px=near)):
        if n == 0 and home is not None:
            after[home] = after[home].model_copy(update={"polygon": polygon})
        else:
            more.append(Region(id=free_id + len(more), kind=kind, polygon=polygon))
    return [*after, *more]


def _painted_near(
    region: Region, box: tuple[int, int, int, int], shape: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return the box of a painted area whose box touches another one."""
    if region.kind not in PAINTED:
        return None
    mine = _around(region.polygon, 1.0, shape)
    if mine is None or mine[0] > box[2] or mine[1] > box[3] or mine[2] < box[0] or mine[3] < box[1]:
        return None
    return mine


def _without_crumbs(mask: Bools, least_px: float) -> Bools:
    """Drop parts of fewer px."""
    parts, count = label(mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept: Bools = (sizes >= min(least_px, 12))[parts] & mask
    return kept


def _without_holes(mask: Bools, least_px: float) -> Bools:
    """Fill holes of fewer px."""
    parts, count = label(~mask)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    small = sizes < least_px
    small[0] = False
    small[np.unique(edge)] = False
    filled: Bools = mask | small[parts]
    return filled
