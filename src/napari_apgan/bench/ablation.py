"""``apgan bench ablation``: twins of `fast` that differ in one thing each, on simulated frames.

A twin is `fast` with some fields of its recipe or network changed: no code of its own. All learn
from the same pairs, with the same seeds and budget; positions are read from the maps.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_apgan.errors import UserError
from napari_apgan.models.bundled import BUNDLED, WEIGHTS
from napari_apgan.simulate.pairs import SimulatedPair
from napari_apgan.train import RunSettings

from .precision.answers import MAP, elements_of
from .precision.cases import Case, CaseData, adapted, find_case, load_case
from .precision.columns import answer, pool
from .precision.limits import Limits
from .precision.marks import Marks, mark
from .precision.rows import Columns
from .training import Machine, Trained, say, table, this_machine, train

#: Budget of each training where none is asked for.
STEPS = 1500
CASE = "graphene-2.35"


@dataclass(frozen=True, slots=True)
class Twin:
    """One twin.

    Parameters
    ----------
    name : str
        For the command line.
    title : str
    recipe, network : mapping
        Fields of the preset that it changes.
    init : str
        What it starts from.
    stream_share : float
        Part of each batch that is simulated while it trains; 0: none.
    """

    name: str
    title: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    init: str = "scratch"
    stream_share: float = 0.0


def _loss(**weights: float) -> dict[str, Any]:
    return {"weights": weights}


def _changes(**augmentation: Any) -> dict[str, Any]:
    return {"augmentation": augmentation}


def _trunk(receptive_field_px: int, **options: Any) -> dict[str, Any]:
    return {"options": options, "receptive_field_px": receptive_field_px}


TWINS: tuple[Twin, ...] = (
    Twin("fast", "`fast`"),
    Twin("adversary", "with an adversary, weight 0.01", _loss(adversarial=0.01)),
    Twin("adversary-strong", "with an adversary, weight 0.1", _loss(adversarial=0.1)),
    Twin("ssim", "SSIM beside", _loss(ssim=1.0)),
    Twin("psnr", "PSNR beside", _loss(psnr=1.0)),
    Twin(
        "paper-loss",
        "adversarial 0.01 + SSIM + PSNR alone, as in the paper",
        _loss(adversarial=0.01, ssim=1.0, psnr=1.0, bce=0.0, mse=0.0),
    ),
    Twin("mse", "MSE in place of cross-entropy", _loss(bce=0.0, mse=1.0, peak_weight=0.0)),
    Twin("even", "discs weighted like background", _loss(peak_weight=0.0)),
    Twin("no-mask", "mask not read", network={"options": {"mask": False}}),
    Twin("plain", "no changes but mirrors and quarter turns", _changes(until=0.0)),
    Twin("changed", "changes in all crops to the end", _changes(enough_atoms=0, until=1.0)),
    Twin("fresh", "half of each batch simulated afresh", stream_share=0.5),
    Twin("bundled", "from the bundled start", init=BUNDLED),
    Twin("near", "sees 119 px", network=_trunk(119, dilations=(1, 1, 1, 1, 1, 1, 1))),
    Twin("far", "sees 263 px", network=_trunk(263, dilations=(1, 2, 4, 8, 16, 8, 4))),
    # As many operations as at half the resolution.
    Twin(
        "full",
        "trunk at full resolution, 16 wide",
        network=_trunk(175, fold=1, channels=16, dilations=(2, 4, 8, 16, 8, 4, 2)),
    ),
    Twin(
        "quarter",
        "trunk at a quarter of the resolution, 64 wide",
        network=_trunk(199, fold=4, channels=64, dilations=(1, 1, 2, 4, 2, 1, 1)),
    ),
)


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
    known = np.array([v for v in values if v is not None], dtype=np.float64)
    if not known.size:
        return "–"
    mean = f"{known.mean():.{digits}f}"
    return mean + (f" ± {known.std(ddof=1):.{digits}f}" if known.size > 1 else "") + unit


@dataclass(frozen=True, slots=True)
class Budget:
    """What each training gets.

    Parameters
    ----------
    steps, minutes : optional
        :data:`STEPS` when neither is given.
    threads : int, optional
    """

    steps: int | None = None
    minutes: float | None = None
    threads: int | None = None


def settings_of(twin: Twin, case: Case, budget: Budget, seed: int) -> RunSettings:
    """Return the settings that train a twin."""
    steps = STEPS if budget.steps is budget.minutes is None else budget.steps
    stream: dict[str, Any] = {}
    if twin.stream_share:
        stream = {"stream": case.settings, "stream_share": twin.stream_share}
    return RunSettings(
        preset="fast",
        steps=steps,
        minutes=budget.minutes,
        device="cpu",
        seed=seed,
        init=twin.init,
        threads=budget.threads,
        recipe=dict(twin.recipe),
        network=dict(twin.network),
        **stream,
    )


def find_twins(names: Sequence[str]) -> tuple[Twin, ...]:
    """Return the twins of these names, `fast` first; all of them without names.

    Raises
    ------
    UserError
        When there is none of a name.
    """
    known = {twin.name: twin for twin in TWINS}
    for name in names:
        if name not in known:
            raise UserError(f"There is no twin {name!r}: choose from {', '.join(known)}.")
    return tuple(t for t in TWINS if not names or t.name in names or t is TWINS[0])


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
    """Train all twins and score them.

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
        When there is no such case or twin, or a training does not end well.
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
        rows += [bench.row(twin, seeds) for twin in chosen]
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


class _Bench:
    """Trains and scores twins on one case."""

    def __init__(self, data: CaseData, runs: Path, budget: Budget) -> None:
        self.data, self.runs, self.budget = data, runs, budget
        self._marks: list[Marks] = [
            mark(made, Limits.unknown(len(made.pair.atoms))) for made in data.test
        ]

    def row(self, twin: Twin, seeds: Sequence[int]) -> TwinRow:
        """Train and score a twin with every seed."""
        found: list[tuple[Columns, Trained, float]] = []
        for seed in seeds:
            say(f"{self.data.case.name}, {twin.name}, seed {seed}")
            trained = self._train(twin, seed)
            columns, seconds = self._score(trained)
            found.append((columns, trained, seconds))
        return TwinRow(
            case=self.data.case.name,
            twin=twin.name,
            title=twin.title,
            columns=[columns for columns, _, _ in found],
            train_seconds=tuple(trained.seconds for _, trained, _ in found),
            steps=tuple(trained.steps for _, trained, _ in found),
            predict_ms=tuple(1000 * seconds for _, _, seconds in found),
        )

    def _train(self, twin: Twin, seed: int) -> Trained:
        data = self.data
        settings = settings_of(twin, data.case, self.budget, seed)
        return train(
            [p.pair for p in data.train],
            self.runs / f"{data.case.name}-{twin.name}-{seed}-{_digest(data, settings)}",
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


def _digest(data: CaseData, settings: RunSettings) -> str:
    """Return a name for the frames and the recipe, so that no other run is taken for it."""
    total = hashlib.sha256(settings.model_dump_json().encode())
    total.update(settings.chosen_preset().model_dump_json().encode())
    for made in (*data.train, *data.validation):
        total.update(_content(made))
    return total.hexdigest()[:10]


def _content(made: SimulatedPair) -> bytes:
    return np.ascontiguousarray(made.pair.frame.data).tobytes()
