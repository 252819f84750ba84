"""The top of the workbench: where the user is, what is to be said, and the missing pixel size."""

from __future__ import annotations

import math

from qtpy.QtCore import QLocale, Qt, Signal
from qtpy.QtGui import QDoubleValidator, QGuiApplication
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration

from .timers import single_shot
from .widgets import ElidedLabel, WrappedLabel, column_in, row


class Header(QWidget):
    """The project's name with its menu, and the one line that says where the user is."""

    save_as_wanted = Signal()
    help_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.project_button = QToolButton()
        self.project_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.project_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.project_button.setToolTip("New, open, recent, save as")
        self.menu = QMenu(self)
        self.project_button.setMenu(self.menu)
        self.save_button = QPushButton("Save as…")
        self.save_button.setFlat(True)
        self.save_button.setToolTip("Everything is kept already; this gives it a place and a name")
        self.save_button.clicked.connect(self.save_as_wanted)
        self.help_button = QToolButton()
        self.help_button.setText("?")
        self.help_button.setToolTip("The keys (? or F1)")
        self.help_button.clicked.connect(self.help_wanted)
        self.state = ElidedLabel()
        self.state.setStyleSheet("color: #9AA3AD;")
        self.line = WrappedLabel()
        layout = column_in(self, spacing=2)
        top = row(self.project_button, self.state, self.save_button, self.help_button)
        top.setStretch(1, 1)
        layout.addLayout(top)
        layout.addWidget(self.line)

    def set_project(self, name: str, *, unsaved: bool, read_only: bool) -> None:
        """Say which project is open and how it is kept; an empty name says that none is."""
        if not name:
            self.project_button.setText("Project  ")
            self.state.set_text("")
            self.save_button.hide()
            return
        self.project_button.setText(f"{name}  ")
        if read_only:
            self.state.set_text("read only: open in another window")
        elif unsaved:
            self.state.set_text("kept safe")
        else:
            self.state.set_text("kept as you work")
        self.save_button.setVisible(unsaved)


class MessageArea(QWidget):
    """Sentences to the user: quiet ones go after a while, errors stay and can be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setMinimumWidth(1)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.details_button = QPushButton("Details")
        self.details_button.setToolTip("Copy the technical details to the clipboard")
        self.details_button.clicked.connect(self._copy)
        self.action_button = QPushButton()
        self.action_button.clicked.connect(self._act)
        self.close_button = QToolButton()
        self.close_button.setText("×")
        self.close_button.setToolTip("Dismiss")
        self.close_button.clicked.connect(self.clear)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 4, 4, 4)
        layout.setSpacing(6)
        layout.addWidget(self.text, 1)
        for button in (self.action_button, self.details_button, self.close_button):
            layout.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._details = ""
        self._action = None
        self._timer = single_shot(self.clear, parent=self)
        self.hide()

    def say(self, sentence: str, *, action: str = "", do=None, seconds: float = 12.0) -> None:
        """Say something; with an action, it stays and offers a button."""
        self._show(sentence, "rgba(90, 120, 150, 70)", "", action, do)
        if do is None:
            self._timer.start(int(seconds * 1000))

    def error(self, sentence: str, details: str = "") -> None:
        """Say what went wrong and what to do; it stays until dismissed or replaced."""
        self._show(sentence, "rgba(228, 87, 46, 90)", details, "", None)

    def _show(self, sentence, color, details, action, do) -> None:
        self._timer.stop()
        self.text.setText(sentence)
        self._details, self._action = details, do
        self.details_button.setVisible(bool(details))
        self.details_button.setText("Details")
        self.action_button.setVisible(bool(action))
        self.action_button.setText(action)
        self.setStyleSheet(f"MessageArea {{ background: {color}; border-radius: 4px; }}")
        self.show()

    def clear(self) -> None:
        """Say nothing."""
        self._timer.stop()
        self.text.setText("")
        self._details, self._action = "", None
        self.hide()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(f"{self.text.text()}\n\n{self._details}")
        self.details_button.setText("Copied")

    def _act(self) -> None:
        action = self._action
        self.clear()
        if action is not None:
            action()


_UNITS_PM = {"pm": 1.0, "Å": 100.0, "nm": 1000.0}


class CalibrationBar(QWidget):
    """The quiet yellow line that asks for a pixel size; the field of view is the other way."""

    given = Signal(object)  # Calibration
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._shape = (1, 1)
        self.text = QLabel("No pixel size in this file. Work goes on in pixels; or give")
        self.text.setWordWrap(True)
        self.text.setMinimumWidth(1)
        self.kind = QComboBox()
        self.kind.addItems(["pixel size", "field of view"])
        self.kind.setToolTip("A pixel's size, or the width of the whole image in nm")
        self.x = self._field("x")
        self.y = self._field("y, if it differs")
        self.unit = QComboBox()
        self.unit.addItems(list(_UNITS_PM))
        self.give = QPushButton("Set")
        self.give.setToolTip("Layers, units and atoms follow; it can be changed and undone")
        fields = QHBoxLayout()
        fields.setSpacing(4)
        fields.addWidget(self.kind)
        fields.addWidget(self.x, 1)
        fields.addWidget(self.y, 1)
        fields.addWidget(self.unit)
        fields.addWidget(self.give)
        layout = column_in(self, margins=(8, 4, 8, 6))
        layout.addWidget(self.text)
        layout.addLayout(fields)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(
            "CalibrationBar { background: rgba(242, 201, 76, 60); border-radius: 4px;"
            " border: 1px solid rgba(242, 201, 76, 130); }"
        )
        self.kind.currentIndexChanged.connect(self._kind_changed)
        self.give.clicked.connect(self._give)
        self.x.returnPressed.connect(self._give)
        self.y.returnPressed.connect(self._give)
        self.hide()

    def _field(self, placeholder: str) -> QLineEdit:
        field = QLineEdit()
        field.setPlaceholderText(placeholder)
        validator = QDoubleValidator(0.0, 1e9, 9, field)
        validator.setLocale(QLocale.c())  # a decimal point, whatever the system's language
        field.setValidator(validator)
        field.setMinimumWidth(44)
        field.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        return field

    def ask(self, shape: tuple[int, int], note: str = "") -> None:
        """Show the line for an image of (rows, columns); `note` says why a stored size is out."""
        self._shape = shape
        lead = note or "No pixel size in this file."
        self.text.setText(f"{lead} Work goes on in pixels; or give the")
        self.give.setText("Set")
        self.show()

    def edit(self, calibration: Calibration, shape: tuple[int, int]) -> None:
        """Show the line to change a known pixel size."""
        self._shape = shape
        self.text.setText("Change the")
        self.kind.setCurrentIndex(0)
        self.unit.setCurrentText("pm")
        self.x.setText(f"{calibration.x_pm:.6g}")
        self.y.setText(f"{calibration.y_pm:.6g}")
        self.show()

    def _kind_changed(self, index: int) -> None:
        self.unit.setCurrentText("nm" if index else "pm")
        self.x.setPlaceholderText("width" if index else "x")
        self.y.setPlaceholderText("height, if known" if index else "y, if it differs")

    def value(self) -> Calibration:
        """Return what the fields say.

        Raises
        ------
        UserError
            When a field is empty or not a size that a pixel can have.
        """
        factor = _UNITS_PM[self.unit.currentText()]
        x = _number(self.x.text()) * factor
        y = _number(self.y.text()) * factor if self.y.text().strip() else None
        if self.kind.currentIndex() == 1:
            x = x / self._shape[1]
            y = y / self._shape[0] if y is not None else None
        return Calibration.from_pixel_size(x, y, origin="user", note="entered in the workbench")

    def _give(self) -> None:
        try:
            calibration = self.value()
        except UserError as error:
            self.refused.emit(str(error))
            return
        self.x.clear()
        self.y.clear()
        self.hide()
        self.given.emit(calibration)


def _number(text: str) -> float:
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise UserError("Type a size as a positive number, such as 12.5, and its unit.")
    return value
