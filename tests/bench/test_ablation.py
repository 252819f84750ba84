"""Twins differ from `fast` by fields alone, in one thing each; their table says what it cost."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from napari_apgan.bench import ablation
from napari_apgan.bench.ablation import ablate
from napari_apgan.bench.precision.cases import find_case
from napari_apgan.bench.twins import STEPS, TWINS, Budget, find_twins, settings_of
from napari_apgan.errors import UserError
from napari_apgan.models.networks import build_discriminator, build_network
from napari_apgan.models.presets import PRESETS

CASE = find_case("graphene-2.35")
BY_NAME = {twin.name: twin for twin in TWINS}


def preset_of(name: str):
    return settings_of(BY_NAME[name], CASE, Budget(), 0).chosen_preset()


def test_every_twin_can_be_trained_and_none_is_another() -> None:
    seen = set()
    for twin in TWINS:
        settings = settings_of(twin, CASE, Budget(), 0)
        preset = settings.chosen_preset()
        build_network(preset, 1)
        what = preset.model_dump_json(), settings.init, settings.stream_share, settings.stream
        seen.add(json.dumps([str(part) for part in what]))
    assert len(seen) == len(TWINS)
    assert preset_of("fast") == PRESETS["fast"].model_copy(
        update={
            "recipe": PRESETS["fast"].recipe.model_copy(update={"steps": STEPS, "minutes": None})
        }
    )


def test_an_adversary_is_built_for_its_twins_alone() -> None:
    assert build_discriminator(preset_of("fast"), 1) is None
    judge = build_discriminator(preset_of("adversary"), 1)
    assert judge is not None
    assert judge(torch.rand(2, 1, 48, 48)).shape == (2, 2)


@pytest.mark.parametrize("name", ["near", "full", "quarter"])
def test_twins_see_as_far_as_they_say(name: str) -> None:
    preset = preset_of(name)
    spec = preset.network.model_copy(update={"options": preset.network.options | {"channels": 4}})
    network = build_network(spec, 1)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0.0, 0.1, generator=generator)
    network.double().eval()
    side = 4 * math.ceil((spec.receptive_field_px + 16) / 4)
    reach = 0
    for centre in range(side // 2, side // 2 + 4):
        x = torch.rand(1, 2, side, side, dtype=torch.float64)
        x[:, 1] = 1
        x.requires_grad_()
        network(x)[0, 0, centre, centre].backward()
        assert x.grad is not None
        seen = x.grad[0].abs().sum(dim=0).nonzero()
        reach = max(reach, int((seen - centre).abs().max()))
    assert spec.receptive_field_px == 2 * reach + 1


def test_a_budget_in_minutes_has_no_steps() -> None:
    timed = settings_of(BY_NAME["ssim"], CASE, Budget(minutes=2.0), 1)
    assert (timed.steps, timed.minutes, timed.seed) == (None, 2.0, 1)
    assert settings_of(BY_NAME["ssim"], CASE, Budget(), 0).steps == STEPS


def test_fast_is_always_among_the_twins_and_strangers_are_one_sentence() -> None:
    assert [t.name for t in find_twins(["psnr", "ssim"])] == ["fast", "ssim", "psnr"]
    assert find_twins([]) == TWINS
    with pytest.raises(UserError, match="There is no twin 'gamma'"):
        find_twins(["gamma"])


def test_several_seeds_are_a_mean_and_its_spread() -> None:
    assert ablation._spread([1.0, 3.0], 1, " %") == "2.0 ± 1.4 %"
    assert ablation._spread([1.0, None], 2) == "1.00"
    assert ablation._spread([None], 2) == "–"


def test_the_table_has_a_row_for_each_twin_and_runs_are_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trains_here: None
) -> None:
    monkeypatch.setattr(ablation, "WEIGHTS", tmp_path / "none.safetensors")

    def once():
        return ablate(
            tmp_path,
            twins=["ssim", "bundled"],
            seeds=[0],
            pairs=2,
            tests=1,
            budget=Budget(steps=2, threads=1),
            shape=(64, 64),
        )

    first = once()
    assert [r.twin for r in first.rows] == ["fast", "ssim"]
    assert all(r.steps == (2,) and len(r.columns) == 1 for r in first.rows)
    assert (first.pairs, first.validation_pairs) == (1, 1)
    report = first.report()
    assert "SSIM beside" in report
    assert "F1, 8 px border" in report
    assert "from the bundled start: left out" in report
    runs = sorted((tmp_path / "runs").iterdir())
    written = [(r / "best.safetensors").stat().st_mtime_ns for r in runs]
    again = once()
    assert [(r / "best.safetensors").stat().st_mtime_ns for r in runs] == written
    assert [r.train_seconds for r in again.rows] == [r.train_seconds for r in first.rows]
