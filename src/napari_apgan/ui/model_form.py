"""A form made from a pydantic model: one line a field, with its unit and what its docstring says.

Texts and numbers are lines, choices are lists, switches are ticks, models within are folded forms.
An empty line stands for the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QStyle,
    QWidget,
)

from napari_apgan.errors import UserError

from .model_notes import caption_of, field_notes, words_of
from .widgets import Fold, column_in

#: What pydantic adds to say how it tried to read a number.
_PARSING = re.compile(r", unable to parse string as an? \w+")

Editor = QLineEdit | QCheckBox | QComboBox


def inner_types(annotation: Any) -> list[Any]:
    """Return what an annotation allows, without None and without what is annotated to it."""
    if get_origin(annotation) is Annotated:
        return inner_types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [t for a in get_args(annotation) for t in inner_types(a)]
    return [] if annotation is type(None) else [annotation]


def choices(annotation: Any) -> list[Any]:
    """Return the values of a Literal, with None for an optional one; empty when it is none."""
    kinds = inner_types(annotation)
    if len(kinds) == 1 and get_origin(kinds[0]) is Literal:
        optional = type(None) in get_args(annotation)
        return [*([None] if optional else []), *get_args(kinds[0])]
    return []


def nested(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field holds; None when it holds something else."""
    kinds = inner_types(annotation)
    one = kinds[0] if len(kinds) == 1 else None
    return one if isinstance(one, type) and issubclass(one, BaseModel) else None


def is_list(annotation: Any) -> bool:
    """Whether a field holds several numbers or words."""
    return any(get_origin(kind) in (tuple, list) for kind in inner_types(annotation))


class ModelForm(QWidget):
    """Fields of a pydantic model.

    Parameters
    ----------
    model : type of BaseModel
    fields : mapping, optional
        Name of each field to show to its caption; by default all but fixed ones, captioned by
        their titles or after their names.
    shown : int, optional
        The fields after so many are folded away under "More".
    empty_words : str
        What is said of an empty line in each tooltip.
    """

    #: A field was left, ticked or chosen.
    changed = Signal()
    #: A key was typed in a field.
    typed = Signal()

    def __init__(
        self,
        model: type[BaseModel],
        fields: Mapping[str, str] | None = None,
        *,
        shown: int | None = None,
        empty_words: str = "Empty: as the preset has it.",
    ) -> None:
        super().__init__()
        self.model = model
        self._empty_words = empty_words
        self._defaults: dict[str, Any] = {}
        self.editors: dict[str, Editor] = {}
        self.forms: dict[str, ModelForm] = {}
        wanted = dict(fields) if fields is not None else all_fields(model)
        plain = [n for n in wanted if nested(model.model_fields[n].annotation) is None]
        first = plain[:shown]
        layout = column_in(self, spacing=3)
        layout.addLayout(self._lines({n: wanted[n] for n in first}))
        rest = {n: wanted[n] for n in plain if n not in first}
        if rest:
            more = QWidget()
            more.setLayout(self._lines(rest))
            layout.addWidget(Fold("More", more))
        for name, caption in wanted.items():
            if name not in plain:
                layout.addWidget(Fold(caption, self._inner(name)))

    def _lines(self, fields: Mapping[str, str]) -> QFormLayout:
        notes = field_notes(self.model)
        layout = QFormLayout()
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(3)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for name, caption in fields.items():
            field = self.model.model_fields[name]
            editor = self._editor(field)
            note = notes.get(name, caption)
            empty = self._empty_words if isinstance(editor, QLineEdit) else ""
            editor.setToolTip(f"{note} {empty}".strip())
            label = QLabel(caption)
            label.setToolTip(note)
            self.editors[name] = editor
            layout.addRow(label, editor)
            self._defaults[name] = field.get_default(call_default_factory=True)
        return layout

    def _inner(self, name: str) -> ModelForm:
        model = nested(self.model.model_fields[name].annotation)
        assert model is not None
        form = ModelForm(model, empty_words=self._empty_words)
        form.layout().setContentsMargins(12, 0, 0, 0)
        form.changed.connect(self.changed)
        form.typed.connect(self.typed)
        self.forms[name] = form
        return form

    def _editor(self, field: FieldInfo) -> Editor:
        if bool in inner_types(field.annotation):
            box = QCheckBox()
            box.setChecked(bool(field.default))
            box.toggled.connect(lambda _: self.changed.emit())
            return box
        if values := choices(field.annotation):
            combo = QComboBox()
            combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            combo.setMinimumWidth(60)
            for value in values:
                combo.addItem("–" if value is None else words_of(value), value)
            _choose(combo, field.default)
            combo.currentIndexChanged.connect(lambda _: self.changed.emit())
            return combo
        line = QLineEdit()
        line.setMinimumWidth(40)
        line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        line.editingFinished.connect(self.changed.emit)
        line.textEdited.connect(lambda _: self.typed.emit())
        if Path in inner_types(field.annotation):
            self._offer_files(line)
        return line

    def _offer_files(self, line: QLineEdit) -> None:
        """Give a line for a path a button that asks for a file."""

        def ask() -> None:
            path, _ = QFileDialog.getOpenFileName(self, "Choose a file", line.text())
            if path:
                line.setText(path)
                self.changed.emit()

        icon = self.style().standardIcon(QStyle.StandardPixmap.SP_DirOpenIcon)
        button = line.addAction(icon, QLineEdit.ActionPosition.TrailingPosition)
        button.setToolTip("Choose a file")
        button.triggered.connect(lambda _=False: ask())

    def set_defaults(self, values: Mapping[str, Any]) -> None:
        """Show what empty fields stand for."""
        for name, value in values.items():
            editor = self.editors.get(name)
            if isinstance(editor, QLineEdit):
                editor.setPlaceholderText(_text(value))

    def disable_choice(self, name: str, value: Any, reason: str) -> None:
        """Take a choice away, saying why; an empty reason gives it back."""
        combo = self.editors[name]
        item = combo.model().item(combo.findData(value))
        item.setEnabled(not reason)
        item.setToolTip(reason)
        if reason and combo.currentData() == value:
            combo.setCurrentIndex(next(i for i in range(combo.count()) if i != item.row()))

    def show_values(self, values: BaseModel) -> None:
        """Fill every field with what a model holds; nothing is told of it."""
        for name, editor in self.editors.items():
            value = getattr(values, name)
            editor.blockSignals(True)
            if isinstance(editor, QCheckBox):
                editor.setChecked(bool(value))
            elif isinstance(editor, QComboBox):
                _choose(editor, value)
            else:
                editor.setText(_text(value))
            editor.blockSignals(False)
        for name, form in self.forms.items():
            form.show_values(getattr(values, name))

    def raw(self) -> dict[str, Any]:
        """Return what was filled in, unchecked: texts as typed, only what differs from empty."""
        given: dict[str, Any] = {}
        for name, editor in self.editors.items():
            if isinstance(editor, QCheckBox):
                if editor.isChecked() != bool(self._defaults[name]):
                    given[name] = editor.isChecked()
            elif isinstance(editor, QComboBox):
                if editor.currentData() != self._defaults[name]:
                    given[name] = editor.currentData()
            elif text := editor.text().strip():
                annotation = self.model.model_fields[name].annotation
                given[name] = _parts(text) if is_list(annotation) else _number(text, annotation)
        for name, form in self.forms.items():
            if inner := form.raw():
                given[name] = inner
        return given

    def values(self) -> dict[str, Any]:
        """Return the fields that the user filled in.

        Raises
        ------
        UserError
            When a value does not fit its field.
        """
        given = self.raw()
        try:
            checked = self.model.model_validate(given)
        except ValidationError as error:
            raise UserError(complaint(error, given)) from error
        return {name: getattr(checked, name) for name in given}

    def clear(self, names: Sequence[str] | None = None) -> None:
        """Empty fields."""
        for name in names or self.editors:
            editor = self.editors[name]
            if isinstance(editor, QLineEdit):
                editor.clear()
            elif isinstance(editor, QComboBox):
                _choose(editor, self._defaults[name])
            else:
                editor.setChecked(bool(self._defaults[name]))


def complaint(error: ValidationError, given: Mapping[str, Any]) -> str:
    """Say in one sentence which value does not fit, and why."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    message = _PARSING.sub("", message)
    if first["type"] == "value_error":
        return f"{message}."
    if first["type"] == "missing" and isinstance(first["loc"][-1], str):
        return f"{caption_of(first['loc'][-1])} is empty: fill it in."
    value: Any = given
    names = [part for part in first["loc"] if isinstance(part, str)]
    name = ""
    for part in names:
        if isinstance(value, Mapping) and part in value:
            value, name = value[part], part
    if isinstance(value, Mapping):
        return f"{message}: {words_of(names[-1]) if names else 'the form'}."
    shown = " ".join(map(str, value)) if isinstance(value, list) else value
    return f"“{shown}” does not fit {name.replace('_', ' ')}: {message}."


def all_fields(model: type[BaseModel], first: Sequence[str] = ()) -> dict[str, str]:
    """Return the fields of a model with captions: its own before those it inherited.

    Parameters
    ----------
    model : type of BaseModel
    first : sequence of str
        These come before all others.
    """
    inherited = {n for base in model.__mro__[1:] for n in getattr(base, "model_fields", {})}
    free = [n for n, f in model.model_fields.items() if len(choices(f.annotation)) != 1]
    rest = sorted((n for n in free if n not in first), key=lambda n: n in inherited)
    return {n: model.model_fields[n].title or caption_of(n) for n in [*first, *rest]}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (tuple, list)):
        return " ".join(_text(v) for v in value)
    return str(value)


def _choose(combo: QComboBox, value: Any) -> None:
    """Choose a value; Qt itself does not find None."""
    held = [combo.itemData(i) for i in range(combo.count())]
    combo.setCurrentIndex(held.index(value) if value in held else 0)


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"[\s,;x×]+", text) if part]


def _number(text: str, annotation: Any) -> str:
    """Return a text with the decimal point that Python reads, where it is a number."""
    kinds = inner_types(annotation)
    return (
        text.replace(",", ".") if {int, float} & {k for k in kinds if isinstance(k, type)} else text
    )
