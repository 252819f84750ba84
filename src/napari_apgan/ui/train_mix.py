"""Simulated frames beside labelled ones: new pairs each round, and fresh ones while training."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QSpinBox, QWidget

from napari_apgan.simulate.settings import SimulationSettings

from .simulate_set import Simulated
from .widgets import column_in, hint, row

#: As many as the paper adds each round, beside as many experimental ones.
_EACH_ROUND = 5


class Mixing(QWidget):
    """What is simulated for a training; seen where the project holds simulated pairs.

    New frames are simulated with the settings of the pairs that were made last.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.each_round = QCheckBox("Add")
        self.count = QSpinBox()
        self.count.setRange(1, 200)
        self.count.setValue(_EACH_ROUND)
        self.stream = QCheckBox("Train also on fresh simulated frames")
        self.each_round.setToolTip(
            "Before each training, so many new pairs are simulated and join the training set, "
            "as the paper mixes 5 simulated with 5 experimental ones a round"
        )
        self.stream.setToolTip(
            "Half of every batch is simulated while the training runs, each frame with a "
            "structure, view and noise of its own, so that no noise is seen twice; labelled and "
            "made pairs are the other half"
        )
        line = row(self.each_round, self.count, hint("new simulated pairs each round"))
        line.setStretch(2, 1)
        layout = column_in(self, spacing=2)
        layout.addLayout(line)
        layout.addWidget(self.stream)
        self._groups: tuple[Simulated, ...] = ()
        self.each_round.toggled.connect(lambda _: self.changed.emit())
        self.count.valueChanged.connect(lambda _: self.changed.emit())
        self.stream.toggled.connect(lambda _: self.changed.emit())
        self.hide()

    def show_groups(self, groups: Sequence[Simulated]) -> None:
        """Offer the choices where there are settings to simulate with."""
        self._groups = tuple(groups)
        self.setVisible(self.settings() is not None)

    def settings(self) -> SimulationSettings | None:
        """Return the settings of the pairs made last; None where there are none."""
        for group in reversed(self._groups):
            try:
                return SimulationSettings.model_validate_json(group.settings)
            except ValidationError:  # made by another version
                continue
        return None

    @property
    def adds(self) -> int:
        """How many pairs are made before each training."""
        chosen = self.each_round.isChecked() and self.settings() is not None
        return self.count.value() if chosen else 0

    @property
    def streamed(self) -> SimulationSettings | None:
        """What is simulated while a training runs."""
        return self.settings() if self.stream.isChecked() else None
