"""Detect: find candidates, thin them by a slider, keep them as labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QPushButton,
    QSlider,
    QWidget,
)

from .busy_bar import BusyBar
from .widgets import column_in, heading, hint, row

Way = Literal["network", "spots", "rings"]

#: Ways to look for atoms: title, tooltip.
WAYS: dict[Way, tuple[str, str]] = {
    "network": (
        "Network",
        "A network that comes with the program and knows atoms, bright or dark, in general",
    ),
    "spots": (
        "Spots",
        "Bright (or dark) spots of the band-passed image; nothing is learned, and every height can "
        "be had by the slider",
    ),
    "rings": (
        "Spots between rings",
        "Ring centres, which have the other contrast than the atoms, with an atom in the middle of "
        "each three of them: for graphene, whose rings are often clearer than its atoms",
    ),
}


@dataclass(frozen=True)
class Search:
    """How atoms are looked for.

    Parameters
    ----------
    way : {"network", "spots", "rings"}
    spacing_px : float, optional
        Of the spots, where the user says so.
    several_sizes : bool
        Whether to look for small and large spots at once.
    """

    way: Way = "spots"
    spacing_px: float | None = None
    several_sizes: bool = False


class DetectBox(QWidget):
    """The button, the slider that thins the candidates live, and what to do with them."""

    wanted = Signal()
    level_changed = Signal(float)  # 0..1, share of the candidates left out, weakest first
    keep_wanted = Signal()
    discard_wanted = Signal()
    cancel_wanted = Signal()
    search_changed = Signal()
    contrast_wanted = Signal()
    advice_taken = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.find = QPushButton("Detect")
        self.find.setToolTip(
            "Finds atoms of the current element's kind, bright or dark as its chip says; nothing "
            "is added until you keep them"
        )
        self.find.clicked.connect(lambda _=False: self.wanted.emit())
        self.way = QComboBox()
        for number, (name, (title, tooltip)) in enumerate(WAYS.items()):
            self.way.addItem(title, name)
            self.way.setItemData(number, tooltip, Qt.ItemDataRole.ToolTipRole)
        self.way.currentIndexChanged.connect(self._choose_way)
        self.spacing = QDoubleSpinBox()
        self.spacing.setRange(0.0, 500.0)
        self.spacing.setDecimals(1)
        self.spacing.setSuffix(" px")
        self.spacing.setSpecialValueText("by itself")
        self.spacing.setKeyboardTracking(False)
        self.spacing.setToolTip(
            "Distance of nearest spots in px; left at its lowest, the autocorrelation of the image "
            "says it"
        )
        self.spacing.valueChanged.connect(lambda _: self.search_changed.emit())
        self.several = QCheckBox("small and large")
        self.several.setToolTip(
            "Looks with filters of three widths, so that weak small columns are found beside "
            "strong large ones; slower, and finds more of the noise"
        )
        self.several.toggled.connect(lambda _: self.search_changed.emit())
        self.settings = QWidget()
        self.settings.setLayout(row(QLabel("Spacing"), self.spacing, 1, self.several))
        self.settings.layout().setContentsMargins(0, 0, 0, 0)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 1000)
        self.slider.setPageStep(50)
        self.slider.setToolTip("To the right: fewer candidates, the least sure left out first")
        self.slider.valueChanged.connect(lambda v: self.level_changed.emit(v / 1000))
        self.count = QLabel("")
        self.keep = QPushButton("Keep")
        self.keep.setToolTip(
            "Every ring becomes a label of this one element, whatever its atom is; Ctrl+Z undoes it"
        )
        self.keep.clicked.connect(lambda _=False: self.keep_wanted.emit())
        self.discard = QPushButton("Discard")
        self.discard.clicked.connect(lambda _=False: self.discard_wanted.emit())
        self.ask = QPushButton("Bright or dark?")
        self.ask.setToolTip(
            "Says whether atoms are bright or dark on this image, or lie between clearer rings, "
            "and where that changes: the contrast of thin HRTEM turns with the defocus"
        )
        self.ask.clicked.connect(lambda _=False: self.contrast_wanted.emit())
        self.take = QPushButton("Take this advice")
        self.take.clicked.connect(lambda _=False: self.advice_taken.emit())
        self.advice = hint()
        self.bar = BusyBar()
        self.bar.setMaximumHeight(6)
        self.bar.setTextVisible(False)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Nothing is added")
        self.cancel.clicked.connect(lambda _=False: self.cancel_wanted.emit())
        self.busy = QWidget()
        waiting = row(self.bar, self.cancel)
        waiting.setStretch(0, 1)
        self.busy.setLayout(waiting)
        self.note = hint()
        self.candidates = QWidget()
        inner = column_in(self.candidates)
        slide = row(QLabel("more"), self.slider, QLabel("fewer"))
        slide.setStretch(1, 1)
        inner.addLayout(slide)
        inner.addLayout(row(self.count, 1, self.keep, self.discard))
        layout = column_in(self)
        layout.addLayout(row(heading("Detect"), 1, self.way, self.find))
        layout.addWidget(self.settings)
        layout.addLayout(row(self.ask, 1, self.take))
        layout.addWidget(self.advice)
        layout.addWidget(self.busy)
        layout.addWidget(self.candidates)
        layout.addWidget(self.note)
        self.note.hide()
        self._choose_way()
        self.set_state("idle")
        self.set_advice("")

    @property
    def search(self) -> Search:
        """How atoms are to be looked for."""
        spacing = self.spacing.value()
        return Search(
            self.way.currentData(), spacing if spacing > 0 else None, self.several.isChecked()
        )

    def _choose_way(self) -> None:
        way = self.way.currentData()
        self.way.setToolTip(WAYS[way][1])
        self.settings.setVisible(way != "network")
        self.search_changed.emit()

    def set_way(self, way: Way) -> None:
        """Choose a way to look for atoms."""
        self.way.setCurrentIndex(self.way.findData(way))

    def set_advice(self, sentence: str, does: str = "") -> None:
        """Show what the contrast is and what taking the advice does; nothing to take without."""
        self.advice.setText(sentence)
        self.advice.setVisible(bool(sentence))
        self.take.setVisible(bool(does))
        self.take.setToolTip(does)

    def set_level(self, level: float) -> None:
        """Put the slider somewhere without telling anybody."""
        self.slider.blockSignals(True)
        self.slider.setValue(round(1000 * level))
        self.slider.blockSignals(False)

    def set_state(self, state: str, *, cancel: bool = False) -> None:
        """Show ``idle``, ``busy`` (perhaps with a button to cancel) or ``candidates``."""
        self.cancel.setVisible(cancel)
        self.bar.show_progress(0, 0)
        self.busy.setVisible(state == "busy")
        self.find.setEnabled(state != "busy")
        self.candidates.setVisible(state == "candidates")

    def set_progress(self, done: int, total: int, text: str) -> None:
        """Show how far the search is; a total of 0 says that nobody knows."""
        self.bar.show_progress(done, total)
        self.say(text)

    def set_count(self, shown: int, found: int, element: str) -> None:
        """Say how many candidates are shown."""
        self.count.setText(f"{shown:,} of {found:,}")
        self.keep.setText(f"Keep all as {element}" if element else "Keep")
        self.keep.setEnabled(shown > 0 and bool(element))

    def say(self, text: str) -> None:
        """Say something below, or nothing."""
        self.note.setText(text)
        self.note.setVisible(bool(text))
