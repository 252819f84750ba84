"""The runner of the precision tables: what is finished is kept, and nothing is done twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.bench.precision.cases import Case, CaseData, load_case
from napari_apgan.bench.precision.methods.by_name import (
    ATOMAI,
    LATTICE,
    list_tasks,
    make_method,
    parse_amounts,
)
from napari_apgan.bench.precision.methods.lattice import LatticeMethod
from napari_apgan.bench.precision.methods.method import MAP, Answers, Lesson, Method, timed
from napari_apgan.bench.precision.run import Missing, Outcome, case_of, prior_pm, run_tasks
from napari_apgan.bench.precision.tasks import Budget, Numbers, Redo, Result, Task, find_results
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.models.presets import PRESETS
from napari_apgan.simulate.pairs import SimulatedPair

NUMBERS = Numbers(train=1, validation=1, test=2, probes=1, engine="fast", side=96)
HALF = "fast"  # a name that takes seeds; what it answers is made up here


class HalfWay:
    """Answers with atoms half-way between site and truth; counts how often it is trained."""

    name = "half-way"

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def fit(self, lesson: Lesson) -> float:
        """Note it."""
        self.log.append(f"fit {lesson.seed}")
        return 7.0

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Shrink displacements by half."""
        assert truth is not None
        self.log.append("predict")
        middle = (positions(truth.pair.atoms) + positions(truth.undisplaced)) / 2
        return [timed(MAP, lambda: make_atoms(middle, "C"))]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> CaseData:
    """Frames of 96 px with one amplitude of each gain."""
    task = Task(case="graphene-2.35", method=LATTICE, seed=0, numbers=NUMBERS)
    return load_case(
        case_of(task),
        cache=tmp_path_factory.mktemp("ideal"),
        n_train=1,
        n_validation=1,
        n_test=2,
        n_probes=1,
        amplitudes_pm=(20.0,),
    )


Run = Callable[..., list[Outcome]]


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture(scope="module")
def kept_limits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the bounds that the first run of these frames computes, for the runs of other tests."""
    return tmp_path_factory.mktemp("limits") / "limits.npz"


@pytest.fixture
def run(frames: CaseData, tmp_path: Path, log: list[str], kept_limits: Path) -> Iterator[Run]:
    """Run tasks in a work folder of this test, noting what is done."""
    made = tmp_path / "graphene-2.35" / NUMBERS.folder / "limits.npz"
    if kept_limits.is_file():
        made.parent.mkdir(parents=True)
        shutil.copy(kept_limits, made)

    def load(task: Task) -> CaseData:
        log.append("load")
        return frames

    def make(task: Task, case: Case) -> Method:
        return LatticeMethod() if task.method == LATTICE else HalfWay(log)

    def run(
        seeds: Sequence[int] = (0, 1),
        redo: Redo = "nothing",
        make: object = make,
        results: Path | None = None,
    ) -> list[Outcome]:
        tasks = list_tasks(["graphene-2.35"], [LATTICE, HALF], seeds, NUMBERS)
        return run_tasks(
            tasks,
            tmp_path,
            make=make,  # type: ignore[arg-type]
            load=load,
            redo=redo,
            results=results,
        )

    yield run
    if made.is_file():
        shutil.copy(made, kept_limits)


def rows(outcomes: list[Outcome]) -> list[Result]:
    assert all(isinstance(o, Result) for o in outcomes)
    return [o for o in outcomes if isinstance(o, Result)]


def test_each_method_case_and_seed_is_measured_with_all_its_columns(run: Run) -> None:
    lattice, half, again = rows(run())
    assert [r.task.seed for r in (lattice, half, again)] == [0, 0, 1]
    row = half.rows["map"]
    assert row.n_frames == 2
    assert row.f1 == 1.0
    assert row.errors.gain == pytest.approx(0.5)
    assert {k: g.value for k, g in row.gains.items()} == pytest.approx(
        dict.fromkeys(("single", "random", "uniform", "wall", "smooth"), 0.5)
    )
    assert list(row.gains_by_amplitude["single"]) == ["20"]
    assert row.errors.cramer_rao_pm is not None
    assert half.about.train_s == 7.0
    assert lattice.rows["positions"].errors.gain == pytest.approx(0.0)


def test_a_second_run_does_nothing_but_what_is_new(run: Run, log: list[str]) -> None:
    first = run(seeds=(0,))
    log.clear()
    assert run(seeds=(0,)) == first
    assert log == []
    third = run(seeds=(0, 1))
    assert third[:2] == first
    assert log.count("load") == 1
    assert [entry for entry in log if entry.startswith("fit")] == ["fit 1"]


def test_results_can_be_kept_apart_from_trainings(run: Run, log: list[str], tmp_path: Path) -> None:
    figures = tmp_path / "figures"
    first = rows(run(seeds=(0, 1), results=figures))
    assert [p.name for p in figures.rglob("*") if p.is_file()] == ["result.json"] * 3
    log.clear()
    assert run(seeds=(0, 1), results=figures) == first
    assert not log
    assert {r.task for r in find_results(figures)} == {r.task for r in first}
    (figures / first[0].task.case / "a" / "b" / "seed0").mkdir(parents=True)
    (figures / first[0].task.case / "a" / "b" / "seed0" / "result.json").write_text("{}")
    assert len(find_results(figures)) == 3


def test_the_folder_that_cannot_be_written_is_called_by_its_option(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "figures"
    file.touch()
    outcomes = run(seeds=(0,), results=file / "below")
    reasons = [o.reason for o in outcomes if isinstance(o, Missing)]
    assert len(reasons) == len(outcomes)
    assert all(reason.endswith("choose another --results folder.") for reason in reasons)


def test_columns_are_counted_again_without_asking_again(run: Run, log: list[str]) -> None:
    first = run(seeds=(0,))
    log.clear()
    assert run(seeds=(0,), redo="columns") == first
    assert log == ["load"]
    run(seeds=(0,), redo="answers")
    assert "predict" in log


def test_trainings_are_thrown_away_only_when_they_are_to_be_made_anew(
    run: Run, tmp_path: Path
) -> None:
    (kept, *_) = [r for r in rows(run(seeds=(0,))) if r.task.method == HALF]
    trained = kept.task.folder(tmp_path) / "run"
    trained.mkdir(exist_ok=True)
    run(seeds=(0,), redo="answers")
    assert trained.exists()
    run(seeds=(0,), redo="training")
    assert not trained.exists()


def test_what_an_earlier_recipe_gave_is_another_result(monkeypatch: pytest.MonkeyPatch) -> None:
    (before,) = list_tasks(["graphene-2.35"], ["fast"], (0,), NUMBERS)
    changed = PRESETS["fast"].model_copy(update={"recipe": PRESETS["paper"].recipe})
    monkeypatch.setitem(PRESETS, "fast", changed)
    (after,) = list_tasks(["graphene-2.35"], ["fast"], (0,), NUMBERS)
    assert before.folder(Path()) != after.folder(Path())


def test_what_was_finished_before_a_key_was_pressed_stays(run: Run, log: list[str]) -> None:
    class Pressed(HalfWay):
        def fit(self, *args: object, **more: object) -> float:
            raise KeyboardInterrupt

    def make(task: Task, case: Case) -> Method:
        return HalfWay(log) if task.seed == 0 else Pressed(log)

    with pytest.raises(KeyboardInterrupt):
        run(make=make)
    log.clear()
    run()
    assert [entry for entry in log if entry.startswith("fit")] == ["fit 1"]


def test_a_method_that_cannot_run_says_why_and_the_others_go_on(run: Run, log: list[str]) -> None:
    def make(task: Task, case: Case) -> Method:
        if task.method == LATTICE:
            raise UserError("not installed")
        return HalfWay(log)

    missing, result = run(seeds=(0,), make=make)
    assert isinstance(missing, Missing)
    assert missing.reason == "not installed"
    assert isinstance(result, Result)


def test_a_broken_result_is_measured_again(run: Run, tmp_path: Path, log: list[str]) -> None:
    first = run(seeds=(0,))
    (path,) = tmp_path.glob(f"graphene-2.35/*/{HALF}_*/seed0/result.json")
    path.write_text("{")
    log.clear()
    assert run(seeds=(0,)) == first
    assert "predict" not in log


def test_the_displacements_along_one_axis_are_the_prior(frames: CaseData) -> None:
    # 10 pm on average in the plane are 8 pm along each axis.
    assert prior_pm(frames.test) == pytest.approx(10.0 * np.sqrt(2 / np.pi), rel=0.1)


def test_budgets_go_to_those_that_have_one() -> None:
    tasks = list_tasks(
        ["graphene-2.35"],
        ["lattice", "atomai", "fast", "paper"],
        (3, 4),
        NUMBERS,
        minutes={"": 3.0},
        steps={"paper": 50, "atomai": 200},
        threads=1,
    )
    found = {t.method: t.budget for t in tasks}
    assert found == {
        "lattice": Budget(threads=1),
        "atomai": Budget(steps=200, threads=1),
        "fast": Budget(minutes=3.0, threads=1),
        "paper": Budget(steps=50, threads=1),
    }
    assert [t.seed for t in tasks] == [3, 3, 4, 3, 4, 3, 4]
    assert len({t.folder(Path()) for t in tasks}) == len(tasks)


def test_amounts_are_read_for_all_or_by_method() -> None:
    assert parse_amounts("3", "--minutes") == {"": 3.0}
    assert parse_amounts("fast=3, paper=60,1.5", "--minutes") == {"fast": 3, "paper": 60, "": 1.5}
    assert parse_amounts("", "--minutes") == {}
    for wrong in ("x", "0", "-1", "unet=3", "fast="):
        with pytest.raises(UserError, match="--minutes"):
            parse_amounts(wrong, "--minutes")


def test_unknown_methods_and_empty_seeds_are_refused() -> None:
    with pytest.raises(UserError, match="no method called 'unet'"):
        list_tasks(["graphene-2.35"], ["unet"], (0,), NUMBERS)
    with pytest.raises(UserError, match="seed"):
        list_tasks(["graphene-2.35"], ["fast"], (), NUMBERS)


def test_programs_of_others_that_are_not_installed_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "napari_apgan.bench.precision.methods.by_name.peer_versions",
        lambda: {"atomai": None, "atomap": None},
    )
    task = Task(case="graphene-2.35", method=ATOMAI, seed=0, numbers=NUMBERS)
    with pytest.raises(UserError, match=r"^not installed$"):
        make_method(task, case_of(task))


def test_tables_of_answers_are_kept_exactly(run: Run, tmp_path: Path, log: list[str]) -> None:
    from napari_apgan.bench.precision.tasks import read_answers, write_answers

    (result, *_) = rows(run(seeds=(0,)))
    tables = [
        make_atoms([[1.25, 2.5], [3.0, 1 / 3]], ["C", "Ti"], flag=["", "fit: no solution"]).assign(
            sigma_x_pm=[5.5, np.nan]
        ),
        make_atoms(np.empty((0, 2)), "C"),
    ]
    about = result.about.model_copy(update={"labels": ("offered",)})
    write_answers(tmp_path / "kept", about, {"offered": tables})
    kept = read_answers(tmp_path / "kept", about.task)
    assert kept is not None
    for before, after in zip(tables, kept[1]["offered"], strict=True):
        shown = ["element", "x_px", "y_px", "flag", "sigma_x_pm"]
        pd.testing.assert_frame_equal(before[shown], after[shown])
