"""Edits: every change of labels, regions, elements, calibration and training set.

An edit carries what was before and what is after, so it applies and inverts exactly, also after
the project was closed. Edits are made by the methods of :class:`~napari_apgan.project.Project`
(which fill in what was before) or directly, and are written to the journal as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from typing_extensions import override

from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.regions import Region

from . import tables
from .documents import Document, PairEntry, Value
from .edit_atoms import AddAtoms, ChangeAtoms, RemoveAtoms
from .edit_base import STALE, EditBase, Swap, count
from .tables import Rows

__all__ = [
    "EDIT",
    "AddAtoms",
    "Batch",
    "ChangeAtoms",
    "Edit",
    "EditBase",
    "Relabel",
    "RemoveAtoms",
    "RescaledErrors",
    "SetCalibration",
    "SetElements",
    "SetPairs",
    "SetRegions",
    "SetRemoved",
]


class SetRegions(Swap):
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
        return f"{verb[(more > 0) - (more < 0)]} {count(abs(more) or 1, 'region')}"


class SetPairs(Swap):
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


class SetRemoved(Swap):
    """Take an image, whose labels other edits remove, out of the project."""

    kind: Literal["set_removed"] = "set_removed"
    source_id: str
    before: bool
    after: bool

    @override
    def documents(self) -> tuple[Document, ...]:
        return (Document("removed", self.source_id),)

    @override
    def title(self) -> str:
        return "remove an image"


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
                raise UserError(STALE)
            return
        for r in self._of(document):
            if tables.pick(value, r.ids, ["element"]) != {"element": [r.before] * len(r.ids)}:
                raise UserError(STALE)

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
                raise UserError(STALE)
            return
        e = self._of(document)
        if tables.pick(value, e.ids, list(e.before)) != e.before:
            raise UserError(STALE)

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
    | SetRemoved
    | Batch,
    Field(discriminator="kind"),
]

Batch.model_rebuild()

#: Reads any edit from JSON.
EDIT: TypeAdapter[Edit] = TypeAdapter(Edit)
