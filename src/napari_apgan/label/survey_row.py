"""One file of a surveyed folder, how rows travel between processes, and what to look through."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from napari_apgan.io.reference import SourceRef


@dataclass(frozen=True, slots=True)
class SurveyRow:
    """One file of the folder.

    Parameters
    ----------
    path : Path
    error : str
        Why it could not be read; all else is then unknown.
    n_frames : int
    shape : (int, int)
        (rows, columns).
    dtype : str
    pixel_size_pm : (float, float), optional
        Along y and x, where the file says it credibly; `pixel_note` says why not.
    pixel_note : str
    detector, magnification, title : str
        As the file says; empty where it does not.
    details : mapping
        What else the file says.
    sha256 : str
        Of the file.
    duplicate_of, looks_like : Path, optional
        An earlier file with the same bytes; with nearly the same picture.
    likeness : float
        Correlation of the small pictures behind `looks_like`.
    blank : str
        Why there is nothing to see; empty otherwise.
    lattice : str
        ``square``, ``rectangular``, ``hexagonal``, ``rhombic``, ``oblique``; empty without one.
    spacing_px, spacing_pm : float, optional
        The largest lattice spacing.
    finest_px, finest_pm : float, optional
        Finest period that stands out of the noise: the smaller, the sharper.
    material : float, optional
        0..1: part of the lattice's peaks that agrees with the reference's.
    scale : float, optional
        This file's lattice in pm over the reference's: 1 when both pixel sizes are right.
    fits : bool, optional
        Whether the reference's model can be applied; None without a reference.
    why : str
        Why not, or what to look at; one sentence.
    seconds : float
        Spent on it.
    """

    path: Path
    error: str = ""
    n_frames: int = 0
    shape: tuple[int, int] = (0, 0)
    dtype: str = ""
    pixel_size_pm: tuple[float, float] | None = None
    pixel_note: str = ""
    detector: str = ""
    magnification: str = ""
    title: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""
    duplicate_of: Path | None = None
    looks_like: Path | None = None
    likeness: float = 0.0
    blank: str = ""
    lattice: str = ""
    spacing_px: float | None = None
    spacing_pm: float | None = None
    finest_px: float | None = None
    finest_pm: float | None = None
    material: float | None = None
    scale: float | None = None
    fits: bool | None = None
    why: str = ""
    seconds: float = 0.0


class SurveyWish(BaseModel):
    """What is looked through, and what it is compared with.

    Parameters
    ----------
    paths : list of str
        Folders and files.
    model : str
        Model file or run folder that is to fit; empty for none.
    example : SourceRef, optional
        An image whose lattice the others are compared with; of what the model learned from.
    example_frame : int
    rows : str
        The file that gets the rows, one JSON object a line.
    """

    model_config = ConfigDict(extra="forbid")

    paths: list[str] = Field(min_length=1)
    model: str = ""
    example: SourceRef | None = None
    example_frame: int = 0
    rows: str = ""


_ROW: TypeAdapter[SurveyRow] = TypeAdapter(SurveyRow)


def row_values(row: SurveyRow) -> dict[str, Any]:
    """Return a row as plain values."""
    values: dict[str, Any] = _ROW.dump_python(row, mode="json")
    return values


def row_line(row: SurveyRow) -> str:
    """Return a row as one line of JSON."""
    return json.dumps(row_values(row)) + "\n"


def read_rows(text: str) -> list[SurveyRow]:
    """Read complete lines of rows."""
    return [_ROW.validate_json(line) for line in text.splitlines() if line]


def summary(rows: Sequence[SurveyRow]) -> str:
    """Say what a folder holds, in one sentence."""
    n = len(rows)
    counts = {
        "cannot be read": sum(bool(r.error) for r in rows),
        "blank": sum(bool(r.blank) for r in rows),
        "doubled": sum(r.duplicate_of is not None for r in rows),
        "look like another": sum(r.looks_like is not None for r in rows),
    }
    words = [f"{k} {name}" for name, k in counts.items() if k]
    fits = [r for r in rows if r.fits is not None]
    if fits:
        words.insert(0, f"{sum(bool(r.fits) for r in fits)} fit")
    listed = f": {', '.join(words)}" if words else ""
    return f"{n} file{'s' * (n != 1)}{listed}."
