"""What a user orders from ``apgan bench precision``, and carrying it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_apgan.errors import UserError, fault_of

from . import report, run
from .cases import CASES, CaseData, find_case
from .methods.by_name import METHODS, choose_results, list_tasks, make_method, parse_amounts
from .reach import reach_table
from .run import Outcome, run_tasks
from .target import target_report, to_target
from .tasks import REDO, Numbers, Redo, Result, Task, find_results

#: Numbers where none are given, and smaller ones to see that all works.
USUAL: dict[str, Any] = {"frames": "10", "probes": 2, "seeds": "0,1,2"}
QUICK: dict[str, Any] = {
    "frames": "6,2,2",
    "probes": 1,
    "seeds": "0",
    "engine": "fast",
    "side": 128,
    "steps": "60",
}


class Choice(BaseModel):
    """Which finished results are told of; all seeds where none is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]


class Order(BaseModel):
    """What is to be measured.

    Parameters
    ----------
    tasks : tuple of Task
        Of the tables.
    target : bool
        Whether the time to the first line is measured too.
    seeds, numbers, threads
        Of that measurement.
    redo : {"nothing", "columns", "answers", "training"}
    finished : Choice, optional
        What is told of, where nothing is to be measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[Task, ...]
    target: bool
    seeds: tuple[int, ...]
    numbers: Numbers
    threads: int | None
    redo: Redo = "nothing"
    finished: Choice | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order: outcomes of the tables, and of the time to the first line."""

    outcomes: Sequence[Outcome]
    timing: Sequence[Outcome]

    def report(self) -> str:
        """Return all tables."""
        asked = reach_table(self.outcomes)
        parts = ["### Asked and reached", asked] if asked else []
        parts += [report.report(self.outcomes)] if self.outcomes else []
        if self.timing:
            parts += ["### Training to the first line", target_report(self.timing)]
            parts.append(report.machines(self.timing))
        return "\n\n".join(p for p in parts if p)

    def as_json(self) -> dict[str, list[dict[str, Any]]]:
        """Return everything as plain values."""
        return {
            name: [
                o.model_dump(mode="json")
                if isinstance(o, Result)
                else {"task": o.task.model_dump(mode="json"), "missing": o.reason}
                for o in outcomes
            ]
            for name, outcomes in (("results", self.outcomes), ("target", self.timing))
        }


def make_order(
    *,
    cases: str,
    methods: str,
    seeds: str | None = None,
    minutes: str = "",
    steps: str = "",
    engine: str | None = None,
    frames: str | None = None,
    probes: int | None = None,
    side: int | None = None,
    init: str = "scratch",
    threads: int | None = None,
    target: bool = False,
    quick: bool = False,
    redo: str = "nothing",
    finished_only: bool = False,
) -> Order:
    """Turn the words of a command line into an order.

    Raises
    ------
    UserError
        When a word fits nothing; the sentence says what does.
    """
    usual = QUICK if quick else USUAL
    if quick and not minutes and not steps:
        steps = QUICK["steps"]
    if target and finished_only:
        raise UserError("--finished measures nothing, and --target has to: give one of them.")
    split = _split(frames or usual["frames"])
    numbers = _numbers(
        {
            **split,
            "probes": usual["probes"] if probes is None else probes,
            "engine": engine or usual.get("engine"),
            "side": side or usual.get("side"),
        }
    )
    whole = tuple(_whole(seeds or usual["seeds"], "--seeds"))
    level = next((r for r in REDO if r == redo), None)
    if level is None:
        raise UserError(f"--redo takes {', '.join(REDO)}, not {redo!r}.")
    of_cases, of_methods = _names(cases, tuple(CASES)), _names(methods, METHODS)
    tasks = list_tasks(
        of_cases,
        of_methods,
        whole,
        numbers,
        minutes=parse_amounts(minutes, "--minutes"),
        steps={k: round(v) for k, v in parse_amounts(steps, "--steps").items()},
        init=init,
        threads=threads,
    )
    for name in {t.case for t in tasks}:
        find_case(name)
    chosen = Choice(cases=of_cases, methods=of_methods, seeds=whole if seeds else ())
    return Order(
        tasks=() if finished_only else tuple(tasks),
        target=target,
        seeds=whole,
        numbers=numbers,
        threads=threads,
        redo=level,
        finished=chosen if finished_only else None,
    )


def carry_out(order: Order, work: Path, results: Path | None = None) -> Done:
    """Measure what is not finished yet; see :func:`.run.run_tasks`.

    Raises
    ------
    UserError
        When only what is finished is asked for, and nothing is.
    """
    if order.finished is not None:
        c, folder = order.finished, results or work
        kept = choose_results(find_results(folder), c.cases, c.methods, c.seeds)
        if not kept:
            raise UserError(f"There are no finished results of these in {folder}.")
        return Done(kept, [])

    def load(task: Task) -> CaseData:
        return run.load(task, work)

    outcomes = run_tasks(
        order.tasks,
        work,
        make=make_method,
        load=load,
        redo=order.redo,
        results=results,
    )
    timing: list[Outcome] = []
    if order.target:
        timing = to_target(
            work,
            make=make_method,
            load=load,
            seeds=order.seeds,
            numbers=order.numbers,
            threads=order.threads,
            redo=order.redo,
            results=results,
        )
    return Done(outcomes, timing)


def _names(text: str, known: Sequence[str]) -> list[str]:
    """Return the names of a list; all known ones for ``all``, none for ``none``."""
    if text == "all":
        return list(known)
    names = [n.strip() for n in text.split(",") if n.strip()]
    return [] if names == ["none"] else names


def _whole(text: str, option: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        numbers = [-1]
    if not numbers or min(numbers) < 0:
        raise UserError(f"{option} takes whole numbers such as 0,1,2, not {text!r}.")
    return list(dict.fromkeys(numbers)) if option == "--seeds" else numbers


def _split(text: str) -> dict[str, int]:
    """Return the numbers of frames: three of them, or those of the test."""
    numbers = _whole(text, "--frames")
    if len(numbers) == 1:
        return {"test": numbers[0]}
    if len(numbers) != 3:
        raise UserError(
            f"--frames takes training,validation,test or the test's only, not {text!r}."
        )
    return dict(zip(("train", "validation", "test"), numbers, strict=True))


def _numbers(fields: Mapping[str, Any]) -> Numbers:
    try:
        return Numbers.model_validate(fields)
    except ValidationError as error:
        raise UserError(f"The frames cannot be made so: {fault_of(error)}.") from error
