"""Trainings in the tests' own process, where the process is not what is tested."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from napari_apgan.bench import training
from napari_apgan.train import RunFolder, Status, process


@dataclass
class _Ended:
    """A training that ran where it was launched."""

    run_dir: Path

    def wait(self) -> Status:
        return RunFolder(self.run_dir).status()


@pytest.fixture
def trains_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the benches train in this process, which spares the start of another."""

    def launch(run_dir: Path, *, resume: bool = False) -> _Ended:
        process.run_trainer(run_dir, resume=resume)
        return _Ended(run_dir)

    monkeypatch.setattr(process, "lower_priority", lambda: None)
    monkeypatch.setattr(training, "launch", launch)
