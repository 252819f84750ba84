"""Runs, rounds and predictions of a project: which trainings there were and what each gained."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.errors import UserError
from napari_apgan.names import frame_name

from .folder import Folder, PredictionFiles, read_model, write_json

_RUN = re.compile(r"run-(\d+)")


class Round(BaseModel):
    """One turn of the loop.

    Parameters
    ----------
    number : int
        From 1.
    run_id : str
        Name of the run's folder.
    pairs, atoms : int
        Size of the training set.
    validation_score : float, optional
        Agreement with the held-out labels (F1, 0..1).
    moved_px, moved_pm : float, optional
        How far predicted positions moved against the previous round (median).
    time : str
        ISO 8601.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int = Field(ge=1)
    run_id: str
    pairs: int = Field(ge=0)
    atoms: int = Field(ge=0)
    validation_score: float | None = None
    moved_px: float | None = None
    moved_pm: float | None = None
    time: str = ""


class RoundsFile(BaseModel):
    """``rounds.json``."""

    model_config = ConfigDict(extra="ignore")

    rounds: tuple[Round, ...] = ()


def make_run_dir(folder: Folder) -> Path:
    """Make the folder of the next run: ``runs/run-001`` and so on, never one that was used."""
    numbers = [int(m[1]) for p in list_runs(folder) if (m := _RUN.fullmatch(p.name))]
    number = max(numbers, default=0) + 1
    folder.runs.mkdir(exist_ok=True)
    while True:
        path = folder.runs / f"run-{number:03d}"
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
            continue
        except OSError as error:
            raise UserError(
                f"No folder for the training could be made in {folder.runs}: {error.strerror}."
            ) from error
        return path


def list_runs(folder: Folder) -> list[Path]:
    """Return the folders of all runs, oldest first."""
    found = [p for p in folder.runs.glob("*") if p.is_dir() and not p.name.startswith(".")]

    def order(path: Path) -> tuple[int, str]:
        match = _RUN.fullmatch(path.name)
        return (int(match[1]) if match else 0, path.name)

    return sorted(found, key=order)


def read_rounds(folder: Folder) -> list[Round]:
    """Return the rounds, first one first."""
    return list(read_model(RoundsFile, folder.rounds_file).rounds)


def write_round(folder: Folder, record: Round) -> None:
    """Add a round, or replace the one of the same number."""
    others = [r for r in read_rounds(folder) if r.number != record.number]
    rounds = sorted([*others, record], key=lambda r: r.number)
    write_json(folder.rounds_file, RoundsFile(rounds=tuple(rounds)))


def prediction_files(folder: Folder, run_id: str, source_id: str, frame: int) -> PredictionFiles:
    """Return where the prediction of a frame by a run lies or will lie."""
    return PredictionFiles(folder.predictions / run_id / source_id, frame_name(frame))
