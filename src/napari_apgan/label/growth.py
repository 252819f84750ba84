"""Growing a lattice outwards from one cell, snapped to the peaks it meets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .cell import Cell
from .landscape import Landscape, Peaks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: A peak may lie this far from a site, in distances to the next site.
TOLERANCE = 0.3
#: A peak counts while the lattice grows when it reaches this part of its neighbours' heights; a
#: hole, which is as deep everywhere, this part.
WEAKEST, SHALLOWEST = 0.25, 0.45
#: A cell joins when this part of its weight is there.
SUPPORT = 0.5
#: Cells around a new one, in whole steps, from which its place is extrapolated, and how much less
#: the farther ones count.
REACH, SPREAD = 3, 2.0
#: How many cells the translations known so far count for: strain is followed slowly.
INERTIA = 2.0
#: Translations that differ from the first ones by more than this part end the growth.
LARGEST_STRAIN = 0.2
#: Times a cell may be tried, as more of its neighbours become known.
TRIES = 3
#: Cells beyond the frame that the grid of cells reaches, as a part of its size.
SLACK = 0.25

_SQUARE = np.array([[i, j] for i in range(-REACH, REACH + 1) for j in range(-REACH, REACH + 1)])
_NEXT = np.array([[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j])


@dataclass
class Grid:
    """Cells of a lattice by their whole numbers of steps.

    Arrays have a border of `REACH` cells that stays empty.

    Parameters
    ----------
    place : (I, J, 2) array
        Origin of each cell, x, y in px.
    basis : (I, J, 2, 2) array
        Translations at each cell.
    known : (I, J) bool array
        Cells that belong.
    peak : (I, J, S) int array
        Peak (or hole) on each site, -1 for none.
    height : (I, J, S) array
        Its strength; NaN where there is none.
    seed : (int, int)
        The cell it grew from.
    """

    place: Floats
    basis: Floats
    known: Bools
    peak: Ints
    height: Floats
    seed: tuple[int, int]
    tries: NDArray[np.int8] = field(repr=False)

    @classmethod
    def empty(cls, landscape: Landscape, cell: Cell) -> Grid:
        """Make a grid that covers the frame, with the seed's cell where `cell.origin` is."""
        rows, columns = landscape.frame.shape
        corners = np.array([[0, 0], [columns, 0], [0, rows], [columns, rows]], dtype=np.float64)
        steps = (corners - cell.origin) @ np.linalg.inv(cell.basis)
        low, high = steps.min(axis=0), steps.max(axis=0)
        slack = SLACK * (high - low) + 2 + REACH
        first = np.floor(low - slack).astype(int)
        size = tuple((np.ceil(high + slack).astype(int) - first + 1).tolist())
        sites = len(cell.sites)
        return cls(
            np.zeros((*size, 2)),
            np.zeros((*size, 2, 2)),
            np.zeros(size, bool),
            np.full((*size, sites), -1, dtype=np.int64),
            np.full((*size, sites), np.nan),
            (int(-first[0]), int(-first[1])),
            np.zeros(size, np.int8),
        )


@dataclass(frozen=True)
class Ground:
    """What a lattice may grow on.

    Parameters
    ----------
    landscape : Landscape
    allowed : (Y, X) bool array
        Pixels where atoms are wanted.
    free : (N,) bool array
        Peaks that no other lattice has taken.
    free_holes : (M,) bool array
    margin_px : float
        Sites nearer to the frame's edge are not looked for.
    """

    landscape: Landscape
    allowed: Bools
    free: Bools
    free_holes: Bools
    margin_px: float

    def inside(self, xy: Floats) -> Bools:
        """Tell for (..., 2) positions whether they lie on allowed pixels of the frame."""
        rows, columns = self.allowed.shape
        x, y = xy[..., 0], xy[..., 1]
        m = self.margin_px
        on = (x >= m) & (y >= m) & (x <= columns - 1 - m) & (y <= rows - 1 - m)
        at = (
            np.clip(np.rint(y), 0, rows - 1).astype(np.int64),
            np.clip(np.rint(x), 0, columns - 1).astype(np.int64),
        )
        out: Bools = on & self.allowed[at]
        return out

    def nearest(self, cell: Cell, sites: Floats, tolerance: Floats) -> tuple[Ints, Floats]:
        """Return the (N, S) peaks that sites at (N, S, 2) mean, -1 for none, and their strengths.

        Of the peaks within the tolerance the one that is strong and near.
        """
        peak = np.full(sites.shape[:2], -1, dtype=np.int64)
        height = np.full(sites.shape[:2], np.nan)
        for s, site in enumerate(cell.sites):
            source = self.landscape.holes if site.hole else self.landscape.peaks
            free = self.free_holes if site.hole else self.free
            peak[:, s], height[:, s] = _best(source, free, sites[:, s], float(tolerance[s]))
        return peak, height

    def xy_of(self, cell: Cell, peak: Ints) -> Floats:
        """Return the (N, S, 2) positions of peaks on sites; NaN where there is none."""
        out = np.full((*peak.shape, 2), np.nan)
        for s, site in enumerate(cell.sites):
            source = self.landscape.holes if site.hole else self.landscape.peaks
            there = peak[:, s] >= 0
            out[there, s] = source.xy[peak[there, s]]
        return out


def _best(source: Peaks, free: Bools, at: Floats, tolerance: float) -> tuple[Ints, Floats]:
    """Return the best peak for each of (N, 2) places, -1 for none, and its strength."""
    n = len(at)
    if source.tree is None or not n:
        return np.full(n, -1, dtype=np.int64), np.full(n, np.nan)
    k = min(4, source.tree.n)
    found = source.tree.query(at, k=k, distance_upper_bound=tolerance)
    apart = np.asarray(found[0]).reshape(n, k)
    which = np.asarray(found[1]).reshape(n, k)
    there = np.isfinite(apart)
    index = np.where(there, which, 0)
    there &= free[index]
    score = np.where(there, source.strength[index] * np.exp(-((apart / tolerance) ** 2)), -1.0)
    best = score.argmax(axis=1)
    row = np.arange(n)
    hit = there[row, best]
    peak = np.where(hit, index[row, best], -1).astype(np.int64)
    return peak, np.where(hit, source.strength[index[row, best]], np.nan)


def extrapolate(grid: Grid, cells: Ints, *, itself: bool = True) -> tuple[Floats, Floats, Ints]:
    """Predict cells from the known ones around them.

    A plane is fitted to the places of the known cells within `REACH` steps, near ones counting
    most, with the translations known there as what it tends to.

    Parameters
    ----------
    grid : Grid
    cells : (N, 2) array
        Indices into the grid.
    itself : bool
        Whether a cell that is known takes part in its own prediction.

    Returns
    -------
    place : (N, 2) array
        x, y in px.
    basis : (N, 2, 2) array
    count : (N,) array
        How many cells were known around each.
    """
    near = _SQUARE if itself else _SQUARE[(_SQUARE != 0).any(axis=1)]
    i = cells[:, :1] + near[None, :, 0]
    j = cells[:, 1:] + near[None, :, 1]
    known = grid.known[i, j]
    weight = known * np.exp(-0.5 * (near**2).sum(axis=1) / SPREAD**2)[None]
    terms = np.column_stack([np.ones(len(near)), near]).astype(np.float64)
    place = np.where(known[..., None], grid.place[i, j], 0.0)
    total = np.maximum(weight.sum(axis=1), 1e-12)
    usual = np.einsum("nm,nmab->nab", weight, grid.basis[i, j]) / total[:, None, None]
    normal = np.einsum("nm,mi,mj->nij", weight, terms, terms)
    right = np.einsum("nm,mi,nmk->nik", weight, terms, place)
    normal[:, [1, 2], [1, 2]] += INERTIA
    right[:, 1:] += INERTIA * usual
    normal[:, 0, 0] += 1e-12
    solved = np.linalg.solve(normal, right)
    return solved[:, 0], solved[:, 1:], known.sum(axis=1).astype(np.int64)


def grow(
    ground: Ground,
    cell: Cell,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Grid:
    """Grow a lattice from `cell.origin` until no cell at its rim fits the peaks.

    In each turn the cells beside the known ones are predicted, their sites snapped to the nearest
    strong peaks, and those of which most is there become known.

    Parameters
    ----------
    ground : Ground
    cell : Cell
    cancelled : callable, optional
        Asked in each turn; what has grown so far is returned when it answers True.
    """
    grid = Grid.empty(ground.landscape, cell)
    tolerance = TOLERANCE * cell.site_distances()
    # One known cell without peaks begins; it is found again as its own neighbour.
    start = np.array([grid.seed])
    _enter(grid, ground, cell, start, np.array([cell.origin]), cell.basis[None], tolerance)
    grid.known[grid.seed] = True
    low, high = REACH, np.array(grid.known.shape) - 1 - REACH
    rim = start
    while len(rim):
        if cancelled is not None and cancelled():
            break
        beside = np.unique((rim[:, None] + _NEXT[None]).reshape(-1, 2), axis=0)
        beside = beside[((beside >= low) & (beside <= high)).all(axis=1)]
        fresh = ~grid.known[beside[:, 0], beside[:, 1]]
        fresh &= grid.tries[beside[:, 0], beside[:, 1]] < TRIES
        beside = beside[fresh]
        if not len(beside):
            break
        grid.tries[beside[:, 0], beside[:, 1]] += 1
        place, basis, _ = extrapolate(grid, beside)
        strain = np.linalg.norm(basis - cell.basis, axis=(1, 2)) / np.linalg.norm(cell.basis)
        follow = strain < LARGEST_STRAIN
        rim = _enter(grid, ground, cell, beside[follow], place[follow], basis[follow], tolerance)
    return grid


def _enter(
    grid: Grid,
    ground: Ground,
    cell: Cell,
    cells: Ints,
    place: Floats,
    basis: Floats,
    tolerance: Floats,
) -> Ints:
    """Snap predicted cells, make those that fit known, and return them."""
    sites = place[:, None] + cell.fractions[None] @ basis
    inside = ground.inside(sites)
    peak, height = ground.nearest(cell, sites, tolerance)
    usual = usual_heights(grid, cell, cells)
    least = np.where([s.hole for s in cell.sites], SHALLOWEST, WEAKEST) * usual
    there = inside & (peak >= 0) & (np.nan_to_num(height) >= least)
    weight = site_weights(cell)
    wanted = (inside * weight).sum(axis=1)
    share = (there * weight).sum(axis=1) / np.maximum(wanted, 1e-12)
    fits = (wanted > 0) & (share >= SUPPORT)
    cells, there, basis, place = cells[fits], there[fits], basis[fits], place[fits]
    peak = np.where(there, peak[fits], -1)
    off = ground.xy_of(cell, peak) - sites[fits]
    mean = np.nansum(off * weight[None, :, None], axis=1)
    mean /= np.maximum((there * weight).sum(axis=1), 1e-12)[:, None]
    i, j = cells.T
    grid.place[i, j] = place + mean
    grid.basis[i, j] = basis
    grid.peak[i, j] = peak
    grid.height[i, j] = np.where(there, height[fits], np.nan)
    grid.known[i, j] = True
    return cells


def site_weights(cell: Cell) -> Floats:
    """Return how much each of the (S,) sites says about the place of its cell; the sum is 1.

    Where holes are clearer than atoms, they alone guide the lattice.
    """
    hole = np.array([s.hole for s in cell.sites])
    if hole.any():
        guided: Floats = hole / hole.sum()
        return guided
    strength = np.array([s.strength for s in cell.sites])
    if not np.isfinite(strength).any():
        return np.full(len(strength), 1 / len(strength))
    strength = np.where(np.isfinite(strength), strength, np.nanmedian(strength))
    # No site may count for nothing: heavy neighbours would decide alone.
    strength = np.maximum(strength, 0.2 * strength.max())
    weight: Floats = strength / strength.sum()
    return weight


def usual_heights(grid: Grid, cell: Cell, cells: Ints) -> Floats:
    """Return the (N, S) mean heights of the sites' peaks around cells; the cell's own at first."""
    i = cells[:, :1] + _SQUARE[None, :, 0]
    j = cells[:, 1:] + _SQUARE[None, :, 1]
    height = grid.height[i, j]
    there = np.isfinite(height)
    count = there.sum(axis=1)
    mean = np.where(there, height, 0.0).sum(axis=1) / np.maximum(count, 1)
    first = np.array([s.strength if np.isfinite(s.strength) else 0.0 for s in cell.sites])
    usual: Floats = np.where(count >= 3, mean, first[None])
    return usual
