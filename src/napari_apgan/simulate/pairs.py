"""Simulated pairs: frames with exactly known columns, in numbers or written as a pairs folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan import __version__
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame, Progress
from napari_apgan.io.pairs import Pair, write_pairs
from napari_apgan.regions import Region

from .degradation import Degraded, degrade
from .ideal import Ideal, draw_ideal
from .scene import Scene
from .settings import SimulationSettings
from .truth import Truth, truth_of

#: Frames from this number on are never trained on: they validate a run that learns from a stream.
HELD_OUT_FROM = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SimulatedPair:
    """A simulated frame with everything known about it.

    Parameters
    ----------
    pair : Pair
        Of origin ``simulated``; the whole frame is one complete region.
    undisplaced : DataFrame
        For each row of its atoms the undisplaced site.
    vacancies : DataFrame
        Empty sites on the frame, with what would stand there.
    expected : (Y, X) float32 array
        The same frame without counting and readout noise and losses, in its own grey levels.
    record : dict
        What `simulation` holds in the JSON of the pair: settings, seed, number, view, what was
        drawn and measured, vacancies, versions.
    scene : Scene
        All atoms, on the fine pixels of the ideal image (`Ideal.sampling` relates them to the
        frame; without binning, drift, shear and jitter they are the same).
    """

    pair: Pair
    undisplaced: pd.DataFrame
    vacancies: pd.DataFrame
    expected: NDArray[np.float32]
    record: dict[str, Any]
    scene: Scene


def simulate_pair(settings: SimulationSettings, seed: int = 0, number: int = 0) -> SimulatedPair:
    """Simulate one frame.

    Parameters
    ----------
    settings : SimulationSettings
    seed, number : int
        The same three give the same frame; frames of other numbers are independent.

    Raises
    ------
    UserError
        When the settings cannot be simulated; the sentence says why.
    """
    return record_pair(draw_ideal(settings, seed, number), settings, seed, number)


def record_pair(
    ideal: Ideal, settings: SimulationSettings, seed: int, number: int
) -> SimulatedPair:
    """Record a frame of an ideal image, as :func:`simulate_pair` does in its last step.

    Parameters
    ----------
    ideal : Ideal
    settings : SimulationSettings
        As asked for; what was drawn around them is in `ideal`.
    seed, number : int
        Of the frame; they decide its noise.
    """
    degraded, truth = expose(ideal, np.random.default_rng([seed, number, 0, 4]))
    name = f"{settings.structure.kind}_{number:04d}"
    pair = exposed_pair(name, settings, degraded, truth)
    calibration = pair.frame.calibration
    vacancies = truth.vacancies(calibration)
    record: dict[str, Any] = {
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "number": number,
        "view": asdict(ideal.view),
        "drawn": _drawn(settings, ideal.settings),
        "degradation": degraded.record.model_dump(mode="json"),
        "vacancies": vacancies[["element", "x_px", "y_px"]].to_dict("records"),
        "unseen_columns": truth.unseen,
        "versions": _versions(settings),
    }
    return SimulatedPair(
        replace(pair, simulation=record),
        truth.undisplaced(calibration),
        vacancies,
        degraded.noise_free,
        record,
        ideal.scene,
    )


def expose(ideal: Ideal, rng: np.random.Generator) -> tuple[Degraded, Truth]:
    """Record an ideal image once; `rng` decides noise, scan, background and lost pixels."""
    drawn = ideal.settings
    degraded = degrade(
        ideal.image,
        drawn.degradation,
        rng,
        pixel_size_pm=drawn.pixel_size_pm,
        material=ideal.material,
        margin_px=ideal.sampling.margin_px,
        bright_field=drawn.imaging.mode in ("hrtem", "abf"),
    )
    return degraded, truth_of(ideal, degraded.distortion)


def exposed_pair(name: str, settings: SimulationSettings, degraded: Degraded, truth: Truth) -> Pair:
    """Return the pair of a recorded frame; all of it is one complete region."""
    calibration = Calibration.from_pixel_size(
        settings.pixel_size_pm, origin="file", note="The pixel size of the simulation."
    )
    return Pair(
        name=name,
        frame=Frame(degraded.image, degraded.valid, calibration, name),
        atoms=truth.atoms(calibration),
        regions=(Region.whole(settings.shape),),
        origin="simulated",
        source=settings.title,
    )


def _drawn(asked: SimulationSettings, drawn: SimulationSettings) -> dict[str, Any]:
    """Return the settings that variety changed, as ``group.name``."""
    found: dict[str, Any] = {}
    for group in ("imaging", "degradation"):
        before, after = (getattr(s, group).model_dump(mode="json") for s in (asked, drawn))
        found |= {f"{group}.{k}": v for k, v in after.items() if v != before[k]}
    return found


def _versions(settings: SimulationSettings) -> dict[str, str]:
    used = ["numpy", "scipy"] + ["abtem"] * (settings.imaging.engine == "abtem")
    return {"napari-apgan": __version__} | {name: version(name) for name in used}


def simulate_pairs(
    settings: SimulationSettings,
    n: int,
    *,
    seed: int = 0,
    first: int = 0,
    on_progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[SimulatedPair]:
    """Simulate `n` independent frames, one after another.

    Parameters
    ----------
    settings : SimulationSettings
    n : int
    seed : int
    first : int
        Number of the first.
    on_progress : callable, optional
        Called with (done, n, name) after each frame that was taken.
    cancelled : callable, optional
        Asked before each frame; True ends.

    Raises
    ------
    UserError
        When `n` is not positive or the settings cannot be simulated.
    """
    if n < 1:
        raise UserError(f"{n} frames cannot be simulated: ask for at least one.")
    for done in range(n):
        if cancelled is not None and cancelled():
            return
        made = simulate_pair(settings, seed, first + done)
        yield made
        if on_progress is not None:
            on_progress(done + 1, n, made.pair.name)


def write_simulated(
    pairs: Iterable[SimulatedPair], folder: str | os.PathLike[str]
) -> Iterator[SimulatedPair]:
    """Write pairs as they come, each whole before the next is made; yields them.

    Files of the same names are replaced. Ended in the middle, the folder holds what was finished.

    Raises
    ------
    UserError
        When the system refuses.
    """
    root = Path(folder)
    for made in pairs:
        write_pairs([made.pair], root)
        yield made
