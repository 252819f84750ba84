"""What a project has under way when it is opened: trainings that run, ended, or were cut off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_apgan.project import Project
from napari_apgan.train.launcher import Trainer
from napari_apgan.train.runfolder import RunFolder

from .train_monitor import find_resumable, find_running, folders
from .train_rounds import record_round


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Parameters
    ----------
    ended : list of RunFolder
        Trainings that ended while the project was closed.
    model : Path, optional
        The newest run with a model.
    running : Trainer, optional
    interrupted : RunFolder, optional
        The newest run, where it was cut off and can go on.
    starting : RunFolder, optional
        The newest run, where its trainer has not been heard of yet.
    """

    ended: list[RunFolder]
    model: Path | None
    running: Trainer | None
    interrupted: RunFolder | None
    starting: RunFolder | None


def look_through(project: Project) -> Found:
    """Look through the runs of a project, and record the rounds of those that ended."""
    runs = folders(project.runs())
    over = [run for run in runs if run.status() in ("done", "stopped")]
    ended = [run for run in over if record_round(project, run) is not None]
    with_model = [r for r in runs if r.best_model is not None and r.status() != "running"]
    resumable = find_resumable(runs)
    cut_off = resumable is not None and resumable[1] == "interrupted"
    return Found(
        ended,
        with_model[-1].path if with_model else None,
        find_running(runs),
        resumable[0] if resumable is not None and cut_off else None,
        runs[-1] if runs and runs[-1].status() == "waiting" else None,
    )
