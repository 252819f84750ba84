"""Training on frames that are simulated on the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.io.pairs import read_pairs
from napari_apgan.models.card import read_card
from napari_apgan.simulate import EXAMPLES, SimulationSettings
from napari_apgan.simulate.settings import changed
from napari_apgan.simulate.stream import FrameStream
from napari_apgan.train import RunFile, RunSettings, prepare_run
from napari_apgan.train.crops import TrainingFrame, cut_crop
from napari_apgan.train.dataset import FRAMES_PER_EPOCH, Dataset
from napari_apgan.train.events import Done, EventLog, Note, Started, parse_event
from napari_apgan.train.loop import Training
from napari_apgan.train.split import split_folder, split_pairs
from napari_apgan.train.streaming import StreamCrops, _place

from .conftest import TINY, lattice_pair

pytestmark = pytest.mark.usefixtures("no_kernel")

STREAM = changed(
    EXAMPLES["graphene"], {"shape": (64, 96), "structure": {"holes": 0, "lines": "none"}}
)
CARBON = make_elements(["C"])
RECIPE = RunSettings(recipe=TINY).chosen_preset().recipe


def crops(seed: int = 0, settings: SimulationSettings = STREAM, pixel: float | None = 23.0):
    return StreamCrops(FrameStream(settings, seed), ["C"], [2.0], "robust", pixel, seed)


def test_two_epochs_never_repeat_the_noise():
    """No run of eight pixels of any crop, in any direction, is found in another one."""
    side = 32
    with crops() as stream:
        per_epoch = FRAMES_PER_EPOCH * int(np.prod(stream.tiles(side)))
        drawn = [stream.draw(side).image for _ in range(2 * per_epoch)]
    assert len(drawn) == 2 * FRAMES_PER_EPOCH * 6
    seen: set[bytes] = set()
    for image in drawn:
        turned = [np.rot90(image, k) for k in range(4)]
        runs = {
            run.tobytes()
            for one in turned
            for run in np.lib.stride_tricks.sliding_window_view(one, 8, axis=1).reshape(-1, 8)
        }
        assert not runs & seen
        seen |= runs


def test_crops_of_one_frame_lie_side_by_side_and_every_way_round():
    shape, side = (70, 100), 32
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    whole = np.ones(shape, dtype=bool)
    frame = TrainingFrame(values, None, whole, whole, np.zeros((0, 2)), np.zeros(0, dtype=int))
    rng = np.random.default_rng(0)
    turns = set()
    for _ in range(20):
        covered: list[float] = []
        for tile in np.ndindex(2, 3):
            placed = _place(frame, tile, (2, 3), side, rng)
            crop = cut_crop(frame, placed, side, [2.0])
            assert crop.valid.all()
            covered += crop.image.ravel().tolist()
            turns.add(tuple(placed.matrix.ravel()))
        assert len(set(covered)) == len(covered) == 6 * side**2
    assert len(turns) == 8


def test_a_frame_smaller_than_a_crop_is_shown_whole():
    shape = (24, 80)
    whole = np.ones(shape, dtype=bool)
    image = np.ones(shape, dtype=np.float32)
    frame = TrainingFrame(image, None, whole, whole, np.zeros((0, 2)), np.zeros(0, dtype=int))
    placed = _place(frame, (0, 1), (1, 2), 32, np.random.default_rng(0))
    crop = cut_crop(frame, placed, 32, [2.0])
    assert crop.valid.sum() == 24 * 32
    with pytest.raises(ValueError, match="any angle"):
        cut_crop(frame, replace(placed, exact=False), 32, [2.0])


def test_a_crop_shows_its_atoms_where_its_target_is():
    bright = changed(STREAM, {"degradation": {"snr": None}, "structure": {"displacement_pm": 0.0}})
    with crops(settings=bright) as stream:
        for _ in range(12):
            crop = stream.draw(32)
            inside = crop.target[0] > 0.9
            assert inside.any()
            assert crop.image[inside].mean() > crop.image[crop.target[0] < 0.1].mean()


def test_the_sequence_does_not_depend_on_where_it_begins():
    with crops(5) as one:
        drawn = [one.draw(32) for _ in range(70)]
    for start in (0, 13, 24, 49):
        with crops(5) as other:
            other.seek(start)
            for k in range(start, min(start + 3, 70)):
                np.testing.assert_array_equal(other.draw(32).image, drawn[k].image)
    with crops(6) as other:
        assert not np.array_equal(other.draw(32).image, drawn[0].image)


def test_frames_of_another_pixel_size_are_resampled():
    with crops(pixel=46.0) as stream:
        assert stream.first.image.shape == (32, 48)
        assert stream.draw(32).image.shape == (32, 32)


def test_an_error_in_the_stream_reaches_the_training(monkeypatch):
    from napari_apgan.simulate import stream as module

    with crops() as stream:

        def fall(*_: object) -> None:
            raise UserError("The structure is gone.")

        monkeypatch.setattr(module, "make_ideal", fall)
        with pytest.raises(UserError, match="is gone"):
            [stream.draw(64) for _ in range(200)]


@pytest.mark.parametrize(("share", "simulated"), [(0.5, 50), (0.25, 25), (1.0, 100)])
def test_the_share_of_a_batch_is_as_asked(share, simulated):
    pairs = [lattice_pair(size=64)]
    split = split_folder([], pairs, radius_px=2.0) if share == 1 else split_pairs(
        pairs, ["Pb"], fraction=0.2, receptive_field_px=8, radius_px=2.0, seed=0
    )  # fmt: skip
    with StreamCrops(FrameStream(STREAM), ["Pb", "C"], [2.0, 2.0], "robust", 23.0, 0) as stream:
        data = Dataset(
            pairs, split, ["Pb", "C"], {"Pb": 2.0, "C": 2.0}, RECIPE, "robust", 0, stream, share
        )
        for _ in range(100 // data.batch):
            batch = data.draw()
            assert len(batch.x) == data.batch
        assert data.simulated_crops == pytest.approx(simulated, abs=8)
        assert data.steps_per_epoch >= 1


def prepare(run_dir: Path, pairs: Any = (), **settings: Any) -> RunFile:
    chosen: dict[str, Any] = {"steps": 4, "device": "cpu", "threads": 1, "stream": STREAM}
    chosen |= settings
    chosen["recipe"] = TINY | settings.get("recipe", {})
    elements = chosen.pop("elements", CARBON)
    return prepare_run(pairs, run_dir, RunSettings(**chosen), elements)


def train(run_dir: Path, *, resume: bool = False, steps: int | None = None) -> list[Any]:
    log = EventLog(run_dir / "events.jsonl")
    taken = iter(range(steps)) if steps is not None else None
    stop = (lambda: next(taken, None) is None) if taken is not None else (lambda: False)
    try:
        log.write(Training(run_dir, log, stop, resume=resume).run())
    finally:
        log.close()
    return [parse_event(line) for line in (run_dir / "events.jsonl").read_bytes().splitlines()]


def test_a_run_of_simulated_frames_alone_validates_on_frames_of_its_own(tmp_path):
    run = prepare(tmp_path / "r")
    assert run.pairs == ()
    assert len(run.validation_pairs) == 4
    assert run.settings.stream == STREAM
    assert run.settings.stream_share == 1.0
    assert run.pixel_size_pm == 23.0
    assert {p.origin for p in run.validation_pairs} == {"simulated"}
    assert RunFile.read(tmp_path / "r") == run
    held = read_pairs(tmp_path / "r" / "validation")
    assert {p.simulation["seed"] for p in held} == {0}
    events = train(tmp_path / "r")
    started = next(e for e in events if isinstance(e, Started))
    assert started.split == "simulated"
    assert started.training_atoms == 0
    assert started.validation_atoms > 100
    assert isinstance(events[-1], Done)
    assert read_card(tmp_path / "r").score.split == "simulated"
    assert any("simulated anew alone" in e.message for e in events if isinstance(e, Note))


def test_labelled_pairs_validate_when_all_is_simulated(tmp_path):
    carbon = lattice_pair("mine", size=64, pixel_size_pm=23.0)
    carbon = _all(carbon, "C")
    run = prepare(tmp_path / "r", [carbon], stream_share=1.0)
    assert run.pairs == ()
    assert [p.name for p in run.validation_pairs] == ["mine"]


def _all(pair, element):
    return replace(pair, atoms=pair.atoms.assign(element=element))


def test_mixing_adds_the_elements_of_the_stream(tmp_path):
    elements = make_elements(["Pb", "Ti", "C", "Au"])
    pair = lattice_pair(size=64, pixel_size_pm=23.0)
    run = prepare(tmp_path / "r", [pair], elements=elements)
    assert run.element_names == ["Pb", "Ti", "C"]
    assert any(note.startswith("Au: no atom") for note in run.notes)
    assert any("50% of every batch" in note for note in run.notes)
    events = train(tmp_path / "r")
    assert isinstance(events[-1], Done)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load(path.read_bytes())


def test_the_same_seed_gives_the_same_model_also_after_a_resume(tmp_path):
    for name in ("a", "b", "c"):
        prepare(tmp_path / name, steps=6, recipe={"validate_every": 3})
    train(tmp_path / "a")
    train(tmp_path / "b")
    train(tmp_path / "c", steps=2)
    train(tmp_path / "c", resume=True)
    one, two, three = (weights(tmp_path / n / "best.safetensors") for n in "abc")
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert all(torch.equal(one[k], three[k]) for k in one)


def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="show C, which is not among the elements here"):
        prepare(tmp_path / "a", elements=make_elements(["Pb"]))
    with pytest.raises(UserError, match="no pixel size"):
        prepare(
            tmp_path / "b",
            [lattice_pair(pixel_size_pm=None)],
            elements=make_elements(["Pb", "Ti", "C"]),
        )
    with pytest.raises(UserError, match="the simulated frames is more than"):
        prepare(
            tmp_path / "c",
            [lattice_pair(pixel_size_pm=230.0)],
            elements=make_elements(["Pb", "Ti", "C"]),
        )
    with pytest.raises(UserError, match="in passing"):
        prepare(tmp_path / "d", stream=changed(STREAM, {"imaging": {"engine": "abtem"}}))
    with pytest.raises(UserError, match="nothing to train on"):
        prepare(tmp_path / "e", stream=None)


def test_the_outcome_says_that_simulated_frames_were_scored(tmp_path):
    from napari_apgan.review.batch import reference_of
    from napari_apgan.train import RunFolder
    from napari_apgan.train.words import outcome_sentence

    prepare(tmp_path / "r", steps=1)
    train(tmp_path / "r")
    assert "simulated frames it never saw" in outcome_sentence(RunFolder(tmp_path / "r"))
    # What frames should look like is learned from those that validated it.
    assert reference_of(tmp_path / "r") is not None


def test_a_model_of_simulated_frames_goes_on_with_labelled_ones(tmp_path):
    prepare(tmp_path / "a", steps=1)
    train(tmp_path / "a")
    mine = _all(lattice_pair(size=64, pixel_size_pm=30.0), "C")
    run = prepare(tmp_path / "b", [mine], stream=None, init=str(tmp_path / "a"), steps=1)
    assert run.pixel_size_pm == 23.0
    assert run.radius_px == RunFile.read(tmp_path / "a").radius_px
    assert isinstance(train(tmp_path / "b")[-1], Done)
