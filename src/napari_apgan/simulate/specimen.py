"""Specimens: atoms in space, the columns they form along the beam, and the sites left empty.

Lengths are in pm. x points right and y down, as in the image; z runs along the beam, from 0 at the
entrance surface.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int_]
Strings = NDArray[np.str_]


def no_sites() -> Floats:
    """Return an empty (0, 2) array."""
    return np.zeros((0, 2))


def no_names() -> Strings:
    """Return an empty array of names."""
    return np.zeros(0, dtype=np.str_)


@dataclass(frozen=True, slots=True)
class Specimen:
    """Atoms and the columns they form.

    Parameters
    ----------
    xyz_pm : (N, 3) array
        Where each atom rests; thermal motion comes on top of it.
    number : (N,) int array
        Atomic numbers.
    column : (N,) int array
        Which column an atom belongs to; -1 for atoms of none (films, contamination).
    thermal_pm : (N,) array
        Root-mean-square thermal displacement of each atom per axis.
    site_pm : (C, 2) array
        Undisplaced site of each column, projected along z.
    sublattice : (C,) str array
    grain : (C,) int array
    vacancy_pm : (V, 2) array
        Projected sites of columns that are missing.
    vacancy_element : (V,) str array
        What would stand there.
    """

    xyz_pm: Floats
    number: Ints
    column: Ints
    thermal_pm: Floats
    site_pm: Floats
    sublattice: Strings
    grain: Ints
    vacancy_pm: Floats = field(default_factory=no_sites)
    vacancy_element: Strings = field(default_factory=no_names)

    def __post_init__(self) -> None:
        atoms, columns = len(self.xyz_pm), len(self.site_pm)
        if not len(self.number) == len(self.column) == len(self.thermal_pm) == atoms:
            raise ValueError("every atom needs a number, a column and a thermal displacement")
        if not len(self.sublattice) == len(self.grain) == columns:
            raise ValueError("every column needs a sublattice and a grain")
        if len(self.vacancy_pm) != len(self.vacancy_element):
            raise ValueError("every vacancy needs an element")
        if atoms and int(self.column.max(initial=-1)) >= columns:
            raise ValueError("an atom names a column that does not exist")

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.site_pm)

    @property
    def thickness_pm(self) -> float:
        """Extent of the atoms along the beam."""
        return float(np.ptp(self.xyz_pm[:, 2])) if len(self.xyz_pm) else 0.0


def displace_columns(specimen: Specimen, mean_pm: float, rng: np.random.Generator) -> Specimen:
    """Shift each column as a whole by a random vector in the projection plane.

    Parameters
    ----------
    specimen : Specimen
    mean_pm : float
        Mean length of the shifts; per axis they are normal, of standard deviation
        ``mean_pm / sqrt(π / 2)`` (Rayleigh distribution of the length).
    rng : numpy Generator
    """
    sigma = mean_pm / math.sqrt(math.pi / 2)
    shift = rng.normal(0.0, 1.0, (specimen.n_columns, 2)) * sigma
    xyz = specimen.xyz_pm.copy()
    held = specimen.column >= 0
    xyz[held, :2] += shift[specimen.column[held]]
    return replace(specimen, xyz_pm=xyz)


def drop_columns(specimen: Specimen, keep: NDArray[np.bool_]) -> Specimen:
    """Return a specimen without some columns and their atoms; atoms of no column stay.

    Parameters
    ----------
    specimen : Specimen
    keep : (C,) bool array
    """
    number = np.full(specimen.n_columns + 1, -1)
    number[:-1][keep] = np.arange(int(keep.sum()))
    stays = (specimen.column < 0) | (number[specimen.column] >= 0)
    return replace(
        specimen,
        xyz_pm=specimen.xyz_pm[stays],
        number=specimen.number[stays],
        column=number[specimen.column[stays]],
        thermal_pm=specimen.thermal_pm[stays],
        site_pm=specimen.site_pm[keep],
        sublattice=specimen.sublattice[keep],
        grain=specimen.grain[keep],
    )


def add_atoms(specimen: Specimen, xyz_pm: Floats, number: Ints, thermal_pm: float) -> Specimen:
    """Return a specimen with more atoms that belong to no column."""
    more = len(xyz_pm)
    return replace(
        specimen,
        xyz_pm=np.concatenate([specimen.xyz_pm, xyz_pm]),
        number=np.concatenate([specimen.number, number]).astype(np.int_),
        column=np.concatenate([specimen.column, np.full(more, -1)]).astype(np.int_),
        thermal_pm=np.concatenate([specimen.thermal_pm, np.full(more, float(thermal_pm))]),
    )
