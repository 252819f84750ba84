"""Lattices proposed over a frame: what stands on their sites, what is missing, what is too much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.atoms import concat, empty_atoms, make_atoms
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress

from .cell import Cell
from .growth import Ground, grow
from .landscape import Landscape, survey
from .resolution import remarks, too_close
from .seeds import Seeds, part_reach_px
from .settle import Placed, place_sites, prune

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Sites with less of their usual height are empty.
PRESENCE = 0.5
#: Lattices of fewer cells are none.
FEWEST_CELLS = 9
#: More lattices than this are not looked for.
MOST_GRAINS = 24
#: An atom beside the lattice stands this far (in distances of its sites) from all on it, and is as
#: high as this part of the weakest kind of site.
BESIDE, AS_HIGH = 0.5, 0.85
#: An empty site has this part of its neighbours, on all sides.
ENCLOSED, ONE_SIDED = 0.6, 0.4
#: Below this trust in the period a frame is smoothed more, by these parts of the distance of sites;
#: below the second one its sites may be noise.
NOISY, SMOOTHER, UNTRUSTED = 0.9, (0.18, 0.3), 0.6
#: Sites nearer to the edge of the frame (px) are not proposed.
EDGE_PX = 0.5
#: Sites nearer to it than so many widths of the smoothing are never called empty.
BLIND = 2.0
FLAG_BETWEEN = "placed by the lattice: no peak of its own"


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
class Proposed:
    """Atom tables of a proposal at one threshold.

    Parameters
    ----------
    atoms : DataFrame
        Those on the sites; `sublattice`, `grain` and `element` are filled, `confidence` is the
        presence cut at 1, `flag` says where an atom has no peak of its own.
    missing : DataFrame
        Sites without an atom, enclosed by others.
    extra : DataFrame
        Atoms beside the sites.
    """

    atoms: pd.DataFrame
    missing: pd.DataFrame
    extra: pd.DataFrame


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

    def tables(
        self, *, presence: float = PRESENCE, elements: Mapping[str, str] | None = None
    ) -> Proposed:
        """Tell atoms, missing and extra ones apart; quick enough to follow a slider.

        Parameters
        ----------
        presence : float
            Sites with less of their usual height are empty: 0 fills all of them, 1 half of them.
        elements : mapping, optional
            Element of each sublattice (``A``, ``B``, ...), in all grains.
        """
        made = [
            _tables(self.landscape, lattice, grain, presence, elements or {})
            for grain, lattice in enumerate(self.lattices)
        ]
        atoms = concat([m[0] for m in made]).assign(id=-1)
        missing = concat([m[1] for m in made]).assign(id=-1)
        extra = _extra(self.landscape, self.lattices, atoms)
        return Proposed(_numbered(atoms), _numbered(missing), extra)


def _numbered(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(id=np.arange(len(table)))


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


def _tables(
    landscape: Landscape,
    lattice: Lattice,
    grain: int,
    presence: float,
    elements: Mapping[str, str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the atoms and the empty sites of one lattice."""
    placed, cell = lattice.placed, lattice.cell
    there = placed.presence >= presence
    limit = np.array(landscape.frame.shape[::-1]) - 1.0
    seen = np.minimum(placed.ideal_px, limit - placed.ideal_px).min(axis=1)
    empty = ~there & ~placed.rim & (seen > BLIND * landscape.sigma_px)
    empty[empty] = _enclosed(placed.ideal_px, there, empty, cell, landscape.frame.shape)
    names = np.array([s.sublattice for s in cell.sites], dtype=object)[placed.site]
    kinds = np.array([elements.get(s.sublattice, s.element) for s in cell.sites], dtype=object)[
        placed.site
    ]
    # What little rises on an empty site is noise, and says nothing about a place.
    own = (placed.peak >= 0) & (placed.presence >= PRESENCE)
    xy = placed.ideal_px.copy()
    if not cell.by_holes:
        xy[own] = placed.found_px[own]
        flag = np.where(own, "", FLAG_BETWEEN)
    else:
        flag = np.full(len(xy), "", dtype=object)
    out = []
    for rows, says in ((there, flag), (empty, np.full(len(xy), "missing", dtype=object))):
        where = xy if says is flag else placed.ideal_px
        out.append(
            make_atoms(
                where[rows],
                kinds[rows].tolist(),
                sublattice=names[rows],
                grain=grain,
                origin="detected",
                confidence=np.clip(placed.presence[rows], 0.0, 1.0),
                amplitude=landscape.height_at(where[rows]) if rows.any() else 0.0,
                flag=says[rows],
            )
            if rows.any()
            else empty_atoms()
        )
    return out[0], out[1]


def _enclosed(xy: Floats, there: Bools, empty: Bools, cell: Cell, shape: tuple[int, int]) -> Bools:
    """Tell which empty sites have atoms on all sides, as far as the frame reaches."""
    if not empty.any() or not there.any():
        return np.zeros(int(empty.sum()), bool)
    reach = 1.2 * max(cell.lengths_px)
    places = xy[empty]
    sites, atoms = cKDTree(xy), cKDTree(xy[there])
    out = np.zeros(len(places), bool)
    limit = np.array(shape[::-1]) - 1.0
    for k, place in enumerate(places):
        near = np.asarray(atoms.query_ball_point(place, reach), dtype=np.int64)
        possible = len(sites.query_ball_point(place, reach)) - 1
        if len(near) < max(ENCLOSED * possible, 3):
            continue
        step = xy[there][near] - place
        step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
        at_edge = np.minimum(place, limit - place).min() < reach
        out[k] = at_edge or float(np.linalg.norm(step.mean(axis=0))) < ONE_SIDED
    return out


def _extra(
    landscape: Landscape, lattices: tuple[Lattice, ...], atoms: pd.DataFrame
) -> pd.DataFrame:
    """Return strong peaks within lattices that stand beside all sites."""
    found = []
    taken = atoms[["x_px", "y_px"]].to_numpy()
    if not len(taken):
        return empty_atoms()
    distance = np.asarray(cKDTree(taken).query(landscape.peaks.xy)[0])
    for grain, lattice in enumerate(lattices):
        whole = lattice.placed.ideal_px[~lattice.placed.rim]
        if not len(whole):
            continue
        reach = 0.8 * max(lattice.cell.lengths_px)
        around = cKDTree(whole).query(landscape.peaks.xy, k=3, distance_upper_bound=reach)[0]
        within = np.isfinite(np.atleast_2d(around)).all(axis=1)
        beside = within & (distance > BESIDE * lattice.cell.closest_px)
        mine = atoms[atoms["grain"].to_numpy() == grain]
        if not beside.any() or not len(mine):
            continue
        weakest = mine.groupby("sublattice")["amplitude"].median().min()
        height = landscape.peaks.strength[beside]
        middle = float(np.median(height))
        noise = middle + 5 * 1.4826 * float(np.median(np.abs(height - middle)))
        strong = np.flatnonzero(beside)[
            height > max(AS_HIGH * weakest, noise if len(height) > 20 else 0.0)
        ]
        if len(strong):
            found.append(
                make_atoms(
                    landscape.peaks.xy[strong],
                    "unknown",
                    grain=grain,
                    origin="detected",
                    amplitude=landscape.peaks.strength[strong],
                    flag="extra",
                )
            )
    return _numbered(concat(found))
