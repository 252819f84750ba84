"""What is to be measured, and the folder in which what was measured is kept.

Every method, case and seed has a folder of its own, named in words, so that a second run finds what
the first one finished, and one folder can hold tables of several sizes.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.bench.training import Machine
from napari_apgan.errors import UserError
from napari_apgan.settings import write_atomically
from napari_apgan.simulate.imaging import Engine

from .columns import CONFIDENCE, SIGMAS
from .rows import Columns

RESULT, ANSWERS, ABOUT, RUN = "result.json", "answers.npz", "answers.json", "run"
#: What a second run makes anew: the columns, the answers too, or the trainings too.
Redo = Literal["nothing", "columns", "answers", "training"]
REDO: tuple[Redo, ...] = ("nothing", "columns", "answers", "training")


class Numbers(BaseModel):
    """How many frames there are, and how they are imaged.

    Parameters
    ----------
    train, validation : int, optional
        Those of the case when left out.
    test : int
    probes : int
        Structures that each gain is probed on; 0: no gains but that of the test frames.
    engine : {"fast", "abtem"}, optional
        The case's own when left out.
    side : int, optional
        Rows and columns of a frame, instead of the case's.
    seed : int
        Of the frames.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: int | None = Field(default=None, ge=1)
    validation: int | None = Field(default=None, ge=1)
    test: int = Field(default=10, ge=1)
    probes: int = Field(default=2, ge=0)
    engine: Engine | None = None
    side: int | None = Field(default=None, ge=32, le=4096)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.train is None) != (self.validation is None):
            raise ValueError("training and validation frames are given together")
        return self

    @property
    def folder(self) -> str:
        """Name of the folder of what was measured on these frames."""
        split = "usual" if self.train is None else f"{self.train}-{self.validation}"
        more = [self.engine or "", f"{self.side}px" if self.side else ""]
        words = [split, f"test{self.test}", f"probes{self.probes}", *more, f"frames{self.seed}"]
        return "_".join(w for w in words if w)


class Budget(BaseModel):
    """What a training may cost, and where it starts.

    Parameters
    ----------
    minutes, steps : optional
        Give one; the method's own budget when both are left out.
    init : str
        ``scratch``, ``bundled``, or a model.
    threads : int, optional
        Of training and prediction; all when left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    minutes: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, gt=0)
    init: str = "scratch"
    threads: int | None = Field(default=None, gt=0)

    @property
    def words(self) -> str:
        """In words, as tables say it."""
        parts = [f"{self.minutes:g} min" if self.minutes else ""]
        parts.append(f"{self.steps} steps" if self.steps else "")
        parts.append("" if self.init == "scratch" else f"from {Path(self.init).name}")
        parts.append(f"{self.threads} threads" if self.threads and self.threads > 1 else "")
        parts.append("1 thread" if self.threads == 1 else "")
        return ", ".join(p for p in parts if p)

    @property
    def folder(self) -> str:
        """As a part of a folder's name."""
        return self.words.replace(", ", "_").replace(" ", "") or "usual"


class Task(BaseModel):
    """One method on one case with one seed.

    Parameters
    ----------
    case, method : str
    seed : int
    numbers : Numbers
    budget : Budget
    recipe : str
        Digest of a preset's network and recipe: what an earlier recipe gave is another result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    method: str
    seed: int
    numbers: Numbers = Numbers()
    budget: Budget = Budget()
    recipe: str = ""

    def folder(self, work: Path) -> Path:
        """Where everything about it is kept."""
        method = "_".join(w for w in (self.method, self.budget.folder, self.recipe) if w)
        return work / self.case / self.numbers.folder / method / f"seed{self.seed}"

    def __str__(self) -> str:
        budget = self.budget.words
        return f"{self.case}, {self.method}{f' ({budget})' if budget else ''}, seed {self.seed}"


class About(BaseModel):
    """What was noted while a method answered.

    Parameters
    ----------
    task : Task
    labels : tuple of str
        Kinds of positions it gives.
    train_s : float
        Seconds of training or tuning.
    steps : int
        Training steps; 0 where there are none, or where they are not told.
    predict_s : mapping
        By label, the seconds that each test frame took.
    machine : Machine
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    labels: tuple[str, ...]
    train_s: float
    steps: int = 0
    predict_s: dict[str, tuple[float, ...]]
    machine: Machine


class Result(BaseModel):
    """A finished task.

    Parameters
    ----------
    about : About
    title : str
        Of the case.
    n_train, n_validation : int
        Frames that were learned from.
    rows : mapping
        Columns by kind of positions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: About
    title: str
    n_train: int
    n_validation: int
    rows: dict[str, Columns]

    @property
    def task(self) -> Task:
        """What was measured."""
        return self.about.task

    def predict_s(self, label: str) -> float:
        """Return the seconds that a test frame took, median."""
        return float(np.median(self.about.predict_s[label]))


#: Answers of one method: by label a table for every frame, those of the test first.
Answers = Mapping[str, Sequence[pd.DataFrame]]


def read_result(folder: Path, task: Task) -> Result | None:
    """Return the finished result of just this task, or None."""
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        result = Result.model_validate_json(path.read_bytes())
    except (ValidationError, OSError):
        return None  # of an earlier version: measured again
    return result if result.task == task else None


def find_results(folder: Path) -> list[Result]:
    """Return every result that is kept in a folder, in no order that means anything."""
    found = []
    for path in sorted(folder.glob(f"*/*/*/seed*/{RESULT}")):
        try:
            found.append(Result.model_validate_json(path.read_bytes()))
        except (ValidationError, OSError):
            continue  # of an earlier version, or no result at all
    return found


def write_result(folder: Path, result: Result, *, option: str = "--work") -> None:
    """Keep a finished result, in a folder that this option named.

    Raises
    ------
    UserError
        When it cannot be written.
    """
    _write(folder / RESULT, result.model_dump_json(indent=1), option)


def write_answers(folder: Path, about: About, answers: Answers) -> None:
    """Keep answers: what the columns are computed from, so that they can be computed again."""
    arrays = {
        f"{label}/{name}": values
        for label, tables in answers.items()
        for name, values in _packed(tables).items()
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    _write(folder / ANSWERS, stream.getvalue())
    _write(folder / ABOUT, about.model_dump_json(indent=1))


def read_answers(folder: Path, task: Task) -> tuple[About, Answers] | None:
    """Return the kept answers of just this task, or None."""
    try:
        about = About.model_validate_json((folder / ABOUT).read_bytes())
        with np.load(folder / ANSWERS, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        answers = {
            label: _unpacked(
                {
                    k.removeprefix(f"{label}/"): v
                    for k, v in arrays.items()
                    if k.startswith(f"{label}/")
                }
            )
            for label in about.labels
        }
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, json.JSONDecodeError):
        return None
    return (about, answers) if about.task == task else None


def _write(path: Path, content: bytes | str, option: str = "--work") -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(
            f"The results cannot be kept in {path.parent} ({error.strerror or error}): choose "
            f"another {option} folder."
        ) from error


#: Columns kept where every frame has them.
_EXTRA = (*dict.fromkeys(name for pair in SIGMAS.values() for name in pair), CONFIDENCE)


def _packed(tables: Sequence[pd.DataFrame]) -> dict[str, np.ndarray]:
    """Return the columns that count, of all frames one after another."""
    packed: dict[str, np.ndarray] = {
        "frame": np.repeat(np.arange(len(tables)), [len(t) for t in tables]),
        "frames": np.array(len(tables)),
        "xy": np.concatenate([np.empty((0, 2)), *(positions(t) for t in tables)]),
        "element": np.concatenate(
            [np.empty(0, "U1"), *(t["element"].to_numpy(str) for t in tables)]
        ),
        "flag": np.concatenate([np.empty(0, "U1"), *(t["flag"].to_numpy(str) for t in tables)]),
    }
    for name in _EXTRA:
        if all(name in t for t in tables):
            packed[name] = np.concatenate(
                [np.empty(0, np.float32), *(t[name].to_numpy(np.float32) for t in tables)]
            )
    return packed


def _unpacked(packed: Mapping[str, np.ndarray]) -> list[pd.DataFrame]:
    tables = []
    for k in range(int(packed["frames"])):
        ours = packed["frame"] == k
        table = make_atoms(
            packed["xy"][ours],
            packed["element"][ours].tolist(),
            origin="predicted",
            flag=packed["flag"][ours].tolist(),
        )
        for name in _EXTRA:
            if name in packed:
                table[name] = packed[name][ours].astype(np.float64)
        tables.append(table)
    return tables
