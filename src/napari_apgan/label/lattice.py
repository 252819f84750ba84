"""Lattices proposed over a frame: what stands on their sites, what is missing, what is too much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress

from .cell import Cell
from .growth import Ground, grow
from .landscape import Landscape, survey
from .resolution import remarks, too_close
from .seeds import Seeds, part_reach_px
from .settle import Placed, place_sites, prune
from .sites import PRESENCE, Proposed, Sites, sites_of

Bools = NDArray[np.bool_]

#: Lattices of fewer cells are none.
FEWEST_CELLS = 9
#: More lattices than this are not looked for.
MOST_GRAINS = 24
#: Below this trust in the period a frame is smoothed more, by these parts of the distance of sites;
#: below the second one its sites may be noise.
NOISY, SMOOTHER, UNTRUSTED = 0.9, (0.18, 0.3), 0.6
#: Sites nearer to the edge of the frame (px) are not proposed.
EDGE_PX = 0.5


@dataclass(frozen=True)
class Lattice:
    """One grain.

    Parameters
    ----------
    cell : Cell
        With its mean translations.
    placed : Placed
        Its sites on the frame.
    n_cells : int
        Whole cells.
    """

    cell: Cell
    placed: Placed
    n_cells: int


@dataclass(frozen=True)
class Proposal:
    """Lattices over a frame.

    Parameters
    ----------
    landscape : Landscape
    lattices : tuple of Lattice
        The largest first. None where nothing repeats; `notes` says why.
    notes : tuple of str
        What the user should know, in sentences.
    """

    landscape: Landscape
    lattices: tuple[Lattice, ...]
    notes: tuple[str, ...]

    @cached_property
    def sites(self) -> Sites:
        """Their sites, which a slider of presence may ask at once."""
        return sites_of(self.landscape, self.lattices)

    def tables(
        self, *, presence: float = PRESENCE, elements: Mapping[str, str] | None = None
    ) -> Proposed:
        """Tell atoms, missing and extra ones apart; see :meth:`~.sites.Sites.tables`."""
        return self.sites.tables(presence=presence, elements=elements)


def propose(
    ground: Landscape | Frame,
    cell: Cell | None = None,
    *,
    polarity: Polarity = "bright",
    area: Bools | None = None,
    grains: bool = True,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Proposal:
    """Lay lattices over a frame.

    Each lattice grows from a seed outwards, follows strain slowly, snaps to the peaks, and ends
    where they no longer fit: at boundaries of grains, defects, vacuum and the edge. The next one
    starts where most is left.

    Parameters
    ----------
    ground : Landscape or Frame
        A frame is surveyed first.
    cell : Cell, optional
        From :func:`~.pick.pick_cell`, :func:`~.unitcell.cell_of_structure` or an earlier
        proposal; its `origin` is the first seed. Estimated where it is left out.
    polarity : {"bright", "dark"}
        Of a frame's atoms; a landscape has its own.
    area : (Y, X) bool array, optional
        Where atoms are wanted; by default everywhere.
    grains : bool
        Whether to go on with other lattices after the first.
    progress, cancelled : callable, optional

    Returns
    -------
    Proposal

    Raises
    ------
    UserError
        When the frame is too small, the area has another shape, or the cell is finer than the
        image resolves.
    """
    landscape = survey(ground, polarity=polarity) if isinstance(ground, Frame) else ground
    frame = landscape.frame
    allowed = np.ones(frame.shape, bool)
    if area is not None:
        if area.shape != frame.shape:
            raise UserError("The area belongs to another image: draw it on this one.")
        allowed &= area
    if cell is not None and (finest := too_close(landscape, cell)) is not None:
        raise UserError(finest)
    seeds = Seeds(landscape, allowed, part_reach_px(landscape))
    if cell is None:
        landscape, seeds = _smoother_where_noisy(landscape, seeds, allowed)
    free = np.ones(len(landscape.peaks.xy), bool)
    free_holes = np.ones(len(landscape.holes.xy), bool)
    lattices: list[Lattice] = []
    smaller = False
    while len(lattices) < (MOST_GRAINS if grains else 1):
        if cancelled is not None and cancelled():
            break
        next_cell = cell if cell is not None and not lattices else seeds.next_cell()
        if next_cell is None and not smaller:
            smaller, seeds = True, seeds.finer()
            next_cell = seeds.next_cell()
        if next_cell is None:
            break
        if progress is not None:
            progress(len(lattices), len(lattices) + 1, "laying lattices")
        field = Ground(landscape, allowed, free, free_holes, max(1.0, landscape.sigma_px))
        lattice = _lay(field, next_cell, cancelled)
        if lattice is None:
            if cell is not None and not lattices:
                break
            continue
        lattices.append(lattice)
        _take(lattice, landscape, free, free_holes)
        seeds.cover(lattice.placed.ideal_px, 0.75 * max(lattice.cell.lengths_px))
    lattices.sort(key=lambda one: -len(one.placed))
    return Proposal(
        landscape, tuple(lattices), remarks(landscape, [lattice.cell for lattice in lattices])
    )


def _smoother_where_noisy(
    landscape: Landscape, seeds: Seeds, allowed: Bools
) -> tuple[Landscape, Seeds]:
    """Smooth a noisy frame with what fits the distance of its sites."""
    best = seeds.best()
    if best is None or best[1] >= NOISY:
        return landscape, seeds
    closest, chosen = best[0].closest_px, (landscape, seeds)
    # Smoothing hides weak sites between strong ones, so more sites count before more trust.
    merit = (len(best[0].sites) if best[1] > UNTRUSTED else 0, best[1])
    for part in SMOOTHER:
        sigma = part * closest
        if sigma <= 1.15 * landscape.sigma_px:
            continue
        smoother = survey(landscape.frame, polarity=landscape.polarity, sigma_px=sigma)
        again = Seeds(smoother, allowed, seeds.reach_px)
        found = again.best()
        if found is not None and (len(found[0].sites), found[1]) > merit:
            merit, chosen = (len(found[0].sites), found[1]), (smoother, again)
    return chosen


def _lay(ground: Ground, cell: Cell, cancelled: Callable[[], bool] | None) -> Lattice | None:
    """Grow one lattice; None where nothing grows."""
    grid = grow(ground, cell, cancelled=cancelled)
    if grid.known.sum() < FEWEST_CELLS:
        return None
    grid = prune(grid, ground, cell)
    n_cells = int(grid.known.sum())
    if n_cells < FEWEST_CELLS:
        return None
    placed = place_sites(grid, replace(ground, margin_px=EDGE_PX), cell)
    mean = grid.basis[grid.known].mean(axis=0)
    inner = np.argwhere(grid.known)
    middle = inner[np.abs(inner - inner.mean(axis=0)).sum(axis=1).argmin()]
    return Lattice(cell.turned(mean, grid.place[tuple(middle)]), placed, n_cells)


def _take(lattice: Lattice, landscape: Landscape, free: Bools, free_holes: Bools) -> None:
    """Mark the peaks that a lattice has taken, and the holes within it."""
    peak = lattice.placed.peak
    free[peak[peak >= 0]] = False
    if lattice.cell.by_holes and len(landscape.holes.xy):
        reach = 1.1 * lattice.cell.closest_px
        near = cKDTree(lattice.placed.ideal_px[~lattice.placed.rim]).query(
            landscape.holes.xy, k=4, distance_upper_bound=reach
        )[0]
        free_holes[np.isfinite(np.asarray(near)).all(axis=1)] = False
