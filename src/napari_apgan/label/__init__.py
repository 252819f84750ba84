"""Help with labelling: snapping clicks to atoms, and detection without training.

Names are imported when they are first used: a window that opens needs the protocol of the helper
from here, and must not wait for scipy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .candidates import Candidates, delaunay_dual, find_candidates
    from .detecting import detect
    from .snapping import Snap, snap
    from .spacing import Scale, estimate_scale

__all__ = [
    "Candidates",
    "Scale",
    "Snap",
    "delaunay_dual",
    "detect",
    "estimate_scale",
    "find_candidates",
    "snap",
]

#: Where each name is.
_HOME = {
    "Candidates": "candidates",
    "Scale": "spacing",
    "Snap": "snapping",
    "delaunay_dual": "candidates",
    "detect": "detecting",
    "estimate_scale": "spacing",
    "find_candidates": "candidates",
    "snap": "snapping",
}


def __getattr__(name: str) -> object:
    """Import a public name."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
