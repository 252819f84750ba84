"""What tabs that follow the session have in common: they are drawn only while someone looks."""

from __future__ import annotations

from typing import Any

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QWidget

from .timers import single_shot

#: Labels may change with every click; what is shown of them follows this much later (ms).
REFRESH_MS = 150


class LazyTab(QWidget):
    """A tab that catches up with the session a moment after it changed, or when it is shown.

    Subclasses say in :meth:`refresh_now` what is to be drawn.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stale = True
        self._followed: list[Any] = []
        self._refresh_timer = single_shot(self.refresh_now, REFRESH_MS, self)

    def follow(self, *signals: Any) -> None:
        """Refresh after any of these psygnal signals."""
        for signal in signals:
            signal.connect(self.refresh)
        self._followed += signals

    def unfollow(self) -> None:
        """Let go of the signals; nothing is drawn any more."""
        self._refresh_timer.stop()
        for signal in self._followed:
            signal.disconnect(self.refresh, missing_ok=True)
        self._followed = []

    def refresh(self, *_: object) -> None:
        """Show what the session holds, soon, and only while someone looks."""
        self._stale = True
        if self.isVisible():
            self._refresh_timer.start()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what happened while another tab was shown."""
        super().showEvent(event)
        if self._stale:
            self.refresh_now()

    def refresh_now(self) -> None:
        """Show what the session holds now; subclasses draw after calling this."""
        self._stale = False
        self._refresh_timer.stop()
