"""Cells: two translations and the sites between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_apgan.errors import UserError

Floats = NDArray[np.float64]

#: Names of sublattices, the strongest site first.
NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a cell where an atom stands.

    Parameters
    ----------
    u, v : float
        Place in units of the two translations, from the cell's origin.
    sublattice : str
        Name that the site has without an element: ``A`` is the strongest.
    element : str
    strength : float
        Height of its mean peak in the response; NaN where nobody measured it.
    hole : bool
        No atom but a place between atoms whose own extremum guides the lattice.
    """

    u: float
    v: float
    sublattice: str = "A"
    element: str = "unknown"
    strength: float = math.nan
    hole: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """The unit of a lattice.

    Parameters
    ----------
    a, b : (float, float)
        Translations x, y in px.
    sites : tuple of Site
        The first one at the origin.
    origin : (float, float)
        Where one cell's origin stands, x, y in px.
    """

    a: tuple[float, float]
    b: tuple[float, float]
    sites: tuple[Site, ...] = (Site(0.0, 0.0),)
    origin: tuple[float, float] = (0.0, 0.0)

    @property
    def basis(self) -> Floats:
        """(2, 2) array, rows a and b in px."""
        return np.array([self.a, self.b], dtype=np.float64)

    @property
    def fractions(self) -> Floats:
        """(S, 2) places of the sites in units of a and b."""
        return np.array([[s.u, s.v] for s in self.sites], dtype=np.float64)

    @property
    def atoms(self) -> tuple[Site, ...]:
        """The sites that hold atoms."""
        return tuple(s for s in self.sites if not s.hole)

    @property
    def by_holes(self) -> bool:
        """Whether holes between the atoms guide the lattice, being clearer than the atoms."""
        return any(s.hole for s in self.sites)

    @property
    def lengths_px(self) -> tuple[float, float]:
        """Lengths of a and b in px."""
        return math.hypot(*self.a), math.hypot(*self.b)

    @property
    def angle_deg(self) -> float:
        """Angle between a and b in degrees."""
        la, lb = self.lengths_px
        return math.degrees(math.acos(np.clip(np.dot(self.a, self.b) / (la * lb), -1.0, 1.0)))

    @property
    def closest_px(self) -> float:
        """Distance in px of the two sites closest to each other."""
        return float(self.site_distances().min())

    def site_distances(self) -> Floats:
        """Return for each site the distance in px to the nearest other site, of any cell."""
        steps = np.array([[i, j] for i in (-2, -1, 0, 1, 2) for j in (-2, -1, 0, 1, 2)])
        places = (self.fractions[:, None] + steps[None]).reshape(-1, 2) @ self.basis
        found = cKDTree(places).query(self.fractions @ self.basis, k=2)[0]
        distance: Floats = np.asarray(found)[:, 1]
        return distance

    def with_elements(self, elements: Mapping[str, str]) -> Cell:
        """Return the cell with elements given by the names of sublattices."""
        return replace(
            self,
            sites=tuple(
                replace(s, element=elements.get(s.sublattice, s.element)) for s in self.sites
            ),
        )

    def turned(self, basis: ArrayLike, origin: ArrayLike) -> Cell:
        """Return the cell with other translations and another origin."""
        (ax, ay), (bx, by) = np.asarray(basis, dtype=np.float64).tolist()
        x, y = np.asarray(origin, dtype=np.float64).tolist()
        return replace(self, a=(ax, ay), b=(bx, by), origin=(x, y))


def make_cell(
    basis: ArrayLike,
    origin: ArrayLike,
    fractions: ArrayLike,
    strength: ArrayLike,
    *,
    hole: ArrayLike | None = None,
    elements: Sequence[str] | None = None,
) -> Cell:
    """Make a cell whose sites are sorted by strength; the strongest becomes the origin.

    Parameters
    ----------
    basis : (2, 2) array
        Rows a and b in px.
    origin : (2,) array
        What the fractions count from, x, y in px.
    fractions : (S, 2) array
    strength : (S,) array
    hole : (S,) bool array, optional
        Sites without atoms; by default none.
    elements : (S,) sequence of str, optional
    """
    rows = np.asarray(basis, dtype=np.float64)
    uv, height = np.asarray(fractions, dtype=np.float64), np.asarray(strength, dtype=np.float64)
    empty = np.zeros(len(uv), bool) if hole is None else np.asarray(hole, dtype=bool)
    order = np.argsort(-height, kind="stable").tolist()
    start = np.asarray(origin, dtype=np.float64) + uv[order[0]] @ rows
    places = uv - uv[order[0]]
    places -= np.floor(places + 1e-6)
    atoms = [k for k in order if not empty[k]]
    names = {k: NAMES[min(n, len(NAMES) - 1)] for n, k in enumerate(atoms)}
    sites = tuple(
        Site(
            float(places[k, 0]),
            float(places[k, 1]),
            names.get(k, ""),
            "unknown" if elements is None else elements[k],
            float(height[k]),
            bool(empty[k]),
        )
        for k in order
    )
    return Cell((0.0, 0.0), (0.0, 0.0), sites).turned(rows, start)


def reduced(basis: ArrayLike) -> Floats:
    """Return the two shortest translations of a lattice (Lagrange and Gauss), turning right-handed.

    Parameters
    ----------
    basis : (2, 2) array
        Rows a and b.

    Raises
    ------
    UserError
        When a and b lie on one line.
    """
    a, b = np.asarray(basis, dtype=np.float64)
    if abs(a[0] * b[1] - a[1] * b[0]) <= 1e-3 * math.hypot(*a) * math.hypot(*b):
        raise UserError(
            "The two neighbours lie on one line with the atom, or on it: pick neighbours in two "
            "directions."
        )
    while True:
        if b @ b < (a @ a) * (1 - 1e-9):
            a, b = b, a
        times = round(float(a @ b / (a @ a)) * (1 - 1e-9))
        if times == 0:
            break
        b = b - times * a
    if a[0] * b[1] - a[1] * b[0] < 0:
        b = -b
    return np.array([a, b])
