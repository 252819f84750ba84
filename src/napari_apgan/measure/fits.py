"""What a fit says of each atom, and how that enters the atom table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.frames import Frame

Floats = NDArray[np.float64]

SQRT_2_OVER_PI = 0.7978845608


@dataclass(frozen=True, slots=True)
class Fits:
    """One row an atom, positions in px.

    Parameters
    ----------
    xy, variance : (N, 2) arrays
        Positions and the squares of their errors.
    start : (N, 2) array
        Where the fit began: what is offered where it failed.
    amplitude, width, background : (N,) arrays
        Height over the background, and the width of the Gaussian that is as wide at half of it.
    first_amplitude : (N,) array
        As guessed at the start.
    intensity_error : (N,) array
    noise : (N,) array
        Standard deviation of a pixel there.
    flag : (N,) object array
        Why the fit is not to be believed; empty where it is.
    left : float
        Squared residual in the discs around the atoms for each degree of freedom.
    """

    xy: Floats
    variance: Floats
    start: Floats
    amplitude: Floats
    width: Floats
    background: Floats
    first_amplitude: Floats
    intensity_error: Floats
    noise: Floats
    flag: NDArray[np.object_]
    left: float = np.nan

    def of(self, rows: NDArray[np.intp]) -> Fits:
        """Return the fits of some atoms."""
        return join([self], rows)

    def table(self, atoms: pd.DataFrame, frame: Frame) -> pd.DataFrame:
        """Put the fits into the columns of a copy of the atom table."""
        good = self.flag == ""
        xy = np.where(good[:, None], self.xy, self.start)
        amplitude = np.where(good, self.amplitude, self.first_amplitude)
        isolated = SQRT_2_OVER_PI * self.noise / np.maximum(np.abs(amplitude), 1e-12)
        sigma = np.where(good[:, None], np.sqrt(np.maximum(self.variance, 0)), isolated[:, None])
        scale = frame.calibration
        values = {
            "x_px": xy[:, 0],
            "y_px": xy[:, 1],
            "sigma_x_pm": sigma[:, 0] * (scale.x_pm or np.nan),
            "sigma_y_pm": sigma[:, 1] * (scale.y_pm or np.nan),
            "amplitude": amplitude,
            "intensity": 2 * np.pi * self.width**2 * amplitude,
            "intensity_error": np.where(good, self.intensity_error, np.nan),
            "background": self.background,
            "width_px": np.where(good, self.width, np.nan),
            "flag": np.where(good, atoms["flag"].to_numpy(object), self.flag),
        }
        out = atoms.copy()
        for name, value in values.items():
            kind = "str" if name == "flag" else None
            out[name] = pd.Series(value, index=out.index, dtype=kind)
        return out


def join(parts: Sequence[Fits], rows: NDArray[np.intp]) -> Fits:
    """Put fits behind each other, and return these rows of them all."""
    columns: dict[str, Any] = {
        f.name: np.concatenate([getattr(p, f.name) for p in parts])[rows]
        for f in fields(Fits)
        if f.name != "left"
    }
    return Fits(**columns)
