"""What an import asks: which column is x, where pixels begin, which element is what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QLabel, QSizePolicy, QWidget

from napari_apgan.io.imports import Choices, LengthUnit, Preview

from .widgets import WARNING, WrappedLabel, column_in, hint, row, swatch, text_button

#: Names that a file gives beyond these are taken as they are.
MOST_NAMES = 8
_FIRST_PIXELS = {
    "0 (napari, NumPy)": 0.0,
    "0.5 (ImageJ, between pixels)": 0.5,
    "1 (MATLAB)": 1.0,
}
#: Rows of the file that are shown.
_ROWS = 3


class NamesForm(QWidget):
    """Gives each name or colour of a file an element; an empty field leaves it out."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.boxes: dict[str, QComboBox] = {}
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)

    def ask(
        self, names: Sequence[tuple[str, str]], elements: Sequence[str], *, colors: bool = False
    ) -> None:
        """Ask for the elements of names, each with what it probably is; names may be colours."""
        while self._form.rowCount():
            self._form.removeRow(0)
        self.boxes = {}
        for name, guess in names[:MOST_NAMES]:
            box = element_box(elements, guess)
            box.setToolTip("An element or a class of your own; empty leaves these out")
            box.currentTextChanged.connect(lambda _: self.changed.emit())
            label = QLabel(name)
            if colors:
                label.setPixmap(swatch(name, 16))
                label.setToolTip(name)
            self._form.addRow(label, box)
            self.boxes[name] = box
        self.setVisible(bool(self.boxes))

    def answers(self) -> dict[str, str]:
        """Return the element of each name; empty for those that are left out."""
        return {name: box.currentText().strip() for name, box in self.boxes.items()}


class ImportForm(QWidget):
    """Shows what a file of labels seems to hold; what is doubtful stands in yellow."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._preview: Preview | None = None
        self.note = hint()
        self.first_rows = QLabel()
        self.first_rows.setStyleSheet("font-family: monospace; color: #9AA3AD;")
        self.first_rows.setTextFormat(Qt.TextFormat.PlainText)
        self.first_rows.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.ask = WrappedLabel()
        self.ask.setStyleSheet(f"color: {WARNING};")
        self.x, self.y = QComboBox(), QComboBox()
        self.swap = text_button("x ↔ y", self.exchange, "Rows and columns the other way round")
        self.element_column, self.frame_column = QComboBox(), QComboBox()
        self.unit = QComboBox()
        self.unit.addItems(list(get_args(LengthUnit)))
        self.first_pixel = QComboBox()
        self.first_pixel.addItems(list(_FIRST_PIXELS))
        self.first_pixel.setToolTip(
            "The coordinate that the file gives to the first pixel's centre"
        )
        self.element = element_box((), "")
        self.likelihood = QDoubleSpinBox()
        self.likelihood.setRange(0.0, 1.0)
        self.likelihood.setSingleStep(0.1)
        self.swap.setMaximumWidth(58)
        self.names = NamesForm()
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        columns = row(self.x, self.y, self.swap)
        columns.setStretch(0, 1)
        columns.setStretch(1, 1)
        self._form.addRow("x, y from", columns)
        self.fields: dict[str, Any] = {
            "order": columns,
            "unit": self.unit,
            "first_pixel": self.first_pixel,
            "frame": self.frame_column,
            "element_column": self.element_column,
            "element": self.element,
            "least_likelihood": self.likelihood,
        }
        self._form.addRow("Unit", self.unit)
        self._form.addRow("First pixel is", self.first_pixel)
        self._form.addRow("Frames from", self.frame_column)
        self._form.addRow("Elements from", self.element_column)
        self._form.addRow("Element", self.element)
        self._form.addRow("Likelihood from", self.likelihood)
        layout = column_in(self)
        for part in (self.note, self.first_rows, self.ask):
            layout.addWidget(part)
        layout.addLayout(self._form)
        layout.addWidget(self.names)
        boxes = (self.x, self.y, self.element_column, self.frame_column, self.unit)
        for box in (*boxes, self.first_pixel):
            narrow(box)
            box.currentIndexChanged.connect(self._on_changed)
        self.element.currentTextChanged.connect(self._on_changed)
        self.likelihood.valueChanged.connect(self._on_changed)
        self.names.changed.connect(self.changed)

    # --- showing ---------------------------------------------------------------------------

    def show_preview(self, preview: Preview, elements: Sequence[str], current: str) -> None:
        """Fill the fields with what was recognised."""
        self._preview = None  # fields that are being filled are no answers
        guess = preview.choices
        self.note.setText(preview.note)
        self._fill_columns(preview)
        self.unit.setCurrentText(guess.unit)
        origins = list(_FIRST_PIXELS.values())
        near = min(range(len(origins)), key=lambda k: abs(origins[k] - guess.first_pixel))
        self.first_pixel.setCurrentIndex(near)
        known = guess.element if guess.element != "unknown" else current or "unknown"
        refill(self.element, elements, known)
        self.likelihood.setValue(guess.least_likelihood)
        names = list(guess.element_of.items()) or [(n, n) for n in preview.names]
        self.names.ask(names, elements)
        self.ask.setText(" ".join(q.words for q in preview.questions))
        self.ask.setVisible(bool(preview.questions))
        rows = [preview.columns, *preview.rows[:_ROWS]] if preview.rows else []
        self.first_rows.setText("\n".join("  ".join(c[:9].ljust(9) for c in r) for r in rows))
        self.first_rows.setVisible(bool(rows))
        self._preview = preview
        self._show_fields()

    def _fill_columns(self, preview: Preview) -> None:
        guess = preview.choices
        short = [name.replace("column ", "no. ") for name in preview.columns]
        for box, column in ((self.x, guess.x_column), (self.y, guess.y_column)):
            box.clear()
            box.addItems(short)
            box.setCurrentIndex(column if preview.columns else -1)
        for box, chosen in (
            (self.element_column, guess.element_column),
            (self.frame_column, guess.frame_column),
        ):
            box.clear()
            box.addItems(["(none)", *short])
            box.setCurrentIndex(0 if chosen is None else chosen + 1)

    def _show_fields(self) -> None:
        preview = self._preview
        if preview is None:
            return
        table = preview.kind == "table"
        many = len(preview.columns) > 2
        by_column = self.element_column.currentIndex() > 0
        sure = preview.sure.get("first_pixel", 1.0)
        shown = {
            "order": table,
            "unit": table,
            "first_pixel": table or (sure < 0.95 and preview.kind != "imagej roi"),
            "frame": table and many,
            "element_column": table and many,
            "element": preview.kind in ("table", "napari") and not by_column,
            "least_likelihood": preview.kind == "deeplabcut",
        }
        asked = {q.field for q in preview.questions}
        for name, field in self.fields.items():
            self._form.setRowVisible(field, shown[name])
            label = self._form.labelForField(field)
            if label is not None:
                label.setStyleSheet(f"color: {WARNING};" if name in asked else "")
        self.names.setVisible(bool(self.names.boxes) and (not table or by_column))

    # --- answers ---------------------------------------------------------------------------

    def exchange(self) -> None:
        """Take x for y and y for x."""
        x, y = self.x.currentIndex(), self.y.currentIndex()
        self.x.blockSignals(True)
        self.x.setCurrentIndex(y)
        self.x.blockSignals(False)
        self.y.setCurrentIndex(x)

    def _on_changed(self, *_: object) -> None:
        if self._preview is not None:
            self._show_fields()
            self.changed.emit()

    def choices(self) -> Choices:
        """Return how the file is to be read."""
        assert self._preview is not None
        guess = self._preview.choices
        changes: dict[str, Any] = {
            "element": self.element.currentText().strip() or "unknown",
            "least_likelihood": self.likelihood.value(),
            "first_pixel": _FIRST_PIXELS[self.first_pixel.currentText()],
        }
        if self.names.isVisibleTo(self):
            changes["element_of"] = {**guess.element_of, **self.names.answers()}
        if self._preview.kind == "table":
            changes |= {
                "x_column": self.x.currentIndex(),
                "y_column": self.y.currentIndex(),
                "element_column": _column(self.element_column),
                "frame_column": _column(self.frame_column),
                "unit": self.unit.currentText(),
            }
        return Choices.model_validate({**guess.model_dump(), **changes})


def narrow(box: QComboBox) -> None:
    """Let a field take what room there is: long names must not widen the dock."""
    box.setMinimumWidth(48)
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)


def _column(box: QComboBox) -> int | None:
    return box.currentIndex() - 1 if box.currentIndex() > 0 else None


def element_box(elements: Sequence[str], chosen: str) -> QComboBox:
    """Make a field for an element of the project or any other name."""
    box = QComboBox()
    box.setEditable(True)
    box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    narrow(box)
    refill(box, elements, chosen)
    return box


def refill(box: QComboBox, elements: Sequence[str], chosen: str) -> None:
    """Offer other elements."""
    box.clear()
    box.addItems(list(dict.fromkeys([*elements, *([chosen] if chosen else [])])))
    box.setCurrentText(chosen)
