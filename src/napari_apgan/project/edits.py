"""Edits: every change of labels, regions, elements, calibration and training set.

An edit carries what was before and what is after, so it applies and inverts exactly, also after
the project was closed. Edits are made by the methods of :class:`~napari_apgan.project.Project`
(which fill in what was before) or directly, and are written to the journal as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from typing_extensions import override

from napari_apgan.atoms import COLUMNS
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.regions import Region

from . import tables
from .documents import Document, PairEntry, Value
from .tables import Rows

_STALE = "The project has changed since this edit was prepared: try it again."


class EditBase(BaseModel):
    """What every edit can do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def documents(self) -> tuple[Document, ...]:
        """Return the documents that it changes."""
        raise NotImplementedError

    def check(self, document: Document, value: Value) -> None:
        """Raise `UserError` when the document is not as the edit takes it to be."""

    def forward(self, document: Document, value: Value) -> Value:
        """Return the document with the edit applied."""
        raise NotImplementedError

    def backward(self, document: Document, value: Value) -> Value:
        """Return the document as it was before the edit."""
        raise NotImplementedError

    def title(self) -> str:
        """Say what it does, for *Undo: …*."""
        raise NotImplementedError

    def parts(self) -> Iterator[EditBase]:
        """Yield the edit itself, or those that it is made of."""
        yield self


def _count(n: int, word: str) -> str:
    return f"{n:,} {word}{'s' * (n != 1)}"


class _RowsEdit(EditBase):
    source_id: str
    frame: int = Field(ge=0)
    rows: Rows

    @model_validator(mode="after")
    def _even(self) -> Self:
        lacking = {"id", "element", "x_px", "y_px"} - set(self.rows)
        lengths = {len(v) for v in self.rows.values()}
        if lacking or len(lengths) > 1 or set(self.rows) - set(COLUMNS):
            raise ValueError("rows need id, element, x_px and y_px, all columns of one length")
        if len(set(self.rows["id"])) != len(self.rows["id"]):
            raise ValueError("an id occurs twice")
        if any(v is None for name in ("x_px", "y_px") for v in self.rows[name]):
            raise ValueError("a position is not a number")
        return self

    @classmethod
    def of(cls, source_id: str, frame: int, table: pd.DataFrame) -> Self:
        """Make the edit from a conformed table; its ids are taken as they are."""
        return cls(source_id=source_id, frame=frame, rows=tables.encode_rows(table))

    @property
    def ids(self) -> list[int]:
        """The ids of its atoms."""
        return list(self.rows["id"])

    @property
    def table(self) -> pd.DataFrame:
        """Its atoms as a table."""
        return tables.decode_rows(self.rows, self.frame)

    @override
    def documents(self) -> tuple[Document, ...]:
        return (Document("atoms", self.source_id, self.frame),)


class AddAtoms(_RowsEdit):
    """Add atoms to a frame.

    Parameters
    ----------
    source_id : str
    frame : int
    rows : dict of str to list
        Columns of the atom table that differ from their defaults; `id`, `element`, `x_px`, `y_px`
        always. Numbers that are not finite are None; `frame`, `x_pm`, `y_pm` are left out.
    """

    kind: Literal["add_atoms"] = "add_atoms"

    @override
    def check(self, document: Document, value: Value) -> None:
        if value["id"].isin(self.ids).any():
            raise UserError(_STALE)

    @override
    def forward(self, document: Document, value: Value) -> Value:
        return tables.insert(value, self.table)

    @override
    def backward(self, document: Document, value: Value) -> Value:
        return tables.remove(value, self.ids)

    @override
    def title(self) -> str:
        return f"add {_count(len(self.ids), 'atom')}"


class RemoveAtoms(_RowsEdit):
    """Remove atoms from a frame; `rows` holds them whole, so that they can come back."""

    kind: Literal["remove_atoms"] = "remove_atoms"

    @override
    def check(self, document: Document, value: Value) -> None:
        rows = tables.rows_of(value, self.ids)
        if tables.encode_rows(value.iloc[rows]) != self.rows:
            raise UserError(_STALE)

    @override
    def forward(self, document: Document, value: Value) -> Value:
        return tables.remove(value, self.ids)

    @override
    def backward(self, document: Document, value: Value) -> Value:
        return tables.insert(value, self.table)

    @override
    def title(self) -> str:
        return f"remove {_count(len(self.ids), 'atom')}"


class ChangeAtoms(EditBase):
    """Change some columns of some atoms of a frame: move them, give them another element.

    Parameters
    ----------
    source_id : str
    frame : int
    ids : list of int
    before, after : dict of str to list
        The same columns, each with one value an id.
    """

    kind: Literal["change_atoms"] = "change_atoms"
    source_id: str
    frame: int = Field(ge=0)
    ids: list[int]
    before: Rows
    after: Rows

    @model_validator(mode="after")
    def _even(self) -> Self:
        fixed = {"id", "frame", *tables.DERIVED}
        if set(self.before) != set(self.after) or set(self.after) & fixed:
            raise ValueError("before and after need the same columns, not id, frame, x_pm or y_pm")
        if set(self.after) - set(COLUMNS):
            raise ValueError("there is no such column in the atom table")
        if any(
            len(v) != len(self.ids) for rows in (self.before, self.after) for v in rows.values()
        ):
            raise ValueError("every column needs one value an atom")
        if any(v is None for name in ("x_px", "y_px") for v in self.after.get(name, ())):
            raise ValueError("a position is not a number")
        return self

    @override
    def documents(self) -> tuple[Document, ...]:
        return (Document("atoms", self.source_id, self.frame),)

    @override
    def check(self, document: Document, value: Value) -> None:
        if tables.pick(value, self.ids, list(self.before)) != self.before:
            raise UserError(_STALE)

    @override
    def forward(self, document: Document, value: Value) -> Value:
        return tables.assign(value, self.ids, self.after)

    @override
    def backward(self, document: Document, value: Value) -> Value:
        return tables.assign(value, self.ids, self.before)

    @override
    def title(self) -> str:
        verb = "move" if set(self.after) & {"x_px", "y_px"} else "change"
        return f"{verb} {_count(len(self.ids), 'atom')}"


class _Swap(EditBase):
    """An edit whose one document holds `before`, then `after`."""

    before: Any
    after: Any

    @override
    def check(self, document: Document, value: Value) -> None:
        if value != self.before:
            raise UserError(_STALE)

    @override
    def forward(self, document: Document, value: Value) -> Value:
        return self.after

    @override
    def backward(self, document: Document, value: Value) -> Value:
        return self.before


class SetRegions(_Swap):
    """Set all regions of a frame."""

    kind: Literal["set_regions"] = "set_regions"
    source_id: str
    frame: int = Field(ge=0)
    before: tuple[Region, ...]
    after: tuple[Region, ...]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len({r.id for r in self.after}) != len(self.after):
            raise ValueError("two regions have the same id")
        return self

    @override
    def documents(self) -> tuple[Document, ...]:
        return (Document("regions", self.source_id, self.frame),)

    @override
    def title(self) -> str:
        verb = {1: "add", 0: "change", -1: "remove"}
        more = len(self.after) - len(self.before)
        return f"{verb[(more > 0) - (more < 0)]} {_count(abs(more) or 1, 'region')}"


class SetPairs(_Swap):
    """Set which frames are in the training set, and since which round."""

    kind: Literal["set_pairs"] = "set_pairs"
    before: tuple[PairEntry, ...]
    after: tuple[PairEntry, ...]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len({(p.source_id, p.frame) for p in self.after}) != len(self.after):
            raise ValueError("a frame is twice in the training set")
        return self

    @override
    def documents(self) -> tuple[Document, ...]:
        return (Document("pairs"),)

    @override
    def title(self) -> str:
        return "change the training set"


class Relabel(BaseModel):
    """Atoms of a frame that go from one element to another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_id: str
    frame: int
    ids: list[int]
    before: str
    after: str


class SetElements(EditBase):
    """Set the elements of the project: add, recolour, rename or remove them.

    Parameters
    ----------
    before, after : tuple of Element
    relabelled : tuple of Relabel
        The atoms that follow a renamed element or leave a removed one.
    """

    kind: Literal["set_elements"] = "set_elements"
    before: tuple[Element, ...]
    after: tuple[Element, ...]
    relabelled: tuple[Relabel, ...] = ()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if len({e.name for e in self.after}) != len(self.after):
            raise ValueError("two elements have the same name")
        return self

    @override
    def documents(self) -> tuple[Document, ...]:
        frames = {Document("atoms", r.source_id, r.frame): None for r in self.relabelled}
        return (Document("elements"), *frames)

    @override
    def check(self, document: Document, value: Value) -> None:
        if document.kind == "elements":
            if value != self.before:
                raise UserError(_STALE)
            return
        for r in self._of(document):
            if tables.pick(value, r.ids, ["element"]) != {"element": [r.before] * len(r.ids)}:
                raise UserError(_STALE)

    def _of(self, document: Document) -> list[Relabel]:
        return [
            r
            for r in self.relabelled
            if (r.source_id, r.frame) == (document.source_id, document.frame)
        ]

    @override
    def forward(self, document: Document, value: Value) -> Value:
        if document.kind == "elements":
            return self.after
        for r in self._of(document):
            value = tables.assign(value, r.ids, {"element": [r.after] * len(r.ids)})
        return value

    @override
    def backward(self, document: Document, value: Value) -> Value:
        if document.kind == "elements":
            return self.before
        for r in self._of(document):
            value = tables.assign(value, r.ids, {"element": [r.before] * len(r.ids)})
        return value

    @override
    def title(self) -> str:
        return "change the elements"


class RescaledErrors(BaseModel):
    """Standard errors in pm of one frame's atoms under two calibrations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: int
    ids: list[int]
    before: Rows
    after: Rows


class SetCalibration(EditBase):
    """Set the pixel size of a source; standard errors in pm follow, positions always do."""

    kind: Literal["set_calibration"] = "set_calibration"
    source_id: str
    before: Calibration
    after: Calibration
    errors: tuple[RescaledErrors, ...] = ()

    @override
    def documents(self) -> tuple[Document, ...]:
        frames = (Document("atoms", self.source_id, e.frame) for e in self.errors)
        return (Document("calibration", self.source_id), *frames)

    @override
    def check(self, document: Document, value: Value) -> None:
        if document.kind == "calibration":
            if value != self.before:
                raise UserError(_STALE)
            return
        e = self._of(document)
        if tables.pick(value, e.ids, list(e.before)) != e.before:
            raise UserError(_STALE)

    def _of(self, document: Document) -> RescaledErrors:
        return next(e for e in self.errors if e.frame == document.frame)

    @override
    def forward(self, document: Document, value: Value) -> Value:
        if document.kind == "calibration":
            return self.after
        e = self._of(document)
        return tables.assign(value, e.ids, e.after)

    @override
    def backward(self, document: Document, value: Value) -> Value:
        if document.kind == "calibration":
            return self.before
        e = self._of(document)
        return tables.assign(value, e.ids, e.before)

    @override
    def title(self) -> str:
        return "set the pixel size"


class Batch(EditBase):
    """Several edits that are done and undone as one."""

    kind: Literal["batch"] = "batch"
    name: str
    edits: tuple[Edit, ...]

    @override
    def parts(self) -> Iterator[EditBase]:
        for edit in self.edits:
            yield from edit.parts()

    @override
    def documents(self) -> tuple[Document, ...]:
        return tuple({d: None for edit in self.edits for d in edit.documents()})

    @override
    def check(self, document: Document, value: Value) -> None:
        for edit in self.edits:
            if document in edit.documents():
                edit.check(document, value)
                value = edit.forward(document, value)

    @override
    def forward(self, document: Document, value: Value) -> Value:
        for edit in self.edits:
            if document in edit.documents():
                value = edit.forward(document, value)
        return value

    @override
    def backward(self, document: Document, value: Value) -> Value:
        for edit in reversed(self.edits):
            if document in edit.documents():
                value = edit.backward(document, value)
        return value

    @override
    def title(self) -> str:
        return self.name


Edit = Annotated[
    AddAtoms
    | RemoveAtoms
    | ChangeAtoms
    | SetRegions
    | SetElements
    | SetCalibration
    | SetPairs
    | Batch,
    Field(discriminator="kind"),
]

Batch.model_rebuild()

#: Reads any edit from JSON.
EDIT: TypeAdapter[Edit] = TypeAdapter(Edit)
