"""What the label doctor is asked from another process, and its answer as plain values."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from napari_apgan.elements import Element
from napari_apgan.regions import Region

from .doctor_types import DoctorSettings, Report
from .protocol import SourceRef

_REPORT: TypeAdapter[Report] = TypeAdapter(Report)


class DoctorWish(BaseModel):
    """What is needed beside frame and labels; see :func:`~.doctor.examine`."""

    model_config = ConfigDict(extra="forbid")

    regions: list[Region] = Field(default_factory=list)
    elements: list[Element] = Field(default_factory=list)
    radius_px: dict[str, float] | None = None
    settings: DoctorSettings = Field(default_factory=DoctorSettings)
    ignored: list[str] = Field(default_factory=list)


class DoctorFrame(BaseModel):
    """One labelled frame of the training set; `atoms` is the path of its table."""

    model_config = ConfigDict(extra="forbid")

    source_id: str
    frame: int = Field(ge=0)
    source: SourceRef
    atoms: str
    wish: DoctorWish


def report_values(report: Report) -> dict[str, Any]:
    """Return a report as plain values."""
    values: dict[str, Any] = _REPORT.dump_python(report, mode="json")
    return values


def read_report(values: object) -> Report:
    """Read a report from its plain values."""
    return _REPORT.validate_python(values)
