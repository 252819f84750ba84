"""Small pairs, and trainers that no test leaves running."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_apgan.atoms import concat, make_atoms
from napari_apgan.elements import Element, make_elements
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.io.pairs import Pair
from napari_apgan.regions import Region
from napari_apgan.train import RunFile, RunSettings, Trainer, launch, loop, prepare_run

ELEMENTS = make_elements(["Pb", "Ti"])

#: As little work as a training can be.
TINY: dict[str, Any] = {
    "crop_px": 32,
    "batch": 2,
    "warmup_steps": 0,
    "validate_every": 4,
    "patience": 0,
}


def lattice_pair(
    name: str = "a",
    *,
    size: int = 64,
    seed: int = 0,
    pixel_size_pm: float | None = 20.0,
    source: str = "",
    regions: tuple[Region, ...] | None = None,
) -> Pair:
    """Draw Gaussian columns of two heights on a jittered square lattice, with noise."""
    rng = np.random.default_rng(seed)
    step = 8.0
    x, y = (
        v.ravel() for v in np.meshgrid(np.arange(4, size - 2, step), np.arange(4, size - 2, step))
    )
    heavy = (x // step + y // step) % 2 == 0
    xy = np.column_stack([x, y]) + rng.uniform(-0.7, 0.7, size=(len(x), 2))
    yy, xx = np.mgrid[:size, :size]
    image = rng.normal(0, 0.05, size=(size, size))
    for (cx, cy), bright in zip(xy, heavy, strict=True):
        image += (1.0 if bright else 0.5) * np.exp(
            -((xx - cx) ** 2 + (yy - cy) ** 2) / (2 * 1.8**2)
        )
    calibration = (
        Calibration()
        if pixel_size_pm is None
        else Calibration.from_pixel_size(pixel_size_pm, origin="user")
    )
    frame = make_frame(image, calibration, missing="nan", name=name)
    atoms = concat([make_atoms(xy[heavy], "Pb"), make_atoms(xy[~heavy], "Ti")])
    return Pair(
        name=name,
        frame=frame,
        atoms=atoms.assign(id=np.arange(len(atoms))),
        regions=(Region.whole(frame.shape),) if regions is None else regions,
        source=source,
    )


@pytest.fixture
def elements() -> list[Element]:
    return list(ELEMENTS)


Prepare = Callable[..., RunFile]


@pytest.fixture
def prepare() -> Prepare:
    """Prepare a run of tiny pairs in a folder; keywords are the settings."""

    def make(run_dir: Path, pairs: list[Pair] | None = None, **settings: Any) -> RunFile:
        settings.setdefault("steps", 5)
        settings.setdefault("device", "cpu")
        settings.setdefault("threads", 1)
        settings["recipe"] = TINY | settings.get("recipe", {})
        chosen = [lattice_pair()] if pairs is None else pairs
        return prepare_run(chosen, run_dir, RunSettings(**settings), ELEMENTS)

    return make


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings in this process end without learning the usual kernel, most of their work.

    What it is, and that a training leaves it on the card, has tests of its own.
    """
    monkeypatch.setattr(loop, "usual_of", lambda *_: None)


@pytest.fixture
def start() -> Iterator[Callable[..., Trainer]]:
    """Launch trainers; those still alive at the end of the test are killed."""
    started: list[Trainer] = []

    def begin(run_dir: Path, *, resume: bool = False) -> Trainer:
        trainer = launch(run_dir, resume=resume)
        started.append(trainer)
        return trainer

    yield begin
    for trainer in started:
        assert trainer.process is not None
        if trainer.process.poll() is None:
            os.kill(trainer.process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        trainer.process.wait(timeout=30)
