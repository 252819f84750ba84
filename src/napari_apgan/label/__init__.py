"""Help with labelling: snapping clicks to atoms, and detection without training.

Names are imported when they are first used: a window that opens needs the protocol of the helper
from here, and must not wait for scipy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_apgan.lazy import lazy_names

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

__getattr__ = lazy_names(
    __name__,
    {
        "Candidates": "candidates",
        "Scale": "spacing",
        "Snap": "snapping",
        "delaunay_dual": "candidates",
        "detect": "detecting",
        "estimate_scale": "spacing",
        "find_candidates": "candidates",
        "snap": "snapping",
    },
)
