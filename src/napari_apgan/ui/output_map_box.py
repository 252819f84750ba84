"""The output map's controls: show it, how large its discs are, and write it to files."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QMenu, QPushButton, QWidget

from .timers import single_shot
from .widgets import column_in, heading, row

#: A radius counts when it was not changed for so long (ms): arrows are clicked several times.
_PAUSE_MS = 400


class OutputMapBox(QWidget):
    """Show or hide the output map; without a radius of its own it follows the atoms' spacing."""

    toggled = Signal(bool)
    #: In px of this image; 0 leaves it to the spacing.
    radius_changed = Signal(float)
    picture_wanted = Signal()
    channels_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._auto_px, self._own_px, self._size_pm = 0.0, 0.0, 0.0
        self.show_button = QPushButton("Show (M)")
        self.show_button.setCheckable(True)
        self.show_button.setToolTip("What the network is taught to draw: a disc at every atom")
        self.show_button.clicked.connect(self.toggled)
        self.export_button = QPushButton("Export…")
        menu = QMenu(self)
        menu.addAction("A picture in the elements' colours…", self.picture_wanted.emit)
        menu.addAction("One file an element…", self.channels_wanted.emit)
        self.export_button.setMenu(menu)
        self.radius = QDoubleSpinBox()
        self.radius.setRange(0.0, 100000.0)
        self.radius.setDecimals(1)
        self.radius.setMinimumWidth(156)
        self.radius.setKeyboardTracking(False)
        self.radius.setToolTip(
            "Radius of the discs that are trained on; auto is a quarter of the atoms' spacing"
        )
        self.unit = QComboBox()
        self.unit.addItems(["px", "pm"])
        self._timer = single_shot(self._emit, _PAUSE_MS, self)
        self.radius.valueChanged.connect(lambda _: self._timer.start())
        self.unit.currentIndexChanged.connect(lambda _: self._show())
        layout = column_in(self)
        layout.addLayout(row(heading("Output map"), 1, self.export_button, self.show_button))
        layout.addLayout(row(QLabel("Radius of discs"), 1, self.radius, self.unit))

    def set_radius(self, own_px: float, auto_px: float, size_pm: float | None) -> None:
        """Show the radius that was set (0: none), that of the spacing (0: unknown), and units."""
        calibrated = size_pm is not None
        known_before = self._size_pm > 0
        self._own_px, self._auto_px, self._size_pm = own_px, auto_px, size_pm or 0.0
        if calibrated != known_before:
            self.unit.setCurrentText("pm" if calibrated else "px")
        self.unit.setEnabled(calibrated)
        if not self._timer.isActive():  # else the user is at it
            self._show()

    def set_shown(self, shown: bool) -> None:
        """Show whether the map is shown."""
        self.show_button.setChecked(shown)
        self.show_button.setText("Hide (M)" if shown else "Show (M)")

    @property
    def _factor(self) -> float:
        return self._size_pm if self.unit.currentText() == "pm" and self._size_pm else 1.0

    def _show(self) -> None:
        auto = self._auto_px * self._factor
        words = f"auto: {auto:.{0 if auto >= 20 else 1}f}"
        self.radius.blockSignals(True)
        self.radius.setSpecialValueText(words if auto > 0 else "auto")
        self.radius.setValue(self._own_px * self._factor)
        self.radius.blockSignals(False)

    def _emit(self) -> None:
        self.radius_changed.emit(self.radius.value() / self._factor)
