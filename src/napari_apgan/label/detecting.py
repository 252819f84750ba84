"""Detection without training: peaks of a band-passed image, or the dual of bright rings."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from napari_apgan.elements import Polarity
from napari_apgan.frames import Frame

from .candidates import FIRST_RING, find_candidates

Mode = Literal["peaks", "dual"]


def detect(
    frame: Frame,
    *,
    polarity: Polarity = "bright",
    spacing_px: float | None = None,
    threshold: float = 0.0,
    mode: Mode = "peaks",
    several_sizes: bool = False,
) -> pd.DataFrame:
    """Find candidates for atoms by a difference of Gaussians.

    Parameters
    ----------
    frame : Frame
    polarity : {"bright", "dark"}
        Whether atoms are maxima or minima; in mode ``dual`` the polarity of the *atoms*, whose ring
        centres have the other.
    spacing_px : float, optional
        Distance between nearest peaks; by default what the autocorrelation shows.
    threshold : float
        Candidates weaker than this many robust standard deviations of the difference are left out;
        0 keeps all (:class:`~.candidates.Candidates` is what a slider thins).
    mode : {"peaks", "dual"}
        ``dual``: find the ring centres (of graphene, say) and place an atom in the middle of each
        triangle of neighbouring ones.
    several_sizes : bool
        Look for small and large peaks at once.

    Returns
    -------
    DataFrame
        Atom table, `origin` "detected", strongest first; `amplitude` is the strength.

    Raises
    ------
    UserError
        When the frame is too small, or `spacing_px` is not positive.
    """
    rings = mode == "dual"
    found = find_candidates(
        frame,
        polarity=polarity,
        spacing_px=spacing_px,
        rings=rings,
        several_sizes=several_sizes,
    )
    return found.table(found.above(max(threshold, FIRST_RING) if rings else threshold))
