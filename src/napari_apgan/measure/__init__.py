"""From maps to atoms: positions, error bars, bounds, and scores against a truth."""

from .bounds import bayesian_pm, cramer_rao_pm, mean_radial_pm
from .fit import Shape, learn_kernel, refine, usual_kernel
from .kernels import Kernel
from .matching import match
from .peaks import find_atoms
from .results import Score
from .score import FrameToScore, score, score_frames

__all__ = [
    "FrameToScore",
    "Kernel",
    "Score",
    "Shape",
    "bayesian_pm",
    "cramer_rao_pm",
    "find_atoms",
    "learn_kernel",
    "match",
    "mean_radial_pm",
    "refine",
    "score",
    "score_frames",
    "usual_kernel",
]
