"""Rows that say what each class of atoms becomes: a sublattice, or a kind told by its intensity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QSizePolicy, QWidget

from napari_apgan.elements import Element, pick_color

from .widgets import swatch

#: What the list calls atoms that stay out.
LEAVE_OUT = "leave out"


@dataclass(frozen=True, slots=True)
class ClassOfAtoms:
    """One row.

    Parameters
    ----------
    name : str
        ``A``, or ``A2``.
    element : str
        What it becomes at first.
    words : str
        How many there are, and the like.
    """

    name: str
    element: str
    words: str = ""


class ClassRows(QWidget):
    """For each class the element that it becomes: one of the project's, a new one, or none."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(3, 1)
        self._elements: tuple[Element, ...] = ()
        self._widgets: list[QWidget] = []
        self.combos: dict[str, QComboBox] = {}
        self._words: dict[str, QLabel] = {}
        self._patches: dict[str, QLabel] = {}

    def set_classes(self, classes: Sequence[ClassOfAtoms], elements: Sequence[Element]) -> None:
        """Show classes anew, each with its first element."""
        for widget in self._widgets:
            self._grid.removeWidget(widget)
            widget.hide()
            widget.deleteLater()
        self._widgets, self.combos, self._words, self._patches = [], {}, {}, {}
        self._elements = tuple(elements)
        for line, one in enumerate(classes):
            patch, words, combo = QLabel(), QLabel(), QComboBox()
            combo.setEditable(True)
            combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
            combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            combo.setMinimumContentsLength(5)
            combo.addItems([*(e.name for e in elements), LEAVE_OUT])
            combo.setEditText(one.element)
            combo.setToolTip(
                f"What {one.name} becomes: an element of the project, or type a new one; "
                f"“{LEAVE_OUT}” keeps none of these"
            )
            combo.editTextChanged.connect(self._on_change)
            self.combos[one.name], self._words[one.name] = combo, words
            self._patches[one.name] = patch
            for column, widget in enumerate((patch, words, QLabel("becomes"), combo)):
                self._grid.addWidget(widget, line, column, Qt.AlignmentFlag.AlignVCenter)
                self._widgets.append(widget)
            self._grid.setAlignment(combo, Qt.AlignmentFlag(0))
        self.set_words({one.name: one.words for one in classes})
        self._paint()

    def set_words(self, words: dict[str, str]) -> None:
        """Say how many atoms the classes have."""
        for name, text in words.items():
            self._words[name].setText(f"{name} · {text}" if text else name)

    @property
    def elements(self) -> dict[str, str]:
        """What each class becomes; those that stay out are not in it."""
        chosen = {name: combo.currentText().strip() for name, combo in self.combos.items()}
        return {name: text for name, text in chosen.items() if text and text != LEAVE_OUT}

    @property
    def colors(self) -> dict[str, str]:
        """Colour of each class that is not left out: its element's, or one that is free."""
        made: dict[str, str] = {e.name: e.color for e in self._elements}
        out = {}
        for name, element in self.elements.items():
            if element not in made:
                made[element] = pick_color(element, made.values())
            out[name] = made[element]
        return out

    def _on_change(self) -> None:
        self._paint()
        self.changed.emit()

    def _paint(self) -> None:
        colors = self.colors
        for name, patch in self._patches.items():
            patch.setPixmap(swatch(colors.get(name, "#606060")))
