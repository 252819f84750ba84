"""The tables of the precision bench: what they say, and where they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_apgan.bench.precision.gains import Gain
from napari_apgan.bench.precision.interfaces import RowBias
from napari_apgan.bench.precision.methods.by_name import recipe_of
from napari_apgan.bench.precision.order import Done, make_order
from napari_apgan.bench.precision.report import (
    BEGIN,
    END,
    mean_and_spread,
    report,
    write_between_markers,
)
from napari_apgan.bench.precision.rows import Columns, ElementColumns, Errors
from napari_apgan.bench.precision.run import Missing
from napari_apgan.bench.precision.target import Goal, target_report, to_target
from napari_apgan.bench.precision.tasks import About, Budget, Numbers, Result, Task, write_result
from napari_apgan.bench.training import Machine
from napari_apgan.errors import UserError

MACHINE = Machine(
    date="2026-01-02", processor="a processor", cores=2, system="Linux", python="3.11.7",
    versions={"napari-apgan": "0.1.0"},
)  # fmt: skip
NUMBERS = Numbers(test=2)


def columns(**changes: object) -> Columns:
    """A row in which every figure is told from every other."""
    fields: dict[str, object] = {
        "n_frames": 2, "n_true": 100, "n_predicted": 101, "f1": 0.99, "precision": 0.98,
        "recall": 0.97, "f1_lacking": 0.91, "f1_near_defects": 0.92, "f1_border": 0.93,
        "n_lacking": 7, "n_near_defects": 17, "n_border": 27, "n_vacancies": 5, "filled": 0.2,
        "missed": 0.4, "confidence_error": 0.0125, "vacuum_nm2": 3.0, "false_per_nm2": 0.66,
        "errors": Errors(
            n=99, mean_pm=5.5, std_pm=2.5, rms_pm=6.0, bias_x_pm=0.1, bias_y_pm=-0.2, skill=0.7,
            gain=0.8, cramer_rao_pm=5.0, bayesian_pm=4.4, over_cramer_rao=1.1, over_bayesian=1.25,
            coverage=0.68, coverage_95=0.94,
        ),
    }  # fmt: skip
    return Columns.model_validate(fields | changes)


def result(
    method: str = "fast", seed: int = 0, label: str = "map", budget: Budget | None = None,
    train_s: float = 60.0, **changes: object,
) -> Result:  # fmt: skip
    task = Task(
        case="graphene-2.35", method=method, seed=seed, numbers=NUMBERS, budget=budget or Budget()
    )
    about = About(
        task=task, labels=(label,), train_s=train_s, steps=900, predict_s={label: (0.1, 0.3, 0.2)},
        machine=MACHINE,
    )  # fmt: skip
    rows = {label: columns(**changes)}
    return Result(
        about=about, title="graphene, SNR 2.35", n_train=52, n_validation=8, rows=rows
    )  # fmt: skip


def cells(text: str, head: str, name: str) -> dict[str, str]:
    """The row called `name` of the table whose first head is `head`, by head."""
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith(f"| {head}"))
    heads = [c.strip() for c in lines[start].strip("|").split("|")]
    for line in lines[start + 2 :]:
        found = [c.strip() for c in line.strip("|").split("|")]
        if found[0] == name:
            return dict(zip(heads, found, strict=True))
        if not line.startswith("|"):
            break
    raise AssertionError(f"no row {name!r} under {head!r}")


def test_every_column_is_in_its_place() -> None:
    text = report([result()])
    assert cells(text, "atoms found", "`fast`, map") == {
        "atoms found": "`fast`, map",
        "F1": "0.9900",
        "missing neighbours, F1": "0.910",
        "near defects, F1": "0.920",
        "border, F1": "0.930",
        "vacancies filled": "20.0 %",
        "vacancies missed": "40.0 %",
        "false atoms per nm² of vacuum": "0.66",
    }
    found = cells(text, "positions", "`fast`, map")
    assert found["error (pm)"] == "5.50"
    assert found["bias x, y (pm)"] == "+0.10, -0.20"
    assert (found["skill"], found["gain"]) == ("0.700", "0.800")
    assert (found["within 1 error bar"], found["within 1.96"]) == ("68.0 %", "94.0 %")
    assert (found["fits failed"], found["confidence off by"]) == ("–", "1.25 %")
    bounds = cells(text, "bounds", "`fast`, map")
    assert list(bounds.values())[1:] == ["5.00", "1.100", "–", "4.40", "1.250"]
    cost = cells(text, "cost", "`fast`, map")
    assert list(cost.values())[1:] == ["1", "60", "900", "200"]
    assert "52 + 8 frames to learn from" in text
    assert "5 vacancies, 3 nm² of vacuum" in text
    assert text.endswith(
        "2026-01-02, a processor, 2 cores, Linux, Python 3.11.7, napari-apgan 0.1.0."
    )


def test_seeds_become_a_mean_with_a_spread() -> None:
    text = report([result(seed=s, f1=f) for s, f in enumerate((0.98, 0.99, 1.0))])
    assert cells(text, "atoms found", "`fast`, map")["F1"] == "0.9900 ± 0.0100"
    assert cells(text, "cost", "`fast`, map")["seeds"] == "3"
    assert mean_and_spread([], 2) == "–"


def test_budgets_and_starts_have_rows_of_their_own() -> None:
    short, warm = Budget(minutes=1, threads=1), Budget(minutes=1, init="bundled", threads=1)
    text = report([result(budget=short), result(budget=warm)])
    assert cells(text, "atoms found", "`fast` (1 min), map")
    assert cells(text, "atoms found", "`fast` (1 min, from bundled), map")
    assert text.endswith(", 1 thread.")


def test_gains_show_the_larger_uncertainty_and_all_amplitudes() -> None:
    def gain(value: float | None, error: float | None = 0.01) -> Gain:
        return Gain(value=value, error=error, n_moved=5, n_found=5)

    def with_gain(seed: int, value: float) -> Result:
        return result(
            seed=seed,
            gains={"single": gain(value), "wall": gain(None, None)},
            gains_by_amplitude={"single": {"5": gain(value, None), "60": gain(0.7)}},
        )

    text = report([with_gain(0, 0.9), with_gain(1, 1.1)])
    found = cells(text, "gains, all amplitudes", "`fast`, map")
    assert found["single atom"] == "1.000 ± 0.141"
    assert found["180° wall"] == found["smooth field"] == "–"
    by_amplitude = cells(text, "gains by amplitude", "`fast`, map")
    assert by_amplitude["kind"] == "single atom"
    assert by_amplitude["60 pm"] == "0.700 ± 0.010"
    lone = report([with_gain(0, 0.9)])
    assert cells(lone, "gains by amplitude", "`fast`, map")["5 pm"] == "0.900"
    assert "gains" not in report([result()])


def test_several_elements_have_a_table() -> None:
    each = {
        name: ElementColumns(n_true=10, f1=f1, errors=Errors(n=9, mean_pm=4.0, over_cramer_rao=1.2))
        for name, f1 in (("Pb", 0.9), ("Ti", 0.8))
    }
    text = report([result(elements=each)])
    found = cells(text, "elements", "`fast`, map")
    assert (found["Pb, F1"], found["Ti, F1"]) == ("0.9000", "0.8000")
    assert found["Ti, / Cramér-Rao"] == "1.20"
    assert "| elements" not in report([result(elements={"C": each["Pb"]})])


def test_rows_beside_an_unpolarized_interface_have_a_table() -> None:
    rows = {"-1": RowBias(value=-1.5, error=0.25, n=40), "0": RowBias(value=0.5, error=0.1, n=40)}
    found = cells(report([result(interface=rows)]), "bias beside", "`fast`, map")
    assert list(found.values())[1:] == ["–", "-1.50 ± 0.25", "0.50 ± 0.10", "–", "–"]
    assert "bias beside" not in report([result()])


def test_what_is_not_installed_is_said_once() -> None:
    tasks = [Task(case="graphene-2.35", method="atomai", seed=s, numbers=NUMBERS) for s in (0, 1)]
    text = report([result(), *(Missing(t, "not installed") for t in tasks)])
    assert text.count("AtomAI U-Net, graphene-2.35: not installed") == 1


def test_the_table_replaces_what_stood_between_the_markers(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# Head\n\n{BEGIN}\nold\n{END}\n\nTail µ\n", encoding="utf-8")
    write_between_markers(page, "new ±")
    write_between_markers(page, "newer ±")
    assert page.read_text(encoding="utf-8") == (f"# Head\n\n{BEGIN}\nnewer ±\n{END}\n\nTail µ\n")


def test_a_page_without_markers_is_refused_and_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{END}\n{BEGIN}\n", encoding="utf-8")
    with pytest.raises(UserError, match="no place for the table"):
        write_between_markers(page, "new")
    assert page.read_text(encoding="utf-8") == f"{END}\n{BEGIN}\n"
    with pytest.raises(UserError, match="cannot be read"):
        write_between_markers(tmp_path / "nowhere.md", "new")


def test_the_documentation_has_the_markers() -> None:
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert page.count(BEGIN) == page.count(END) == 1
    assert page.index(BEGIN) < page.index(END)


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"f1": 0.9979}, False),
        ({"filled": 0.031}, False),
        ({"filled": None}, False),
        ({"errors": Errors(over_bayesian=1.11)}, False),
        ({"errors": Errors()}, False),
    ],
)
def test_a_goal_is_met_only_in_all_parts(changes: dict[str, object], met: bool) -> None:
    good: dict[str, object] = {
        "f1": 0.998, "filled": 0.03, "errors": Errors(over_bayesian=1.10)
    }  # fmt: skip
    assert Goal().met(columns(**(good | changes))) is met


def test_budgets_are_tried_until_the_goal_is_met(tmp_path: Path) -> None:
    good: dict[str, object] = {"f1": 1.0, "filled": 0.0, "errors": Errors(over_bayesian=1.0)}
    for start, seconds, found in (
        ("scratch", 30, {}), ("scratch", 60, good), ("bundled", 30, good),
    ):  # fmt: skip
        kept = result(budget=Budget(minutes=seconds / 60, init=start), train_s=seconds, **found)
        task = kept.task.model_copy(update={"recipe": recipe_of("fast")})
        kept = kept.model_copy(update={"about": kept.about.model_copy(update={"task": task})})
        write_result(kept.task.folder(tmp_path), kept)

    def never(*_: object) -> None:
        raise AssertionError("nothing is measured beyond what meets the goal")

    outcomes = to_target(
        tmp_path, make=never, load=never, seeds=(0,), numbers=NUMBERS, budgets_s=(30, 60, 120)
    )  # type: ignore[arg-type]
    assert [(o.task.budget.init, o.task.budget.minutes) for o in outcomes] == [
        ("scratch", 0.5), ("scratch", 1.0), ("bundled", 0.5),
    ]  # fmt: skip
    text = target_report(outcomes)
    assert "From scratch: met within 60 s" in text
    assert "From bundled: met within 30 s" in text
    assert [line.split("|")[-2].strip() for line in text.splitlines()[2:5]] == [
        "0 of 1", "1 of 1", "1 of 1",
    ]  # fmt: skip


def test_a_start_that_is_not_there_says_so() -> None:
    task = Task(case="graphene-2.35", method="fast", seed=0, budget=Budget(init="bundled"))
    text = target_report([Missing(task, "There are no bundled weights.")])
    assert text == "* From bundled: There are no bundled weights."
    assert Done([], [Missing(task, "none")]).as_json()["target"][0]["missing"] == "none"


def test_an_order_takes_lists_all_and_none() -> None:
    order = make_order(
        cases="graphene-2.35,graphene-0.22", methods="lattice,fast", seeds="1,2",
        minutes="fast=3", frames="5,2,3", threads=1,
    )  # fmt: skip
    assert len(order.tasks) == 2 * (1 + 2)
    assert order.tasks[0].numbers == Numbers(train=5, validation=2, test=3)
    assert order.tasks[1].budget == Budget(minutes=3, threads=1)
    assert make_order(cases="all", methods="none").tasks == ()
    assert len({t.case for t in make_order(cases="all", methods="log").tasks}) > 8


def test_the_quick_mode_has_smaller_numbers_where_none_are_given() -> None:
    quick = make_order(cases="graphene-2.35", methods="fast", quick=True)
    (task,) = quick.tasks
    assert task.numbers == Numbers(train=6, validation=2, test=2, probes=1, engine="fast", side=128)
    assert task.budget.steps == 60
    given = make_order(
        cases="graphene-2.35", methods="fast", quick=True, minutes="2", side=96, seeds="4,5"
    )
    assert [t.budget for t in given.tasks] == [Budget(minutes=2)] * 2
    assert given.tasks[0].numbers.side == 96


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cases": "gold"}, "no case called 'gold'"),
        ({"seeds": "a"}, "--seeds"),
        ({"frames": "1,2"}, "--frames"),
        ({"frames": "0"}, "test"),
        ({"engine": "slow"}, "engine"),
        ({"redo": "all"}, "--redo"),
        ({"minutes": "3", "steps": "4"}, "minutes and in steps"),
    ],
)
def test_wrong_words_are_refused_in_a_sentence(changes: dict[str, str], words: str) -> None:
    fields = {"cases": "graphene-2.35", "methods": "fast"} | changes
    with pytest.raises(UserError, match=words):
        make_order(**fields)  # type: ignore[arg-type]


def test_the_command_that_is_printed_measures_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_apgan import cli

    asked = make_order(
        cases="graphene-2.35", methods="lattice", seeds="0", frames="1,1,2", threads=1
    )
    (task,) = asked.tasks
    kept = result().model_copy(update={"about": result().about.model_copy(update={"task": task})})
    write_result(task.folder(tmp_path), kept)
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    words = "--methods lattice --seeds 0 --frames 1,1,2 --threads 1"
    end = cli.run(
        ["bench", "precision", *words.split(), "--work", str(tmp_path), "--write", str(page)]
    )
    assert end == 0
    printed = capsys.readouterr()
    assert f"    apgan bench precision {words}\n" in printed.out
    assert str(tmp_path) not in printed.out
    assert printed.out.strip() in page.read_text(encoding="utf-8")
    assert "[1/1] graphene-2.35, lattice (1 thread), seed 0: map F1 0.9900" in printed.err


def test_what_is_finished_is_told_of_without_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_apgan import cli

    recipe = recipe_of("fast")
    for minutes, seed, digest in (
        (1.0, 0, recipe),
        (5.0, 0, recipe),
        (5.0, 1, recipe),
        (9.0, 0, "old"),
    ):
        kept = result(budget=Budget(minutes=minutes), seed=seed)
        task = kept.task.model_copy(update={"recipe": digest})
        kept = kept.model_copy(update={"about": kept.about.model_copy(update={"task": task})})
        write_result(task.folder(tmp_path), kept)
    words = ["bench", "precision", "--cases", "all", "--finished", "--results", str(tmp_path)]
    assert cli.run(words) == 0
    printed = capsys.readouterr().out
    assert cells(printed, "cost", "`fast` (5 min), map")["seeds"] == "2"
    assert "(1 min)" not in printed
    assert "(9 min)" not in printed
    assert cli.run([*words, "--seeds", "7"]) == 2
    assert "no finished results" in capsys.readouterr().err


def test_ctrl_c_ends_with_words_and_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from napari_apgan import cli
    from napari_apgan.bench.precision import order

    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(order, "run_tasks", pressed)
    assert cli.run(["bench", "precision", "--work", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "the same command goes on" in printed.err
