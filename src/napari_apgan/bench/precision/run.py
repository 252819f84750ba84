"""Measure tasks one after another; what is finished is kept, so a second run goes on from there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import positions
from napari_apgan.bench.training import Machine, say, this_machine
from napari_apgan.errors import UserError
from napari_apgan.simulate.pairs import SimulatedPair

from .cases import Case, CaseData, adapted, find_case, load_case
from .columns import answer, pool
from .gains import Gain, Shifts, gain_of, shifts_of
from .limits import Limits, frame_limits, read_limits, write_limits
from .marks import Marks, mark
from .methods.method import SECONDS, Lesson, Method
from .rows import Columns
from .tasks import (
    REDO,
    RUN,
    About,
    Answers,
    Redo,
    Result,
    Task,
    read_answers,
    read_result,
    write_answers,
    write_result,
)

Floats = NDArray[np.float64]

#: Ideal images, shared by all cases of a work folder.
IDEAL = "ideal-images"


@dataclass(frozen=True, slots=True)
class Missing:
    """A task without a result, and why: a sentence for the table."""

    task: Task
    reason: str


Outcome = Result | Missing
Loader = Callable[[Task], CaseData]
Maker = Callable[[Task, Case], Method]


def load(task: Task, work: Path) -> CaseData:
    """Simulate the frames of a task's case, or take them from the work folder."""
    n = task.numbers
    return load_case(
        case_of(task),
        cache=work / IDEAL,
        n_train=n.train,
        n_validation=n.validation,
        n_test=n.test,
        n_probes=n.probes,
        seed=n.seed,
    )


def case_of(task: Task) -> Case:
    """Return the case of a task, on frames as its numbers want them."""
    side = task.numbers.side
    shape = None if side is None else (side, side)
    return adapted(find_case(task.case), engine=task.numbers.engine, shape=shape)


def run_tasks(
    tasks: Sequence[Task],
    work: Path,
    *,
    make: Maker,
    load: Loader,
    redo: Redo = "nothing",
    results: Path | None = None,
) -> list[Outcome]:
    """Measure every task that is not finished yet.

    Parameters
    ----------
    tasks : sequence of Task
    work : Path
        Where images, trainings and answers are kept.
    make : callable
        Makes the method of a task.
    load : callable
        Makes the frames of a task; called once for tasks of the same case and numbers that follow
        one another, and not at all where all of them are finished.
    redo : {"nothing", "columns", "answers", "training"}
        What is made anew although it is there.
    results : Path, optional
        Where the figures are kept: a few kB a task, unlike the rest; `work` when left out.

    Returns
    -------
    list of Result or Missing
        In the order of the tasks.
    """
    out: list[Outcome] = []
    total = len(tasks)
    option = "--work" if results is None else "--results"
    results = results or work
    for _, group in groupby(tasks, key=lambda t: (t.case, t.numbers)):
        frames: _Frames | None = None
        for task in group:
            words = f"[{len(out) + 1}/{total}] {task}"
            kept = read_result(task.folder(results), task) if redo == "nothing" else None
            if kept is None:
                if frames is None:
                    say(f"{words}: frames")
                    frames = _Frames(load(task), task.folder(work).parents[1] / "limits.npz")
                try:
                    kept = _measure(task, work, frames, make, redo, words)
                    write_result(task.folder(results), kept, option=option)
                except UserError as error:
                    say(f"{words}: {error}")
                    out.append(Missing(task, str(error)))
                    continue
            out.append(kept)
            say(f"{words}: {_summary(kept)}")
    return out


class _Frames:
    """The frames of a case, with what is known of them; the bounds are computed once and kept."""

    def __init__(self, data: CaseData, limits_file: Path) -> None:
        self.data = data
        self._file = limits_file
        self._marks: list[Marks] | None = None

    @property
    def every(self) -> Iterator[SimulatedPair]:
        """All frames to predict: those of the test, then the probes."""
        yield from self.data.test
        for probes in self.data.probes.values():
            yield from (p.made for p in probes)

    def marks(self) -> list[Marks]:
        """Return what is known of each test frame."""
        if self._marks is None:
            limits = self._limits()
            self._marks = [mark(p, q) for p, q in zip(self.data.test, limits, strict=True)]
        return self._marks

    def _limits(self) -> list[Limits]:
        sizes = [len(p.pair.atoms) for p in self.data.test]
        kept = read_limits(self._file, sizes)
        if kept is None:
            say("  bounds of the test frames")
            case, prior = self.data.case, prior_pm(self.data.test)
            polarity = dict.fromkeys(case.elements, case.polarity)
            kept = [frame_limits(p, polarity, prior_pm=prior) for p in self.data.test]
            write_limits(self._file, kept)
        return kept


def prior_pm(test: Sequence[SimulatedPair]) -> float:
    """Return the rms displacement of the atoms of some frames along one axis, in pm."""
    squared: list[Floats] = []
    for made in test:
        shift = positions(made.pair.atoms) - positions(made.undisplaced)
        squared.append(np.square(made.pair.frame.calibration.to_pm(shift)).ravel())
    every = np.concatenate(squared)
    return float(np.sqrt(every.mean())) if len(every) else 0.0


def _measure(
    task: Task, work: Path, frames: _Frames, make: Maker, redo: Redo, words: str
) -> Result:
    """Train and predict, as far as that is not kept, and compute the columns."""
    folder, case = task.folder(work), frames.data.case
    kept = read_answers(folder, task) if REDO.index(redo) < REDO.index("answers") else None
    if redo == "training":
        shutil.rmtree(folder / RUN, ignore_errors=True)
    if kept is None:
        kept = _ask(make(task, case), task, folder, frames, words)
        write_answers(folder, *kept)
    about, answers = kept
    n = sum(1 for _ in frames.every)
    if any(len(tables) != n for tables in answers.values()):
        raise UserError(
            f"The answers kept in {folder} are of other frames: run again with --redo answers."
        )
    return Result(
        about=about,
        title=case.title,
        n_train=len(frames.data.train),
        n_validation=len(frames.data.validation),
        rows={label: count(frames.data, frames.marks(), t, label) for label, t in answers.items()},
    )


def _ask(
    method: Method, task: Task, folder: Path, frames: _Frames, words: str
) -> tuple[About, Answers]:
    """Let a method learn, then answer every frame."""
    data = frames.data
    say(f"{words}: training")
    train_s = method.fit(Lesson(data.train, data.validation, task.seed, folder / RUN))
    say(f"{words}: trained in {train_s:.0f} s; predicting")
    answers: dict[str, list[pd.DataFrame]] = {}
    for made in frames.every:
        for label, table in method.predict(made.pair.frame, made):
            answers.setdefault(label, []).append(table)
    n = len(data.test)
    about = About(
        task=task,
        labels=tuple(answers),
        train_s=train_s,
        steps=int(getattr(method, "steps", 0)),
        predict_s={k: tuple(t.attrs[SECONDS] for t in v[:n]) for k, v in answers.items()},
        machine=_machine(),
    )
    return about, answers


def _machine() -> Machine:
    """Describe this machine, with the simulator and the programs of others that are installed."""
    machine = this_machine()
    found = dict(machine.versions)
    for name in ("abtem", "atomai", "atomap"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return machine.model_copy(update={"versions": found})


def count(
    data: CaseData, marks: Sequence[Marks], tables: Sequence[pd.DataFrame], label: str
) -> Columns:
    """Compute the columns of one kind of positions.

    Parameters
    ----------
    data : CaseData
    marks : sequence of Marks
        Of the test frames.
    tables : sequence of DataFrame
        Answers to the test frames, then to the probes in their order.
    label : str
    """
    tolerance = data.case.tolerance_px
    asked, rest = tables[: len(marks)], iter(tables[len(marks) :])
    parts = [
        answer(t, m, label=label, tolerance_px=tolerance) for t, m in zip(asked, marks, strict=True)
    ]
    gains: dict[str, Gain] = {}
    by_amplitude: dict[str, dict[str, Gain]] = {}
    for kind, probes in data.probes.items():
        found: dict[float, list[Shifts]] = {}
        for probe in probes:
            shifts = shifts_of(next(rest), probe.made, probe.displacement_pm, tolerance)
            found.setdefault(probe.amplitude_pm, []).append(shifts)
        gains[kind] = gain_of([s for shifts in found.values() for s in shifts])
        by_amplitude[kind] = {f"{a:g}": gain_of(s) for a, s in sorted(found.items())}
    return pool(parts, gains, by_amplitude)


def _summary(result: Result) -> str:
    """Return the numbers that tell whether all went well, for the progress."""
    parts = []
    for label, row in result.rows.items():
        f1 = "–" if row.f1 is None else f"{row.f1:.4f}"
        mean = "–" if row.errors.mean_pm is None else f"{row.errors.mean_pm:.2f} pm"
        parts.append(f"{label} F1 {f1}, error {mean}")
    return "; ".join(parts)
