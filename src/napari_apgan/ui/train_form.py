"""A form made from a pydantic model: one line a field, empty fields keep the default."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QLabel, QLineEdit, QSizePolicy, QWidget

from napari_apgan.errors import UserError


def plain_type(annotation: Any) -> type | None:
    """Return int, float, str or bool behind an annotation, also an optional one; else None."""
    if annotation in (int, float, str, bool):
        return annotation
    if get_origin(annotation) in (Union, UnionType):
        inner = [a for a in get_args(annotation) if a is not type(None)]
        return plain_type(inner[0]) if len(inner) == 1 else None
    return None


def field_notes(model: type[BaseModel]) -> dict[str, str]:
    """Read what a numpydoc docstring says of each parameter."""
    notes: dict[str, str] = {}
    names: list[str] = []
    text = (model.__doc__ or "").partition("Parameters\n")[2]
    for line in text.splitlines()[1:]:
        head = re.match(r"^    (\w[\w, ]*) : ", line)
        if head:
            names = [n.strip() for n in head[1].split(",")]
        elif line.startswith("        ") and names:
            for name in names:
                notes[name] = f"{notes.get(name, '')} {line.strip()}".strip()
        elif line.strip():
            names = []
    return notes


class ModelForm(QWidget):
    """Fields of a pydantic model.

    Parameters
    ----------
    model : type of BaseModel
    fields : mapping
        Name of each field to show to its caption.
    """

    changed = Signal()

    def __init__(self, model: type[BaseModel], fields: Mapping[str, str]) -> None:
        super().__init__()
        self._model = model
        self._defaults: dict[str, Any] = {}
        self.editors: dict[str, QLineEdit | QCheckBox] = {}
        notes = field_notes(model)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(3)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, caption in fields.items():
            field = model.model_fields[name]
            editor = self._editor(field)
            editor.setToolTip(f"{notes.get(name, caption)} Empty: as the preset has it.".strip())
            self.editors[name] = editor
            layout.addRow(QLabel(caption), editor)
            self._defaults[name] = field.get_default(call_default_factory=True)

    def _editor(self, field: FieldInfo) -> QLineEdit | QCheckBox:
        if plain_type(field.annotation) is bool:
            box = QCheckBox()
            box.setChecked(bool(field.default))
            box.toggled.connect(lambda _: self.changed.emit())
            return box
        line = QLineEdit()
        line.setMinimumWidth(40)
        line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        line.editingFinished.connect(self.changed.emit)
        return line

    def set_defaults(self, values: Mapping[str, Any]) -> None:
        """Show what empty fields stand for."""
        for name, value in values.items():
            editor = self.editors.get(name)
            if isinstance(editor, QLineEdit):
                editor.setPlaceholderText("" if value is None else str(value))

    def values(self) -> dict[str, Any]:
        """Return the fields that the user filled in.

        Raises
        ------
        UserError
            When a value does not fit its field.
        """
        given: dict[str, Any] = {}
        for name, editor in self.editors.items():
            if isinstance(editor, QCheckBox):
                if editor.isChecked() != bool(self._defaults[name]):
                    given[name] = editor.isChecked()
            elif text := editor.text().strip():
                given[name] = text.replace(",", ".")
        try:
            checked = self._model.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0]) if first["loc"] else ""
            raise UserError(
                f"“{given.get(name, '')}” does not fit {name.replace('_', ' ')}: {first['msg']}."
            ) from error
        return {name: getattr(checked, name) for name in given}

    def clear(self, names: Sequence[str] | None = None) -> None:
        """Empty fields."""
        for name in names or self.editors:
            editor = self.editors[name]
            if isinstance(editor, QLineEdit):
                editor.clear()
            else:
                editor.setChecked(bool(self._defaults[name]))
