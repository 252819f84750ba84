"""A real trainer process: launched, killed, resumed, found again, stopped; and one that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_apgan.errors import UserError
from napari_apgan.models import read_card
from napari_apgan.train import RunFile, RunFolder, Trainer, attach, launch
from napari_apgan.train.events import FINAL, Checkpoint, Event, Started, Step

Prepare = Callable[..., RunFile]
Start = Callable[..., Trainer]


def wait_for(trainer: Trainer, kind: type[Event], after: int = 0) -> None:
    """Wait until the trainer has reported an event of a kind."""
    end = time.monotonic() + 120
    while not any(isinstance(e, kind) for e in trainer.folder.events(after)):
        assert trainer.alive, trainer.folder.message() + trainer.folder.log_tail()
        assert time.monotonic() < end, "no such event for two minutes"
        time.sleep(0.05)


def test_a_run_is_launched_killed_resumed_found_again_and_stopped(
    tmp_path: Path, prepare: Prepare, start: Start
) -> None:
    run_dir = tmp_path / "run with a space"
    prepare(run_dir, steps=10**6, recipe={"validate_every": 10**6})
    first = start(run_dir)
    assert first.status() == "running"  # also before it has taken its lock
    wait_for(first, Step)
    assert first.folder.status() == "running"

    assert first.process is not None
    first.process.kill()
    first.process.wait()
    assert RunFolder(run_dir).status() == first.status() == "interrupted"

    seen = len(first.folder.events())
    second = start(run_dir, resume=True)
    wait_for(second, Step, after=seen)
    with pytest.raises(UserError, match="being trained already"):
        launch(run_dir, resume=True)

    other = attach(run_dir)  # as a new window would
    assert other.process is None
    assert other.alive
    other.stop()
    assert other.wait(120) == "stopped"
    assert second.wait(60) == "stopped"
    events = other.folder.events()
    assert sum(isinstance(e, FINAL) for e in events) == 1
    assert isinstance(events[-1], FINAL)
    assert any(isinstance(e, Checkpoint) for e in events)
    assert [e.resumed for e in events if isinstance(e, Started)] == [False, False]
    assert other.folder.best_model is not None
    assert read_card(run_dir).score is not None
    assert other.folder.can_resume
    assert not other.folder.stop_requested
    assert not other.folder.log_tail()


def test_a_run_that_cannot_go_on_says_why_in_one_sentence(
    tmp_path: Path, prepare: Prepare, start: Start
) -> None:
    prepare(tmp_path / "r")
    (tmp_path / "r" / "pairs" / "a.tif").write_bytes(b"II*\0 this is no image")
    trainer = start(tmp_path / "r")
    assert trainer.wait(120) == "failed"
    message = trainer.folder.message()
    assert message.endswith(".")
    assert "a.tif" in message
    assert "Traceback" not in trainer.folder.log_tail()
    assert trainer.process is not None
    assert trainer.process.wait(30) == 1
