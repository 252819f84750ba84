"""An endless stream of simulated frames, so that a training never sees the same noise twice.

Building a structure and imaging it cost more than recording the image once more. So a structure is
seen in several views, each with displacements of its own, and each view is recorded several times,
each time with other noise, scan and lost pixels. Several structures take turns, so that frames that
follow one another have nothing in common.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from napari_apgan.errors import UserError
from napari_apgan.io.pairs import Pair

from .ideal import (
    ATTEMPTS,
    Ideal,
    columns_in_frame,
    draw_scene,
    draw_specimen,
    empty_frame,
    make_ideal,
    sampling_of,
)
from .pairs import HELD_OUT_FROM, expose, exposed_pair, simulate_pair
from .settings import SimulationSettings, draw_variation
from .specimen import Specimen, displace_columns
from .truth import visible

#: Structures that take turns.
LANES = 4
#: Views of each, and frames of each view.
VIEWS, EXPOSURES = 8, 4
#: Scenes looked at to learn which elements occur.
LOOKS = 4
#: Keeps the stream's random numbers apart from those of pairs of the same seed.
STREAM = 0x57AEA4


class FrameStream:
    """Endless simulated frames.

    Frame `number` follows from settings, seed and `number` alone. Asked for in order, most frames
    cost no more than their noise.

    Parameters
    ----------
    settings : SimulationSettings
        With the engine ``fast``.
    seed : int

    Raises
    ------
    UserError
        When the settings are of a slow engine.
    """

    def __init__(self, settings: SimulationSettings, seed: int = 0) -> None:
        if settings.imaging.engine != "fast":
            raise UserError(
                "Frames for a stream must be made in passing: choose the engine “fast”, or write "
                "pairs once with “apgan simulate” and train on these."
            )
        self.settings = settings
        self.seed = seed
        # Displacements are drawn for each view.
        still = settings.structure.model_copy(update={"displacement_pm": 0.0})
        self._still = settings.model_copy(update={"structure": still})
        self._specimens: dict[int, tuple[int, Specimen]] = {}
        self._ideals: dict[int, tuple[int, Ideal]] = {}

    def __iter__(self) -> Iterator[Pair]:
        return map(self.frame, itertools.count())

    def frame(self, number: int) -> Pair:
        """Return frame `number` as a pair of origin ``simulated``.

        Raises
        ------
        UserError
            When the settings cannot be simulated.
        """
        lane, turn = number % LANES, number // LANES
        ideal = self._ideal(lane, turn // EXPOSURES)
        rng = self._rng(3, number)
        # The lens is that of the view; noise and scan are this frame's own.
        noise = draw_variation(self.settings, rng).degradation
        drawn = ideal.settings.model_copy(update={"degradation": noise})
        degraded, truth = expose(replace(ideal, settings=drawn), rng)
        return exposed_pair(f"stream_{number}", self.settings, degraded, truth)

    def _rng(self, purpose: int, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, STREAM, purpose, *numbers])

    def _ideal(self, lane: int, view: int) -> Ideal:
        """Return a view of a lane, made anew when it is not the last one."""
        if lane in self._ideals and self._ideals[lane][0] == view:
            return self._ideals[lane][1]
        sampling = sampling_of(self.settings)
        for attempt in range(ATTEMPTS):
            rng = self._rng(2, lane, view, attempt)
            specimen = displace_columns(
                self._specimen(lane, view, attempt), self.settings.structure.displacement_pm, rng
            )
            scene, seen = draw_scene(specimen, self.settings, rng)
            if columns_in_frame(scene, sampling, self.settings.shape).any():
                drawn = draw_variation(self.settings, rng)
                ideal = make_ideal(scene, seen, drawn, sampling, rng)
                self._ideals[lane] = view, ideal
                return ideal
        raise empty_frame(self.settings)

    def _specimen(self, lane: int, view: int, attempt: int) -> Specimen:
        """Return the structure of a view; a new one where earlier attempts showed no column."""
        if attempt:
            return draw_specimen(self._still, self._rng(1, lane, view, attempt))
        number = view // VIEWS
        if lane not in self._specimens or self._specimens[lane][0] != number:
            built = draw_specimen(self._still, self._rng(0, lane, number))
            self._specimens[lane] = number, built
        return self._specimens[lane][1]


def elements_of(settings: SimulationSettings, seed: int = 0) -> list[str]:
    """Return the elements of the columns that frames show, the most frequent first.

    A few scenes are drawn for it, none is imaged.

    Raises
    ------
    UserError
        When the settings cannot be simulated.
    """
    sampling = sampling_of(settings)
    found: list[str] = []
    for look in range(LOOKS):
        rng = np.random.default_rng([seed, STREAM, 4, look])
        scene, _ = draw_scene(draw_specimen(settings, rng), settings, rng)
        # Neighbours beyond the edge hide columns too.
        shown = visible(scene.columns, scene.pixel_size_pm, settings.imaging.mode)
        shown &= columns_in_frame(scene, sampling, settings.shape)
        found += scene.columns.element[shown].tolist()
    if not found:
        raise empty_frame(settings)
    return sorted(set(found), key=lambda name: (-found.count(name), name))


def held_out_pairs(settings: SimulationSettings, n: int, seed: int = 0) -> list[Pair]:
    """Return pairs to validate on: no stream of any seed ever shows them."""
    return [simulate_pair(settings, seed, HELD_OUT_FROM + k).pair for k in range(n)]
