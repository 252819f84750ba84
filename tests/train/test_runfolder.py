"""A run folder tells its state from what lies in it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from napari_apgan.errors import UserError
from napari_apgan.train import RunFolder, attach, launch
from napari_apgan.train.events import (
    Done,
    Event,
    EventLog,
    Failed,
    Heartbeat,
    Started,
    Step,
    Stopped,
    parse_event,
)
from napari_apgan.train.process import run_trainer


def started(host: str | None = None, at: float | None = None) -> Started:
    return Started(
        host=host or socket.gethostname(),
        time=time.time() if at is None else at,
        device="cpu",
        threads=1,
        preset="fast",
        pairs=1,
        split="blocks",
        training_atoms=9,
        validation_atoms=9,
    )


def write(folder: Path, *events: Event) -> None:
    log = EventLog(folder / "events.jsonl")
    for event in events:
        log.write(event)
    log.close()


STOPPED = Stopped(step=3, elapsed_s=1.0)
DONE = Done(step=3, epoch=1, elapsed_s=1.0, best="best.safetensors")


def test_the_state_follows_the_last_start(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.status() == "waiting"
    write(tmp_path, started())
    assert run.status() == "interrupted"
    write(tmp_path, STOPPED)
    assert run.status() == "stopped"
    write(tmp_path, started())
    assert run.status() == "interrupted"
    write(tmp_path, Failed(message="No."))
    assert run.status() == "failed"
    assert run.message() == "No."
    write(tmp_path, started(), DONE)
    assert run.status() == "done"


def test_a_held_lock_means_running_whatever_the_events_say(tmp_path: Path) -> None:
    write(tmp_path, started(), STOPPED)
    run = RunFolder(tmp_path)
    with FileLock(tmp_path / "run.lock"):
        assert run.status() == "running"
    assert run.status() == "stopped"


def test_on_another_computer_a_young_heartbeat_means_running(tmp_path: Path) -> None:
    write(tmp_path, started("elsewhere", time.time() - 500))
    assert RunFolder(tmp_path).status() == "interrupted"
    write(tmp_path, Heartbeat())
    assert RunFolder(tmp_path).status() == "running"


def test_events_come_once_each_and_never_torn(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.events() == []
    write(tmp_path, started())
    assert [e.event for e in run.events()] == ["started"]
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "heartbeat", "ti')
        file.flush()
        assert run.events(after=1) == []
        file.write(b'me": 5}\n')
    assert run.events(after=1) == [Heartbeat(time=5)]


def test_a_torn_line_of_a_killed_trainer_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, started())
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "st')
    write(tmp_path, DONE)
    assert [e.event for e in RunFolder(tmp_path).events()] == ["started", "done"]


def test_events_of_a_later_version_are_passed_over() -> None:
    assert parse_event('{"event": "danced", "time": 1}') is None


def test_an_infinite_loss_can_be_written(tmp_path: Path) -> None:
    step = Step(
        step=1, epoch=0, loss=float("inf"), rate=1e-3, progress=0.5, elapsed_s=1, remaining_s=60
    )
    write(tmp_path, step)
    (read,) = RunFolder(tmp_path).steps()
    assert read.loss == 1e308
    remaining = RunFolder(tmp_path).remaining_s()
    assert remaining is not None
    assert 0 < remaining <= 60


def test_a_stop_can_be_asked_for_and_withdrawn(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.request_stop()
    assert run.stop_requested
    run.withdraw_stop()
    run.withdraw_stop()
    assert not run.stop_requested


def test_what_is_no_run_is_one_sentence(
    tmp_path: Path, prepare: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="There is no run folder"):
        attach(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"has no run\.json"):
        launch(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        attach(tmp_path)
    assert run_trainer(tmp_path) == 2
    assert "damaged" in capsys.readouterr().err
    prepare(tmp_path / "r")
    write(tmp_path / "r", started(), STOPPED)
    with pytest.raises(UserError, match="was trained before"):
        launch(tmp_path / "r")
    with FileLock(tmp_path / "r" / "run.lock"), pytest.raises(UserError, match="already"):
        launch(tmp_path / "r", resume=True)


def test_the_window_side_of_training_brings_in_no_torch() -> None:
    code = (
        "import sys, napari_apgan.train, napari_apgan.train.launcher, "
        "napari_apgan.train.runfolder, napari_apgan.train.prepare, napari_apgan.train.process, "
        "napari_apgan.models.presets, napari_apgan.models.card; "
        "print('torch' in sys.modules, 'napari' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
