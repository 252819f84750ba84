"""``apgan bench ablation``: twins of `fast` that differ in one thing each, on simulated frames.

All learn from the same pairs, with the same seeds and budget; positions are read from the maps.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from napari_apgan.errors import UserError
from napari_apgan.models.bundled import BUNDLED, WEIGHTS

from .precision.cases import CaseData, adapted, elements_of, find_case, load_case
from .precision.columns import answer, pool
from .precision.limits import Limits
from .precision.marks import Marks, mark
from .precision.methods.method import MAP, Lesson
from .precision.report import mean_and_spread
from .precision.rows import Columns
from .training import Machine, Trained, say, table, this_machine, train
from .twins import Budget, Twin, find_twins, settings_of

CASE = "graphene-2.35"


class TwinRow(BaseModel):
    """What one twin came to, a value for each seed.

    Parameters
    ----------
    case, twin, title : str
    columns : list of Columns
        Of the map positions on the test frames.
    train_seconds : tuple of float
    steps : tuple of int
    predict_ms : tuple of float
        Of one test frame, maps and positions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    twin: str
    title: str
    columns: list[Columns]
    train_seconds: tuple[float, ...]
    steps: tuple[int, ...]
    predict_ms: tuple[float, ...]


class Ablation(BaseModel):
    """All twins on all cases, and how they were trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    seeds: tuple[int, ...]
    pairs: int
    validation_pairs: int
    test_frames: int
    titles: dict[str, str]
    left_out: dict[str, str]
    rows: list[TwinRow]

    def report(self) -> str:
        """Return a table for each case, the first twin above all others."""
        parts = []
        for case, title in self.titles.items():
            rows = [r for r in self.rows if r.case == case]
            parts.append(f"{title}:\n\n{table(_HEADS, [_cells(r) for r in rows])}")
        parts += [f"{name}: left out, {why}" for name, why in self.left_out.items()]
        seeds = ", ".join(map(str, self.seeds))
        parts.append(
            f"Mean and standard deviation over the seeds {seeds}; {self.pairs} pairs to learn from "
            f"and {self.validation_pairs} to validate, {self.test_frames} test frames.\n"
            f"{self.machine}."
        )
        return "\n\n".join(parts)


_HEADS = (
    "twin",
    "error (pm)",
    "skill",
    "gain",
    "F1",
    "F1, 8 px border",
    "F1, lacking neighbours",
    "vacancies filled",
    "training (s)",
    "steps",
    "frame (ms)",
)


def _cells(row: TwinRow) -> list[str]:
    columns = row.columns
    return [
        row.title,
        _spread([c.errors.mean_pm for c in columns], 2),
        _spread([c.errors.skill for c in columns], 3),
        _spread([c.errors.gain for c in columns], 3),
        _spread([c.f1 for c in columns], 4),
        _spread([c.f1_border for c in columns], 4),
        _spread([c.f1_lacking for c in columns], 4),
        _spread([None if c.filled is None else 100 * c.filled for c in columns], 1, " %"),
        _spread(row.train_seconds, 0),
        _spread(row.steps, 0),
        _spread(row.predict_ms, 0),
    ]


def _spread(values: Sequence[float | None], digits: int, unit: str = "") -> str:
    """Return mean ± standard deviation of what is known, the mean alone of a single value."""
    known = [v for v in values if v is not None]
    return mean_and_spread(known, digits) + (unit if known else "")


def ablate(
    folder: Path,
    *,
    cases: Sequence[str] = (CASE,),
    twins: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    pairs: int | None = None,
    tests: int = 6,
    budget: Budget | None = None,
    shape: tuple[int, int] | None = None,
) -> Ablation:
    """Train all twins and score them; interrupted, the same call goes on.

    Parameters
    ----------
    folder : Path
        Frames and runs are kept here; finished runs with the same settings are used again.
    cases : sequence of str
        Of :data:`.precision.cases.CASES`; graphene is imaged by the engine `fast`.
    twins : sequence of str
        By name; all when empty. `fast` itself is always among them.
    seeds : sequence of int
    pairs : int, optional
        Pairs of each case, those for validation among them; the case's own by default.
    tests : int
        Test frames.
    budget : Budget, optional
    shape : (int, int), optional
        Of the frames.

    Raises
    ------
    UserError
        When there is no such case or twin. A training that does not end well is left out.
    """
    chosen, left_out = [], {}
    for twin in find_twins(twins):
        if twin.init == BUNDLED and not WEIGHTS.is_file():
            left_out[twin.title] = "this installation lacks the bundled weights."
        else:
            chosen.append(twin)
    machine = this_machine()
    rows: list[TwinRow] = []
    titles: dict[str, str] = {}
    sizes = (0, 0)
    for name in cases:
        data = _load(name, folder, pairs, tests, shape)
        titles[name] = data.case.title
        sizes = (len(data.train), len(data.validation))
        bench = _Bench(data, folder / "runs", budget or Budget())
        found: dict[str, list[_Done]] = {twin.name: [] for twin in chosen}
        # Seed by seed, so that what is interrupted has whole columns of the first seeds.
        for seed in seeds:
            for twin in chosen:
                try:
                    found[twin.name].append(bench.one(twin, seed))
                except UserError as error:
                    left_out[f"{data.case.name}, {twin.title}, seed {seed}"] = str(error)
        rows += [_row(name, twin, found[twin.name]) for twin in chosen if found[twin.name]]
    return Ablation(
        machine=machine,
        seeds=tuple(seeds),
        pairs=sizes[0],
        validation_pairs=sizes[1],
        test_frames=tests,
        titles=titles,
        left_out=left_out,
        rows=rows,
    )


def _load(
    name: str, folder: Path, pairs: int | None, tests: int, shape: tuple[int, int] | None
) -> CaseData:
    case = adapted(find_case(name), engine="fast", shape=shape)
    n_train, n_validation = case.split()
    if pairs is not None:
        n_validation = max(1, round(0.13 * pairs))
        n_train = max(1, pairs - n_validation)
    return load_case(
        case,
        cache=folder / "frames",
        n_train=n_train,
        n_validation=n_validation,
        n_test=tests,
        n_probes=0,
    )


@dataclass(frozen=True, slots=True)
class _Done:
    """A trained twin, the columns of its test, and the seconds that one frame takes."""

    trained: Trained
    columns: Columns
    seconds: float


def _row(case: str, twin: Twin, done: Sequence[_Done]) -> TwinRow:
    return TwinRow(
        case=case,
        twin=twin.name,
        title=twin.title,
        columns=[d.columns for d in done],
        train_seconds=tuple(d.trained.seconds for d in done),
        steps=tuple(d.trained.steps for d in done),
        predict_ms=tuple(1000 * d.seconds for d in done),
    )


class _Bench:
    """Trains and scores twins on one case."""

    def __init__(self, data: CaseData, runs: Path, budget: Budget) -> None:
        self.data, self.runs, self.budget = data, runs, budget
        self._marks: list[Marks] = [
            mark(made, Limits.unknown(len(made.pair.atoms))) for made in data.test
        ]

    def one(self, twin: Twin, seed: int) -> _Done:
        """Train and score a twin with a seed."""
        say(f"{self.data.case.name}, {twin.name}, seed {seed}")
        trained = self._train(twin, seed)
        return _Done(trained, *self._score(trained))

    def _train(self, twin: Twin, seed: int) -> Trained:
        data = self.data
        settings = settings_of(twin, data.case, self.budget, seed)
        learned = settings.model_dump_json() + settings.chosen_preset().model_dump_json()
        name = Lesson(data.train, data.validation, seed, self.runs).digest(learned)
        return train(
            [p.pair for p in data.train],
            self.runs / f"{data.case.name}-{twin.name}-{seed}-{name}",
            settings,
            elements_of(data.case),
            validation=[p.pair for p in data.validation],
        )

    def _score(self, trained: Trained) -> tuple[Columns, float]:
        """Return the columns of the test, and the seconds that one frame takes."""
        from napari_apgan.predict.inference import predict_frame

        answers, seconds = [], []
        for marks in self._marks:
            begun = time.perf_counter()
            atoms = predict_frame(
                trained.model, marks.pair.pair.frame, refine=False, device="cpu"
            ).atoms
            seconds.append(time.perf_counter() - begun)
            answers.append(
                answer(atoms, marks, label=MAP, tolerance_px=self.data.case.tolerance_px)
            )
        return pool(answers), min(seconds)
