"""From maps to atoms: positions, error bars, bounds, and scores against a truth."""

from .matching import match
from .peaks import find_atoms
from .results import Score
from .score import FrameToScore, score, score_frames

__all__ = [
    "FrameToScore",
    "Score",
    "find_atoms",
    "match",
    "score",
    "score_frames",
]
