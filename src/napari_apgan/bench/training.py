"""Train and predict as a user does, and note what it cost."""

from __future__ import annotations

import platform
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_apgan.atoms import positions
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.io.pairs import Pair
from napari_apgan.train import RunFolder, RunSettings, Trainer, attach, launch, prepare_run
from napari_apgan.train.events import Done, Failed
from napari_apgan.train.runfile import RUN_FILE, RunFile

from .counting import Found

if TYPE_CHECKING:
    from napari_apgan.models.modelfile import Model


#: How long a trainer that was asked to stop is waited for.
STOPPING_S = 60.0


class Machine(BaseModel):
    """Where and when a table was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: str
    processor: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]

    def __str__(self) -> str:
        parts = ", ".join(f"{k} {v}" for k, v in self.versions.items())
        return (
            f"{self.date}, {self.processor}, {self.cores} cores, {self.system}, "
            f"Python {self.python}, {parts}"
        )


class Result(BaseModel):
    """What every table of trained models says of how it was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    settings: RunSettings
    seeds: tuple[int, ...]
    train_seconds: tuple[float, ...]


def this_machine() -> Machine:
    """Describe the machine this runs on."""
    import os

    names = ("napari-apgan", "torch", "numpy", "scipy")
    return Machine(
        date=datetime.now(UTC).date().isoformat(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions={name: version(name) for name in names},
    )


def _processor() -> str:
    """Return the processor's name, as far as the system tells."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


@dataclass(frozen=True, slots=True)
class Trained:
    """A model with its training's cost."""

    model: Model
    seconds: float
    steps: int


def train(
    pairs: Sequence[Pair],
    run_dir: Path,
    settings: RunSettings,
    elements: Sequence[Element],
    *,
    validation: Sequence[Pair] = (),
) -> Trained:
    """Prepare a run, train it in the trainer's own process, and load its best model.

    A finished run with the same settings and preset, kept from an earlier call, is used again; one
    that still runs is waited for, and one that was stopped or interrupted goes on. Ctrl+C stops the
    trainer at its next checkpoint.

    Raises
    ------
    UserError
        When the training did not end well, with the trainer's own sentence.
    """
    from napari_apgan.models.modelfile import load_model

    state: str = "done"
    if not _is_done(run_dir, settings):
        trainer = _going_on(run_dir, settings)
        if trainer is None:
            prepare_run(pairs, run_dir, settings, elements, validation=validation)
            trainer = launch(run_dir)
        state = _wait(trainer)
    last = [e for e in RunFolder(run_dir).events() if isinstance(e, Done | Failed)]
    if not last or not isinstance(last[-1], Done):
        why = last[-1].message if last else f"it is {state}"
        raise UserError(f"The training in {run_dir} did not end well: {why}")
    return Trained(load_model(run_dir), last[-1].elapsed_s, last[-1].step)


def _going_on(run_dir: Path, settings: RunSettings) -> Trainer | None:
    """Return the trainer of a run begun earlier with just these settings; None to begin anew."""
    if not (run_dir / RUN_FILE).is_file() or RunFile.read(run_dir).settings != settings:
        return None
    folder = RunFolder(run_dir)
    if folder.status() == "running":
        return attach(run_dir)
    if folder.status() in ("stopped", "interrupted") and folder.can_resume:
        return launch(run_dir, resume=True)
    if folder.status() != "done":
        # Nothing to go on from: it never began, failed, or ended before its first checkpoint. A
        # finished run of another recipe is not ours to throw away.
        shutil.rmtree(run_dir)
    return None


def _wait(trainer: Trainer) -> str:
    try:
        return trainer.wait()
    except KeyboardInterrupt:
        trainer.stop()
        trainer.wait(STOPPING_S)
        raise


def _is_done(run_dir: Path, settings: RunSettings) -> bool:
    """Whether the folder holds a finished run made with just these settings."""
    if not (run_dir / RUN_FILE).is_file() or RunFolder(run_dir).status() != "done":
        return False
    run = RunFile.read(run_dir)
    return run.settings == settings and run.preset == settings.chosen_preset()


def find(
    model: Model, frame: Frame, *, threshold: float | None = None, tta: bool = False
) -> tuple[Found, float]:
    """Predict a frame; the threshold is the model card's unless one is given.

    Returns
    -------
    found : Found
        Positions read from the maps, and their probabilities.
    seconds : float
        What the prediction took.
    """
    from napari_apgan.predict.inference import predict_frame

    begun = time.perf_counter()
    atoms = predict_frame(model, frame, threshold=threshold, refine=False, tta=tta).atoms
    took = time.perf_counter() - begun
    return Found(positions(atoms), atoms["probability"].to_numpy(np.float64)), took


def say(message: str) -> None:
    """Report progress on stderr."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, its columns aligned."""
    widths = [max(len(r[k]) for r in [heads, *rows]) for k in range(len(heads))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) + " |"
        for r in [heads, *rows]
    ]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)
