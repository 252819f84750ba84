"""From an experimental frame to the settings of a simulation that looks like it."""

from .hrtem_fit import LensFit, fit_lens
from .proposal import Match, match_frame
from .thon import ThonFit, fit_thon

__all__ = ["LensFit", "Match", "ThonFit", "fit_lens", "fit_thon", "match_frame"]
