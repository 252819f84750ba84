"""Perovskites ABO3 along a low-index zone axis."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import Field

from napari_apgan.simulate.specimen import Floats, Specimen

from .abo3 import PEROVSKITES, Formula, Zone, project_cell
from .polar import PolarStructure, bulk, polar_shift
from .thick import Turn, atomic_number, cells_within, count_repeats, fill_columns, finish


class PerovskiteSettings(PolarStructure):
    """A single crystal of a perovskite ABO3.

    Parameters
    ----------
    formula : str
    zone : {"001", "100", "110"}
        Direction of the beam in the five-atom cell; along 100 and 110 the c axis (long in
        tetragonal crystals) points along y.
    turn_a_deg, turn_b_deg, turn_c_deg : float
        Rotation of the oxygen octahedra about each axis of the cell in degrees; oxygen alone
        moves, to first order in the angle.
    in_phase : tuple of bool
        For each axis whether octahedra along it turn alike (Glazer's +) or against each other (-).
    """

    kind: Literal["perovskite"] = "perovskite"
    formula: Formula = "SrTiO3"
    zone: Zone = "001"
    turn_a_deg: float = Field(default=0.0, ge=-20, le=20)
    turn_b_deg: float = Field(default=0.0, ge=-20, le=20)
    turn_c_deg: float = Field(default=0.0, ge=-20, le=20)
    in_phase: tuple[bool, bool, bool] = (False, False, False)


def build_perovskite(
    settings: PerovskiteSettings,
    rng: np.random.Generator,
    reach_pm: float,
    *,
    field: Floats | None = None,
) -> Specimen:
    """Build a perovskite crystal that covers a circle of radius `reach_pm`.

    Sublattices are A, B (with O behind it along 001 and 100) and O; along 110 oxygen also hides in
    the A columns. The undisplaced site of B is the middle of its cage of A, that of O the place it
    has without polarization and rotation of the octahedra.

    Parameters
    ----------
    settings : PerovskiteSettings
    rng : numpy Generator
    reach_pm : float
    field : (2, Y, X) array, optional
        Polarization field in place of a file.
    """
    crystal = PEROVSKITES[settings.formula]
    projection = project_cell(settings.zone)
    lengths = projection.lengths_pm(crystal.a_pm, crystal.c_pm)
    edges, repeat = lengths[:2], float(lengths[2])
    amplitude = settings.amplitude_of(crystal, settings.formula)
    pattern = bulk(settings, reach_pm, rng)
    cells = cells_within(reach_pm, edges)
    repeats = count_repeats(settings, (cells + 0.5) * edges, repeat, rng)
    filled = fill_columns(
        projection,
        cells,
        repeats,
        repeat,
        lambda place: place * edges,
        lambda site: polar_shift(settings, pattern, site, amplitude, field),
        settings.oxygen_of(crystal),
        _turn(settings, np.array([crystal.a_pm, crystal.a_pm, crystal.c_pm])),
    )
    elements = np.array([atomic_number(s) for s in (crystal.a_site, crystal.b_site, "O")])
    return finish(filled, elements[filled.role], settings, rng)


def _turn(settings: PerovskiteSettings, lengths_pm: Floats) -> Turn | None:
    angles = (settings.turn_a_deg, settings.turn_b_deg, settings.turn_c_deg)
    if not any(angles):
        return None
    a, b, c = (math.tan(math.radians(angle)) for angle in angles)
    return Turn((a, b, c), settings.in_phase, lengths_pm)
