"""Where lattices begin: parts of a frame that repeat best."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .cell import Cell
from .landscape import Landscape
from .period import Period, cell_at, find_period, window
from .spacing import estimate_scale

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Half the side of a part, in distances of neighbours, and its bounds in px.
SPACINGS, REACH_BOUNDS = 4.5, (28.0, 140.0)
#: Smaller parts for small grains, in units of the first ones, and their least reach in px.
FINER, SMALLEST_REACH_PX = 0.55, 18.0
#: A part is done with when this share of it is covered by lattices.
COVERED = 0.5
#: Parts looked at before the first lattice; of the rest only what it leaves over.
FIRST_PARTS = 16
#: Samples along each axis of a part by which its cover is judged.
SAMPLES = 7


def part_reach_px(landscape: Landscape) -> float:
    """Return half the side (px) of the parts in which a period is looked for."""
    spacing = estimate_scale(landscape.frame).spacing_px
    reach = SPACINGS * (spacing if spacing is not None else 8.0 * landscape.sigma_px)
    return float(np.clip(reach, REACH_BOUNDS[0], min(REACH_BOUNDS[1], 0.5 * _side(landscape))))


def _side(landscape: Landscape) -> float:
    return max(float(min(landscape.frame.shape)), 2 * REACH_BOUNDS[0])


class Seeds:
    """Parts of a frame, the best for the next lattice first.

    Parameters
    ----------
    landscape : Landscape
    allowed : (Y, X) bool array
        Where atoms are wanted.
    reach_px : float
        Half the side of a part.
    """

    def __init__(self, landscape: Landscape, allowed: Bools, reach_px: float) -> None:
        self.landscape, self.allowed, self.reach_px = landscape, allowed, reach_px
        self.centres = _centres(landscape.frame.shape, reach_px)
        offset = np.linspace(-0.75, 0.75, SAMPLES) * reach_px
        grid = np.stack(np.meshgrid(offset, offset), axis=-1).reshape(-1, 2)
        self._samples = self.centres[:, None] + grid[None]
        self._open = self._on(allowed)
        self._known: dict[int, Period | None] = {}
        self._tried: set[int] = set()
        self._covers: list[tuple[Floats, float]] = []

    def _on(self, mask: Bools) -> Bools:
        """Tell which samples of each part lie on a mask."""
        rows, columns = mask.shape
        x, y = (
            np.rint(self._samples[..., 0]).astype(int),
            np.rint(self._samples[..., 1]).astype(int),
        )
        inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
        out: Bools = inside & mask[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)]
        return out

    def cover(self, xy_px: Floats, radius_px: float) -> None:
        """Note that a lattice with sites at (N, 2) positions covers what is near them."""
        self._covers.append((xy_px, radius_px))
        flat = self._samples.reshape(-1, 2)
        near = np.asarray(cKDTree(xy_px).query(flat, distance_upper_bound=radius_px)[0])
        self._open &= ~np.isfinite(near).reshape(self._open.shape)

    def finer(self) -> Seeds:
        """Return smaller parts of what is still open, for grains too small for the larger ones."""
        reach = max(FINER * self.reach_px, SMALLEST_REACH_PX)
        made = Seeds(self.landscape, self.allowed, reach)
        for xy, radius in self._covers:
            made.cover(xy, radius)
        return made

    def _ranked(self) -> list[int]:
        """Return the parts still open, those that repeat best first."""
        share = self._open.mean(axis=1)
        open_parts = [
            k for k in np.flatnonzero(share > 1 - COVERED).tolist() if k not in self._tried
        ]
        if not self._known and len(open_parts) > FIRST_PARTS:
            some = np.linspace(0, len(open_parts) - 1, FIRST_PARTS).round().astype(int)
            open_parts = [open_parts[k] for k in some.tolist()]
        for k in open_parts:
            if k not in self._known:
                part = window(self.landscape, self.centres[k], self.reach_px)
                self._known[k] = find_period(self.landscape, part)
        trust = {k: p.trust * math.sqrt(share[k]) for k in open_parts if (p := self._known[k])}
        return sorted(trust, key=lambda k: -trust[k])

    def best(self) -> tuple[Cell, float] | None:
        """Return the cell of the best part and the trust in it, without using it up."""
        for k in self._ranked():
            period = self._known[k]
            assert period is not None
            cell = cell_at(self.landscape, self.centres[k], period, self.reach_px)
            if cell is not None:
                return cell, period.trust
        return None

    def next_cell(self) -> Cell | None:
        """Return the cell of the best part that is still open, and use it up; None at the end."""
        for k in self._ranked():
            self._tried.add(k)
            period = self._known[k]
            assert period is not None
            cell = cell_at(self.landscape, self.centres[k], period, self.reach_px)
            if cell is not None and cell.atoms:
                return cell
        return None


def _centres(shape: tuple[int, int], reach: float) -> Floats:
    """Return the middles of parts that overlap by half, all over a frame."""
    axes = []
    for size in shape[::-1]:
        n = max(1, math.ceil((size - 2 * reach) / reach) + 1)
        low = min(reach, 0.5 * (size - 1))
        axes.append(np.linspace(low, size - 1 - low, n))
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
