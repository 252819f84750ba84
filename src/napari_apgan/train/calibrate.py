"""Make probabilities and error bars right on the held-out atoms."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import positions
from napari_apgan.measure import match
from napari_apgan.measure.calibration import fit_probability
from napari_apgan.measure.spread import Spread, element_factors, fit_spread
from napari_apgan.models.card import HeldOutCalibration

from .split import atoms_in


class Calibrator:
    """Gathers the atoms found on held-out frames, then calibrates on all of them.

    All that was found tells how often atoms of a probability are true; those above the threshold
    that were matched, and are not cut by the border, tell how far positions are off.
    """

    def __init__(self) -> None:
        self._probability: list[NDArray[np.float64]] = [np.empty(0)]
        self._true: list[NDArray[np.bool_]] = [np.empty(0, dtype=bool)]
        self._error: list[NDArray[np.float64]] = [np.empty((0, 2))]
        self._error_probability: list[NDArray[np.float64]] = [np.empty(0)]
        self._error_element: list[NDArray[np.str_]] = [np.empty(0, dtype=np.str_)]
        self._spread: list[Spread] = [Spread(np.empty(0), np.empty(0), np.empty(0))]

    def add(
        self,
        found: pd.DataFrame,
        spread: Spread,
        labelled: pd.DataFrame,
        mask: NDArray[np.bool_],
        tolerance_px: float,
    ) -> None:
        """Add a frame.

        Parameters
        ----------
        found : DataFrame
            Atoms read from its maps at a low threshold.
        spread : Spread
            Of the same atoms.
        labelled : DataFrame
        mask : (Y, X) bool array
            Where the labels are held out.
        tolerance_px : float
            Largest distance of a match.
        """
        element = found["element"].to_numpy()
        probability = found["probability"].to_numpy(np.float64)
        whole = (found["flag"] == "").to_numpy()
        inside = atoms_in(positions(found), mask)
        for name in dict.fromkeys(element):
            rows = np.flatnonzero(element == name)
            a = positions(found)[rows]
            b = positions(labelled[labelled["element"] == name])
            i, j = match(a, b, tolerance_px)
            true = np.zeros(len(rows), dtype=bool)
            true[i] = True
            self._probability.append(probability[rows][inside[rows]])
            self._true.append(true[inside[rows]])
            good = (inside & whole)[rows[i]]
            self._error.append((a[i] - b[j])[good])
            self._error_probability.append(probability[rows[i[good]]])
            self._error_element.append(np.full(int(good.sum()), name))
            self._spread.append(spread.of(rows[i[good]]))

    def probability(self) -> tuple[float, float]:
        """Return the slope and offset that make probabilities right."""
        return fit_probability(np.concatenate(self._probability), np.concatenate(self._true))

    def result(self, threshold: float) -> HeldOutCalibration:
        """Calibrate; error bars are those of atoms of at least this probability."""
        slope, offset = self.probability()
        sure = np.concatenate(self._error_probability) >= threshold
        error, spread = np.concatenate(self._error)[sure], Spread.join(self._spread).of(sure)
        floor, factor = fit_spread(error, spread)
        element = np.concatenate(self._error_element)[sure]
        return HeldOutCalibration(
            floor_px=floor,
            factor=factor,
            by_element=element_factors(error, spread.variance_px2(floor, factor), element),
            slope=slope,
            offset=offset,
            n_atoms=sum(map(len, self._probability)),
        )
