"""Detect: find candidates, thin them by a slider, keep them as labels."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QSlider, QVBoxLayout, QWidget

from .widgets import heading, hint, row


class DetectBox(QWidget):
    """The button, the slider that thins the candidates live, and what to do with them."""

    wanted = Signal()
    level_changed = Signal(float)  # 0..1, share of the candidates left out, weakest first
    keep_wanted = Signal()
    discard_wanted = Signal()
    cancel_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.find = QPushButton("Detect")
        self.find.setToolTip(
            "Finds atoms of the current element's kind, bright or dark, by a network that comes "
            "with the program; nothing is added until you keep them"
        )
        self.find.clicked.connect(lambda _=False: self.wanted.emit())
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 1000)
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
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
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
        inner = QVBoxLayout(self.candidates)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(4)
        slide = row(QLabel("more"), self.slider, QLabel("fewer"))
        slide.setStretch(1, 1)
        inner.addLayout(slide)
        inner.addLayout(row(self.count, 1, self.keep, self.discard))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(row(heading("Detect"), 1, self.find))
        layout.addWidget(self.busy)
        layout.addWidget(self.candidates)
        layout.addWidget(self.note)
        self.note.hide()
        self.set_state("idle")

    def set_state(self, state: str, *, cancel: bool = False) -> None:
        """Show ``idle``, ``busy`` (perhaps with a button to cancel) or ``candidates``."""
        self.cancel.setVisible(cancel)
        self.bar.setRange(0, 0)
        self.busy.setVisible(state == "busy")
        self.find.setEnabled(state != "busy")
        self.candidates.setVisible(state == "candidates")

    def set_progress(self, done: int, total: int, text: str) -> None:
        """Show how far the search is; a total of 0 says that nobody knows."""
        self.bar.setRange(0, total)
        self.bar.setValue(done)
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
