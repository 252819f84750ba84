"""Help with labelling: snapping clicks to atoms, and detection without training."""

from .detect import delaunay_dual, detect
from .snap import Snap, snap
from .spacing import Scale, estimate_scale

__all__ = ["Scale", "Snap", "delaunay_dual", "detect", "estimate_scale", "snap"]
