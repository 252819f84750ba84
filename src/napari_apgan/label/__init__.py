"""Help with labelling: snapping clicks to atoms, and detection without training."""

from .candidates import Candidates, delaunay_dual, find_candidates
from .detect import detect
from .snap import Snap, snap
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
