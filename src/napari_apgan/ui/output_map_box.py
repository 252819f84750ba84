"""The output map's controls: show it, and how large its discs are."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QPushButton, QVBoxLayout, QWidget

from .widgets import heading, row


class OutputMapBox(QWidget):
    """Show or hide the output map; a radius of 0 follows from the spacing of the atoms."""

    toggled = Signal(bool)
    radius_changed = Signal(float, str)  # value, "px" or "pm"

    def __init__(self) -> None:
        super().__init__()
        self.show_button = QPushButton("Show (M)")
        self.show_button.setCheckable(True)
        self.show_button.setToolTip("What the network is taught to draw: a disc at every atom")
        self.show_button.clicked.connect(self.toggled)
        self.radius = QDoubleSpinBox()
        self.radius.setRange(0.0, 100000.0)
        self.radius.setDecimals(1)
        self.radius.setSpecialValueText("auto")
        self.radius.setKeyboardTracking(False)
        self.radius.setToolTip("Radius of the discs; auto is a quarter of the atoms' spacing")
        self.unit = QComboBox()
        self.unit.addItems(["px", "pm"])
        self.radius.valueChanged.connect(self._emit)
        self.unit.currentIndexChanged.connect(self._emit)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row(heading("Output map"), 1, self.show_button))
        layout.addLayout(row(QLabel("Radius of its discs"), 1, self.radius, self.unit))

    def set_units(self, *, calibrated: bool) -> None:
        """Offer pm only where the pixel size is known."""
        if not calibrated and self.unit.currentText() == "pm":
            self.unit.setCurrentText("px")
        self.unit.setEnabled(calibrated)

    def set_shown(self, shown: bool) -> None:
        """Show whether the map is shown."""
        self.show_button.setChecked(shown)
        self.show_button.setText("Hide (M)" if shown else "Show (M)")

    def _emit(self, *_: object) -> None:
        self.radius_changed.emit(self.radius.value(), self.unit.currentText())
