"""The sites of proposed lattices: which are atoms, which are empty, and what stands beside them.

Everything that a slider of presence asks again is kept in a few arrays, which go to another process
as one file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.atoms import empty_atoms, make_atoms
from napari_apgan.io.tables import save_file

if TYPE_CHECKING:
    from .landscape import Landscape
    from .lattice import Lattice

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]

#: Sites with less of their usual height are empty.
PRESENCE = 0.5
#: An atom beside the lattice stands this far (in distances of its sites) from all on it, and is as
#: high as this part of the weakest kind of site.
BESIDE, AS_HIGH = 0.5, 0.85
#: An empty site has this part of its neighbours, on all sides.
ENCLOSED, ONE_SIDED = 0.6, 0.4
#: Sites nearer to the edge of the frame than so many widths of the smoothing are never called
#: empty.
BLIND = 2.0
FLAG_BETWEEN = "placed by the lattice: no peak of its own"


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
class Sites:
    """The sites of all lattices on a frame, and the peaks between them.

    Parameters
    ----------
    shape : (2,) int array
        Rows and columns of the frame.
    ideal_px, offered_px : (N, 2) array
        Where the lattice expects each site, and where its atom is put, x, y in px.
    own : (N,) bool array
        Atoms with a peak of their own; between holes all count as such.
    presence : (N,) array
        Of each site, see :class:`~.settle.Placed`.
    amplitude, ideal_amplitude : (N,) array
        The response at the two places.
    may_miss : (N,) bool array
        Sites that may be called empty: neither on the rim nor at the edge of the frame.
    grain : (N,) int array
    sublattice, element : (N,) str array
    peak_px : (P, 2) array
        Peaks within a lattice, a row for each grain that they lie in.
    peak_height : (P,) array
    peak_grain : (P,) int array
    closest_px, longest_px : (G,) array
        Distance of the closest sites, and the longer translation, of each grain.
    """

    shape: Ints
    ideal_px: Floats
    offered_px: Floats
    own: Bools
    presence: Floats
    amplitude: Floats
    ideal_amplitude: Floats
    may_miss: Bools
    grain: Ints
    sublattice: Texts
    element: Texts
    peak_px: Floats
    peak_height: Floats
    peak_grain: Ints
    closest_px: Floats
    longest_px: Floats

    def __len__(self) -> int:
        return len(self.presence)

    @property
    def n_grains(self) -> int:
        """How many lattices there are."""
        return len(self.closest_px)

    @property
    def sublattices(self) -> tuple[str, ...]:
        """Their names, of all grains, the strongest first."""
        return tuple(sorted(set(self.sublattice.tolist())))

    # --- what a threshold makes of them ----------------------------------------------------

    def there(self, presence: float = PRESENCE) -> Bools:
        """Tell which (N,) sites hold an atom; 0 fills all of them, 1 half of them."""
        return self.presence >= presence

    def missing(self, there: Bools) -> Bools:
        """Tell which (N,) sites are empty and enclosed by atoms."""
        empty = ~there & self.may_miss
        for grain in range(self.n_grains):
            mine = self.grain == grain
            if (empty & mine).any():
                empty[empty & mine] = self._enclosed(mine, there & mine, empty & mine, grain)
        return empty

    def extra(self, there: Bools) -> Ints:
        """Return which of the peaks are strong and stand beside all atoms."""
        taken = self.offered_px[there]
        if not len(taken) or not len(self.peak_px):
            return np.empty(0, dtype=np.int64)
        distance = np.asarray(cKDTree(taken).query(self.peak_px)[0])
        found = []
        for grain in range(self.n_grains):
            mine = there & (self.grain == grain)
            beside = np.flatnonzero(
                (self.peak_grain == grain) & (distance > BESIDE * self.closest_px[grain])
            )
            if not len(beside) or not mine.any():
                continue
            kinds, heights = self.sublattice[mine], self.amplitude[mine]
            weakest = min(float(np.median(heights[kinds == k])) for k in set(kinds.tolist()))
            height = self.peak_height[beside]
            middle = float(np.median(height))
            noise = middle + 5 * 1.4826 * float(np.median(np.abs(height - middle)))
            least = max(AS_HIGH * weakest, noise if len(height) > 20 else 0.0)
            found.append(beside[height > least])
        return np.concatenate(found) if found else np.empty(0, dtype=np.int64)

    def _enclosed(self, sites: Bools, atoms: Bools, empty: Bools, grain: int) -> Bools:
        """Tell which empty sites have atoms on all sides, as far as the frame reaches."""
        places, xy = self.ideal_px[empty], self.ideal_px[atoms]
        if not len(xy):
            return np.zeros(len(places), dtype=np.bool_)
        reach = 1.2 * float(self.longest_px[grain])
        every = cKDTree(self.ideal_px[sites])
        possible = np.asarray(every.query_ball_point(places, reach, return_length=True)) - 1
        lists: Any = cKDTree(xy).query_ball_point(places, reach)
        count = np.array([len(near) for near in lists])
        owner = np.repeat(np.arange(len(places)), count)
        near = np.array([k for some in lists for k in some], dtype=np.int64)
        step: Floats = xy[near] - places[owner]
        step /= np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
        total = np.column_stack([np.bincount(owner, s, len(places)) for s in step.T])
        mean = total / np.maximum(count, 1)[:, None]
        limit = self.shape[::-1] - 1.0
        at_edge = np.minimum(places, limit - places).min(axis=1) < reach
        enough = count >= np.maximum(ENCLOSED * possible, 3)
        around: Bools = enough & (at_edge | (np.linalg.norm(mean, axis=1) < ONE_SIDED))
        return around

    def tables(
        self, *, presence: float = PRESENCE, elements: Mapping[str, str] | None = None
    ) -> Proposed:
        """Make tables of atoms, missing and extra ones.

        Parameters
        ----------
        presence : float
            Sites with less of their usual height are empty.
        elements : mapping, optional
            Element of each sublattice (``A``, ``B``, ...), in all grains.
        """
        there = self.there(presence)
        beside = self.extra(there)
        extra = empty_atoms()
        if len(beside):
            extra = make_atoms(
                self.peak_px[beside],
                "unknown",
                grain=self.peak_grain[beside],
                origin="detected",
                amplitude=self.peak_height[beside],
                flag="extra",
            )
        flags = np.where(self.own, "", FLAG_BETWEEN)
        return Proposed(
            self._table(there, self.offered_px, self.amplitude, flags, elements or {}),
            self._table(
                self.missing(there),
                self.ideal_px,
                self.ideal_amplitude,
                np.full(len(self), "missing"),
                elements or {},
            ),
            _numbered(extra),
        )

    def _table(
        self,
        rows: Bools,
        xy: Floats,
        amplitude: Floats,
        flag: Texts,
        elements: Mapping[str, str],
    ) -> pd.DataFrame:
        if not rows.any():
            return empty_atoms()
        names = self.sublattice[rows].astype(object)
        kinds = [
            elements.get(n, e) for n, e in zip(names, self.element[rows].tolist(), strict=True)
        ]
        return _numbered(
            make_atoms(
                xy[rows],
                kinds,
                sublattice=names,
                grain=self.grain[rows],
                origin="detected",
                confidence=np.clip(self.presence[rows], 0.0, 1.0),
                amplitude=amplitude[rows],
                flag=flag[rows].astype(object),
            )
        )

    # --- from one process to another ---------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write them to one ``.npz``.

        Raises
        ------
        UserError
            When the file cannot be written.
        """
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        np.savez(buffer, **arrays)
        save_file(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Sites:
        """Read what :meth:`save` wrote."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
            return cls(**{f.name: held[f.name] for f in fields(cls)})


def _numbered(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(id=np.arange(len(table)))


def sites_of(landscape: Landscape, lattices: Sequence[Lattice]) -> Sites:
    """Gather the sites of lattices, and the peaks within them.

    Parameters
    ----------
    landscape : Landscape
    lattices : sequence of Lattice
    """
    rows = [_sites_of_one(landscape, lattice, grain) for grain, lattice in enumerate(lattices)]
    peaks = [_peaks_within(landscape, lattice, grain) for grain, lattice in enumerate(lattices)]

    def stacked(parts: list[dict[str, Any]], name: str, like: Any) -> Any:
        return np.concatenate([p[name] for p in parts]) if parts else like

    none, nowhere, no_text = np.empty(0), np.empty((0, 2)), np.empty(0, dtype="U1")
    return Sites(
        shape=np.array(landscape.frame.shape, dtype=np.int64),
        ideal_px=stacked(rows, "ideal_px", nowhere),
        offered_px=stacked(rows, "offered_px", nowhere),
        own=stacked(rows, "own", none.astype(bool)),
        presence=stacked(rows, "presence", none),
        amplitude=stacked(rows, "amplitude", none),
        ideal_amplitude=stacked(rows, "ideal_amplitude", none),
        may_miss=stacked(rows, "may_miss", none.astype(bool)),
        grain=stacked(rows, "grain", none.astype(np.int64)),
        sublattice=stacked(rows, "sublattice", no_text),
        element=stacked(rows, "element", no_text),
        peak_px=stacked(peaks, "xy", nowhere),
        peak_height=stacked(peaks, "height", none),
        peak_grain=stacked(peaks, "grain", none.astype(np.int64)),
        closest_px=np.array([one.cell.closest_px for one in lattices], dtype=np.float64),
        longest_px=np.array([max(one.cell.lengths_px) for one in lattices], dtype=np.float64),
    )


def _sites_of_one(landscape: Landscape, lattice: Lattice, grain: int) -> dict[str, Any]:
    """Return the arrays of one lattice's sites."""
    placed, cell = lattice.placed, lattice.cell
    limit = np.array(landscape.frame.shape[::-1]) - 1.0
    seen = np.minimum(placed.ideal_px, limit - placed.ideal_px).min(axis=1)
    # What little rises on an empty site is noise, and says nothing about a place.
    own = (placed.peak >= 0) & (placed.presence >= PRESENCE)
    offered = placed.ideal_px.copy()
    if cell.by_holes:
        own = np.ones(len(placed), dtype=np.bool_)
    else:
        offered[own] = placed.found_px[own]
    return {
        "ideal_px": placed.ideal_px,
        "offered_px": offered,
        "own": own,
        "presence": placed.presence,
        "amplitude": landscape.height_at(offered),
        "ideal_amplitude": landscape.height_at(placed.ideal_px),
        "may_miss": ~placed.rim & (seen > BLIND * landscape.sigma_px),
        "grain": np.full(len(placed), grain, dtype=np.int64),
        "sublattice": np.array([s.sublattice for s in cell.sites], dtype=np.str_)[placed.site],
        "element": np.array([s.element for s in cell.sites], dtype=np.str_)[placed.site],
    }


def _peaks_within(landscape: Landscape, lattice: Lattice, grain: int) -> dict[str, Any]:
    """Return the peaks that have whole cells of a lattice around them."""
    peaks = landscape.peaks
    whole = lattice.placed.ideal_px[~lattice.placed.rim]
    within = np.zeros(len(peaks.xy), dtype=np.bool_)
    if len(whole) and len(peaks.xy):
        reach = 0.8 * max(lattice.cell.lengths_px)
        around = cKDTree(whole).query(peaks.xy, k=3, distance_upper_bound=reach)[0]
        within = np.isfinite(np.atleast_2d(around)).all(axis=1)
    return {
        "xy": peaks.xy[within],
        "height": peaks.strength[within],
        "grain": np.full(int(within.sum()), grain, dtype=np.int64),
    }


def counted(atoms: int, missing: int, extra: int, grains: int) -> str:
    """Say what was found: ``412 atoms · 3 missing · 1 extra · 2 grains``."""
    parts = [f"{atoms:,} atom{'s' * (atoms != 1)}"]
    parts += [f"{missing:,} missing"] if missing else []
    parts += [f"{extra:,} extra"] if extra else []
    parts += [f"{grains} grains"] if grains > 1 else []
    return " · ".join(parts)


def counted_sites(sites: Sites, presence: float) -> str:
    """Say what a threshold makes of sites."""
    there = sites.there(presence)
    return counted(
        int(there.sum()),
        int(sites.missing(there).sum()),
        len(sites.extra(there)),
        sites.n_grains,
    )
