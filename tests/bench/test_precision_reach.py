"""What is asked and whether it is reached, and whether others are beaten beyond their spread."""

from __future__ import annotations

from typing import Any

from napari_apgan.bench.precision.gains import Gain
from napari_apgan.bench.precision.interfaces import RowBias
from napari_apgan.bench.precision.reach import (
    ASKS,
    miscounted,
    reach_table,
    worst_element,
    worst_gain,
    worst_row,
)
from napari_apgan.bench.precision.rows import Columns, ElementColumns, Errors
from napari_apgan.bench.precision.tasks import About, Budget, Result, Task
from napari_apgan.bench.training import Machine

MACHINE = Machine(date="", processor="", cores=1, system="", python="", versions={})


def row(**changes: Any) -> Columns:
    fields: dict[str, Any] = {
        "n_frames": 1, "n_true": 10, "n_predicted": 10, "f1": 0.9985, "precision": 1.0,
        "recall": 1.0, "f1_lacking": None, "f1_near_defects": None, "f1_border": None,
        "n_lacking": 0, "n_near_defects": 0, "n_border": 0, "n_vacancies": 2, "filled": 0.5,
        "missed": 0.0, "vacuum_nm2": 0.0, "false_per_nm2": None,
        "errors": Errors(mean_pm=5.0, over_bayesian=1.05),
    }  # fmt: skip
    return Columns.model_validate(fields | changes)


def result(
    method: str = "fast", seed: int = 0, case: str = "graphene-2.35", label: str = "map",
    minutes: float | None = None, **changes: Any,
) -> Result:  # fmt: skip
    task = Task(case=case, method=method, seed=seed, budget=Budget(minutes=minutes))
    about = About(task=task, labels=(label,), train_s=1, predict_s={label: (1,)}, machine=MACHINE)
    return Result(about=about, title="", n_train=1, n_validation=1, rows={label: row(**changes)})


def lines(*results: Result) -> dict[str, list[str]]:
    """The cells after the figure's name, by figure."""
    rows = [[c.strip() for c in t.strip("|").split("|")] for t in reach_table(results).splitlines()]
    return {cells[2]: cells[3:] for cells in rows[2:]}


def ratio(value: float) -> dict[str, Any]:
    return {"errors": Errors(mean_pm=5.0, over_bayesian=value)}


def test_each_figure_that_was_measured_has_a_line_with_its_limit() -> None:
    found = lines(result())
    assert found["error / Bayesian"] == ["≤ 1.1", "1.050", "1 of 1", "–", "–"]
    assert found["F1"] == ["≥ 0.998", "0.9985", "1 of 1", "–", "–"]
    assert found["vacancies filled (%)"] == ["≤ 3", "50.0", "0 of 1", "–", "–"]
    assert "error / Cramér-Rao" not in found


def test_seeds_that_reach_it_are_counted() -> None:
    found = lines(result(seed=0, **ratio(1.05)), result(seed=1, **ratio(1.15)))
    assert found["error / Bayesian"][1:3] == ["1.100 ± 0.071", "1 of 2"]


def test_better_means_beyond_the_spread_of_the_seeds() -> None:
    ours = [result(seed=k, **ratio(v)) for k, v in enumerate((1.0, 1.1))]
    near = [result("fcn2", seed=k, **ratio(v)) for k, v in enumerate((1.08, 1.18))]
    far = [result("atomai", seed=k, **ratio(v)) for k, v in enumerate((1.3, 1.4))]
    assert lines(*ours, *far)["error / Bayesian"][3:] == ["AtomAI U-Net 1.350 ± 0.071", "yes"]
    assert lines(*ours, *far, *near)["error / Bayesian"][4] == "no"
    more = [result("atomai", f1=0.99)]
    assert lines(result(f1=0.999), *more)["F1"][4] == "yes"
    assert lines(result(f1=0.98), *more)["F1"][4] == "no"


def test_baselines_that_learn_nothing_are_no_rivals() -> None:
    assert lines(result(), result("lattice", **ratio(0.5)))["error / Bayesian"][3:] == ["–", "–"]
    assert reach_table([result("lattice")]) == ""


def test_of_several_budgets_the_best_one_stands() -> None:
    table = reach_table([result(minutes=1, **ratio(1.2)), result(minutes=3, **ratio(1.0))])
    (line,) = [t for t in table.splitlines() if "error / Bayesian" in t]
    assert "`fast` (3 min)" in line
    assert "1.000" in line


def test_ten_pairs_are_held_against_sixty_of_the_same_seed() -> None:
    few = [
        result(case="graphene-10", seed=k, errors=Errors(mean_pm=v)) for k, v in enumerate((6, 5.5))
    ]
    many = [result(seed=k, errors=Errors(mean_pm=v)) for k, v in enumerate((5, 5))]
    assert lines(*few, *many)["error / that of 60 pairs"][1:3] == ["1.150 ± 0.071", "1 of 2"]
    assert "error / that of 60 pairs" not in lines(*few)


def test_the_worst_of_several_counts() -> None:
    gains = {k: Gain(value=v, error=None, n_moved=1, n_found=1) for k, v in
             (("single", 0.98), ("wall", 1.05), ("smooth", None))}  # fmt: skip
    assert round(worst_gain(row(gains=gains)) or 0, 6) == 0.05
    assert worst_gain(row()) is None
    biases = {k: RowBias(value=v, error=0.1, n=9) for k, v in (("0", 0.5), ("+1", -1.5))}
    assert worst_row(row(interface=biases)) == 1.5
    each = {k: ElementColumns(n_true=1, f1=v, errors=Errors()) for k, v in (("Pb", 1), ("Ti", 0.9))}
    assert worst_element(row(elements=each)) == 0.9
    assert round(miscounted(row(errors=Errors(coverage=0.6))) or 0, 6) == 8.3


def test_every_case_that_is_asked_for_exists() -> None:
    from napari_apgan.bench.precision.cases import CASES

    assert {a.case for a in ASKS} | {a.than for a in ASKS if a.than} <= set(CASES)
