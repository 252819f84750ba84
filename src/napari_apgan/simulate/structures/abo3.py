"""Perovskites ABO3: what they are made of, and the columns they form along a zone axis."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_apgan.simulate.specimen import Floats, Ints

Formula = Literal[
    "SrTiO3", "BaTiO3", "PbTiO3", "SrRuO3", "LaAlO3", "DyScO3", "CaTiO3", "KTaO3", "BaZrO3"
]
Site = Literal["A", "B", "O"]
SITES: tuple[Site, ...] = get_args(Site)


@dataclass(frozen=True, slots=True)
class Perovskite:
    """A pseudo-cubic perovskite at room temperature.

    Parameters
    ----------
    a_site, b_site : str
        Symbols of the cations.
    a_pm, c_pm : float
        Lattice parameters of the five-atom cell; `c_pm` differs in tetragonal crystals, and of
        others the cube root of the volume stands for both.
    polar_pm : float, optional
        How far B leaves the middle of its cage of A, along c; None where the crystal is not polar.
    oxygen : (float, float)
        Shift of oxygen over that of B, both from where they stand in the unpolar crystal and with A
        at rest: of the oxygen whose B-O-B chain runs along the polarization (apical), and of those
        whose chains run across it (equatorial).
    """

    a_site: str
    b_site: str
    a_pm: float
    c_pm: float
    polar_pm: float | None = None
    oxygen: tuple[float, float] = (-1.09, -0.47)


#: Lattice parameters and shifts at room temperature. PbTiO3: R. J. Nelmes and W. F. Kuhs, Solid
#: State Commun. 54 (1985) 721: z(Ti) = 0.5377, z(apical O) = 0.1118, z(equatorial O) = 0.6174 with
#: Pb at the origin, that is 15.7, 46.5 and 48.8 pm, all the same way (G. Shirane, R. Pepinsky and
#: B. C. Frazer, Acta Cryst. 9 (1956) 131 have 17, 47 and 47 pm). BaTiO3: G. H. Kwei, A. C. Lawson,
#: S. J. L. Billinge and S.-W. Cheong, J. Phys. Chem. 97 (1993) 2368: z(Ti) = 0.5224, apical O
#: -0.0244, equatorial O 0.4895: oxygen moves against Ti. Its ratios serve for crystals that are not
#: polar by themselves.
PEROVSKITES: dict[Formula, Perovskite] = {
    "SrTiO3": Perovskite("Sr", "Ti", 390.5, 390.5),
    "BaTiO3": Perovskite("Ba", "Ti", 399.1, 403.5, 9.0, (-1.09, -0.47)),
    "PbTiO3": Perovskite("Pb", "Ti", 390.2, 415.6, 15.7, (2.97, 3.11)),
    "SrRuO3": Perovskite("Sr", "Ru", 392.5, 392.5),
    "LaAlO3": Perovskite("La", "Al", 379.0, 379.0),
    "DyScO3": Perovskite("Dy", "Sc", 394.8, 394.8),
    "CaTiO3": Perovskite("Ca", "Ti", 382.4, 382.4),
    "KTaO3": Perovskite("K", "Ta", 398.9, 398.9),
    "BaZrO3": Perovskite("Ba", "Zr", 419.3, 419.3),
}

Zone = Literal["001", "100", "110"]
#: Crystal directions of the image's x and y and of the beam, right-handed; along 100 and 110 the
#: c axis points along y.
ZONES: dict[Zone, tuple[tuple[int, int, int], ...]] = {
    "001": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "100": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "110": ((-1, 1, 0), (0, 0, 1), (1, 1, 0)),
}

#: Site, position in the cubic cell, and the crystal axis along which its two B neighbours stand
#: (-1 for cations). Every oxygen stands half a cell before the B of its cell along that axis.
BASIS: tuple[tuple[Site, tuple[float, float, float], int], ...] = (
    ("A", (0.0, 0.0, 0.0), -1),
    ("B", (0.5, 0.5, 0.5), -1),
    ("O", (0.0, 0.5, 0.5), 0),
    ("O", (0.5, 0.0, 0.5), 1),
    ("O", (0.5, 0.5, 0.0), 2),
)


@dataclass(frozen=True, slots=True)
class Atom:
    """One atom of a column within one repeat along the beam.

    Parameters
    ----------
    site : {"A", "B", "O"}
    depth : float
        Fraction of the repeat, from 0 up to but without 1.
    chain : int
        Crystal axis of the B-O-B chain; -1 for cations.
    cell : (int, int, int)
        The cubic cell it belongs to.
    """

    site: Site
    depth: float
    chain: int
    cell: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Stack:
    """A column of the projected cell: where it stands, and its atoms in one repeat.

    Parameters
    ----------
    at : (float, float)
        Fractions of the projected cell along x and y.
    sublattice : {"A", "B", "O"}
        A where it holds A, else B where it holds B.
    atoms : tuple of Atom
        From the entrance on.
    """

    at: tuple[float, float]
    sublattice: Site
    atoms: tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Projection:
    """A perovskite seen along a zone axis.

    Parameters
    ----------
    vectors : (3, 3) int array
        Rows: the projected cell's edges along x and y and the repeat along the beam, in cubic
        cells.
    stacks : tuple of Stack
    """

    vectors: Ints
    stacks: tuple[Stack, ...]

    def lengths_pm(self, a_pm: float, c_pm: float) -> Floats:
        """Return the (3,) lengths in pm of the projected cell along x and y and of the repeat."""
        lengths: Floats = np.linalg.norm(self.vectors * [a_pm, a_pm, c_pm], axis=1)
        return lengths

    def axes(self) -> Floats:
        """Return the (3, 3) matrix from crystal axes to x, y and the beam."""
        rows: Floats = self.vectors / np.linalg.norm(self.vectors, axis=1)[:, None]
        return rows


@cache
def project_cell(zone: Zone) -> Projection:
    """Sort the atoms of the repeating cell along a zone axis into columns."""
    vectors = np.array(ZONES[zone])
    to_fraction = np.linalg.inv(vectors)
    columns: dict[tuple[float, float], list[Atom]] = {}
    for corner in itertools.product(range(-2, 3), repeat=3):
        home = np.round(np.array(corner) @ to_fraction, 9)
        if (home < 0).any() or (home >= 1).any():
            continue
        for site, place, chain in BASIS:
            fraction = np.round((np.array(corner) + place) @ to_fraction, 9)
            whole = np.floor(fraction).astype(np.int_)
            x, y, depth = (fraction - whole).tolist()
            i, j, k = (np.array(corner) - whole @ vectors).tolist()
            columns.setdefault((x, y), []).append(Atom(site, depth, chain, (i, j, k)))
    stacks = []
    for at, atoms in sorted(columns.items()):
        held = {atom.site for atom in atoms}
        sublattice = next(site for site in SITES if site in held)
        stacks.append(Stack(at, sublattice, tuple(sorted(atoms, key=lambda a: (a.depth, a.site)))))
    return Projection(vectors, tuple(stacks))


def polar_response(atom: Atom, oxygen: tuple[float, float], axes: Floats) -> Floats:
    """Return the (3, 2) matrix from the shift of B in the image plane to that of an atom.

    A rests. An oxygen answers to the part of the polarization along its chain as apical oxygen and
    to the part across it as equatorial oxygen.

    Parameters
    ----------
    atom : Atom
    oxygen : (float, float)
        As in :class:`Perovskite`.
    axes : (3, 3) array
        From :meth:`Projection.axes`.
    """
    if atom.site == "A":
        return np.zeros((3, 2))
    if atom.site == "B":
        return np.eye(3)[:, :2]
    along, across = oxygen
    chain = axes[:, atom.chain]
    response: Floats = across * np.eye(3) + (along - across) * np.outer(chain, chain)
    return response[:, :2]


def octahedron_turn(
    cell: Ints,
    chain: int,
    tangents: tuple[float, float, float],
    in_phase: tuple[bool, bool, bool],
    lengths_pm: Floats,
) -> Floats:
    """Return the shift of oxygens when the octahedra around B turn about the crystal axes.

    Octahedra share corners, so neighbours across an axis turn against each other; those along it
    turn alike (in phase, Glazer's +) or against each other (Glazer's -; A. M. Glazer, Acta Cryst.
    B 28 (1972) 3384). To first order in the angle: the cell keeps its size.

    Parameters
    ----------
    cell : (N, 3) int array
        Cubic cells of the oxygens.
    chain : int
    tangents : three floats
        Tangent of the angle about each axis.
    in_phase : three bools
    lengths_pm : (3,) array
        a, b and c in pm.

    Returns
    -------
    (N, 3) array
        In pm, along the crystal axes.
    """
    odd = cell % 2
    turn = np.empty(cell.shape)
    for axis, (tangent, alike) in enumerate(zip(tangents, in_phase, strict=True)):
        others = odd.sum(axis=1) - (odd[:, axis] if alike else 0)
        turn[:, axis] = np.where(others % 2 == 0, tangent, -tangent)
    arm = np.zeros(3)
    arm[chain] = -0.5 * lengths_pm[chain]
    shift: NDArray[np.float64] = np.cross(turn, arm)
    return shift
