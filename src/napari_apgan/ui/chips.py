"""The elements of the project as clickable chips: colour, name, key and count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QPoint, Qt, Signal
from qtpy.QtGui import QColor, QIcon
from qtpy.QtWidgets import QColorDialog, QInputDialog, QMenu, QPushButton, QToolButton, QWidget
from superqt import QFlowLayout

from napari_apgan.elements import Element

from .widgets import swatch


class ElementChips(QWidget):
    """One chip per element, in the order of their digits.

    The button for a new one stands beside the heading: among the chips it would wrap onto a line
    of its own.
    """

    chosen = Signal(str)
    add_wanted = Signal(object)  # QPoint: where to open the periodic table
    changed = Signal(str, object)  # name before, Element after
    removed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._layout = QFlowLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self.chips: dict[str, QToolButton] = {}
        self._elements: tuple[Element, ...] = ()
        self.add_button = QPushButton("+ Element")
        self.add_button.setToolTip("Add an element from the periodic table, or a class of your own")
        self.add_button.clicked.connect(self._add)

    def set_elements(
        self, elements: Sequence[Element], counts: Mapping[str, int], current: str
    ) -> None:
        """Show the elements with how many labels each has on this frame."""
        if tuple(elements) != self._elements:
            self._rebuild(tuple(elements))
        for number, element in enumerate(elements, start=1):
            chip = self.chips[element.name]
            digit = f" ({number})" if number <= 9 else ""
            chip.setText(f"{element.name}{digit}  {counts.get(element.name, 0)}")
            chip.setChecked(element.name == current)

    def _rebuild(self, elements: tuple[Element, ...]) -> None:
        for chip in self.chips.values():
            self._layout.removeWidget(chip)
            chip.hide()
            chip.deleteLater()
        self.chips = {}
        self._elements = elements
        for number, element in enumerate(elements, start=1):
            chip = QToolButton()
            chip.setCheckable(True)
            chip.setMinimumHeight(26)
            chip.setIcon(QIcon(swatch(element.color, 14)))
            chip.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            chip.setStyleSheet(
                "QToolButton { padding: 2px 6px; border-radius: 4px; border: 2px solid"
                " transparent; }"
                f"QToolButton:checked {{ border: 2px solid {element.color}; }}"
            )
            key = f", key {number}" if number <= 9 else ""
            chip.setToolTip(
                f"{element.name}: {element.polarity} atoms{key}. Click: what a click on the image"
                " adds; with atoms selected, what they become. Right click: colour, bright or"
                " dark, rename, remove."
            )
            chip.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            chip.clicked.connect(lambda _=False, e=element: self._choose(e))
            chip.customContextMenuRequested.connect(
                lambda point, e=element, c=chip: self._menu(e, c, point)
            )
            self.chips[element.name] = chip
            self._layout.addWidget(chip)

    def _choose(self, element: Element) -> None:
        self.chips[element.name].setChecked(True)
        self.chosen.emit(element.name)

    def _add(self) -> None:
        self.add_wanted.emit(self.add_button.mapToGlobal(self.add_button.rect().bottomLeft()))

    def _menu(self, element: Element, chip: QToolButton, point: QPoint) -> None:
        menu = self.menu_for(element, chip)
        menu.exec(chip.mapToGlobal(point))

    def menu_for(self, element: Element, parent: QWidget) -> QMenu:
        """Make the menu of one chip."""
        menu = QMenu(parent)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Colour…", lambda: self._recolor(element))
        other = "dark" if element.polarity == "bright" else "bright"
        menu.addAction(
            f"Its atoms are {other}",
            lambda: self.changed.emit(element.name, element.model_copy(update={"polarity": other})),
        )
        menu.addAction("Rename…", lambda: self._rename(element))
        menu.addSeparator()
        menu.addAction("Remove", lambda: self.removed.emit(element.name))
        return menu

    def _recolor(self, element: Element) -> None:
        color = QColorDialog.getColor(QColor(element.color), self, f"Colour of {element.name}")
        if color.isValid():
            after = element.model_copy(update={"color": color.name().upper()})
            self.changed.emit(element.name, after)

    def _rename(self, element: Element) -> None:
        name, ok = QInputDialog.getText(self, "Rename", "New name", text=element.name)
        if ok and name.strip() and name.strip() != element.name:
            self.changed.emit(element.name, element.model_copy(update={"name": name.strip()}))
