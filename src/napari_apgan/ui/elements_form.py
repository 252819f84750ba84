"""What the section of elements shows: suggest, paint, add between, by maps, and what to check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_apgan.elements import Element, Polarity

from .class_rows import ClassRows
from .keep_row import KeepRow
from .label_helper import LabelTask
from .map_rows import MapRows
from .task_bar import TaskBar
from .widgets import Fold, WrappedLabel, column_in, hint, row, text_button

if TYPE_CHECKING:
    from .elements_section import ElementsSection

_ALL = "all labels"
_MOST_KINDS = 3


class ElementsForm:
    """The widgets of the section.

    Parameters
    ----------
    section : ElementsSection
    tasks : sequence of LabelTask
    """

    def __init__(self, section: ElementsSection, tasks: Sequence[LabelTask]) -> None:
        self._section = section
        self._known: tuple[tuple[str, ...], str] = ((), "")
        self.suggest = text_button(
            "Suggest elements",
            section.suggest,
            "Compares the labels of this frame with each other: by sublattice first, then by "
            "intensity; nothing changes until you keep it",
        )
        self.by_size = QCheckBox("by size too")
        self.by_size.setToolTip("Widths count too, where Refine has measured them")
        self.note = hint()
        self.note.hide()
        self.notes = WrappedLabel()
        self.notes.hide()
        self.candidates = self._make_candidates()
        layout = column_in(section)
        layout.addLayout(row(self.suggest, self.by_size, 1))
        for task in tasks:
            layout.addWidget(TaskBar(task))
        layout.addWidget(self.note)
        layout.addWidget(self.candidates)
        layout.addWidget(self.notes)
        layout.addWidget(section.doubts)
        layout.addWidget(Fold("Paint an area", self._make_painting()))
        layout.addWidget(Fold("Add the atoms between", self._make_between()))
        layout.addWidget(Fold("By maps of elements (EDS, EELS)", self._make_maps()))

    def _make_candidates(self) -> QWidget:
        section = self._section
        self.counts = WrappedLabel()
        self.rows = ClassRows()
        self.rows.changed.connect(section.draw)
        self.kinds: dict[str, QComboBox] = {}
        self.kinds_line = QWidget()
        self._kinds_row = QHBoxLayout(self.kinds_line)
        self._kinds_row.setContentsMargins(0, 0, 0, 0)
        buttons = KeepRow(
            section.keep,
            section.discard,
            section.command,
            kept="The labels become what the rows say; one Ctrl+Z takes it back",
            discarded="The labels stay as they are",
        )
        self.keep, self.discard = buttons.keep, buttons.discard
        widget = QWidget()
        layout = column_in(widget)
        layout.addWidget(self.counts)
        layout.addWidget(self.kinds_line)
        layout.addWidget(self.rows)
        layout.addWidget(buttons)
        widget.hide()
        return widget

    def _make_painting(self) -> QWidget:
        section = self._section
        self.paint_element = _element_box("What all labels inside become")
        self.paint_box = _tool("Box", lambda: section.paint("box"), "Drag a box on the image")
        self.paint_polygon = _tool(
            "Polygon",
            lambda: section.paint("polygon"),
            "Click the corners on the image; Enter or double click closes it",
        )
        widget = QWidget()
        line = row(QLabel("becomes"), self.paint_element, self.paint_box, self.paint_polygon)
        line.setStretch(1, 1)
        widget.setLayout(line)
        return widget

    def _make_between(self) -> QWidget:
        section = self._section
        self.first = QComboBox()
        self.first.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.first.setMinimumContentsLength(6)
        self.first.setToolTip("The sublattice that is labelled: the others stand in its cages")
        self.second = _element_box("What the atoms between are")
        self.add = text_button(
            "Add",
            section.add_between,
            "The peaks between the labels become labels, as one edit",
        )
        widget = QWidget()
        layout = column_in(widget)
        for line in (
            row(QLabel("between"), self.first),
            row(QLabel("add"), self.second, self.add),
        ):
            line.setStretch(1, 1)
            layout.addLayout(line)
        return widget

    def _make_maps(self) -> QWidget:
        section = self._section
        self.maps = MapRows(section.workbench)
        self.align = QCheckBox("find their shift")
        self.align.setToolTip(
            "By labels that have the element of a map already: at least six of them"
        )
        self.by_maps = text_button(
            "Suggest by maps",
            section.suggest_by_maps,
            "Each map is read at every label, by the pixel sizes of both; the most probable "
            "element is suggested",
        )
        self.add_map = text_button("+ Map", self.maps.add, "One more image of counts")
        widget = QWidget()
        layout = column_in(widget)
        layout.addWidget(self.maps)
        layout.addLayout(row(self.add_map, self.align, 1))
        layout.addLayout(row(self.by_maps, 1))
        return widget

    # --- what the user wants -------------------------------------------------------------------

    @property
    def counts_wanted(self) -> dict[str, int]:
        """How many kinds a sublattice is said to have; those left to the intensities are not in."""
        return {n: box.currentIndex() for n, box in self.kinds.items() if box.currentIndex()}

    @property
    def first_element(self) -> str:
        """Element between whose atoms others are looked for; empty for all."""
        text = self.first.currentText()
        return "" if text == _ALL else text

    # --- showing -------------------------------------------------------------------------------

    def set_elements(self, elements: Sequence[Element], current: str) -> None:
        """Offer the elements of the project."""
        names = tuple(e.name for e in elements)
        if (names, current) == self._known:
            return
        self._known = (names, current)
        for box in (self.paint_element, self.second):
            text = box.currentText()
            box.clear()
            box.addItems(names)
            box.setEditText(text or current)
        self.paint_element.setEditText(current)
        first = self.first.currentText()
        self.first.clear()
        self.first.addItems([_ALL, *names])
        self.first.setCurrentText(first if first in names else _ALL)

    def show_kinds(self, sublattices: Sequence[str]) -> None:
        """Let the user say how many kinds each sublattice has."""
        if tuple(self.kinds) == tuple(sublattices):
            return
        while self._kinds_row.count():
            item = self._kinds_row.takeAt(0)
            if item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        self.kinds = {}
        for name in sublattices:
            box = QComboBox()
            box.addItems(["auto", *map(str, range(1, _MOST_KINDS + 1))])
            box.setToolTip(
                f"How many kinds of atoms stand on sublattice {name}; auto: as many as the "
                "intensities show"
            )
            box.activated.connect(lambda _i: self._section.suggest())
            self.kinds[name] = box
            self._kinds_row.addWidget(QLabel(f"Kinds on {name}"))
            self._kinds_row.addWidget(box)
        self._kinds_row.addStretch(1)
        self.kinds_line.setVisible(bool(self.kinds))

    def say(self, text: str) -> None:
        """Say what to do next, or nothing."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def show_notes(self, notes: Sequence[str]) -> None:
        """Say what is to be known of the suggestion."""
        self.notes.setText("\n".join(notes))
        self.notes.setVisible(bool(notes))

    def show_tool(self, tool: str) -> None:
        """Show which way of painting is in the hand; empty for none."""
        self.paint_box.setChecked(tool == "box")
        self.paint_polygon.setChecked(tool == "polygon")


def polarity_of(elements: Sequence[Element], name: str) -> Polarity:
    """Return how the atoms of an element look; bright where it is not known."""
    return next((e.polarity for e in elements if e.name == name), "bright")


def _element_box(tip: str) -> QComboBox:
    box = QComboBox()
    box.setEditable(True)
    box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    box.setMinimumContentsLength(4)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setToolTip(f"{tip}: an element of the project, or type a new one")
    return box


def _tool(text: str, deed, tip: str) -> QPushButton:
    button = text_button(text, deed, tip)
    button.setCheckable(True)
    return button
