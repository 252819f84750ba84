"""A quiet line: how many labels the project has, and how many acts and how long they took."""

from __future__ import annotations

import time

from qtpy.QtCore import QTimer

from napari_apgan.project import Session
from napari_apgan.project.effort import IDLE_SECONDS

from .widgets import ElidedLabel


def duration(seconds: float) -> str:
    """Say a time: ``40 s``, ``2 min 10 s``, ``1 h 5 min``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class HandCounter(ElidedLabel):
    """Counts while the hand works; the clock pauses when it rests.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.setStyleSheet("color: #9AA3AD; font-size: 11px;")
        self._timer = QTimer(self)
        self._timer.setInterval(1000)
        self._timer.timeout.connect(self.refresh)
        for signal in (
            session.atoms_changed,
            session.regions_changed,
            session.elements_changed,
            session.pairs_changed,
            session.project_changed,
        ):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show the present counts."""
        project, now = self._session.project, time.time()
        if project is None or not project.effort.acts:
            self.hide()
            self._timer.stop()
            return
        n = sum(
            project.count_atoms(d.source_id, d.frame) for d in project.filled_documents("atoms")
        )
        acts = project.effort.acts
        self.set_text(
            f"{n:,} atom{'s' * (n != 1)} · {acts:,} act{'s' * (acts != 1)} · "
            f"{duration(project.effort.seconds(now))} of hand time"
        )
        self.setToolTip(
            f"{self.full_text}: edits, undos, redos; of pauses at most {IDLE_SECONDS:.0f} s count"
        )
        self.show()
        if project.effort.running(now) != self._timer.isActive():
            (self._timer.stop if self._timer.isActive() else self._timer.start)()
