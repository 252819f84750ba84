"""What has grown becomes sites: pruned where it does not fit, closed over vacancies, compared."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, convolve, label
from scipy.spatial import cKDTree

from .cell import Cell
from .growth import REACH, TOLERANCE, Grid, Ground, extrapolate, site_weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Around a cell that stays, this part of the weight is there, and peaks lie this near to their
#: sites (root mean square, in distances to the next site). Peaks thrown anywhere within the
#: tolerance give 0.21.
LEAST_SUPPORT, LARGEST_OFF = 0.6, 0.15
#: Cells on each side that are asked.
AROUND = 2
#: A cell with so many of its eight neighbours known belongs though it is empty itself.
ENCLOSED = 5
#: At the rim single sites join when they lie this near (in distances to the next site).
RIM_OFF = 0.2
#: And are present as much as this.
RIM_PRESENCE = 0.5
#: Holes beside an atom lie within this many distances of sites, and so many of them are clear.
HOLES_WITHIN, HOLES_CLEAR = 1.25, 0.6
#: Where an atom is missing between holes it is this part as dark as in a hole (on simulated
#: vacancies of graphene).
OF_A_HOLE = 0.4
#: Steps along each row on which the usual height of a site is taken.
ROW = 3


@dataclass(frozen=True)
class Placed:
    """The sites of one lattice on a frame.

    Parameters
    ----------
    step : (N, 2) int array
        Whole steps along a and b from the first cell.
    site : (N,) int array
        Which site of the cell.
    ideal_px : (N, 2) array
        Where the lattice around expects it, x, y in px.
    found_px : (N, 2) array
        The peak that was found there; NaN for none.
    peak : (N,) int array
        Its number, -1 for none.
    presence : (N,) array
        Height of the response there between that of an empty place (0) and what is usual on this
        site along the rows through it (1).
    rim : (N,) bool array
        Beyond the last whole cell.
    """

    step: Ints
    site: Ints
    ideal_px: Floats
    found_px: Floats
    peak: Ints
    presence: Floats
    rim: Bools

    def __len__(self) -> int:
        return len(self.site)


def prune(grid: Grid, ground: Ground, cell: Cell) -> Grid:
    """Leave out cells whose surroundings do not fit, and what they cut off from the rest.

    Every cell is predicted anew from those around it, itself left out, and its sites are snapped
    again. The largest connected part stays.

    Parameters
    ----------
    grid : Grid
        Changed in place, and returned.
    ground : Ground
    cell : Cell
    """
    cells = np.argwhere(grid.known).astype(np.int64)
    place, basis, count = extrapolate(grid, cells, itself=False)
    alone = count < 3
    place[alone] = grid.place[cells[alone, 0], cells[alone, 1]]
    basis[alone] = grid.basis[cells[alone, 0], cells[alone, 1]]
    apart = cell.site_distances()
    sites = place[:, None] + cell.fractions[None] @ basis
    inside = ground.inside(sites)
    peak, _ = ground.nearest(cell, sites, TOLERANCE * apart)
    there = inside & (peak >= 0)
    weight = site_weights(cell)
    off = np.linalg.norm(ground.xy_of(cell, np.where(there, peak, -1)) - sites, axis=2) / apart
    wanted, present = (inside * weight).sum(axis=1), (there * weight).sum(axis=1)
    square = (np.where(there, off, 0.0) ** 2 * weight).sum(axis=1)
    sums = [np.zeros(grid.known.shape) for _ in range(3)]
    window = np.ones((2 * AROUND + 1, 2 * AROUND + 1))
    i, j = cells.T
    for total, values in zip(sums, (wanted, present, square), strict=True):
        total[i, j] = values
    wanted_near, present_near, square_near = (convolve(s, window, mode="constant") for s in sums)
    share = present_near / np.maximum(wanted_near, 1e-9)
    distance = np.sqrt(square_near / np.maximum(present_near, 1e-9))
    grid.place[i, j], grid.basis[i, j] = place, basis
    keep = grid.known & (share >= LEAST_SUPPORT) & (distance <= LARGEST_OFF)
    parts, n = label(keep)
    if n > 1:
        keep &= parts == 1 + int(np.bincount(parts[keep] - 1).argmax())
    grid.known[:] = keep
    grid.peak[~keep] = -1
    grid.height[~keep] = np.nan
    return grid


def place_sites(grid: Grid, ground: Ground, cell: Cell) -> Placed:
    """Return the sites of a pruned grid with what stands on each.

    Cells that are enclosed by others are filled in; beyond the last whole cells single sites join
    where a peak lies close.
    """
    known = grid.known
    inner = np.zeros_like(known)
    inner[REACH:-REACH, REACH:-REACH] = True
    beside = convolve(known.astype(np.int64), np.ones((3, 3), dtype=np.int64), mode="constant")
    closed = ~known & (beside >= ENCLOSED) & inner
    rim = binary_dilation(known, np.ones((3, 3), dtype=np.bool_)) & ~known & ~closed & inner
    cells = np.argwhere(known | closed | rim).astype(np.int64)
    place, basis, _ = extrapolate(grid, cells)
    apart = cell.site_distances()
    sites = place[:, None] + cell.fractions[None] @ basis
    inside = ground.inside(sites)
    peak, strength = ground.nearest(cell, sites, TOLERANCE * apart)
    peak[~inside] = -1
    found = ground.xy_of(cell, peak)
    off = np.linalg.norm(found - sites, axis=2) / apart
    at_rim = rim[cells[:, 0], cells[:, 1]]
    sign = np.where([s.hole for s in cell.sites], -1.0, 1.0)
    atom = ~(sign < 0)
    # Between holes an atom's own maximum says less than the place it should have.
    height = np.where(
        (peak >= 0) & ~(atom[None] & cell.by_holes),
        strength,
        sign * ground.landscape.height_at(sites.reshape(-1, 2)).reshape(sites.shape[:2]),
    )
    usual = _usual_along_rows(grid, cells, np.where(inside & ~at_rim[:, None], height, np.nan))
    # Where there is no lattice the response is zero: no hole, but no empty site either.
    empty = emptiest(ground, cell, place[~at_rim], basis[~at_rim])
    lowest = np.where(sign < 0, 0.0, OF_A_HOLE * empty if cell.by_holes else empty)
    presence = (height - lowest) / np.maximum(usual - lowest, 1e-6)
    _one_site_a_peak(peak, np.where(np.isfinite(off), off, np.inf), atom)
    found[peak < 0] = np.nan
    if cell.by_holes:
        clear = (peak >= 0) & (presence > RIM_PRESENCE) & ~atom[None]
        fits = _between_holes(sites, inside, clear, atom, HOLES_WITHIN * cell.closest_px)
        presence = np.where(fits, presence, np.minimum(presence, 0.0))
    else:
        fits = (peak >= 0) & (off < RIM_OFF)
    wanted = inside & atom[None]
    wanted &= ~at_rim[:, None] | (fits & (presence > RIM_PRESENCE))
    n, s = np.nonzero(wanted)
    return Placed(
        cells[n] - np.array(grid.seed),
        s.astype(np.int64),
        sites[n, s],
        found[n, s],
        peak[n, s],
        presence[n, s],
        at_rim[n],
    )


def _between_holes(
    sites: Floats, inside: Bools, clear: Bools, atom: Bools, reach_px: float
) -> Bools:
    """Tell for (N, S) sites whether most of the holes beside them on the frame are clear."""
    beside = np.zeros(inside.shape, dtype=np.bool_)
    possible, there = sites[inside & ~atom[None]], sites[clear & inside]
    if not len(there):
        return beside
    expected, counted = (
        np.asarray(cKDTree(xy).query_ball_point(sites[:, atom], reach_px, return_length=True))
        for xy in (possible, there)
    )
    beside[:, atom] = (counted >= 1) & (counted >= HOLES_CLEAR * expected)
    return beside


def emptiest(ground: Ground, cell: Cell, place: Floats, basis: Floats) -> float:
    """Return the mean response where it is lowest in a cell: what an empty site looks like."""
    some = slice(None, None, max(1, len(place) // 300))
    grid = (np.stack(np.meshgrid(np.arange(10), np.arange(10)), axis=-1).reshape(-1, 2)) / 10
    xy = place[some][:, None] + grid[None] @ basis[some]
    inside = ground.inside(xy)
    height = ground.landscape.height_at(xy.reshape(-1, 2)).reshape(inside.shape)
    count = inside.sum(axis=0)
    mean = np.where(inside, height, 0.0).sum(axis=0) / np.maximum(count, 1)
    return float(mean[count > 0].min()) if (count > 0).any() else 0.0


def _usual_along_rows(grid: Grid, cells: Ints, height: Floats) -> Floats:
    """Return the (N, S) usual heights: the lowest of the medians along four rows.

    A site of a weak layer is compared with its own layer, and an empty one with its neighbours.
    """
    dense = np.full((*grid.known.shape, height.shape[1]), np.nan)
    dense[cells[:, 0], cells[:, 1]] = height
    i, j = cells.T
    medians = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows without any atom
        for di, dj in ((1, 0), (0, 1), (1, 1), (1, -1)):
            steps = [k for k in range(-ROW, ROW + 1) if k]
            near = np.stack([dense[i + k * di, j + k * dj] for k in steps])
            enough = np.isfinite(near).sum(axis=0) >= ROW
            medians.append(np.where(enough, np.nanmedian(near, axis=0), np.nan))
        usual = np.nanmin(np.stack(medians), axis=0)
        everywhere = np.nanmedian(height, axis=0)
    out: Floats = np.where(np.isfinite(usual), usual, everywhere[None])
    return out


def _one_site_a_peak(peak: Ints, off: Floats, atom: Bools) -> None:
    """Of several sites with one peak, leave it to the nearest; changes `peak`."""
    n, s = np.nonzero((peak >= 0) & atom[None])
    order = np.argsort(off[n, s], kind="stable")
    n, s = n[order], s[order]
    first = np.zeros(len(n), bool)
    first[np.unique(peak[n, s], return_index=True)[1]] = True
    peak[n[~first], s[~first]] = -1
