"""What every structure has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BaseStructure(BaseModel):
    """Settings that every builder understands.

    Parameters
    ----------
    displacement_pm : float
        Mean length of the random shift of each whole column in the projection plane, in pm.
    thermal_pm : float, optional
        Root-mean-square thermal displacement of each atom per axis in pm; empty: usual values of
        the elements at room temperature.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    displacement_pm: float = Field(default=10.0, ge=0, le=100)
    thermal_pm: float | None = Field(default=None, ge=0, le=50)


#: Root-mean-square displacements per axis at room temperature in pm: sqrt(B / 8π²), with B from
#: Peng, Ren, Dudarev and Whelan, Acta Cryst. A 52 (1996) 456 and the refinements of the oxides.
THERMAL_PM: dict[str, float] = {
    "C": 6.5,
    "O": 8.5,
    "Si": 7.6,
    "Ti": 6.5,
    "Ga": 8.5,
    "As": 7.5,
    "Sr": 8.3,
    "Ru": 6.0,
    "Mo": 5.0,
    "S": 6.0,
    "Pt": 6.0,
    "Pb": 11.0,
}
#: Where nothing is listed.
USUAL_THERMAL_PM = 7.5


def thermal_pm(symbol: str, settings: BaseStructure) -> float:
    """Return the thermal displacement (pm, rms per axis) of an element under some settings."""
    if settings.thermal_pm is not None:
        return settings.thermal_pm
    return THERMAL_PM.get(symbol, USUAL_THERMAL_PM)
