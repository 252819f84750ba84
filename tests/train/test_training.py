"""The training itself: reproducible, exact after a resume, and robust when things go wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load

from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.models import read_card
from napari_apgan.models.modelfile import load_model
from napari_apgan.models.recipe import NetworkSpec
from napari_apgan.train import RunFile, RunSettings, prepare_run
from napari_apgan.train.events import Done, EventLog, Note, Started, Stopped, Validated, parse_event
from napari_apgan.train.loop import Training
from napari_apgan.train.steps import Learner

from .conftest import TINY, lattice_pair

pytestmark = pytest.mark.usefixtures("no_kernel")

Prepare = Callable[..., RunFile]


def shrink(run_dir: Path) -> None:
    """Give a prepared `paper` run a network of a few weights; everything else stays."""
    run = RunFile.read(run_dir)
    if run.preset.name == "paper":
        preset = run.preset.model_copy(
            update={
                "network": NetworkSpec(
                    kind="paper", options={"blocks": 1, "channels": 4}, receptive_field_px=23
                ),
                "discriminator": NetworkSpec(
                    kind="paper_discriminator", options={"widths": (4, 8)}, receptive_field_px=13
                ),
            }
        )
        run.model_copy(update={"preset": preset}).write(run_dir)


def train(
    run_dir: Path, *, stop_after: int | None = None, resume: bool = False
) -> tuple[Done | Stopped, list[Any]]:
    """Train in this process; return the final event and all the others."""
    log = EventLog(run_dir / "events.jsonl")
    asked = iter(range(10**6))
    try:
        training = Training(
            run_dir,
            log,
            lambda: stop_after is not None and next(asked) >= stop_after,
            resume=resume,
        )
        final = training.run()
    finally:
        log.close()
    events = [parse_event(line) for line in (run_dir / "events.jsonl").read_bytes().splitlines()]
    return final, events


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load(path.read_bytes())


def same(a: Path, b: Path) -> bool:
    x, y = weights(a), weights(b)
    return x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x)


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(
    preset: str, tmp_path: Path, prepare: Prepare
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        prepare(tmp_path / name, preset=preset, seed=seed)
        shrink(tmp_path / name)
        final, _ = train(tmp_path / name)
        assert isinstance(final, Done)
        assert final.step == 5
    file = "checkpoint.safetensors"
    assert same(tmp_path / "a" / file, tmp_path / "b" / file)
    assert not same(tmp_path / "a" / file, tmp_path / "c" / file)
    assert read_card(tmp_path / "a").weights_sha256 == read_card(tmp_path / "b").weights_sha256


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_a_resumed_run_ends_exactly_where_an_uninterrupted_one_does(
    preset: str, tmp_path: Path, prepare: Prepare
) -> None:
    for name in "ab":
        prepare(tmp_path / name, preset=preset, steps=7)
        shrink(tmp_path / name)
    whole, _ = train(tmp_path / "a")
    stopped, _ = train(tmp_path / "b", stop_after=3)
    assert isinstance(stopped, Stopped)
    assert stopped.step == 3
    assert stopped.best == "best.safetensors"  # even before the first validation was due
    resumed, events = train(tmp_path / "b", resume=True)
    assert isinstance(resumed, Done)
    assert resumed.step == whole.step == 7
    started = [e for e in events if isinstance(e, Started)]
    assert [(e.resumed, e.step) for e in started] == [(False, 0), (True, 3)]
    file = "checkpoint.safetensors"
    assert same(tmp_path / "a" / file, tmp_path / "b" / file)
    cards = [read_card(tmp_path / n) for n in "ab"]
    assert cards[0].weights_sha256 == cards[1].weights_sha256
    assert cards[0].score == cards[1].score


def test_training_finds_the_atoms_and_the_card_says_how_well(
    tmp_path: Path, prepare: Prepare
) -> None:
    run = prepare(
        tmp_path / "r", [lattice_pair(size=96)], steps=80, recipe={"validate_every": 40, "batch": 4}
    )
    final, events = train(tmp_path / "r")
    assert isinstance(final, Done)
    card = load_model(tmp_path / "r").card
    assert card.score is not None
    assert card.score.f1 > 0.9
    assert card.score.split == "blocks"
    assert card.score.element_f1.keys() == {"Pb", "Ti"}
    assert card.score.error_pm == pytest.approx(20 * card.score.error_px)
    assert 0.1 <= card.threshold <= 0.9
    assert card.run_id == "r"
    assert card.dataset_hash == run.dataset_hash
    assert card.pixel_size_pm == 20
    validated = [e for e in events if isinstance(e, Validated)]
    assert [e.step for e in validated] == [40, 80]
    assert validated[-1].loss < validated[0].loss
    preview = np.load(tmp_path / "r" / "preview.npy", allow_pickle=False)
    assert preview.dtype == np.uint8
    assert preview.shape == (2, 96, 96)


def test_an_adversary_takes_part(tmp_path: Path, prepare: Prepare) -> None:
    prepare(tmp_path / "r", preset="paper", steps=2)
    shrink(tmp_path / "r")
    _, events = train(tmp_path / "r")
    step = next(e for e in events if e.event == "step")
    assert {"adversarial", "ssim", "psnr", "discriminator"} == set(step.parts)


def test_a_loss_that_is_no_number_rolls_back_and_then_fails_in_words(
    tmp_path: Path, prepare: Prepare
) -> None:
    prepare(tmp_path / "r", steps=50, recipe={"rate": 1e30})
    with pytest.raises(UserError, match="did not converge"):
        train(tmp_path / "r")
    lines = (tmp_path / "r" / "events.jsonl").read_bytes().splitlines()
    notes = [e for e in map(parse_event, lines) if isinstance(e, Note)]
    assert len(notes) == 5
    assert all("half the rate" in n.message for n in notes)
    assert not (tmp_path / "r" / "best.safetensors").exists()


def test_when_memory_runs_out_the_batch_is_halved(
    tmp_path: Path, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sizes = Learner.step, []

    def small_memory(self: Learner, batch: Any) -> dict[str, float]:
        sizes.append(len(batch.x))
        if len(batch.x) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return real(self, batch)

    monkeypatch.setattr(Learner, "step", small_memory)
    prepare(tmp_path / "r", steps=3, recipe={"batch": 4})
    final, events = train(tmp_path / "r")
    assert isinstance(final, Done)
    assert sizes == [4, 2, 1, 1, 1]
    assert any("1 crops a step" in e.message for e in events if isinstance(e, Note))


def test_without_memory_for_a_single_crop_it_says_so(
    tmp_path: Path, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(self: Learner, batch: Any) -> dict[str, float]:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Learner, "step", no_memory)
    prepare(tmp_path / "r")
    with pytest.raises(UserError, match="not enough memory"):
        train(tmp_path / "r")


def test_a_retraining_starts_from_the_earlier_model_and_never_ends_below_it(
    tmp_path: Path, prepare: Prepare
) -> None:
    prepare(tmp_path / "first", steps=40, recipe={"batch": 4, "validate_every": 40})
    train(tmp_path / "first")
    # At a rate of almost zero only what came from the earlier model can be good.
    prepare(
        tmp_path / "warm",
        steps=2,
        init=str(tmp_path / "first"),
        recipe={"rate": 1e-12, "weight_decay": 0.0},
    )
    (tmp_path / "first").rename(tmp_path / "moved")  # the run has its own copy
    train(tmp_path / "warm")
    (tmp_path / "moved").rename(tmp_path / "first")
    first, warm = read_card(tmp_path / "first"), read_card(tmp_path / "warm")
    assert first.score is not None
    assert warm.score is not None
    assert warm.score.f1 >= first.score.f1


def test_elements_may_come_and_go_between_rounds(tmp_path: Path) -> None:
    settings = {"steps": 1, "device": "cpu", "threads": 1, "recipe": TINY}
    prepare_run([lattice_pair()], tmp_path / "a", RunSettings(**settings), make_elements(["Pb"]))
    train(tmp_path / "a")
    still = TINY | {"rate": 1e-12, "muon_rate": 1e-12}
    again = RunSettings(**settings | {"init": str(tmp_path / "a"), "recipe": still})
    prepare_run([lattice_pair()], tmp_path / "b", again, make_elements(["Ti", "Pb"]))
    _, events = train(tmp_path / "b")
    assert any(
        "New to the model it continues from: Ti" in e.message for e in events if isinstance(e, Note)
    )
    old, new = weights(tmp_path / "a/best.safetensors"), weights(tmp_path / "b/best.safetensors")
    # Four outputs for each element: the pixels that one of half the resolution unfolds to.
    torch.testing.assert_close(new["head.weight"][4:], old["head.weight"], atol=1e-6, rtol=0)
    torch.testing.assert_close(new["stem.weight"], old["stem.weight"], atol=1e-6, rtol=0)
    assert load_model(tmp_path / "b").card.element_names == ["Ti", "Pb"]


def test_a_model_of_another_preset_is_refused(tmp_path: Path, prepare: Prepare) -> None:
    prepare(tmp_path / "a", steps=1)
    train(tmp_path / "a")
    with pytest.raises(UserError, match="trained with the preset 'fast'"):
        prepare(tmp_path / "b", preset="paper", init=str(tmp_path / "a"))


def test_it_stops_early_when_nothing_is_gained(tmp_path: Path, prepare: Prepare) -> None:
    prepare(
        tmp_path / "r",
        steps=500,
        recipe={"rate": 1e-12, "ema": 0.0, "weight_decay": 0.0, "validate_every": 1, "patience": 2},
    )
    final, _ = train(tmp_path / "r")
    assert isinstance(final, Done)
    assert final.step < 20
    assert "Ended early" in final.message


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, prepare: Prepare) -> None:
    prepare(tmp_path / "r", steps=2)
    train(tmp_path / "r")
    (tmp_path / "r" / "checkpoint.safetensors").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="damaged"):
        train(tmp_path / "r", resume=True)
