"""One session per viewer, so that closing a dock loses nothing and two windows do not mix."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from napari_apgan.project import Session

from .scene import unwrapped

# Keyed by the real viewer: the proxy that a widget is given lives no longer than the widget.
_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """Return the session of a viewer, made when first asked for."""
    real = unwrapped(viewer)
    if real not in _sessions:
        _sessions[real] = Session()
    return _sessions[real]
