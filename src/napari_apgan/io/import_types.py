"""What an import asks and is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ImportKind = Literal["own", "table", "napari", "atomap", "imagej roi", "deeplabcut"]
LengthUnit = Literal["px", "nm", "Å", "pm"]

#: Words for each kind.
KIND_WORDS: dict[str, str] = {
    "own": "an atom table of this program",
    "table": "a table of points",
    "napari": "points saved by napari",
    "atomap": "an atom lattice of atomap",
    "imagej roi": "points of ImageJ's or Fiji's ROI manager",
    "deeplabcut": "points of DeepLabCut",
}


class Choices(BaseModel):
    """How a file of labels is read: nothing is guessed any more.

    Parameters
    ----------
    kind : str
    x_column, y_column : int
        Columns of a table, counted from 0: x along the image's columns, y along its rows.
    element_column, frame_column : int, optional
    element : str
        Element of atoms that have none in the file.
    element_of : mapping
        New names for elements, classes, sublattices or body parts of the file; empty leaves them
        out.
    first_pixel : float
        Coordinate that the file gives to the centre of the first pixel: 0, 0.5 (ImageJ with
        sub-pixel points) or 1 (MATLAB, DigitalMicrograph scripts).
    first_frame : int
        Number that the file gives to the first frame.
    unit : {"px", "nm", "Å", "pm"}
    pixel_size_pm : (y, x), optional
        Needed when the unit is a length.
    least_likelihood : float
        Points of DeepLabCut below it are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ImportKind = "table"
    x_column: int = Field(default=0, ge=0)
    y_column: int = Field(default=1, ge=0)
    element_column: int | None = Field(default=None, ge=0)
    frame_column: int | None = Field(default=None, ge=0)
    element: str = "unknown"
    element_of: dict[str, str] = Field(default_factory=dict)
    first_pixel: float = Field(default=0.0, ge=-1.0, le=2.0)
    first_frame: int = 0
    unit: LengthUnit = "px"
    pixel_size_pm: tuple[float, float] | None = None
    least_likelihood: float = Field(default=0.0, ge=0.0, le=1.0)


@dataclass(frozen=True, slots=True)
class Question:
    """Something that the file does not tell.

    Parameters
    ----------
    field : str
        Of :class:`Choices`; ``order`` stands for `x_column` and `y_column` together.
    words : str
        The question, one sentence.
    options : tuple of str
        The answers to choose from, the guess first.
    """

    field: str
    words: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file of labels seems to hold.

    Parameters
    ----------
    kind : str
    columns : tuple of str
        Names of a table's columns; empty for other kinds.
    rows : tuple of tuple of str
        The first rows.
    choices : Choices
        The best guess; what :func:`napari_apgan.io.imports.read` takes.
    sure : dict
        0..1 by field: how sure each guess is.
    questions : tuple of Question
        What must be asked before reading.
    names : tuple of str
        Elements, classes, sublattices or body parts that the file names.
    n_atoms : int
    note : str
        What was recognised and why, for the user.
    """

    kind: ImportKind
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    choices: Choices
    sure: dict[str, float] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    names: tuple[str, ...] = ()
    n_atoms: int = 0
    note: str = ""

    @property
    def certain(self) -> bool:
        """Whether nothing need be asked."""
        return not self.questions
