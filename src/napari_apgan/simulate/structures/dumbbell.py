"""Semiconductors seen along [110] (zinc blende) or [11-20] (wurtzite): rows of dumbbells.

Both are stacks of double layers along [111] or [0001]. In each, the second species stands above the
first; the next double layer sits in one of two hollows, at a step of a/√3 to one side or the other.
Steps to the same side make zinc blende, alternating ones wurtzite, and exceptions to the rule twins
and stacking faults: J. P. Hirth and J. Lothe, Theory of Dislocations, 2nd ed. (1982), chapter 11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from napari_apgan.elements import SYMBOLS
from napari_apgan.simulate.specimen import Floats, Ints, Specimen

from .base import BaseStructure
from .columns import make_specimen
from .crystal import Strands, fill


@dataclass(frozen=True, slots=True)
class Semiconductor:
    """A stack of double layers.

    Parameters
    ----------
    species : (str, str)
        Of the lower and the upper half of a double layer.
    edge_pm : float
        Distance of equal atoms in a layer.
    layer_pm : float
        Distance of double layers.
    bond_pm : float
        Height of the upper half over the lower one.
    hexagonal : bool
        Wurtzite.
    """

    species: tuple[str, str]
    edge_pm: float
    layer_pm: float
    bond_pm: float
    hexagonal: bool = False


def _cubic(first: str, second: str, a_pm: float) -> Semiconductor:
    """Return diamond or zinc blende with the lattice parameter `a_pm`."""
    return Semiconductor(
        (first, second), a_pm / math.sqrt(2), a_pm / math.sqrt(3), a_pm * math.sqrt(3) / 4
    )


def _hexagonal(first: str, second: str, a_pm: float, c_pm: float, u: float) -> Semiconductor:
    """Return wurtzite with its lattice parameters and the internal parameter `u`."""
    return Semiconductor((first, second), a_pm, c_pm / 2, u * c_pm, hexagonal=True)


Material = Literal["Si", "Ge", "GaAs", "InAs", "InP", "CdTe", "ZnTe", "GaN", "AlN", "ZnO"]
#: Lattice parameters at room temperature: O. Madelung, Semiconductors: Data Handbook, 3rd ed.
#: (2004); ZnO: E. H. Kisi and M. M. Elcombe, Acta Cryst. C 45 (1989) 1867.
MATERIALS: dict[Material, Semiconductor] = {
    "Si": _cubic("Si", "Si", 543.10),
    "Ge": _cubic("Ge", "Ge", 565.79),
    "GaAs": _cubic("Ga", "As", 565.33),
    "InAs": _cubic("In", "As", 605.83),
    "InP": _cubic("In", "P", 586.87),
    "CdTe": _cubic("Cd", "Te", 648.2),
    "ZnTe": _cubic("Zn", "Te", 610.4),
    "GaN": _hexagonal("Ga", "N", 318.9, 518.5, 0.377),
    "AlN": _hexagonal("Al", "N", 311.1, 498.0, 0.382),
    "ZnO": _hexagonal("Zn", "O", 325.0, 520.7, 0.382),
}


class DumbbellSettings(BaseStructure):
    """A semiconductor along [110], or along [11-20] where it is wurtzite.

    Each half of a dumbbell is a column of its own. Unturned, the dumbbells of cubic crystals lie
    along x, and the c axis of wurtzite points along y.

    Parameters
    ----------
    material : str
        Si, Ge, GaAs, InAs, InP, CdTe, ZnTe (cubic), GaN, AlN or ZnO (wurtzite).
    thickness_nm : float
    twins_percent : float
        Chance of a twin boundary at each layer {111}, in percent; of a layer of the other stacking
        (fault I1) in wurtzite.
    faults_percent : float
        Chance of an intrinsic stacking fault at each layer, in percent; I2 in wurtzite.
    """

    kind: Literal["dumbbell"] = "dumbbell"
    material: Material = "Si"
    thickness_nm: float = Field(default=10.0, gt=0, le=200)
    twins_percent: float = Field(default=0.0, ge=0, le=100)
    faults_percent: float = Field(default=0.0, ge=0, le=100)


def build_dumbbell(
    settings: DumbbellSettings, rng: np.random.Generator, reach_pm: float
) -> Specimen:
    """Build a semiconductor that covers a circle.

    Parameters
    ----------
    settings : DumbbellSettings
    rng : numpy Generator
    reach_pm : float
        Radius of the circle in pm.

    Returns
    -------
    Specimen
        Sublattices are the species, numbered where both are the same (``Si 1``, ``Si 2``); grains
        count the twins.
    """
    material = MATERIALS[settings.material]
    side, flips = _stacking(settings, material.hexagonal, 2 * _layers(material, reach_pm) + 1, rng)
    strands, layer = _strands(material, side, reach_pm, rng)
    xyz, strand = fill(strands, 0.0, settings.thickness_nm * 1000.0)
    lower, upper = material.species
    numbers = np.array([SYMBOLS.index(s) + 1 for s in material.species])
    names = np.array([lower, upper] if lower != upper else [f"{lower} 1", f"{upper} 2"])
    return make_specimen(
        xyz,
        numbers[strands.site[strand]],
        strand,
        settings,
        sublattice=names[strands.site],
        grain=np.cumsum(flips)[layer],
    )


def _layers(material: Semiconductor, reach_pm: float) -> int:
    """Return how many double layers cover a circle to each side of its middle."""
    return math.ceil((reach_pm + material.edge_pm) / material.layer_pm) + 1


def _stacking(
    settings: DumbbellSettings, hexagonal: bool, count: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Return the (L,) side (1 or -1) that each layer steps to, and (L,) whether a twin begins."""
    twin = rng.random(count) * 100 < settings.twins_percent
    fault = rng.random(count) * 100 < settings.faults_percent
    # One exception to the rule turns all that follows; a second at the next layer turns it back.
    exceptions = twin.astype(np.int_) + fault
    exceptions[1:] += fault[:-1]
    turns = exceptions + (1 if hexagonal else 0)
    side: Ints = np.where(np.cumsum(turns) % 2 == 0, 1, -1)
    return side, twin.astype(np.int_)


def _strands(
    material: Semiconductor, side: Ints, reach_pm: float, rng: np.random.Generator
) -> tuple[Strands, Ints]:
    """Return the columns within a circle and the (S,) layer of each."""
    edge, count = material.edge_pm, len(side)
    # Along a layer columns stand a period apart, every other one half a repeat deeper.
    period = edge * math.sqrt(3) / 2
    start = np.cumsum(side) * edge / math.sqrt(3) + rng.uniform(0, period)
    half = math.ceil(reach_pm / period) + 1
    place = np.arange(-half, half + 1) - np.round(start / period).astype(np.int_)[:, None]
    height = (np.arange(count) - count // 2) * material.layer_pm + rng.uniform(-0.5, 0.5) * edge
    layer, _, upper = np.indices((*place.shape, 2)).reshape(3, -1)
    along = np.repeat((start[:, None] + place * period).ravel(), 2)
    xyz = np.column_stack(
        [
            along,
            height[layer] + upper * material.bond_pm,
            np.repeat((place % 2).ravel(), 2) * (edge / 2),
        ]
    )
    near = np.hypot(xyz[:, 0], xyz[:, 1]) <= reach_pm
    xyz, layer, upper = xyz[near] @ _turn(material).T, layer[near], upper[near]
    number = np.arange(len(xyz))
    return Strands(xyz, upper, number, number, edge), layer


def _turn(material: Semiconductor) -> Floats:
    """Return the rotation that lays the dumbbells of a cubic crystal along x."""
    if material.hexagonal:
        return np.eye(3)
    # From the upper half to the nearest column of the next layer.
    across = material.edge_pm * (1 / math.sqrt(3) - math.sqrt(3) / 2)
    angle = math.atan2(material.layer_pm - material.bond_pm, across)
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
