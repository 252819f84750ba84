"""From the atoms of a scene to what each column adds to a STEM image, and where it is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apgan.simulate.scene import Scene
from napari_apgan.simulate.specimen import Floats, Ints

from .tables import HAZE, SHIFT, WIDTHS_PM, Detector, Tables
from .transfer import interaction

#: Length of column that a single atom stands for.
ATOM_PM = 400.0
#: Columns shorter than this (a monolayer's) have no lean of their own.
SHORTEST_LEAN_PM = 1000.0
#: A column this faint, relative to its atoms alone, does not tell where it is seen.
FAINT = 0.1


@dataclass(frozen=True, slots=True)
class Signals:
    """Points that a probe sees.

    Parameters
    ----------
    xy_pm : (P, 2) array
    weight : (widths + 1, P) array
        Integrals of the Gaussians of :data:`.tables.WIDTHS_PM` and of the haze at each point.
    softer_pm2 : float
        Variance by which the scene's atoms vibrate more than those of the tables.
    """

    xy_pm: Floats
    weight: Floats
    softer_pm2: float


def column_signals(
    scene: Scene,
    tables: Tables,
    detector: Detector,
    unit_of: dict[int, float],
    *,
    voltage_kv: float,
    margin_pm: float,
) -> Signals:
    """Return what columns, and atoms of no column, add to an image.

    An atom counts as much as the tables say for its depth below the first atom of its column, the
    strength of the column and its lean. The lean is fitted to the column's own atoms, so that a
    tilt of the specimen, a wedge and columns that end at different depths need no special case.
    Depths count in units of the phase that a potential gives, which lets tables of one voltage
    stand for others.

    Parameters
    ----------
    scene : Scene
    tables : Tables
    detector : {"haadf", "adf", "abf"}
    unit_of : dict of int to float
        What an atom of each atomic number would add alone.
    voltage_kv : float
    margin_pm : float
        Atoms farther than this outside the frame are left out.
    """
    held: NDArray[np.bool_] = np.zeros(len(scene.column), dtype=np.bool_)
    if len(scene.columns):
        near = _inside(scene, scene.columns.xy_px * scene.pixel_size_pm, margin_pm)
        # The last entry answers for the atoms of no column, whose number is -1.
        held = np.append(near, np.zeros(1, dtype=np.bool_))[scene.column]
    loose = np.flatnonzero(scene.column < 0)
    loose = loose[_inside(scene, scene.xyz_pm[loose, :2], margin_pm)]
    # Atoms of no column feel no column: they act as the first atom of the weakest.
    thin = tables.response[detector][0, 0, 0]
    weight = np.zeros((len(WIDTHS_PM) + 1, len(loose)))
    weight[:-1] = thin[:SHIFT, None] * species_units(scene.number[loose], unit_of)
    at, softer = scene.xyz_pm[loose, :2], 0.0
    if held.any():
        atoms = _Atoms(scene, held)
        clock = interaction(voltage_kv) / interaction(tables.voltage_kv)
        unit = species_units(scene.number[held], unit_of)
        of_columns = atoms.signals(tables, detector, unit, clock)
        at = np.concatenate([of_columns.xy_pm, at])
        weight = np.concatenate([of_columns.weight, weight], axis=1)
        softer = of_columns.softer_pm2
    return Signals(at, weight, softer)


def _inside(scene: Scene, xy_pm: Floats, margin_pm: float) -> NDArray[np.bool_]:
    """Return which positions lie in the frame or within a margin of it."""
    far = np.array([scene.shape[1] - 1, scene.shape[0] - 1]) * scene.pixel_size_pm + margin_pm
    return np.asarray(np.all((xy_pm >= -margin_pm) & (xy_pm <= far), axis=1), dtype=np.bool_)


class _Atoms:
    """Atoms of columns, and what is known of each column from its atoms.

    Parameters
    ----------
    scene : Scene
    held : (N,) bool array
        The atoms that count; each belongs to a column.
    """

    def __init__(self, scene: Scene, held: NDArray[np.bool_]) -> None:
        column = scene.column[held]
        present = np.zeros(len(scene.columns), dtype=np.bool_)
        present[column] = True
        self.column = (np.cumsum(present) - 1)[column]
        self.count = int(present.sum())
        self.xyz = scene.xyz_pm[held]
        self.number = scene.number[held].astype(np.float64)
        self.thermal = scene.thermal_pm[held]
        first = np.full(self.count, np.inf)
        last = np.full(self.count, -np.inf)
        np.minimum.at(first, self.column, self.xyz[:, 2])
        np.maximum.at(last, self.column, self.xyz[:, 2])
        self.depth = self.xyz[:, 2] - first[self.column]
        self.atoms = atoms = self._sum(np.ones(len(self.xyz)))
        extent = last - first
        self.length = np.where(
            extent > 0, extent * atoms / np.maximum(atoms - 1, 1), ATOM_PM * np.ones(self.count)
        )
        self.strength = self._sum(self.number) / self.length
        self.lean = self._lean(atoms, extent)

    def _sum(self, values: Floats) -> Floats:
        return np.bincount(self.column, values, self.count).astype(np.float64)

    def _lean(self, atoms: Floats, extent: Floats) -> Floats:
        """Return the (C, 2) slopes of the columns, by least squares over their atoms."""
        offset = self.depth - (self._sum(self.depth) / atoms)[self.column]
        spread = self._sum(offset**2)
        along = np.stack([self._sum(offset * self.xyz[:, k]) for k in (0, 1)], axis=1)
        long = (extent > SHORTEST_LEAN_PM)[:, None]
        slope: Floats = np.where(long, along / np.maximum(spread, 1.0)[:, None], 0.0)
        return slope

    def signals(self, tables: Tables, detector: Detector, unit: Floats, clock: float) -> Signals:
        """Return what each column adds.

        Where a column is seen is where its potential is, as that is what draws the beam: atoms of
        different species that stand beside each other in one column count there by Z.
        """
        size = np.hypot(self.lean[:, 0], self.lean[:, 1]) * 1e3
        response = tables.of_columns(detector, self.strength, size)
        slabs = response.shape[1]
        # An atom stands for the length of column around it, and the first begins at the surface.
        middle = self.depth + (self.length / self.atoms / 2)[self.column]
        key = self.column * slabs + tables.slab_of(middle * clock)

        def by_slab(values: Floats) -> Floats:
            summed = np.bincount(key, values, self.count * slabs)
            return summed.astype(np.float64).reshape(self.count, slabs)

        amount = by_slab(unit)
        weight = np.einsum("cj,cjk->kc", amount, response)
        narrow = response[..., :SHIFT].sum(axis=2)
        steady = (amount * narrow).sum(axis=1) > FAINT * amount.sum(axis=1)
        # Where a column is too faint for a mean, its atoms count alone, at a third of their depth.
        narrow = np.where(steady[:, None], narrow, 1.0)
        charge, depth = by_slab(self.number), by_slab(self.number * self.depth)
        pull = (charge * response[..., SHIFT]).sum(axis=1) * 1e3 / clock
        pull = np.where(steady, pull, depth.sum(axis=1) / 3)
        total = (charge * narrow).sum(axis=1)
        at = np.empty((self.count, 2))
        for axis in (0, 1):
            slope = self.lean[:, axis]
            upright = by_slab(self.number * self.xyz[:, axis]) - slope[:, None] * depth
            at[:, axis] = ((narrow * upright).sum(axis=1) + slope * pull) / total
        return Signals(at, weight[[*range(SHIFT), HAZE]], self._softer(tables, unit))

    def _softer(self, tables: Tables, unit: Floats) -> float:
        """Return by how much the atoms' mean squared displacement exceeds that of the tables."""
        usual = np.interp(np.log(self.strength), np.log(tables.strength_per_pm), tables.thermal_pm)
        excess = self.thermal**2 - usual[self.column] ** 2
        total = float(unit.sum())
        return float((excess * unit).sum()) / total if total > 0 else 0.0


def species_units(number: Ints, unit_of: dict[int, float]) -> Floats:
    """Return the (N,) units of atoms from those of their species."""
    table = np.zeros(max(unit_of, default=0) + 1)
    for species, unit in unit_of.items():
        table[species] = unit
    return table[number]
