"""Laplacian-of-Gaussian peaks refined by Gaussians, tuned on the training pairs. No network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import make_atoms, positions, with_calibration
from napari_apgan.bench.counting import Counts, count
from napari_apgan.bench.precision.bumps import Tuning, filled, log_peaks, refined_by_gaussians
from napari_apgan.bench.precision.cases import Case
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.maps import default_radius_px
from napari_apgan.measure import match
from napari_apgan.simulate.pairs import SimulatedPair

from .method import ONLY, Answers, Lesson, timed

Floats = NDArray[np.float64]

#: Training pairs that the search looks at; more change nothing but the time.
SEARCHED = 6
#: Settings searched, lengths in parts of the distance of neighbours.
SIGMAS = (0.12, 0.16, 0.20, 0.24, 0.28, 0.33, 0.40)
APARTS = (0.6, 0.75, 0.85)
LEVELS = tuple(np.arange(0.05, 1.0, 0.05).tolist())
BLURS = (0.0, 0.1, 0.17, 0.25)
WINDOWS = (0.35, 0.5, 0.7)


@dataclass(slots=True)
class LogGaussianMethod:
    """Peaks of the Laplacian of Gaussian, each refined by a Gaussian on a constant.

    Missing pixels are filled from their surroundings first. Elements are told apart by the height
    of the peak over the frame's strongest: the nearest of the mean logarithms.
    """

    case: Case
    name: str = "LoG + Gaussian, tuned"
    tuning: Tuning | None = None
    _heights: dict[str, float] = field(default_factory=dict)

    def fit(self, lesson: Lesson) -> float:
        """Search the settings of finder and fit on the first training pairs."""
        begun = time.perf_counter()
        shown = [_Searched.of(made, self.case.polarity) for made in lesson.train[:SEARCHED]]
        found = _search_peaks(shown, self.case.tolerance_px)
        self.tuning = _search_fit(shown, found, self.case.tolerance_px)
        self._heights = _learn_heights(shown, self.tuning, self.case)
        return time.perf_counter() - begun

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Return the refined peaks."""
        return [timed(ONLY, lambda: self._find(frame))]

    def find_peaks(self, frame: Frame) -> pd.DataFrame:
        """Return the peaks alone, unrefined."""
        return self._find(frame, refined=False)

    def _find(self, frame: Frame, *, refined: bool = True) -> pd.DataFrame:
        if self.tuning is None:
            raise UserError(f"{self.name} has not been tuned: fit it first.")
        image = filled(frame, self.case.polarity)
        xy, height = log_peaks(image, self.tuning)
        if refined:
            xy = refined_by_gaussians(image, xy, self.tuning)
        names = [self._name(h) for h in height.tolist()]
        return with_calibration(make_atoms(xy, names, origin="detected"), frame.calibration)

    def _name(self, height: float) -> str:
        if len(self._heights) < 2:
            return next(iter(self._heights), self.case.elements[0])
        return min(self._heights, key=lambda n: abs(self._heights[n] - np.log(max(height, 1e-9))))


@dataclass(frozen=True, slots=True)
class _Searched:
    image: Floats
    xy: Floats
    element: NDArray[np.object_]
    spacing_px: float

    @classmethod
    def of(cls, made: SimulatedPair, polarity: str) -> _Searched:
        atoms = made.pair.atoms
        spacing = 4.0 * default_radius_px(atoms)
        image = filled(made.pair.frame, polarity)
        return cls(image, positions(atoms), atoms["element"].to_numpy(dtype=object), spacing)


def _search_peaks(shown: Sequence[_Searched], tolerance_px: float) -> Tuning:
    """Return the finder with the best F1 over the frames."""
    spacing = float(np.median([s.spacing_px for s in shown]))
    best: tuple[float, Tuning] | None = None
    for sigma, apart in product(SIGMAS, APARTS):
        loose = Tuning(sigma * spacing, min(LEVELS), apart * spacing, spacing_px=spacing)
        peaks = [log_peaks(s.image, loose) for s in shown]
        for level in LEVELS:
            total = sum(
                (
                    count(xy[height >= level], s.xy, tolerance_px)
                    for s, (xy, height) in zip(shown, peaks, strict=True)
                ),
                Counts(),
            )
            if best is None or total.f1 > best[0]:
                best = (total.f1, replace(loose, level=level))
    if best is None:
        raise UserError("There is nothing to tune a peak finder on: give training pairs.")
    return best[1]


def _search_fit(shown: Sequence[_Searched], tuning: Tuning, tolerance_px: float) -> Tuning:
    """Return the fit, or none, with the smallest mean error of position."""
    spacing = tuning.spacing_px
    tried = [
        replace(tuning, blur_px=blur * spacing, window_px=window * spacing)
        for blur, window in [(0.0, 0.0), *product(BLURS, WINDOWS)]
    ]
    return min(tried, key=lambda t: _mean_error(shown, t, tolerance_px))


def _mean_error(shown: Sequence[_Searched], tuning: Tuning, tolerance_px: float) -> float:
    errors = []
    for s in shown:
        xy = refined_by_gaussians(s.image, log_peaks(s.image, tuning)[0], tuning)
        i, j = match(xy, s.xy, tolerance_px)
        # What is not found counts with the tolerance, so that no fit wins by losing atoms.
        errors += [np.hypot(*(xy[i] - s.xy[j]).T), np.full(len(s.xy) - len(j), tolerance_px)]
    return float(np.concatenate(errors).mean())


def _learn_heights(shown: Sequence[_Searched], tuning: Tuning, case: Case) -> dict[str, float]:
    """Return the mean logarithm of the relative height of each element's peaks."""
    by_name: dict[str, list[float]] = {name: [] for name in case.elements}
    for s in shown:
        xy, height = log_peaks(s.image, tuning)
        i, j = match(xy, s.xy, case.tolerance_px)
        for name, value in zip(s.element[j].tolist(), height[i].tolist(), strict=True):
            if name in by_name and value > 0:
                by_name[name].append(float(np.log(value)))
    return {name: float(np.mean(values)) for name, values in by_name.items() if values}
