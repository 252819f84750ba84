"""The project folder, its edits, and the session that holds it open."""

from __future__ import annotations

from .documents import Document, PairEntry
from .edits import (
    AddAtoms,
    Batch,
    ChangeAtoms,
    Edit,
    RemoveAtoms,
    SetCalibration,
    SetElements,
    SetPairs,
    SetRegions,
    SetRemoved,
)
from .folder import PredictionFiles, ProjectSettings
from .labelling import CalibrationReport
from .opening import RecoverySummary
from .pairs import ImportReport
from .project import Project
from .recent import recent_projects, unsaved_projects
from .runs import Round
from .session import Session
from .sources import SourceRecord

__all__ = [
    "AddAtoms",
    "Batch",
    "CalibrationReport",
    "ChangeAtoms",
    "Document",
    "Edit",
    "ImportReport",
    "PairEntry",
    "PredictionFiles",
    "Project",
    "ProjectSettings",
    "RecoverySummary",
    "RemoveAtoms",
    "Round",
    "Session",
    "SetCalibration",
    "SetElements",
    "SetPairs",
    "SetRegions",
    "SetRemoved",
    "SourceRecord",
    "recent_projects",
    "unsaved_projects",
]
