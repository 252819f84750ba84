"""The search on the paper's twin: what is tried, what is kept, and that it really trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_apgan.bench import paper_search
from napari_apgan.bench.paper_search import AXES, Choice, Row, Search, better, search


def row(*worth: float) -> Row:
    n = len(worth)
    return Row(
        axis="a", value="v", f1=(0.9,) * n, error_pm=(None,) * n, skill=(None,) * n, worth=worth
    )


def test_only_what_is_better_for_every_seed_is_better() -> None:
    assert better(row(0.93, 0.95), row(0.90, 0.92))
    assert not better(row(0.93, 0.95), row(0.90, 0.94))


def test_the_adversary_may_be_left_out_but_not_chosen() -> None:
    without = [
        c for _, values in AXES for c in values if c.recipe.get("weights") == {"adversarial": 0}
    ]
    assert [c.of_the_paper for c in without] == [False]


def test_the_search_begins_with_every_axis_that_the_text_leaves_open() -> None:
    names = " ".join(axis for axis, _ in AXES)
    for part in ("rate", "crops a step", "adversarial", "MSE", "PSNR", "loss", "layout", "radius"):
        assert part in names


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FRAME_PX": 64, "TRAIN": 1, "VALIDATION": 1, "TEST": 1}.items():
        monkeypatch.setattr(paper_search, name, value)


def test_values_of_all_axes_meet_in_the_settings_of_the_twin(small: None, tmp_path: Path) -> None:
    bench = Search(tmp_path, 40, [0])
    choices = [values[-1] for _, values in AXES]
    preset = bench.settings(choices, 3).chosen_preset()
    assert preset.network.options["blocks"] == 4
    assert preset.network.options["long_skip"] is False
    assert preset.recipe.weights.mse == 10
    assert preset.recipe.weights.ssim == 1
    assert preset.recipe.discriminator_loss == "cross_entropy"
    assert preset.recipe.steps == 40 // preset.recipe.batch
    assert preset.recipe.epochs is None
    [element] = bench.elements(0.25)
    assert element.radius_pm == pytest.approx(0.25 * 142, rel=0.1)


def test_a_search_trains_scores_and_keeps_its_runs(
    small: None, trains_here: None, tmp_path: Path
) -> None:
    axes = (
        ("rate", (Choice("0.001", {"rate": 1e-3, "batch": 2}),)),
        ("disc radius", (Choice("0.25", radius=0.25), Choice("0.3", radius=0.3))),
    )
    found = search(tmp_path, crops=8, seeds=[0], threads=1, axes=axes)
    assert found.trainings == 2
    assert [r.value for r in found.rows] == ["0.001", "0.25", "0.3"]
    assert sum(r.chosen for r in found.rows) == 2
    assert found.no_information_pm == pytest.approx(10, abs=4)
    report = found.report()
    assert "| disc radius" in report
    assert "**0.001, start**" in report
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.glob("runs/*/best.safetensors")}
    assert len(kept) == 2
    again = search(tmp_path, crops=8, seeds=[0], threads=1, axes=axes)
    assert again.rows == found.rows
    assert all(p.stat().st_mtime_ns == t for p, t in kept.items())
