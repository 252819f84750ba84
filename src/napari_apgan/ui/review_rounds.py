"""The rounds of the loop as a small chart: agreement up, positions moved less and less."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QWidget

from napari_apgan.project import Round
from napari_apgan.words import share

from .curve import Chart, Series
from .widgets import BAD, GOOD, column_in, heading, hint

NO_ROUNDS = "Each training adds a round here."


class RoundsPanel(QWidget):
    """What each training gained, and whether it is time to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.chart = Chart(NO_ROUNDS, height=96)
        self.chart.whole_x = True
        self.chart.left_most = 1.0
        self.chart.x_name = "round"
        self.verdict = hint()
        layout = column_in(self, spacing=6)
        for part in (heading("Rounds"), self.chart, self.verdict):
            layout.addWidget(part)

    def show_rounds(self, rounds: Sequence[Round], verdict: str) -> None:
        """Draw the rounds; a single one is said, since one point makes no curve."""
        self.verdict.setText(verdict)
        self.verdict.setVisible(bool(verdict))
        if len(rounds) < 2:
            self.chart.empty = _first_words(rounds)
            self.chart.set_series([])
            return
        score = [(r.number, r.validation_score) for r in rounds if r.validation_score is not None]
        unit = "pm" if any(r.moved_pm is not None for r in rounds) else "px"
        moved = [
            (r.number, value)
            for r in rounds
            if (value := r.moved_pm if unit == "pm" else r.moved_px) is not None
        ]
        self.chart.set_series(
            [
                Series("agreement", GOOD, score, marked=True, share=True),
                Series("moved", BAD, moved, axis="right", unit=f" {unit}", marked=True),
            ]
        )


def _first_words(rounds: Sequence[Round]) -> str:
    if not rounds:
        return NO_ROUNDS
    first = rounds[0]
    score = first.validation_score
    agrees = f", agreement {share(score)}" if score is not None else ""
    return f"Round {first.number}{agrees}. The next one will show what it gained."
