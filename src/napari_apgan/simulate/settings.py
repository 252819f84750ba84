"""Everything that a simulated frame is made from, as one model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_apgan.errors import UserError, fault_of
from napari_apgan.frames import PIXEL_SIZE_BOUNDS_PM

from .degradation.settings import DegradationSettings
from .imaging.settings import ImagingSettings
from .scene import ViewSettings
from .structures import Structure

#: Sides of a frame, in px.
SMALLEST_SIDE, LARGEST_SIDE = 32, 4096


class SimulationSettings(BaseModel):
    """From a structure to a recorded frame.

    Parameters
    ----------
    structure : Structure
        What lies under the beam; its field `kind` says which builder makes it.
    view : ViewSettings
        How it lies there.
    imaging : ImagingSettings
        The microscope.
    degradation : DegradationSettings
        Noise, scan, camera and lost pixels.
    shape : (int, int)
        (rows, columns) of the frame.
    pixel_size_pm : float
        Of the recorded frame, in pm.
    variety : float
        How much frames differ in dose or SNR, defocus, blur, jitter, drift and background: a part
        of each, drawn for every frame. 0.2 lets the dose lie between 1/1.2 and 1.2 times what is
        asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    structure: Structure
    view: ViewSettings = ViewSettings()
    imaging: ImagingSettings = ImagingSettings()
    degradation: DegradationSettings = DegradationSettings()
    shape: tuple[int, int] = (256, 256)
    pixel_size_pm: float = Field(default=23.0, ge=PIXEL_SIZE_BOUNDS_PM[0], le=1000)
    variety: float = Field(default=0.0, ge=0, le=1)

    @property
    def title(self) -> str:
        """What is simulated, in a few words."""
        imaging = self.imaging
        return (
            f"simulated {self.structure.kind}, {imaging.mode.upper()} at "
            f"{imaging.voltage_kv:g} kV ({imaging.engine})"
        )


def check_frame(settings: SimulationSettings) -> None:
    """Raise `UserError` where a frame cannot be of the shape asked for."""
    rows, columns = settings.shape
    if not all(SMALLEST_SIDE <= n <= LARGEST_SIDE for n in (rows, columns)):
        raise UserError(
            f"A frame of {columns} x {rows} px cannot be simulated: its sides must be between "
            f"{SMALLEST_SIDE} and {LARGEST_SIDE} px."
        )


def read_settings(path: Path) -> SimulationSettings:
    """Read settings from a JSON file.

    Raises
    ------
    UserError
        When the file cannot be read or holds something else.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"The simulation settings {path} cannot be read: {error.strerror or error}."
        ) from error
    try:
        return SimulationSettings.model_validate_json(content)
    except ValidationError as error:
        raise UserError(f"{path.name} holds no simulation settings: {fault_of(error)}.") from error


def changed(settings: SimulationSettings, changes: dict[str, Any]) -> SimulationSettings:
    """Return settings with some fields changed; all is checked again.

    Groups are merged, but for a structure of another `kind`, which starts from its defaults.

    Raises
    ------
    UserError
        When a change does not fit.
    """
    fields = settings.model_dump()
    for name, value in changes.items():
        inner = fields.get(name)
        if isinstance(inner, dict) and isinstance(value, dict):
            same = value.get("kind", inner.get("kind")) == inner.get("kind")
            value = inner | value if same else value
        fields[name] = value
    try:
        return SimulationSettings.model_validate(fields)
    except ValidationError as error:
        raise UserError(f"The simulation setting does not fit: {fault_of(error)}.") from error


#: Amounts that vary by a factor from frame to frame, by group.
VARIED: dict[str, tuple[str, ...]] = {
    "imaging": ("focal_spread_nm", "angular_spread_mrad", "source_size_pm"),
    "degradation": (
        "snr",
        "dose",
        "readout",
        "jitter_pm",
        "drift_pm",
        "shear_percent",
        "background",
        "contamination",
    ),
}


def draw_variation(settings: SimulationSettings, rng: np.random.Generator) -> SimulationSettings:
    """Draw the settings of one frame around those asked for.

    Each varied amount is multiplied by ``(1 + variety) ** u`` with u uniform in -1..1. The defocus
    moves by up to ``variety`` times itself or the focal spread, whichever is larger, since near
    focus a factor would change nothing.

    Parameters
    ----------
    settings : SimulationSettings
    rng : numpy Generator
        The same number of values is drawn whatever the settings are.

    Returns
    -------
    SimulationSettings
        The very same ones where `variety` is 0.
    """
    names = [(group, name) for group, fields in VARIED.items() for name in fields]
    draws = rng.uniform(-1.0, 1.0, len(names) + 1)
    if not settings.variety:
        return settings
    grow = math.log1p(settings.variety)
    groups = {"imaging": settings.imaging, "degradation": settings.degradation}
    updates: dict[str, dict[str, Any]] = {"imaging": {}, "degradation": {}}
    for (group, name), u in zip(names, draws.tolist(), strict=False):
        value = getattr(groups[group], name)
        if value:
            updates[group][name] = value * math.exp(grow * u)
    lens = settings.imaging.aberrations
    swing = settings.variety * max(abs(lens.c1_nm), settings.imaging.focal_spread_nm)
    moved = lens.model_copy(update={"c1_nm": lens.c1_nm + swing * float(draws[-1])})
    updates["imaging"]["aberrations"] = moved
    if updates["degradation"].get("contamination"):
        updates["degradation"]["contamination"] = min(updates["degradation"]["contamination"], 0.95)
    return settings.model_copy(
        update={name: group.model_copy(update=updates[name]) for name, group in groups.items()}
    )
