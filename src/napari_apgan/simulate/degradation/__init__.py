"""Degradation: noise, scan, camera and lost pixels, seeded and written down."""

from .degrade import Degraded, degrade
from .record import DegradationRecord
from .scan import Distortion, margin_px
from .settings import DegradationSettings

__all__ = [
    "DegradationRecord",
    "DegradationSettings",
    "Degraded",
    "Distortion",
    "degrade",
    "margin_px",
]
