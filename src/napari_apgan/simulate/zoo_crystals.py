"""Whole simulations with settings drawn at random, for the crystals that people look at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_apgan.elements import Polarity

from .imaging.settings import USUAL_STEM
from .settings import SimulationSettings
from .zoo_random import chance, log_uniform

#: Distance of neighbouring columns in projection, in pm; it decides the pixel size.
NEAREST_PM = {
    "graphene": 142.0,
    "monolayer": 184.0,
    "perovskite": 276.0,
    "multilayer": 276.0,
    "particle": 230.0,
    "dumbbell": 138.0,
}
SHARES = {
    "graphene": 0.35,
    "monolayer": 0.15,
    "perovskite": 0.12,
    "multilayer": 0.1,
    "particle": 0.2,
    "dumbbell": 0.08,
}


@dataclass(frozen=True, slots=True)
class Crystal:
    """Settings of a simulation, how its atoms look, and the size of their peaks in px."""

    settings: SimulationSettings
    polarity: Polarity
    width_px: float


def draw_crystal(
    shape: tuple[int, int], spacing_px: tuple[float, float], rng: np.random.Generator
) -> Crystal:
    """Draw a structure, a microscope and a pixel size.

    Parameters
    ----------
    shape : (int, int)
        (rows, columns).
    spacing_px : (float, float)
        Between these lie the distances of neighbouring columns.
    rng : numpy Generator
    """
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    pixel = NEAREST_PM[kind] / log_uniform(rng, spacing_px[0], min(spacing_px[1], 20.0))
    polarity: Polarity = "bright"
    imaging: dict[str, Any]
    if kind == "graphene" or (kind == "monolayer" and chance(rng, 0.4)):
        imaging, polarity = _bright_field(rng)
        width_pm = 45.0
    else:
        imaging = {"mode": "haadf"} | USUAL_STEM | {"source_size_pm": rng.uniform(25, 60)}
        imaging["aberrations"] = {"c1_nm": rng.normal(0, 1.5)}
        width_pm = 50.0
    settings = SimulationSettings.model_validate(
        {
            "structure": {"kind": kind, "displacement_pm": rng.uniform(0, 12)}
            | _STRUCTURES[kind](rng, pixel),
            "view": {"strain_percent": 2.0},
            "imaging": imaging,
            "shape": shape,
            "pixel_size_pm": pixel,
        }
    )
    return Crystal(settings, polarity, max(width_pm / pixel, 0.7))


def _bright_field(rng: np.random.Generator) -> tuple[dict[str, Any], Polarity]:
    """Draw an HRTEM that shows atoms bright (Cs below zero, overfocus) or dark (the reverse)."""
    sign = 1.0 if chance(rng, 0.4) else -1.0
    imaging = {
        "mode": "hrtem",
        "voltage_kv": 80.0,
        "aberrations": {
            "c1_nm": sign * rng.uniform(6.0, 12.0),
            "c3_um": -sign * rng.uniform(5.0, 25.0),
            "a1_nm": abs(rng.normal(0, 0.8)),
            "a1_deg": rng.uniform(0, 180),
        },
        "focal_spread_nm": rng.uniform(1.5, 4.0),
        # Below 34 mrad only graphene's first-order reflections pass: rings instead of atoms.
        "aperture_mrad": rng.uniform(22.0, 50.0),
    }
    return imaging, "bright" if sign > 0 else "dark"


def _dirt(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "contamination_percent": rng.uniform(5, 40) if chance(rng, 0.4) else 0.0,
        "holes": int(chance(rng, 0.3)),
    }


def _graphene(rng: np.random.Generator, _: float) -> dict[str, Any]:
    return _dirt(rng) | {
        "lines": str(rng.choice(["none", "5-8-5", "5-7", "tilt", "loop"])),
        "tilt_deg": rng.uniform(4, 56),
        "loop_radius_nm": rng.uniform(0.5, 2.0),
        "vacancy_percent": rng.uniform(0, 2),
        "dopant": "Si" if chance(rng, 0.3) else "N",
        "dopant_percent": rng.uniform(0, 2),
        "ripple_pm": rng.uniform(0, 300),
    }


def _monolayer(rng: np.random.Generator, _: float) -> dict[str, Any]:
    return _dirt(rng) | {
        "material": str(rng.choice(["MoS2", "WS2", "MoSe2", "WSe2"])),
        "vacancy_percent": rng.uniform(0, 6),
        "chalcogen_dopant_percent": rng.uniform(0, 20) * chance(rng, 0.3),
        "metal_dopant_percent": rng.uniform(0, 10) * chance(rng, 0.3),
        "twin_boundary": chance(rng, 0.2),
    }


def _perovskite(rng: np.random.Generator, _: float) -> dict[str, Any]:
    return {
        "formula": str(rng.choice(["SrTiO3", "PbTiO3", "BaTiO3"])),
        "zone": "001" if chance(rng, 0.7) else "110",
        "thickness_nm": rng.uniform(4, 40),
        "wedge_deg": rng.uniform(0, 10),
        "missing_columns_percent": rng.uniform(0, 3) * chance(rng, 0.3),
    }


def _multilayer(rng: np.random.Generator, _: float) -> dict[str, Any]:
    return {
        "polar": str(rng.choice(["none", "uniform", "walls", "flux_closure", "vortex"])),
        "thickness_nm": rng.uniform(4, 40),
        "intermixing_cells": rng.uniform(0, 1),
        "first_cells": (2, 8),
        "second_cells": (1, 8),
    }


def _particle(rng: np.random.Generator, pixel_pm: float) -> dict[str, Any]:
    return {
        "metal": str(rng.choice(["Pt", "Au", "Pd"])),
        # About as large as the frame.
        "diameter_nm": float(np.clip(rng.uniform(0.04, 0.2) * pixel_pm, 1.0, 8.0)),
        "particles": int(rng.integers(1, 4)),
        "zone": (1, 1, 0) if chance(rng, 0.6) else (1, 0, 0),
        "twins_percent": 30.0,
        "film_nm": rng.uniform(0, 6),
    }


def _dumbbell(rng: np.random.Generator, _: float) -> dict[str, Any]:
    return {
        "material": "Si" if chance(rng, 0.5) else "GaAs",
        "thickness_nm": rng.uniform(4, 40),
        "twins_percent": rng.uniform(0, 10) * chance(rng, 0.3),
    }


_STRUCTURES = {
    "graphene": _graphene,
    "monolayer": _monolayer,
    "perovskite": _perovskite,
    "multilayer": _multilayer,
    "particle": _particle,
    "dumbbell": _dumbbell,
}
