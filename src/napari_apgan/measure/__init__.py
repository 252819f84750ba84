"""From maps to atoms: positions, error bars, bounds, and scores against a truth."""

from .bounds import cramer_rao_pm
from .fit import refine
from .matching import match
from .peaks import find_atoms
from .results import Score
from .score import FrameToScore, score, score_frames

__all__ = [
    "FrameToScore",
    "Score",
    "cramer_rao_pm",
    "find_atoms",
    "match",
    "refine",
    "score",
    "score_frames",
]
