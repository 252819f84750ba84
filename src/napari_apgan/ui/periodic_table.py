"""A small periodic table to pick an element from, with room for classes of one's own."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QColorDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QRadioButton,
    QToolButton,
    QWidget,
)

from napari_apgan.elements import SYMBOLS, Element, PaletteName, Polarity, pick_color, table_cell

from .widgets import column_in

_CELL = QSize(27, 22)


class PeriodicTable(QWidget):
    """A popup that makes one :class:`~napari_apgan.elements.Element`.

    Parameters
    ----------
    taken : iterable of Element
        Elements of the project; their cells are marked and cannot be picked twice.
    palette : {"safe", "paper"}
        Where the colour of a new element comes from.
    """

    picked = Signal(object)  # Element

    def __init__(
        self,
        taken: Iterable[Element] = (),
        palette: PaletteName = "safe",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._taken = {e.name: e for e in taken}
        self._palette: PaletteName = palette
        self._color = ""
        outer = column_in(self, spacing=6, margins=(10, 8, 10, 10))
        outer.addWidget(QLabel("Which element do the atoms belong to?"))
        outer.addLayout(self._make_grid())
        outer.addLayout(self._make_options())
        outer.addLayout(self._make_free_class())

    def _make_grid(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(1)
        self.cells: dict[str, QToolButton] = {}
        for symbol in SYMBOLS:
            row, column = table_cell(symbol)
            cell = QToolButton()
            cell.setText(symbol)
            cell.setFixedSize(_CELL)
            cell.setStyleSheet("QToolButton { padding: 0px; font-size: 11px; }")
            taken = self._taken.get(symbol)
            if taken is not None:
                cell.setEnabled(False)
                cell.setStyleSheet(
                    f"QToolButton {{ padding: 0px; background: {taken.color}; color: #101010; }}"
                )
                cell.setToolTip(f"{symbol} is in the project already")
            else:
                cell.clicked.connect(lambda _=False, s=symbol: self._pick(s))
            grid.addWidget(cell, row, column)
            self.cells[symbol] = cell
        grid.setRowMinimumHeight(7, _CELL.height())
        return grid

    def _make_options(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(QLabel("Its atoms are"))
        self.bright = QRadioButton("bright")
        self.dark = QRadioButton("dark")
        self.bright.setChecked(True)
        self.bright.setToolTip("HAADF, and most images: atoms are brighter than what is around")
        self.dark.setToolTip("HRTEM of thin crystals, ABF: atoms are darker than what is around")
        self._polarity = QButtonGroup(self)
        for button in (self.bright, self.dark):
            self._polarity.addButton(button)
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(QLabel("colours"))
        self.safe = QRadioButton("safe")
        self.paper = QRadioButton("paper")
        self.safe.setToolTip("Okabe and Ito's set, told apart by colour-blind eyes")
        self.paper.setToolTip("Those of Chen et al. 2023: Pb magenta, Sr cyan, Ti yellow, C green")
        group = QButtonGroup(self)
        for button in (self.safe, self.paper):
            group.addButton(button)
            row.addWidget(button)
        (self.paper if self._palette == "paper" else self.safe).setChecked(True)
        self.color_button = QPushButton("own…")
        self.color_button.setToolTip("Choose a colour of your own for the next element")
        self.color_button.clicked.connect(self._choose_color)
        row.addWidget(self.color_button)
        return row

    def _make_free_class(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.free_name = QLineEdit()
        self.free_name.setPlaceholderText("or a class of your own: A, Ti/O, unknown")
        self.free_name.setMaxLength(24)
        self.free_name.returnPressed.connect(lambda: self._pick(self.free_name.text()))
        self.free_add = QPushButton("Add")
        self.free_add.clicked.connect(lambda: self._pick(self.free_name.text()))
        self.message = QLabel("")
        self.message.setWordWrap(True)
        row.addWidget(self.free_name, 1)
        row.addWidget(self.free_add)
        row.addWidget(self.message, 1)
        return row

    @property
    def polarity(self) -> Polarity:
        """Whether the picked element's atoms are bright or dark."""
        return "dark" if self.dark.isChecked() else "bright"

    @property
    def palette_name(self) -> PaletteName:
        """The palette that colours the picked element."""
        return "paper" if self.paper.isChecked() else "safe"

    def set_polarity(self, polarity: Polarity) -> None:
        """Preset bright or dark."""
        (self.dark if polarity == "dark" else self.bright).setChecked(True)

    def _choose_color(self) -> None:
        color = QColorDialog.getColor(QColor(self._color or "#FFFFFF"), self, "Element colour")
        if color.isValid():
            self._color = color.name().upper()
            chip = QPixmap(12, 12)
            chip.fill(color)
            self.color_button.setIcon(QIcon(chip))

    def _pick(self, name: str) -> None:
        name = name.strip()
        if name in self._taken:
            self.message.setText(f"{name} is in the project already.")
            return
        color = self._color or pick_color(
            name, [e.color for e in self._taken.values()], self.palette_name
        )
        try:
            element = Element(name=name, color=color, polarity=self.polarity)
        except ValueError:
            self.message.setText("1 to 24 characters, without commas or quotes.")
            return
        self.picked.emit(element)
        self.close()
