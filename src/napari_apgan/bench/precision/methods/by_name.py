"""Methods by the names that the command line knows them by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from napari_apgan.bench.precision.cases import Case
from napari_apgan.bench.precision.tasks import Budget, Numbers, Result, Task
from napari_apgan.errors import UserError
from napari_apgan.models.presets import PRESETS

from .atomai import CYCLES, AtomAIMethod
from .atomap import AtomapMethod
from .lattice import LatticeMethod
from .log_gaussian import LogGaussianMethod
from .method import Method
from .others import peer_versions
from .preset import PresetMethod

LATTICE, LOG, ATOMAI, ATOMAP = "lattice", "log", "atomai", "atomap"
#: Every method, in the order of the tables.
METHODS: tuple[str, ...] = (LATTICE, LOG, ATOMAP, ATOMAI, *PRESETS)
#: What the tables call them.
TITLES: dict[str, str] = {
    LATTICE: "undisplaced lattice",
    LOG: "LoG + Gaussian, tuned",
    ATOMAP: "atomap",
    ATOMAI: "AtomAI U-Net",
}
#: Those that give the same answer with every seed.
WITHOUT_SEED = (LATTICE, LOG, ATOMAP)


def make_method(task: Task, case: Case) -> Method:
    """Return the method of a task.

    Raises
    ------
    UserError
        When it is another's program that is not installed.
    """
    name, budget = task.method, task.budget
    if name == LATTICE:
        return LatticeMethod()
    if name == LOG:
        return LogGaussianMethod(case)
    if name in (ATOMAI, ATOMAP):
        if peer_versions()[name] is None:
            raise UserError("not installed")
        if name == ATOMAP:
            return AtomapMethod(case)
        return AtomAIMethod(case, budget.steps or CYCLES, threads=budget.threads)
    return PresetMethod(case, name, budget)


def list_tasks(
    cases: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    numbers: Numbers,
    *,
    minutes: Mapping[str, float] | None = None,
    steps: Mapping[str, int] | None = None,
    init: str = "scratch",
    threads: int | None = None,
) -> list[Task]:
    """Return what is to be measured, case by case.

    Parameters
    ----------
    cases, methods : sequence of str
    seeds : sequence of int
        Methods that give the same answer with every seed take the first only.
    numbers : Numbers
    minutes, steps : mapping, optional
        Budgets by method; under ``""`` that of all other networks. AtomAI counts steps only.
    init : str
        Where presets start.
    threads : int, optional

    Raises
    ------
    UserError
        When there is no such method, or no seed.
    """
    unknown = [m for m in methods if m not in METHODS]
    if unknown:
        raise UserError(
            f"There is no method called {unknown[0]!r}: choose from {', '.join(METHODS)}."
        )
    if not seeds:
        raise UserError("Nothing is measured without a seed: give one, such as --seeds 0.")
    minutes, steps = minutes or {}, steps or {}
    tasks = []
    for case in cases:
        for method in methods:
            budget = Budget(threads=threads)
            if method == ATOMAI:
                budget = Budget(threads=threads, steps=steps.get(method))
            elif method in PRESETS:
                budget = _budget(method, minutes, steps, init, threads)
            for seed in seeds[:1] if method in WITHOUT_SEED else seeds:
                tasks.append(
                    Task(
                        case=case,
                        method=method,
                        seed=seed,
                        numbers=numbers,
                        budget=budget,
                        recipe=recipe_of(method),
                    )
                )
    return tasks


def choose_results(
    results: Iterable[Result], cases: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Result]:
    """Return results in the order of the tables, of each method and start those that cost most.

    Parameters
    ----------
    results : iterable of Result
    cases, methods : sequence of str
        Wanted ones; what a preset gave with a recipe that is no longer its own is left out.
    seeds : sequence of int
        Wanted ones; all when empty.
    """
    chosen = [
        r
        for r in results
        if r.task.case in cases
        and r.task.method in methods
        and r.task.recipe == recipe_of(r.task.method)
        and (not seeds or r.task.seed in seeds)
    ]
    largest: dict[tuple[str, Numbers, str, str], float] = {}
    for r in chosen:
        largest[_kind(r.task)] = max(largest.get(_kind(r.task), 0.0), _size(r.task.budget))
    chosen = [r for r in chosen if _size(r.task.budget) == largest[_kind(r.task)]]
    order = {name: k for names in (cases, methods) for k, name in enumerate(names)}
    return sorted(
        chosen,
        key=lambda r: (
            order[r.task.case],
            r.task.numbers.folder,
            order[r.task.method],
            r.task.budget.folder,
            r.task.seed,
        ),
    )


def _kind(task: Task) -> tuple[str, Numbers, str, str]:
    """Return what budgets of are compared: a method on the frames of a case, from one start."""
    return task.case, task.numbers, task.method, task.budget.init


def _size(budget: Budget) -> float:
    """Return a number that grows with a budget; minutes and steps are not mixed in one kind."""
    return float(budget.minutes or budget.steps or 0.0)


def recipe_of(method: str) -> str:
    """Return a digest of a preset's network and recipe; empty for other methods."""
    if method not in PRESETS:
        return ""
    return hashlib.sha256(PRESETS[method].model_dump_json().encode()).hexdigest()[:8]


def _budget(
    method: str,
    minutes: Mapping[str, float],
    steps: Mapping[str, int],
    init: str,
    threads: int | None,
) -> Budget:
    """Return a preset's budget: its own before that of all, minutes or steps."""
    for name in (method, ""):
        if name in minutes and name in steps:
            raise UserError(
                f"The budget of {method} is given in minutes and in steps: give one of them."
            )
        if name in minutes:
            return Budget(minutes=minutes[name], init=init, threads=threads)
        if name in steps:
            return Budget(steps=steps[name], init=init, threads=threads)
    return Budget(init=init, threads=threads)


def parse_amounts(text: str, option: str) -> dict[str, float]:
    """Turn ``3`` or ``fast=3,paper=60`` into amounts by method, ``""`` standing for all others.

    Raises
    ------
    UserError
        When a number is none or not positive, or there is no such method.
    """
    found: dict[str, float] = {}
    for part in (p.strip() for p in text.split(",") if p.strip()):
        name, _, number = part.rpartition("=")
        name = name.strip()
        if name and name not in METHODS:
            raise UserError(f"{option}: there is no method called {name!r}.")
        try:
            value = float(number)
        except ValueError:
            value = 0.0
        if not 0 < value < 1e9:
            raise UserError(f"{option} takes a positive number or METHOD=NUMBER,…, not {part!r}.")
        found[name] = value
    return found
