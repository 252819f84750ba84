"""Edits of the atoms of one frame: add, remove and change them."""

from __future__ import annotations

from typing import Literal, Self

import pandas as pd
from pydantic import Field, model_validator
from typing_extensions import override

from napari_apgan.atoms import COLUMNS
from napari_apgan.errors import UserError

from . import tables
from .documents import Document, Value
from .edit_base import STALE, EditBase, count
from .tables import Rows


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
            raise UserError(STALE)

    @override
    def forward(self, document: Document, value: Value) -> Value:
        return tables.insert(value, self.table)

    @override
    def backward(self, document: Document, value: Value) -> Value:
        return tables.remove(value, self.ids)

    @override
    def title(self) -> str:
        return f"add {count(len(self.ids), 'atom')}"


class RemoveAtoms(_RowsEdit):
    """Remove atoms from a frame; `rows` holds them whole, so that they can come back."""

    kind: Literal["remove_atoms"] = "remove_atoms"

    @override
    def check(self, document: Document, value: Value) -> None:
        rows = tables.rows_of(value, self.ids)
        if tables.encode_rows(value.iloc[rows]) != self.rows:
            raise UserError(STALE)

    @override
    def forward(self, document: Document, value: Value) -> Value:
        return tables.remove(value, self.ids)

    @override
    def backward(self, document: Document, value: Value) -> Value:
        return tables.insert(value, self.table)

    @override
    def title(self) -> str:
        return f"remove {count(len(self.ids), 'atom')}"


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
            raise UserError(STALE)

    @override
    def forward(self, document: Document, value: Value) -> Value:
        return tables.assign(value, self.ids, self.after)

    @override
    def backward(self, document: Document, value: Value) -> Value:
        return tables.assign(value, self.ids, self.before)

    @override
    def title(self) -> str:
        verb = "move" if set(self.after) & {"x_px", "y_px"} else "change"
        return f"{verb} {count(len(self.ids), 'atom')}"
