"""One session per viewer, so that closing a dock loses nothing and two windows do not mix."""

from __future__ import annotations

from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from psygnal import Signal
from qtpy.QtWidgets import QApplication

from napari_apgan.project import Session

from .scene import unwrapped

# Keyed by the real viewer: the proxy that a widget is given lives no longer than the widget.
_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """Return the session of a viewer, made when first asked for."""
    real = unwrapped(viewer)
    if real not in _sessions:
        _close_on_quit()
        _sessions[real] = Session()
    return _sessions[real]


@cache
def _close_on_quit() -> None:
    """Connect once: a connection for each session would keep it, and so its viewer, alive."""
    QApplication.instance().aboutToQuit.connect(close_all)


def close_all() -> None:
    """Write every open project to its files; what napari does on quitting."""
    for session in list(_sessions.values()):
        session.close_project()


def stop_listening(session: Session) -> None:
    """Disconnect everything from a session: its workbench is gone, and the next connects anew."""
    for name, kind in vars(Session).items():
        if isinstance(kind, Signal):
            getattr(session, name).disconnect()
