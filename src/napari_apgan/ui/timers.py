"""Deeds that wait a little, so that what comes in between does them once."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer


def single_shot(
    deed: Callable[[], object], milliseconds: int = 0, parent: QObject | None = None
) -> QTimer:
    """Make a timer that does something once, so long after its last start.

    Parameters
    ----------
    deed : callable
    milliseconds : int
        Left out where every start says it.
    parent : QObject, optional
        The timer goes when this goes.
    """
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(deed)
    return timer
