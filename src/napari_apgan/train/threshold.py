"""Choose the probability above which a disc is an atom."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_apgan.measure.calibration import logit

#: Thresholds tried; maps are read once at the lowest.
THRESHOLDS: NDArray[np.float64] = np.round(np.arange(0.1, 0.91, 0.05), 2)


def choose_threshold(f1: ArrayLike, doubt: float, slope: float, offset: float) -> int:
    """Choose one of :data:`THRESHOLDS`.

    A few dozen held-out atoms, some of them labelled beside their columns, tell thresholds apart
    by an atom or two, and the highest F1 is often that of a threshold that drops true atoms
    elsewhere. So all thresholds that are as good as the best, for all that is known, are
    candidates, and among them calibrated probabilities decide: F1 is largest where atoms count
    that are at least half as probable as the F1 that is reached (Lipton, Elkan and
    Naryanaswamy, ECML PKDD 2014).

    Parameters
    ----------
    f1 : (N,) array
        Of each threshold.
    doubt : float
        By how much F1 may fall short of the best by chance.
    slope, offset : float
        Of the calibration: see :func:`napari_apgan.measure.calibration.calibrated`.

    Returns
    -------
    int
        Its index; that of 0.5 where nothing was found at any.
    """
    f1 = np.asarray(f1, dtype=np.float64)
    best = float(f1.max())
    wanted = 0.5
    if best > 0:
        odds = (float(logit(np.array([best / 2]))[0]) - offset) / slope
        wanted = float(1 / (1 + np.exp(-odds)))
    candidates = np.flatnonzero(f1 >= best - doubt - 1e-9)
    return int(candidates[np.argmin(np.abs(THRESHOLDS[candidates] - wanted))])


def doubt_of(f1: float, n_atoms: int) -> float:
    """Return the standard error of an F1: that of the number of wrong atoms, which is Poisson's.

    Parameters
    ----------
    f1 : float
    n_atoms : int
        True and predicted ones together.
    """
    if not n_atoms:
        return 0.0
    wrong = (1 - f1) * n_atoms
    return float(np.sqrt(wrong + 1) / n_atoms)
