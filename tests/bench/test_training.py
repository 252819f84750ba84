"""Trainings of the benches go on where they were stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.bench import training
from napari_apgan.elements import make_elements
from napari_apgan.frames import make_frame
from napari_apgan.io.pairs import Pair
from napari_apgan.regions import Region
from napari_apgan.train import RunSettings, Status, Trainer, prepare_run
from napari_apgan.train.runfile import RUN_FILE

SETTINGS = RunSettings(steps=2)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run that was prepared and never began."""
    rng = np.random.default_rng(0)
    xy = 8.0 + 8.0 * np.stack(np.meshgrid(np.arange(7), np.arange(7)), -1).reshape(-1, 2)
    whole = (Region.whole((64, 64)),)
    pair = Pair("made", make_frame(rng.random((64, 64))), make_atoms(xy, "C"), regions=whole)
    prepare_run([pair], tmp_path / "run", SETTINGS, make_elements(["C"]), validation=[pair])
    return tmp_path / "run"


def test_a_run_that_never_began_is_made_anew(run_dir: Path) -> None:
    assert training._going_on(run_dir, SETTINGS) is None
    assert not run_dir.exists()


def test_a_run_with_other_settings_is_left_alone(run_dir: Path) -> None:
    assert training._going_on(run_dir, RunSettings(steps=3)) is None
    assert (run_dir / RUN_FILE).is_file()


@pytest.mark.parametrize("state", ["stopped", "interrupted"])
def test_a_run_that_ended_early_goes_on_from_its_checkpoint(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    asked = []
    monkeypatch.setattr(training.RunFolder, "status", lambda self: state)
    monkeypatch.setattr(training.RunFolder, "can_resume", True)
    monkeypatch.setattr(training, "launch", lambda path, resume: asked.append((path, resume)))
    training._going_on(run_dir, SETTINGS)
    assert asked == [(run_dir, True)]


def test_a_run_that_still_trains_is_waited_for(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training.RunFolder, "status", lambda self: "running")
    trainer = training._going_on(run_dir, SETTINGS)
    assert trainer is not None
    assert trainer.run_dir == run_dir.resolve()


def test_ctrl_c_asks_the_trainer_to_stop_and_waits_for_it() -> None:
    class Pressed(Trainer):
        def __init__(self) -> None:
            self.acts: list[str] = []

        def wait(self, timeout_s: float | None = None) -> Status:
            self.acts.append("wait")
            if timeout_s is None:
                raise KeyboardInterrupt
            return "stopped"

        def stop(self) -> None:
            self.acts.append("stop")

    trainer = Pressed()
    with pytest.raises(KeyboardInterrupt):
        training._wait(trainer)
    assert trainer.acts == ["wait", "stop", "wait"]
