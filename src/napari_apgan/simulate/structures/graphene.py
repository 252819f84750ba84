"""Graphene: a sheet of carbon with the defects that people look for in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from napari_apgan.elements import SYMBOLS
from napari_apgan.errors import UserError
from napari_apgan.simulate.specimen import Floats, Ints, Specimen, add_atoms

from .amorphous import GAP_PM, lay_patches, view_reach_pm
from .base import BaseStructure, thermal_pm
from .boundaries import joined_grains, symmetric_boundaries, symmetric_turn
from .graphene_defects import (
    draw_dopants,
    lines_585,
    outside_holes,
    set_bonds,
    silicon_height,
    take_atoms,
)
from .lattice2d import Bools, Network, honeycomb, keep_atoms, relax, steady, sublattice_phase
from .ripples import draw_ripples

#: Built and relaxed beyond the disc and then cut off (pm): a free rim relaxes as no inside does.
RIM_PM = 400.0


class GrapheneSettings(BaseStructure):
    """A sheet of graphene, C-C 142 pm.

    Parameters
    ----------
    lines : {"none", "5-8-5", "5-7", "tilt", "loop"}
        Defects along lines: pentagon pairs and octagons; periodic rows of pentagon and heptagon
        between two mirrored grains; two rotated grains along a bent line; a rotated grain inside a
        closed loop.
    line_count : int
        How many lines (or loops).
    line_spacing_nm : float
        Distance between lines in nm.
    tilt_deg : float
        Angle between the two grains in degrees; 5-7 rows take the nearest of 21.8, 13.2, 9.4, 7.3,
        6.0, 5.1 and 4.4.
    bend_nm : float
        How far a tilt boundary wanders from a straight line, or a loop from a circle, in nm.
    loop_radius_nm : float
        Radius of a loop in nm; 0.7 is about that of the smallest "flower" seen.
    vacancy_percent : float
        Atoms missing, in percent.
    dopant : {"N", "B", "Si"}
        What stands in for some of the carbon.
    dopant_percent : float
        How much of it, in percent.
    holes : int
        Holes of irregular outline.
    hole_radius_nm : float
        Their mean radius in nm.
    contamination_percent : float
        Part of the sheet under amorphous carbon, in percent.
    contamination_nm : float
        Greatest thickness of that carbon in nm.
    ripple_pm : float
        Root-mean-square height of ripples in pm; suspended sheets show some 100 to 500.
    ripple_nm : float
        Mean wavelength of the ripples in nm; 5 to 10 is usual (Meyer et al., Nature 446 (2007) 60).
    """

    kind: Literal["graphene"] = "graphene"
    lines: Literal["none", "5-8-5", "5-7", "tilt", "loop"] = "none"
    line_count: int = Field(default=1, ge=1, le=10)
    line_spacing_nm: float = Field(default=3.0, ge=1.2, le=20)
    tilt_deg: float = Field(default=21.8, ge=2, le=58)
    bend_nm: float = Field(default=0.3, ge=0, le=2)
    loop_radius_nm: float = Field(default=0.9, ge=0.5, le=5)
    vacancy_percent: float = Field(default=0.0, ge=0, le=10)
    dopant: Literal["N", "B", "Si"] = "N"
    dopant_percent: float = Field(default=0.0, ge=0, le=20)
    holes: int = Field(default=0, ge=0, le=10)
    hole_radius_nm: float = Field(default=0.6, ge=0.2, le=5)
    contamination_percent: float = Field(default=0.0, ge=0, le=100)
    contamination_nm: float = Field(default=0.8, gt=0, le=10)
    ripple_pm: float = Field(default=0.0, ge=0, le=1000)
    ripple_nm: float = Field(default=7.0, ge=3, le=50)


def build_graphene(
    settings: GrapheneSettings, rng: np.random.Generator, reach_pm: float
) -> Specimen:
    """Build a sheet that covers a circle about the origin.

    Sites are the relaxed positions. Missing single atoms (and neighbours that fell with them) are
    listed as vacancies; the inside of holes is not.

    Parameters
    ----------
    settings : GrapheneSettings
    rng : numpy Generator
    reach_pm : float

    Returns
    -------
    Specimen
        One atom a column; contamination belongs to none.

    Raises
    ------
    UserError
        Nothing of the sheet is left.
    """
    sheet = _draw_sheet(settings, rng, reach_pm)
    network = sheet.network
    xy, gone, height = network.xy_pm, sheet.gone_pm, sheet.lift_pm
    ripples = None
    if settings.ripple_pm:
        ripples = draw_ripples(settings.ripple_pm, settings.ripple_nm, rng)
        # Heights rise against the beam, towards smaller z.
        height = height + ripples.height(xy)
        xy, gone = xy + ripples.shift(xy), gone + ripples.shift(gone)
    symbols = np.where(sheet.foreign, settings.dopant, "C")
    specimen = Specimen(
        xyz_pm=np.column_stack([xy, -height]),
        number=np.array([SYMBOLS.index(s) + 1 for s in symbols.tolist()], dtype=np.int_),
        column=np.arange(len(network)),
        thermal_pm=np.array([thermal_pm(s, settings) for s in symbols.tolist()]),
        site_pm=xy,
        sublattice=np.where(sheet.phase > 0.7, "A", np.where(sheet.phase < -0.7, "B", "")),
        grain=network.grain,
        vacancy_pm=gone,
        vacancy_element=np.full(len(gone), "C"),
    )
    if settings.contamination_percent:
        thickness = 1e3 * settings.contamination_nm
        share = settings.contamination_percent / 100
        dirt = lay_patches(rng, reach_pm, share, thickness, xy)
        ground = 0.0 if ripples is None else ripples.height(dirt[:, :2])
        dirt[:, 2] = -(ground + GAP_PM + dirt[:, 2])
        carbon = np.full(len(dirt), 6, dtype=np.int_)
        specimen = add_atoms(specimen, dirt, carbon, thermal_pm("C", settings))
    xyz = specimen.xyz_pm.copy()
    xyz[:, 2] -= xyz[:, 2].min()
    return replace(specimen, xyz_pm=xyz)


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A flat sheet with its defects; `phase` as from :func:`sublattice_phase`."""

    network: Network
    phase: Floats
    foreign: Bools
    lift_pm: Floats
    gone_pm: Floats


def _draw_sheet(settings: GrapheneSettings, rng: np.random.Generator, reach_pm: float) -> _Sheet:
    network, strained = _draw_lines(settings, rng, reach_pm + RIM_PM)
    if settings.holes:
        radius = 1e3 * settings.hole_radius_nm
        view = view_reach_pm(reach_pm)
        outside = outside_holes(network.xy_pm, settings.holes, radius, view, rng)
        network = keep_atoms(network, steady(network, outside))
    foreign = draw_dopants(network, settings.dopant_percent / 100, rng)
    if foreign.any():
        network = set_bonds(network, foreign, settings.dopant)
    if strained or foreign.any():
        network = relax(network)
    inside = steady(network, np.hypot(*network.xy_pm.T) <= reach_pm)
    if not inside.any():
        raise UserError("The holes leave nothing of the graphene; make them fewer or smaller.")
    network, foreign = keep_atoms(network, inside), foreign[inside]
    phase = sublattice_phase(network).real
    silicon = foreign if settings.dopant == "Si" else np.zeros_like(foreign)
    lift = silicon_height(network, silicon)
    if not settings.vacancy_percent:
        return _Sheet(network, phase, foreign, lift, np.zeros((0, 2)))
    left, kept = take_atoms(network, settings.vacancy_percent / 100, rng)
    return _Sheet(left, phase[kept], foreign[kept], lift[kept], network.xy_pm[~kept])


def _draw_lines(
    settings: GrapheneSettings, rng: np.random.Generator, reach_pm: float
) -> tuple[Network, bool]:
    """Return the sheet with its line defects, and whether it needs to relax."""
    spacing, count = 1e3 * settings.line_spacing_nm, settings.line_count
    shift = float(rng.uniform(-0.5, 0.5))
    heights: Floats = np.linspace(-0.5, 0.5, count) * (count - 1) * spacing + shift * spacing
    if settings.lines == "loop":
        grain_of = _draw_loops(settings, rng, reach_pm)
        return joined_grains(reach_pm, grain_of, _draw_turns(settings, 2, rng), rng), True
    heights = heights[np.abs(heights) < reach_pm - 500.0]
    if settings.lines == "none" or not len(heights):
        return honeycomb(reach_pm), False
    if settings.lines == "5-8-5":
        return lines_585(reach_pm, heights, rng.integers(0, 2, len(heights))), True
    if settings.lines == "5-7":
        n = symmetric_turn(settings.tilt_deg)[0]
        return symmetric_boundaries(reach_pm, n, heights), True
    wander = _draw_waves(rng, 1e3 * settings.bend_nm, reach_pm)

    def side(xy: Floats) -> Ints:
        return np.searchsorted(heights, xy[:, 1] - wander(xy[:, 0])).astype(np.int_)

    return joined_grains(reach_pm, side, _draw_turns(settings, count + 1, rng), rng), True


def _draw_turns(settings: GrapheneSettings, count: int, rng: np.random.Generator) -> Floats:
    """Return the orientations of grains, each turned against the one before, to and fro."""
    first = rng.uniform(0.0, math.pi / 3)
    turns = [first + math.radians(settings.tilt_deg) * (k % 2) for k in range(count)]
    return np.array(turns)


def _draw_waves(
    rng: np.random.Generator, size_pm: float, reach_pm: float
) -> Callable[[Floats], Floats]:
    """Return a smooth random function of a length, of about the given size."""
    lengths = rng.uniform(2500.0, 8000.0, 4)
    phases = rng.uniform(0.0, 2 * math.pi, 4)

    def wave(x_pm: Floats) -> Floats:
        sines = np.sin(2 * math.pi * x_pm[:, None] / lengths + phases)
        height: Floats = size_pm * math.sqrt(0.5) * sines.sum(axis=1)
        return height

    return wave


def _draw_loops(
    settings: GrapheneSettings, rng: np.random.Generator, reach_pm: float
) -> Callable[[Floats], Ints]:
    """Return which positions lie in a loop: grain 1, in the sheet 0."""
    radius, bend = 1e3 * settings.loop_radius_nm, 1e3 * settings.bend_nm
    view = view_reach_pm(reach_pm)
    middles = rng.uniform(-view, view, (settings.line_count, 2))
    phases = rng.uniform(0.0, 2 * math.pi, settings.line_count)

    def side(xy: Floats) -> Ints:
        inside = np.zeros(len(xy), dtype=np.bool_)
        for middle, phase in zip(middles, phases, strict=True):
            step = xy - middle
            around = np.arctan2(step[:, 1], step[:, 0])
            inside |= np.hypot(*step.T) < radius + 0.5 * bend * np.cos(3 * around + phase)
        return inside.astype(np.int_)

    return side
