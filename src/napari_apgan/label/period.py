"""The cell that a part of a frame repeats: translations by autocorrelation, sites by folding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import map_coordinates, maximum_filter

from .cell import Cell, make_cell, reduced
from .landscape import Landscape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: A translation brings the frame onto itself this well, in units of the best one.
AS_GOOD = 0.72
#: The best one must reach this part of the frame's own variance; textures reach 0.2.
BELIEVED = 0.25
#: Least sine of the angle between two translations.
LEAST_SINE = 0.35
#: Sites weaker than this part of the strongest one, or than so many standard errors of the mean
#: cell, are none.
WEAKEST_SITE, SIGNIFICANT = 0.10, 3.5
#: More sites than this are no motif.
MOST_SITES = 16
#: Two sites lie farther apart (px) than this, and the valley between them falls below this part of
#: the lower one.
LEAST_APART_PX, VALLEY = 1.5, 0.93
#: Steps of the mean cell, in px and in widths of the smoothing: the larger one counts.
FINEST_PX, FINEST = 0.7, 0.35
#: Every second cell differs when the heights differ by this many of their standard deviations.
DIFFERENT = 2.0
#: Cells are doubled so many times at most.
DOUBLINGS = 2
#: A hole this much deeper than the highest atom guides the lattice.
CLEARER = 1.3


@dataclass(frozen=True, slots=True)
class Period:
    """Translations of a part of a frame.

    Parameters
    ----------
    basis : (2, 2) array
        Rows a and b in px, the shortest ones.
    trust : float
        How well the best translation brings the part onto itself: 1 is perfectly.
    """

    basis: Floats
    trust: float


def window(landscape: Landscape, centre: Floats, reach_px: float) -> tuple[slice, slice]:
    """Return rows and columns within a distance along each axis of a point, cut by the frame."""
    out = []
    for at, size in zip(centre[::-1].tolist(), landscape.frame.shape, strict=True):
        low = max(round(at - reach_px), 0)
        out.append(slice(low, min(max(round(at + reach_px) + 1, low + 1), size)))
    return out[0], out[1]


def find_period(landscape: Landscape, part: tuple[slice, slice]) -> Period | None:
    """Find the translations of a part of a frame by its autocorrelation.

    Peaks of the autocorrelation almost as high as the highest are translations; what only looks
    alike (titanium on strontium) is lower. The shortest two in different directions are the basis,
    refined on all the peaks it explains.

    Returns
    -------
    Period or None
        None where nothing repeats in two directions.
    """
    image = landscape.response[part].astype(np.float64)
    if min(image.shape) < 16:
        return None
    correlation, reach = _autocorrelation(image - image.mean())
    own = correlation[reach, reach]
    if own <= 0:
        return None
    found = _translations(correlation / own, reach, landscape.sigma_px)
    if found is None:
        return None
    steps, height = found
    best = float(height.max())
    independent = image.size / (4 * math.pi * landscape.sigma_px**2)
    if best < max(BELIEVED, 5.0 / math.sqrt(independent)):
        return None
    good = height >= AS_GOOD * best
    basis = _shortest_two(steps[good])
    if basis is None:
        return None
    refined = _on_all(basis, steps[good], height[good])
    if refined is None:
        return None
    return Period(refined, min(best, 1.0))


def _autocorrelation(image: Floats) -> tuple[Floats, int]:
    """Return it for shifts up to half the part, each over the pixels that overlap."""
    reach = min(image.shape) // 2
    shape = [next_fast_len(n + reach, real=True) for n in image.shape]

    def correlate(a: Floats) -> Floats:
        spectrum = rfft2(a, s=shape)
        full: Floats = irfft2(np.abs(spectrum) ** 2, s=shape)
        return np.roll(full, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1]

    lag = np.abs(np.arange(-reach, reach + 1))
    overlap = np.outer(image.shape[0] - lag, image.shape[1] - lag).astype(np.float64)
    return correlate(image) / overlap, reach


def _translations(correlation: Floats, reach: int, sigma: float) -> tuple[Floats, Floats] | None:
    """Return (T, 2) shifts x, y of the peaks beside the central one, and their heights."""
    size = max(3, 2 * round(sigma) + 1)
    peak = (correlation == maximum_filter(correlation, size=size)) & (correlation > 0)
    peak[[0, -1]] = False
    peak[:, [0, -1]] = False
    rows, columns = np.nonzero(peak)
    y, x = rows - reach, columns - reach
    # The band-passed noise resembles itself within about two widths.
    keep = (np.hypot(x, y) >= max(3.0, 2.2 * sigma)) & ((y > 0) | ((y == 0) & (x > 0)))
    rows, columns = rows[keep], columns[keep]
    if not len(rows):
        return None
    middle = correlation[rows, columns]
    shifts = []
    for before, after in (
        (correlation[rows, columns - 1], correlation[rows, columns + 1]),
        (correlation[rows - 1, columns], correlation[rows + 1, columns]),
    ):
        bend = np.maximum(2 * middle - before - after, 1e-12)
        shifts.append(np.clip(0.5 * (after - before) / bend, -0.5, 0.5))
    steps = np.column_stack([columns - reach + shifts[0], rows - reach + shifts[1]])
    return steps, middle


def _shortest_two(steps: Floats) -> Floats | None:
    """Return the shortest step and the shortest in another direction, reduced."""
    length = np.hypot(*steps.T)
    order = np.argsort(length, kind="stable")
    first = steps[order[0]]
    sine = np.abs(first[0] * steps[:, 1] - first[1] * steps[:, 0]) / (length[order[0]] * length)
    others = [k for k in order.tolist() if sine[k] > LEAST_SINE]
    return reduced(np.array([first, steps[others[0]]])) if others else None


def _on_all(basis: Floats, steps: Floats, height: Floats) -> Floats | None:
    """Refine a basis on all steps that are whole multiples of it, nearest ones first."""
    length = np.hypot(*steps.T)
    scale = float(np.linalg.norm(basis, axis=1).max())
    for reach in (2.5, 4.0, 6.0):
        near = length <= reach * scale
        whole = np.rint(steps[near] @ np.linalg.inv(basis))
        off = np.hypot(*(steps[near] - whole @ basis).T)
        fits = off < 0.2 * scale
        root = np.sqrt(height[near][fits])[:, None]
        if np.linalg.matrix_rank(whole[fits]) < 2:
            return None
        basis = np.linalg.lstsq(whole[fits] * root, steps[near][fits] * root, rcond=None)[0]
    return reduced(basis)


@dataclass(frozen=True, slots=True)
class MeanCell:
    """The mean of all cells of a part of a frame.

    Parameters
    ----------
    basis : (2, 2) array
    origin : (2,) array
        Where the first corner stands.
    height : (V, U) array
        Mean response; columns run along a, rows along b.
    error : (V, U) array
        Its standard error.
    """

    basis: Floats
    origin: Floats
    height: Floats
    error: Floats


def fold(
    landscape: Landscape, part: tuple[slice, slice], basis: Floats, origin: Floats
) -> MeanCell:
    """Lay all cells of a part of a frame on each other.

    The response is read between the pixels, at the same places of each cell: pixels sorted into
    bins would show their own grid where a lattice runs along it.

    Parameters
    ----------
    landscape : Landscape
    part : (slice, slice)
        Rows and columns.
    basis : (2, 2) array
    origin : (2,) array
        Any point, x, y in px.
    """
    step = max(FINEST_PX, FINEST * landscape.sigma_px)
    lengths = np.linalg.norm(basis, axis=1)
    u, v = (int(np.clip(round(length / step), 8, 64)) for length in lengths.tolist())
    places = np.stack(
        np.meshgrid((np.arange(u) + 0.5) / u, (np.arange(v) + 0.5) / v), axis=-1
    ).reshape(-1, 2)
    low = np.array([part[1].start, part[0].start], dtype=np.float64)
    high = np.array([part[1].stop, part[0].stop], dtype=np.float64) - 1
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [low[0], high[1]], high])
    steps = (corners - origin) @ np.linalg.inv(basis)
    first, last = np.floor(steps.min(axis=0)).astype(int), np.ceil(steps.max(axis=0)).astype(int)
    i, j = (g.ravel() for g in np.mgrid[first[0] : last[0] + 1, first[1] : last[1] + 1])
    xy = origin + (np.column_stack([i, j])[:, None] + places[None]) @ basis
    inside: Bools = np.all((xy >= low) & (xy <= high), axis=2)
    some = np.any(inside, axis=1)
    xy, inside = xy[some], inside[some]
    height = np.zeros(inside.shape)
    height[inside] = landscape.height_at(xy[inside])
    count = np.maximum(inside.sum(axis=0), 1)
    mean = height.sum(axis=0) / count
    variance = np.where(inside, (height - mean) ** 2, 0.0).sum(axis=0) / count
    error = np.sqrt(variance / count)
    return MeanCell(basis, origin, mean.reshape(v, u), error.reshape(v, u))


def peaks_of(mean: MeanCell, sign: float = 1.0) -> tuple[Floats, Floats]:
    """Return the places (S, 2) of the peaks of a mean cell, in units of a and b, and heights (S,).

    Strongest first; with `sign` -1 the holes and their depths.
    """
    height = sign * mean.height
    peak = height == maximum_filter(height, size=3, mode="wrap")
    peak &= (height > WEAKEST_SITE * float(height.max())) & (height > SIGNIFICANT * mean.error)
    rows, columns = np.nonzero(peak)
    order = np.argsort(-height[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    v, u = height.shape
    middle = height[rows, columns]
    place = []
    for before, after, at, size in (
        (height[rows, (columns - 1) % u], height[rows, (columns + 1) % u], columns, u),
        (height[(rows - 1) % v, columns], height[(rows + 1) % v, columns], rows, v),
    ):
        bend = np.maximum(2 * middle - before - after, 1e-12)
        place.append((at + 0.5 + np.clip(0.5 * (after - before) / bend, -0.5, 0.5)) / size)
    uv = np.column_stack(place)
    keep = _apart(uv, mean, middle, sign)
    return uv[keep], middle[keep]


def sites_of(mean: MeanCell) -> tuple[Floats, Floats, Bools]:
    """Return places (S, 2), heights (S,) of a mean cell's sites, and which of them are holes.

    Where a hole is clearer than any atom it guides the lattice; between holes of a hexagonal
    lattice stand two atoms, in the middles of the two triangles.
    """
    uv, height = peaks_of(mean)
    holes, depth = peaks_of(mean, -1.0)
    if not len(depth) or (len(height) and depth[0] < CLEARER * height[0]):
        return uv, height, np.zeros(len(uv), bool)
    if is_hexagonal(mean.basis):
        # The shortest two translations may enclose 60° or 120°.
        third = 1 / 3 if mean.basis[0] @ mean.basis[1] > 0 else -1 / 3
        uv = holes[0] + np.array([[1 / 3, third], [-1 / 3, -third]])
        height = height_in(mean, uv)
        if not (height > 0).all():
            return peaks_of(mean)[0], peaks_of(mean)[1], np.zeros(len(peaks_of(mean)[0]), bool)
    if not len(uv):
        return uv, height, np.zeros(0, bool)
    return (
        np.concatenate([holes[:1], uv]),
        np.concatenate([depth[:1], height]),
        np.arange(len(uv) + 1) < 1,
    )


def is_hexagonal(basis: Floats) -> bool:
    """Tell whether the two shortest translations are equally long and enclose 60° or 120°."""
    long, short = np.sort(np.linalg.norm(basis, axis=1))[::-1]
    cosine = abs(float(basis[0] @ basis[1])) / (long * short)
    return bool(long < 1.1 * short and 0.38 < cosine < 0.61)


def height_in(mean: MeanCell, uv: Floats) -> Floats:
    """Return the (S,) heights of a mean cell at places in units of a and b."""
    v, u = mean.height.shape
    at = np.array([(uv[:, 1] % 1.0) * v - 0.5, (uv[:, 0] % 1.0) * u - 0.5])
    height: Floats = map_coordinates(mean.height, at, order=1, mode="grid-wrap")
    return height


def _apart(uv: Floats, mean: MeanCell, height: Floats, sign: float) -> Ints:
    """Return which peaks are parted by a valley from each stronger one near them.

    The crest between two atoms of a pair has ripples that are no atoms.
    """
    kept: list[int] = [0] if len(uv) else []
    along = np.linspace(0.0, 1.0, 13)[:, None]
    for k in range(1, len(uv)):
        step = uv[k] - uv[kept]
        step -= np.rint(step)
        lines = uv[k] - along[None] * step[:, None]
        valley = (sign * height_in(mean, lines.reshape(-1, 2))).reshape(len(kept), -1)
        near = np.linalg.norm(step @ mean.basis, axis=1) < LEAST_APART_PX
        if not (near | (valley.min(axis=1) > VALLEY * height[k])).any():
            kept.append(k)
    return np.array(kept, dtype=np.int64)


def cell_at(landscape: Landscape, centre: Floats, period: Period, reach_px: float) -> Cell | None:
    """Return the cell with its sites around a point; None where the mean cell shows no peak.

    Where every second cell differs from the others, as titanium from strontium along [001] when
    both are taken for one, the cell is doubled.

    Parameters
    ----------
    landscape : Landscape
    centre : (2,) array
    period : Period
    reach_px : float
        Half the side of the part that is folded.
    """
    part = window(landscape, centre, reach_px)
    basis = period.basis
    for again in range(DOUBLINGS + 1):
        uv, height, hole = sites_of(fold(landscape, part, basis, centre))
        if not 0 < len(uv) <= MOST_SITES:
            return None
        if again == DOUBLINGS:
            break
        doubled = _doubled(landscape, part, basis, centre + uv[0] @ basis)
        if doubled is None:
            break
        basis = doubled
    return make_cell(basis, centre, uv, height, hole=hole)


def _doubled(
    landscape: Landscape, part: tuple[slice, slice], basis: Floats, origin: Floats
) -> Floats | None:
    """Return translations of twice the area where every second cell is another; None elsewhere."""
    low = np.array([part[1].start, part[0].start]) + landscape.sigma_px
    high = np.array([part[1].stop, part[0].stop]) - 1 - landscape.sigma_px
    most = int(np.ceil(np.linalg.norm(high - low) / np.linalg.norm(basis, axis=1).min())) + 1
    i, j = (g.ravel() for g in np.mgrid[-most : most + 1, -most : most + 1])
    xy = origin + np.column_stack([i, j]) @ basis
    inside = ((xy >= low) & (xy <= high)).all(axis=1)
    i, j, height = i[inside], j[inside], landscape.height_at(xy[inside])
    best, found = DIFFERENT, None
    for parity, doubling in (
        (i, [[2, 0], [0, 1]]),
        (j, [[1, 0], [0, 2]]),
        (i + j, [[1, 1], [1, -1]]),
    ):
        even, odd = height[parity % 2 == 0], height[parity % 2 == 1]
        if min(len(even), len(odd)) < 6:
            continue
        spread = math.sqrt(0.5 * (even.var() + odd.var())) + 1e-9
        apart = abs(float(even.mean() - odd.mean())) / spread
        if apart > best:
            best, found = apart, reduced(np.array(doubling) @ basis)
    return found
