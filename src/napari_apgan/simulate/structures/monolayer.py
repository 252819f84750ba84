"""Monolayers of transition metal dichalcogenides, 2H: MoS2 and its like.

Seen from above, metal atoms and pairs of chalcogens (one above the other, one column) form a
honeycomb.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_apgan.elements import SYMBOLS
from napari_apgan.errors import UserError
from napari_apgan.simulate.specimen import Floats, Specimen, add_atoms

from .amorphous import GAP_PM, lay_patches, view_reach_pm
from .base import BaseStructure, thermal_pm
from .graphene_defects import outside_holes
from .lattice2d import Bools, Network, bond_near, keep_atoms, steady

Names = NDArray[np.str_]

#: Lattice constant (pm) of the bulk 2H crystals: Bronsema, de Boer and Jellinek, Z. Anorg. Allg.
#: Chem. 540 (1986) 15 (Mo); Schutte, de Boer and Jellinek, J. Solid State Chem. 70 (1987) 207 (W).
LATTICES_PM: dict[str, float] = {"MoS2": 316.0, "WS2": 315.3, "MoSe2": 328.9, "WSe2": 328.2}
#: Bond from the metal to a chalcogen (pm); Mo and W, and Re within 3 pm, have the same radius.
BONDS_PM: dict[str, float] = {"S": 241.0, "Se": 252.7, "Te": 273.0}
#: Distance of the two metal rows beside a 4|4P boundary, in lattice constants. Joined rigidly they
#: would stand 0.58 apart, far below a bond between metals; 0.85 (270 pm in MoS2) leaves the shared
#: chalcogens with bonds 4 % longer than usual. An estimate from bond lengths, not a calculation.
TWIN_ROWS, TWIN_STRETCH = 0.85, 1.04


class MonolayerSettings(BaseStructure):
    """One layer of a dichalcogenide, 2H. Atoms keep their sites beside point defects.

    Parameters
    ----------
    material : {"MoS2", "WS2", "MoSe2", "WSe2"}
        Lattice constant 316, 315, 329 or 328 pm.
    vacancy_percent : float
        Chalcogen columns with one of their two atoms missing, in percent.
    double_vacancy_percent : float
        Chalcogen columns with both atoms missing, in percent.
    chalcogen_dopant : {"S", "Se", "Te"}
        What stands in for some of the chalcogen.
    chalcogen_dopant_percent : float
        How many of the chalcogen atoms, in percent.
    metal_dopant : {"Mo", "W", "Re", "V", "Nb"}
        What stands in for some of the metal.
    metal_dopant_percent : float
        How many of the metal atoms, in percent.
    antisite_percent : float
        Columns with the wrong occupants, in percent: one metal atom in place of a chalcogen pair,
        or a pair in place of a metal atom (Zhou et al., Nano Lett. 13 (2013) 2615).
    twin_boundary : bool
        A straight 4|4P mirror twin boundary: two grains share a row of chalcogens.
    holes : int
        Holes of irregular outline.
    hole_radius_nm : float
        Their mean radius in nm.
    contamination_percent : float
        Part of the layer under amorphous carbon, in percent.
    contamination_nm : float
        Greatest thickness of that carbon in nm.
    """

    kind: Literal["monolayer"] = "monolayer"
    material: Literal["MoS2", "WS2", "MoSe2", "WSe2"] = "MoS2"
    vacancy_percent: float = Field(default=2.0, ge=0, le=50)
    double_vacancy_percent: float = Field(default=0.5, ge=0, le=20)
    chalcogen_dopant: Literal["S", "Se", "Te"] = "Se"
    chalcogen_dopant_percent: float = Field(default=0.0, ge=0, le=100)
    metal_dopant: Literal["Mo", "W", "Re", "V", "Nb"] = "Re"
    metal_dopant_percent: float = Field(default=0.0, ge=0, le=100)
    antisite_percent: float = Field(default=0.0, ge=0, le=10)
    twin_boundary: bool = False
    holes: int = Field(default=0, ge=0, le=10)
    hole_radius_nm: float = Field(default=0.8, ge=0.2, le=5)
    contamination_percent: float = Field(default=0.0, ge=0, le=100)
    contamination_nm: float = Field(default=1.0, gt=0, le=10)


@dataclass(frozen=True, slots=True)
class _Layer:
    """Columns of a layer: which are sites of the metal, and which chalcogens two grains share."""

    network: Network
    metal: Bools
    shared: Bools


@dataclass(frozen=True, slots=True)
class _Occupants:
    """Who stands above, in and below the plane of the metal at each column; "" is nobody."""

    above: Names
    middle: Names
    below: Names

    def anyone(self) -> Bools:
        occupied: Bools = (self.above != "") | (self.middle != "") | (self.below != "")
        return occupied


def build_monolayer(
    settings: MonolayerSettings, rng: np.random.Generator, reach_pm: float
) -> Specimen:
    """Build a layer that covers a circle about the origin.

    Chalcogen columns without any atom are listed as vacancies; the inside of holes is not. A
    column's sublattice is "M" on the sites of the metal and "X" on those of the chalcogen.

    Parameters
    ----------
    settings : MonolayerSettings
    rng : numpy Generator
    reach_pm : float

    Returns
    -------
    Specimen

    Raises
    ------
    UserError
        Nothing of the layer is left.
    """
    layer = _draw_layer(settings, rng, reach_pm)
    occupants = _occupy(settings, layer, rng)
    network, here = layer.network, occupants.anyone()
    number_of = np.cumsum(here) - 1
    rows, symbols, column = [], [], []
    for names, sign in ((occupants.above, -1.0), (occupants.middle, 0.0), (occupants.below, 1.0)):
        filled = np.flatnonzero(names != "")
        height = sign * _heights(settings, names[filled], layer.shared[filled]) if sign else 0.0
        rows.append(np.column_stack([network.xy_pm[filled], np.zeros(len(filled)) + height]))
        symbols += names[filled].tolist()
        column.append(number_of[filled])
    specimen = Specimen(
        xyz_pm=np.concatenate(rows),
        number=np.array([SYMBOLS.index(s) + 1 for s in symbols], dtype=np.int_),
        column=np.concatenate(column),
        thermal_pm=np.array([thermal_pm(s, settings) for s in symbols]),
        site_pm=network.xy_pm[here],
        sublattice=np.where(layer.metal, "M", "X")[here],
        grain=network.grain[here],
        vacancy_pm=network.xy_pm[~here],
        vacancy_element=np.full(int((~here).sum()), _elements(settings.material)[1]),
    )
    if settings.contamination_percent:
        specimen = _contaminate(specimen, settings, rng, reach_pm)
    xyz = specimen.xyz_pm.copy()
    xyz[:, 2] -= xyz[:, 2].min()
    return replace(specimen, xyz_pm=xyz)


def _elements(material: str) -> tuple[str, str]:
    """Return metal and chalcogen of a material such as MoS2."""
    metal = material[:2] if material[1].islower() else material[:1]
    return metal, material[len(metal) : -1]


def _draw_layer(settings: MonolayerSettings, rng: np.random.Generator, reach_pm: float) -> _Layer:
    lattice, view = LATTICES_PM[settings.material], view_reach_pm(reach_pm)
    line = float(rng.uniform(-0.5, 0.5)) * view
    metal, chalcogen = _sites(reach_pm + abs(line), lattice)
    if settings.twin_boundary:
        metal, chalcogen = _join_twins(metal, chalcogen, lattice)
    xy = np.concatenate([metal, chalcogen])
    is_metal = np.arange(len(xy)) < len(metal)
    grain = np.where(xy[:, 1] > 1, 1, 0) if settings.twin_boundary else np.zeros(len(xy), np.int_)
    shared: Bools = np.full(len(xy), settings.twin_boundary) & (np.abs(xy[:, 1]) < 1)
    xy[:, 1] += line
    keep: Bools = np.hypot(*xy.T) <= reach_pm
    if settings.holes:
        keep &= outside_holes(xy, settings.holes, 1e3 * settings.hole_radius_nm, view, rng)
    network = bond_near(xy, grain, np.full(2, math.pi / 2), lattice / math.sqrt(3))
    left = steady(network, keep)
    if not left.any():
        raise UserError("The holes leave nothing of the layer; make them fewer or smaller.")
    return _Layer(keep_atoms(network, left), is_metal[left], shared[left])


def _join_twins(metal: Floats, chalcogen: Floats, lattice_pm: float) -> tuple[Floats, Floats]:
    """Mirror the half at y > 0, where the metal comes first, at the row of chalcogens at y = 0."""
    apart = np.array([0.0, (TWIN_ROWS / 2 - 0.5 / math.sqrt(3)) * lattice_pm])
    metal = metal[metal[:, 1] > 0] + apart
    upper = chalcogen[chalcogen[:, 1] > 1] + apart
    row = chalcogen[np.abs(chalcogen[:, 1]) < 1]
    mirror = np.array([1.0, -1.0])
    return (
        np.concatenate([metal, metal * mirror]),
        np.concatenate([upper, upper * mirror, row]),
    )


def _sites(reach_pm: float, lattice_pm: float) -> tuple[Floats, Floats]:
    """Return the sites of metal and chalcogen over a disc, with a chalcogen at the origin."""
    half = math.ceil(reach_pm / (lattice_pm * math.sqrt(3) / 2)) + 2
    i, j = np.meshgrid(np.arange(-2 * half, 2 * half), np.arange(-half, half), indexing="ij")
    cells = np.stack([i + 0.5 * j, j * math.sqrt(3) / 2], axis=-1).reshape(-1, 2) * lattice_pm
    chalcogen = cells[np.hypot(*cells.T) <= reach_pm]
    metal = cells + np.array([0.5, 0.5 / math.sqrt(3)]) * lattice_pm
    return metal[np.hypot(*metal.T) <= reach_pm], chalcogen


def _occupy(settings: MonolayerSettings, layer: _Layer, rng: np.random.Generator) -> _Occupants:
    metal_name, chalcogen_name = _elements(settings.material)
    count = len(layer.network)
    full = layer.network.bond_count() >= 3

    def draw(percent: float) -> Bools:
        return rng.uniform(size=count) < percent / 100

    def names(here: Bools, usual: str, other: str, percent: float) -> Names:
        return np.where(here, np.where(draw(percent), other, usual), "")

    other, percent = settings.chalcogen_dopant, settings.chalcogen_dopant_percent
    above = names(~layer.metal, chalcogen_name, other, percent)
    below = names(~layer.metal, chalcogen_name, other, percent)
    middle = names(layer.metal, metal_name, settings.metal_dopant, settings.metal_dopant_percent)
    wrong = draw(settings.antisite_percent) & full
    for slot in (above, below):
        slot[wrong] = np.where(layer.metal[wrong], chalcogen_name, "")
    middle[wrong] = np.where(layer.metal[wrong], "", metal_name)
    pairs = ~layer.metal & full & ~wrong
    both = draw(settings.double_vacancy_percent) & pairs
    single = draw(settings.vacancy_percent) & pairs
    upper = rng.uniform(size=count) < 0.5
    above[both | (single & upper)] = ""
    below[both | (single & ~upper)] = ""
    return _Occupants(above, middle, below)


def _heights(settings: MonolayerSettings, names: Names, shared: Bools) -> Floats:
    """Return how far from the metal's plane (pm) chalcogens stand for the length of their bonds."""
    lattice = LATTICES_PM[settings.material]
    bond = np.array([BONDS_PM[n] for n in names.tolist()])
    usual = bond**2 - lattice**2 / 3
    twin = (TWIN_STRETCH * bond) ** 2 - (0.25 + TWIN_ROWS**2 / 4) * lattice**2
    heights: Floats = np.sqrt(np.where(shared, twin, usual))
    return heights


def _contaminate(
    specimen: Specimen, settings: MonolayerSettings, rng: np.random.Generator, reach_pm: float
) -> Specimen:
    """Lay patches of amorphous carbon on the entrance side."""
    thickness, share = 1e3 * settings.contamination_nm, settings.contamination_percent / 100
    dirt = lay_patches(rng, reach_pm, share, thickness, specimen.site_pm)
    dirt[:, 2] = float(specimen.xyz_pm[:, 2].min()) - GAP_PM - dirt[:, 2]
    carbon = np.full(len(dirt), 6, dtype=np.int_)
    return add_atoms(specimen, dirt, carbon, thermal_pm("C", settings))
