"""Gains: how much of a true displacement the answer shows, for displacements of five kinds.

A map that draws the lattice instead of the atoms shrinks displacements: its gain is below 1. How
much depends on what else says the same: a whole sublattice moved is easier to see than one atom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from napari_apgan.atoms import positions
from napari_apgan.measure.score import FrameToScore, match_atoms
from napari_apgan.simulate.pairs import SimulatedPair

Floats = NDArray[np.float64]

#: Displacements (pm) shorter than this are none.
AT_REST_PM = 1e-3


class Gain(BaseModel):
    """The slope of estimated on true displacements.

    Parameters
    ----------
    value : float or None
        1 is right; None where no displaced atom was found.
    error : float or None
        Its standard error, from the scatter of the atoms.
    n_moved, n_found : int
        Displaced atoms, and those of them that were found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    error: float | None
    n_moved: int
    n_found: int


@dataclass(frozen=True, slots=True)
class Shifts:
    """What one frame says about a gain.

    Parameters
    ----------
    true_pm : (N, 2) array
        True displacement of each atom from its undisplaced site.
    error_pm : (N, 2) array
        Predicted minus true position; NaN where the atom was not found.
    """

    true_pm: Floats
    error_pm: Floats

    @property
    def moved(self) -> NDArray[np.bool_]:
        """Which atoms are displaced."""
        moved: NDArray[np.bool_] = np.hypot(*self.true_pm.T) > AT_REST_PM
        return moved

    def centred(self) -> tuple[Floats, Floats]:
        """Return displacements and errors of the found atoms that tell the gain.

        What the whole frame is off by is a bias and no gain, so it is taken off: by the atoms at
        rest, where there are any; otherwise displacements and errors are counted from their means.
        """
        found = np.isfinite(self.error_pm).all(axis=1)
        moved, rest = found & self.moved, found & ~self.moved
        true, error = self.true_pm[moved], self.error_pm[moved]
        if rest.any():
            return true, error - self.error_pm[rest].mean(axis=0)
        if len(true) < 2:
            return true[:0], error[:0]
        return true - true.mean(axis=0), error - error.mean(axis=0)


def shifts_of(
    predicted: pd.DataFrame, pair: SimulatedPair, displacement_pm: Floats, tolerance_px: float
) -> Shifts:
    """Match an answer with a probe frame.

    Parameters
    ----------
    predicted : DataFrame
        Atom table.
    pair : SimulatedPair
    displacement_pm : (N, 2) array
        True displacement of each of its atoms.
    tolerance_px : float
        Largest distance of a match from the true position.
    """
    frame, truth = pair.pair.frame, pair.pair.atoms
    i, j = match_atoms(FrameToScore(predicted, truth), tolerance_px)
    error = np.full((len(truth), 2), np.nan)
    error[j] = frame.calibration.to_pm(positions(predicted)[i] - positions(truth)[j])
    return Shifts(np.asarray(displacement_pm, dtype=np.float64).reshape(-1, 2), error)


def gain_of(frames: Sequence[Shifts]) -> Gain:
    """Return the least-squares slope over all frames, each counted from its own mean.

    With displacements d and errors e (both centred) the slope of d + e on d is
    ``1 + Σ d·e / Σ d·d``; its standard error allows for scatter that grows with d (White 1980,
    Econometrica 48, 817).
    """
    centred = [f.centred() for f in frames]
    n_moved = sum(int(f.moved.sum()) for f in frames)
    n_found = sum(int((f.moved & np.isfinite(f.error_pm).all(axis=1)).sum()) for f in frames)
    true = np.concatenate([t for t, _ in centred]) if centred else np.empty((0, 2))
    error = np.concatenate([e for _, e in centred]) if centred else np.empty((0, 2))
    power = float(np.square(true).sum())
    if power <= AT_REST_PM**2:
        return Gain(value=None, error=None, n_moved=n_moved, n_found=n_found)
    excess = float((true * error).sum()) / power
    scatter = (true * (error - excess * true)).sum(axis=1)
    spread = float(np.sqrt(np.square(scatter).sum())) / power if len(true) > 2 else None
    return Gain(value=1.0 + excess, error=spread, n_moved=n_moved, n_found=n_found)
