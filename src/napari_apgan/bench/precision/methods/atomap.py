"""Atomap's refinement of tuned peaks on the same frames, where it is installed.

M. Nord, P. E. Vullum, I. MacLaren, T. Tybell and R. Holmestad, Adv. Struct. Chem. Imaging 3 (2017)
9.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import positions, with_calibration
from napari_apgan.bench.precision.bumps import filled
from napari_apgan.bench.precision.cases import Case
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.simulate.pairs import SimulatedPair

from .log_gaussian import LogGaussianMethod
from .method import ONLY, Answers, Lesson, timed
from .others import import_program, quiet

Floats = NDArray[np.float64]


@dataclass(slots=True)
class AtomapMethod:
    """Atomap's refinement of tuned peaks: centre of mass, then two-dimensional Gaussians.

    It has no way to tell what is an atom in such frames, so the peaks (and elements) are those of
    the tuned Laplacian of Gaussian. Missing pixels are filled from their surroundings first. Its
    Gaussians take about 0.1 s an atom.

    Parameters
    ----------
    case : Case
    gaussians : bool
        Whether the Gaussians follow the centres of mass.
    """

    case: Case
    gaussians: bool = True
    name: str = "atomap"
    _finder: LogGaussianMethod | None = field(default=None)

    def fit(self, lesson: Lesson) -> float:
        """Tune the peak finder."""
        self._finder = LogGaussianMethod(self.case)
        return self._finder.fit(lesson)

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Return the refined peaks."""
        finder = self._finder
        if finder is None:
            raise UserError(f"{self.name} has not been tuned: fit it first.")

        def find() -> pd.DataFrame:
            peaks = finder.find_peaks(frame)
            return atomap_refined(peaks, frame, self.case.polarity, gaussians=self.gaussians)

        return [timed(ONLY, find)]


def atomap_refined(
    peaks: pd.DataFrame, frame: Frame, polarity: str, *, gaussians: bool = True
) -> pd.DataFrame:
    """Return a table whose positions atomap refined; those it throws off the frame stay."""
    if len(peaks) < 10:  # it looks for nine neighbours
        return peaks
    atomap = import_program("atomap.api")
    before = positions(peaks)
    with quiet():
        sublattice = atomap.Sublattice(before, image=filled(frame, polarity))
        sublattice.find_nearest_neighbors()
        sublattice.refine_atom_positions_using_center_of_mass(show_progressbar=False)
        moved = _kept_inside(sublattice, before, frame)
        if gaussians:
            sublattice.refine_atom_positions_using_2d_gaussian(show_progressbar=False)
            moved = _kept_inside(sublattice, before, frame)
    refined = peaks.assign(x_px=moved[:, 0], y_px=moved[:, 1])
    return with_calibration(refined, frame.calibration)


def _kept_inside(sublattice: Any, before: Floats, frame: Frame) -> Floats:
    """Put atoms that are nowhere or off the frame back, and return where all are.

    Centres of mass of a noisy patch around zero can be anything, and the Gaussians begin there.
    """
    after = np.asarray(sublattice.atom_positions, dtype=np.float64)
    high = np.array([frame.shape[1], frame.shape[0]]) - 0.5
    good = (np.isfinite(after) & (after >= -0.5) & (after < high)).all(axis=1, keepdims=True)
    moved: Floats = np.where(good, after, before)
    for atom, (x, y) in zip(sublattice.atom_list, moved, strict=True):
        atom.pixel_x, atom.pixel_y = float(x), float(y)
    return moved
