"""Frames that ask how much of a displacement a method reports: five kinds, by amplitude."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_apgan.atoms import positions
from napari_apgan.simulate.ideal import (
    Ideal,
    draw_scene,
    draw_specimen,
    drawn_settings,
    make_ideal,
    sampling_of,
)
from napari_apgan.simulate.pairs import SimulatedPair, record_pair
from napari_apgan.simulate.scene import Columns, Scene
from napari_apgan.simulate.settings import SimulationSettings

from .cache import cached_ideal

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

Gain = Literal["single", "random", "uniform", "wall", "smooth"]
#: The five gains: single displaced atoms far from each other; every column in a direction of its
#: own; one sublattice as a whole; the same with a 180° wall in it; a smooth wave over all columns.
GAINS: tuple[Gain, ...] = get_args(Gain)
AMPLITUDES_PM: tuple[float, ...] = (5.0, 10.0, 20.0, 40.0, 60.0)

#: Single displaced columns are at least this far apart (pm), farther than the kernels reach.
APART_PM = 1500.0
#: Width w (pm) of the wall; the shift across it goes as tanh(2 s / w).
WALL_PM = 600.0
#: Length (pm) of the smooth wave.
WAVE_PM = 6000.0
#: The sublattice that is shifted against the others.
SHIFTED = "B"
#: A column counts as displaced from this on (pm).
LEAST_PM = 1e-3


@dataclass(frozen=True, slots=True)
class ProbeFrame:
    """A frame with known displacements, and its twin without them.

    Parameters
    ----------
    gain : str
        One of :data:`GAINS`.
    amplitude_pm : float
        Length of the displacement (its largest one for ``wall`` and ``smooth``).
    made : SimulatedPair
        The frame; `made.undisplaced` has the sites row by row.
    twin : SimulatedPair
        The same structure in the same view, nothing displaced, with a noise of its own.
    displacement_pm : (N, 2) array
        True displacement x, y of each atom of `made` from its site.
    probed : (N,) bool array
        Which atoms are displaced.
    """

    gain: Gain
    amplitude_pm: float
    made: SimulatedPair
    twin: SimulatedPair
    displacement_pm: Floats
    probed: Bools


def load_probes(
    settings: SimulationSettings,
    cache: Path,
    *,
    seed: int,
    first: int,
    frames: int = 2,
    amplitudes_pm: Sequence[float] = AMPLITUDES_PM,
) -> dict[str, list[ProbeFrame]]:
    """Make the frames of all five gains, or take their ideal images from the cache.

    Parameters
    ----------
    settings : SimulationSettings
        Of an undisplaced structure, with the noise wanted; columns rest at their sites.
    cache : Path
    seed, first : int
        Structures and views are those of the frames `first`, `first` + 1, …
    frames : int
        Structures for each gain; every amplitude is imaged on each of them.
    amplitudes_pm : sequence of float

    Returns
    -------
    dict
        By gain, the amplitudes rising.
    """
    probes: dict[str, list[ProbeFrame]] = {gain: [] for gain in GAINS}
    twins = [_twin(settings, cache, seed, first + k) for k in range(frames)]
    for g, gain in enumerate(GAINS):
        for a, amplitude in enumerate(sorted(amplitudes_pm)):
            for k, twin in enumerate(twins):
                # Every frame has a noise of its own.
                noise = first + frames * (1 + g * len(amplitudes_pm) + a) + k
                probes[gain].append(
                    _probe(settings, cache, seed, first + k, noise, gain, amplitude, twin)
                )
    return probes


def _twin(settings: SimulationSettings, cache: Path, seed: int, number: int) -> SimulatedPair:
    ideal = cached_ideal(settings, seed, number, cache)
    return record_pair(ideal, settings, seed, number)


def _probe(
    settings: SimulationSettings,
    cache: Path,
    seed: int,
    number: int,
    noise: int,
    gain: Gain,
    amplitude_pm: float,
    twin: SimulatedPair,
) -> ProbeFrame:
    def make() -> Ideal:
        # The very structure and view of the twin; only then the columns move.
        streams = [np.random.default_rng([seed, number, 0, k]) for k in range(3)]
        scene, view = draw_scene(draw_specimen(settings, streams[0]), settings, streams[1])
        rng = np.random.default_rng([seed, number, 1, GAINS.index(gain)])
        moved = displace(scene, draw_shift(scene, gain, rng) * amplitude_pm)
        drawn = drawn_settings(settings, seed, number)
        return make_ideal(moved, view, drawn, sampling_of(settings), streams[2])

    label = f"{gain} {amplitude_pm:g} pm"
    ideal = cached_ideal(settings, seed, number, cache, label=label, make=make)
    made = record_pair(ideal, settings, seed, noise)
    size_pm = settings.pixel_size_pm
    shift = (positions(made.pair.atoms) - positions(made.undisplaced)) * size_pm
    probed = np.hypot(*shift.T) > LEAST_PM
    return ProbeFrame(gain, amplitude_pm, made, twin, shift, probed)


def displace(scene: Scene, shift_pm: Floats) -> Scene:
    """Move whole columns of a scene; their sites stay.

    Parameters
    ----------
    scene : Scene
    shift_pm : (C, 2) array
        Along x and y of the frame.
    """
    xyz = scene.xyz_pm.copy()
    held = scene.column >= 0
    xyz[held, :2] += shift_pm[scene.column[held]]
    shift_px = shift_pm / scene.pixel_size_pm
    columns = replace(
        scene.columns,
        xy_px=scene.columns.xy_px + shift_px,
        entrance_px=scene.columns.entrance_px + shift_px,
    )
    return replace(scene, xyz_pm=xyz, columns=columns)


def draw_shift(scene: Scene, gain: Gain, rng: np.random.Generator) -> Floats:
    """Return the (C, 2) displacements of the columns of a scene for an amplitude of 1.

    The middle of the frame is where the wall lies (up to a fifth of the frame beside it).
    """
    columns = scene.columns
    place = columns.xy_px * scene.pixel_size_pm
    middle = (np.array([scene.shape[1], scene.shape[0]]) - 1) / 2 * scene.pixel_size_pm
    draw: dict[str, Callable[[], Floats]] = {
        "single": lambda: _random(len(columns), rng) * _far_apart(scene, rng)[:, None],
        "random": lambda: _random(len(columns), rng),
        "uniform": lambda: _shifted(columns)[:, None] * _random(1, rng),
        "wall": lambda: _wall(place - middle, float(middle.min()), _shifted(columns), rng),
        "smooth": lambda: _wave(place, rng),
    }
    return draw[gain]()


def _random(count: int, rng: np.random.Generator) -> Floats:
    """Return (N, 2) unit vectors."""
    angle = rng.uniform(0.0, 2 * math.pi, count)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _shifted(columns: Columns) -> Bools:
    """Tell which columns belong to the sublattice that is shifted."""
    shifted: Bools = columns.sublattice == SHIFTED
    return shifted


def _far_apart(scene: Scene, rng: np.random.Generator) -> Bools:
    """Choose columns at random, no two of them near each other, those inside the frame first."""
    chosen = np.zeros(len(scene.columns), dtype=np.bool_)
    place = scene.columns.xy_px * scene.pixel_size_pm
    taken: list[Floats] = []
    # Where oxygen is not seen, its columns say nothing.
    seen = scene.columns.sublattice != "O"
    extent = np.array([scene.shape[1], scene.shape[0]])
    inside = (np.abs(scene.columns.xy_px - (extent - 1) / 2) < 0.4 * extent).all(axis=1)
    order = [rng.permutation(np.flatnonzero(seen & part)) for part in (inside, ~inside)]
    for k in np.concatenate(order).tolist():
        if all(math.hypot(*(place[k] - other)) >= APART_PM for other in taken):
            taken.append(place[k])
            chosen[k] = True
    return chosen


def _wall(
    from_middle_pm: Floats, half_pm: float, shifted: Bools, rng: np.random.Generator
) -> Floats:
    """Return a shift of one sublattice along a wall, opposite on its two sides."""
    along = _random(1, rng)[0]
    across = np.array([-along[1], along[0]])
    offset = rng.uniform(-0.4, 0.4) * half_pm
    profile = np.tanh(2 * (from_middle_pm @ across - offset) / WALL_PM)
    shift: Floats = (shifted * profile)[:, None] * along
    return shift


def _wave(place_pm: Floats, rng: np.random.Generator) -> Floats:
    along, across = _random(2, rng)
    phase = rng.uniform(0.0, 2 * math.pi)
    wave: Floats = np.sin(2 * math.pi / WAVE_PM * (place_pm @ across) + phase)[:, None] * along
    return wave
