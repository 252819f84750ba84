"""Named examples: whole settings to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_apgan.errors import UserError

from .imaging.settings import ImagingSettings
from .settings import SimulationSettings, read_settings
from .structures import STRUCTURES

#: An HRTEM with corrected, slightly negative Cs and overfocus, which shows atoms bright. The focal
#: spread is 30 Å in the convention of Kirkland and abTEM, √2 times the standard deviation.
_HRTEM_80: dict[str, Any] = {
    "mode": "hrtem",
    "voltage_kv": 80.0,
    "aberrations": {"c1_nm": 10.0, "c3_um": -20.0},
    "focal_spread_nm": 2.12,
    "aperture_mrad": 40.0,
}
_HAADF = ImagingSettings.usual("haadf").model_dump()
_SCAN: dict[str, Any] = {"jitter_pm": 4.0, "drift_pm": 40.0, "shear_percent": 0.3}

_EXAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "graphene": (
        "graphene with a line defect and a hole, HRTEM at 80 kV, 23 pm/px, SNR 2.35, as in "
        "Chen et al. 2023",
        {
            "structure": {"kind": "graphene", "lines": "5-8-5", "holes": 1},
            "imaging": _HRTEM_80,
            "degradation": {"snr": 2.35},
            "pixel_size_pm": 23.0,
            "variety": 0.2,
        },
    ),
    "graphene-grains": (
        "two grains of graphene along a bent boundary, some dirt and vacancies, HRTEM",
        {
            "structure": {
                "kind": "graphene",
                "lines": "tilt",
                "vacancy_percent": 0.5,
                "contamination_percent": 5.0,
            },
            "imaging": _HRTEM_80,
            "degradation": {"snr": 2.35},
            "pixel_size_pm": 23.0,
            "variety": 0.2,
        },
    ),
    "pto-sto": (
        "PbTiO3/SrTiO3 multilayer with flux closure along [010], HAADF, 29 pm/px",
        {
            "structure": {"kind": "multilayer", "polar": "flux_closure"},
            "imaging": _HAADF,
            "degradation": {"snr": 4.0} | _SCAN,
            "pixel_size_pm": 29.0,
            "variety": 0.2,
        },
    ),
    "srtio3": (
        "SrTiO3 along [001], HAADF, 15 pm/px, row jitter",
        {
            "structure": {"kind": "perovskite", "formula": "SrTiO3"},
            "imaging": _HAADF,
            "degradation": {"snr": 3.0} | _SCAN,
            "pixel_size_pm": 15.0,
            "variety": 0.2,
        },
    ),
    "mos2": (
        "a monolayer of MoS2 with vacancies, HAADF at 80 kV, 13 pm/px",
        {
            "structure": {"kind": "monolayer"},
            "imaging": _HAADF | {"voltage_kv": 80.0, "aperture_mrad": 30.0},
            "degradation": {"snr": 2.0} | _SCAN,
            "pixel_size_pm": 13.0,
            "variety": 0.2,
        },
    ),
    "particle": (
        "a faceted Pt particle on amorphous carbon along [110], HAADF, 20 pm/px",
        {
            "structure": {"kind": "particle", "metal": "Pt", "film_nm": 3.0},
            "imaging": _HAADF,
            "degradation": {"snr": 4.0} | _SCAN,
            "pixel_size_pm": 20.0,
            "variety": 0.2,
        },
    ),
    "si-110": (
        "silicon dumbbells along [110], HAADF, 10 pm/px",
        {
            "structure": {"kind": "dumbbell", "material": "Si"},
            "imaging": _HAADF,
            "degradation": {"snr": 3.0} | _SCAN,
            "pixel_size_pm": 10.0,
            "variety": 0.2,
        },
    ),
    "gaas-110": (
        "GaAs dumbbells along [110], HAADF, 12 pm/px",
        {
            "structure": {"kind": "dumbbell", "material": "GaAs"},
            "imaging": _HAADF,
            "degradation": {"snr": 3.0} | _SCAN,
            "pixel_size_pm": 12.0,
            "variety": 0.2,
        },
    ),
}

#: Settings by name.
EXAMPLES: dict[str, SimulationSettings] = {
    name: SimulationSettings.model_validate(fields) for name, (_, fields) in _EXAMPLES.items()
}
#: What each shows, in one line.
DESCRIPTIONS: dict[str, str] = {name: text for name, (text, _) in _EXAMPLES.items()}


def find_settings(what: str) -> SimulationSettings:
    """Return the settings of an example's name or of a JSON file.

    Raises
    ------
    UserError
        When there is no such example or file.
    """
    if what in EXAMPLES:
        return EXAMPLES[what]
    if what.endswith(".json"):
        return read_settings(Path(what))
    raise UserError(
        f"There is no example called {what!r}: choose one of {', '.join(EXAMPLES)}, or give a file "
        "of settings (.json)."
    )


def from_file(path: Path) -> SimulationSettings:
    """Return settings that show the structure of a file by HAADF.

    Raises
    ------
    UserError
        When there is no such file.
    """
    if not path.is_file():
        raise UserError(
            f"{path} is neither an example ({', '.join(EXAMPLES)}) nor a structure file."
        )
    structure = STRUCTURES["file"].model_validate({"path": path.resolve()})
    return SimulationSettings.model_validate(
        {
            "structure": structure.model_dump(),
            "imaging": _HAADF,
            "degradation": {"snr": 4.0} | _SCAN,
            "pixel_size_pm": 15.0,
            "variety": 0.2,
        }
    )
