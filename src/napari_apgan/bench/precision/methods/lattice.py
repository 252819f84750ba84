"""What ignores the image: the yardstick of every skill and gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.simulate.pairs import SimulatedPair

from .method import ONLY, Answers, Lesson, timed


@dataclass(frozen=True, slots=True)
class LatticeMethod:
    """The undisplaced sites of the very atoms that are there: what knows no displacement."""

    name: str = "undisplaced lattice"

    def fit(self, lesson: Lesson) -> float:
        """Learn nothing."""
        return 0.0

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Return the truth's undisplaced sites that lie on the frame.

        Raises
        ------
        UserError
            Without the truth.
        """
        if truth is None:
            raise UserError("The undisplaced lattice is read from the truth: give it.")
        sites = truth.undisplaced
        high = np.array([frame.shape[1], frame.shape[0]]) - 0.5
        xy = positions(sites)
        on = ((xy >= -0.5) & (xy < high)).all(axis=1)
        return [timed(ONLY, lambda: sites.iloc[np.flatnonzero(on)].reset_index(drop=True))]
