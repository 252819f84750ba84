"""Runs, rounds and where predictions lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.project import Project, Round


def test_runs_are_numbered_and_never_share_a_folder(project: Project) -> None:
    first, second = project.new_run_dir(), project.new_run_dir()
    assert [first.name, second.name] == ["run-001", "run-002"]
    second.rmdir()
    assert project.new_run_dir().name == "run-002"
    (project.path / "runs" / "from elsewhere").mkdir()
    assert [p.name for p in project.runs()] == ["from elsewhere", "run-001", "run-002"]


def test_rounds_are_kept_in_order(project: Project, reopen: Callable[[Project], Project]) -> None:
    assert project.next_round == 1
    project.add_round(Round(number=2, run_id="run-002", pairs=4, atoms=80))
    project.add_round(Round(number=1, run_id="run-001", pairs=3, atoms=60))
    better = Round(
        number=2, run_id="run-002", pairs=4, atoms=80, validation_score=0.97, moved_pm=4.0
    )
    project.add_round(better)
    again = reopen(project)
    assert [r.number for r in again.rounds] == [1, 2]
    assert again.rounds[1] == better
    assert again.next_round == 3
    (again.path / "rounds.json").write_text("{")
    with pytest.raises(UserError, match=r"rounds\.json is damaged"):
        _ = again.rounds


def test_a_frame_sent_to_training_bears_the_round_to_come(project: Project, source_id: str) -> None:
    project.add_round(Round(number=1, run_id="run-001", pairs=3, atoms=60))
    project.add_pair(source_id, 0)
    assert project.pairs[0].round == 2


def test_predictions_have_their_place(project: Project, source_id: str) -> None:
    files = project.prediction_files("run-001", source_id, 12)
    folder = project.path / "predictions" / "run-001" / source_id
    assert files.atoms == folder / "00012.atoms.csv"
    assert files.maps == folder / "00012.maps.tif"
    assert (files.folder, files.name) == (folder, "00012")


def test_models_trained_at_another_pixel_size_are_named(project: Project, source_id: str) -> None:
    card = json.dumps({"pixel_size_pm": 20.1})
    header = json.dumps({"__metadata__": {"apgan_card": card}}).encode()
    with_model, with_settings, broken = (project.new_run_dir() for _ in range(3))
    (with_model / "best.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (with_settings / "run.json").write_text('{"pixel_size_pm": 40.0}')
    (broken / "best.safetensors").write_bytes(b"\xff" * 20)
    (broken / "run.json").write_text("[1]")
    report = project.set_calibration(source_id, Calibration.from_pixel_size(20.0, origin="user"))
    assert report.runs_at_other_size == {"run-002": 40.0}
    assert "Trained at another pixel size: run-002" in report.sentence()
    report = project.set_calibration(source_id, Calibration.from_pixel_size(40.0, origin="user"))
    assert report.runs_at_other_size == {"run-001": 20.1}
    assert project.runs_at_other_size(Calibration()) == {}
