"""Nothing is lost: reopening, crashes, truncated and damaged journals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from napari_apgan.atoms import make_atoms
from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Source
from napari_apgan.project import Project
from napari_apgan.project.journal import read_journal
from napari_apgan.regions import Region

from . import random_edits
from .random_edits import Snapshot, act, snapshot

WHAT = (
    "add add add remove move move region elements rename calibrate pair undo undo redo "
    "save reopen crash"
).split()
ACTIONS = st.tuples(st.sampled_from(WHAT), st.integers(0, 8), st.integers(0, 8))


def crash(project: Project) -> None:
    """Let a project end as if its process died: nothing more is written, the lock falls."""
    project._release()


def begin(folder: Path) -> tuple[Project, str]:
    project = Project.create(folder / "p.apgan", make_elements(["Pb", "Ti"]))
    stack = np.arange(2 * 20 * 24, dtype=np.float32).reshape(2, 20, 24)
    return project, project.add_source(Source("movie", stack))


def run(folder: Path, actions: list[tuple[str, int, int]]) -> tuple[Project, list[Snapshot]]:
    """Act; return the project and its state after each line of the journal."""
    project, source_id = begin(folder)
    states = [snapshot(project)]
    for action in actions:
        if action[0] == "save":
            project.save()
        elif action[0] in ("reopen", "crash"):
            before, undoable = snapshot(project), (project.can_undo, project.can_redo)
            if action[0] == "reopen":
                project.close()
            else:
                crash(project)
            project = Project.open(project.path)
            assert snapshot(project) == before
            assert (project.can_undo, project.can_redo) == undoable
        else:
            act(project, source_id, action)
            if project.edit_number == len(states):
                states.append(snapshot(project))
        assert project.edit_number == len(states) - 1
    return project, states


relaxed = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@relaxed
@given(st.lists(ACTIONS, max_size=14))
def test_any_course_of_edits_survives_closing_and_crashing(
    actions: list[tuple[str, int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project, states = run(Path(folder), actions)
        while project.undo():
            pass
        assert snapshot(project) == states[0]
        project.close()
        with Project.open(project.path) as again:
            assert snapshot(again) == states[0]


@relaxed
@given(
    st.lists(ACTIONS.filter(lambda a: a[0] not in ("save", "reopen")), min_size=1, max_size=10),
    st.floats(0, 1),
)
def test_a_journal_cut_anywhere_gives_the_state_of_its_intact_part(
    actions: list[tuple[str, int, int]], where: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project, states = run(Path(folder), actions)
        crash(project)
        journal = project.path / "journal.jsonl"
        data = journal.read_bytes()
        journal.write_bytes(data[: int(where * len(data))])
        intact = len(read_journal(journal).entries)
        with Project.open(project.path) as again:
            assert snapshot(again) == states[intact]
            assert again.edit_number == intact
            assert not again.recovered.history_lost
            for _ in range(intact):
                again.undo()


@relaxed
@given(
    st.lists(ACTIONS.filter(lambda a: a[0] not in ("save", "reopen")), min_size=1, max_size=8),
    st.integers(0, 8),
)
def test_a_crash_in_the_middle_of_saving_applies_nothing_twice(
    actions: list[tuple[str, int, int]], written: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project, states = run(Path(folder), actions)
        for job in project._jobs()[:written]:
            job()
        crash(project)
        with Project.open(project.path) as again:
            assert snapshot(again) == states[-1]


def test_labels_newer_than_the_journal_are_kept(tmp_path: Path) -> None:
    project, source_id = begin(tmp_path)
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    project.add_atoms(source_id, 0, make_atoms([[2, 2]], "Pb"))
    project.close()
    journal = project.path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    with Project.open(project.path) as again:
        assert again.atoms(source_id, 0)["x_px"].tolist() == [1, 2]
        assert again.recovered.history_lost
        assert "can no longer be undone" in again.recovered.sentence()
        assert not again.can_undo
        assert again.add_atoms(source_id, 0, make_atoms([[3, 3]], "Pb")) == [2]
    with Project.open(project.path) as third:
        assert third.atoms(source_id, 0)["x_px"].tolist() == [1, 2, 3]
        assert not third.recovered.happened
        assert third.undo()
        assert not third.undo()


def test_damage_in_the_middle_is_said_and_recovered_on_request(tmp_path: Path) -> None:
    project, source_id = begin(tmp_path)
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    project.save()
    for x in (2, 3, 4):
        project.add_atoms(source_id, 0, make_atoms([[x, x]], "Pb"))
    crash(project)
    journal = project.path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:2], lines[2].replace(b"Pb", b"Sr"), lines[3]])
    journal.write_bytes(damaged)
    with pytest.raises(UserError, match=r"damaged at line 3.*open the project with recovery"):
        Project.open(project.path)
    assert journal.read_bytes() == damaged
    with Project.open(project.path, recover=True) as again:
        assert again.atoms(source_id, 0)["x_px"].tolist() == [1, 2]
        assert again.recovered.history_lost
        again.add_atoms(source_id, 0, make_atoms([[9, 9]], "Pb"))
    (kept,) = project.path.glob("journal.damaged-*.jsonl")
    assert kept.read_bytes() == damaged
    with Project.open(project.path) as third:
        assert third.atoms(source_id, 0)["x_px"].tolist() == [1, 2, 9]
        assert third.atoms(source_id, 0)["id"].is_unique


def test_a_journal_that_does_not_fit_its_labels_is_said(tmp_path: Path) -> None:
    project, source_id = begin(tmp_path)
    (first,) = project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    project.save()
    project.change_atoms(source_id, 0, [first], x_px=5.0)
    crash(project)
    labels = project.path / "labels" / source_id / "00000.csv"
    labels.write_text(labels.read_text().replace("Pb,1.0", "Pb,1.5"))
    with pytest.raises(UserError, match="does not fit its labels"):
        Project.open(project.path)
    with Project.open(project.path, recover=True) as again:
        assert again.atoms(source_id, 0)["x_px"].tolist() == [1.5]
    with Project.open(project.path) as third:
        assert third.atoms(source_id, 0)["x_px"].tolist() == [1.5]


@pytest.mark.parametrize("name", ["project.json", "sources.json", "pairs.json"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    project, source_id = begin(tmp_path)
    project.add_pair(source_id, 0)
    project.close()
    (project.path / name).write_text('{"edit": "x')
    with pytest.raises(UserError, match=f"{name} is damaged"):
        Project.open(project.path)
    with pytest.raises(UserError, match=f"{name} is damaged"):
        Project.open(project.path, read_only=True)


def test_damaged_labels_are_named(tmp_path: Path) -> None:
    project, source_id = begin(tmp_path)
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    project.close()
    (project.path / "labels" / source_id / "00000.csv").write_bytes(b"\xff\xfe\0")
    with (
        Project.open(project.path) as again,
        pytest.raises(UserError, match=r"00000\.csv cannot be read"),
    ):
        again.atoms(source_id, 0)


def test_a_project_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    project, _ = begin(tmp_path)
    project.close()
    file = project.path / "project.json"
    file.write_text(file.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(UserError, match="newer version"):
        Project.open(project.path)


def test_recovery_is_told_in_a_sentence(tmp_path: Path) -> None:
    project, source_id = begin(tmp_path)
    project.add_region(source_id, 0, Region.whole((20, 24)))
    project.new_run_dir()
    crash(project)
    with Project.open(project.path) as again:
        assert again.recovered.edits_replayed == 1
        assert again.recovered.sentence().startswith("Recovered: 1 region, 1 run, last edit ")
    with Project.open(project.path) as third:
        assert third.recovered.sentence() == ""


def test_labels_reach_their_files_without_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_apgan.project.saving.AUTOSAVE_EDITS", 3)
    project, source_id = begin(tmp_path)
    for x in range(7):
        project.add_atoms(source_id, 0, make_atoms([[x, x]], "Pb"))
    crash(project)
    with Project.open(project.path) as again:
        assert again.recovered.edits_replayed < 7
        assert again.atoms(source_id, 0)["x_px"].tolist() == list(range(7))


def test_an_autosave_that_fails_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_apgan.project.saving.AUTOSAVE_EDITS", 1)
    project, source_id = begin(tmp_path)

    def full(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("napari_apgan.project.folder.write_atomically", full)
        project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
        with pytest.raises(UserError, match="kept in the journal"):
            project.save()
    monkeypatch.setattr("napari_apgan.project.saving.AUTOSAVE_EDITS", 100)
    project.close()
    with Project.open(project.path) as again:
        assert again.recovered.edits_replayed == 0
        assert len(again.atoms(source_id, 0)) == 1


WORKER = """
import sys
import numpy as np
from napari_apgan.atoms import make_atoms
from napari_apgan.project import Project
project = Project.open(sys.argv[1])
source_id = project.sources[0].id
for x in range(100_000):
    project.add_atoms(source_id, 0, make_atoms([[x % 20, x // 20]], "Pb"))
    print(x, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_kill_9_loses_no_finished_edit(tmp_path: Path) -> None:
    project, source_id = begin(tmp_path)
    project.close()
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(project.path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert worker.stdout is not None
    last = -1
    for line in worker.stdout:
        last = int(line)
        if last == 25:
            worker.send_signal(signal.SIGKILL)
    worker.stdout.close()
    assert worker.wait() == -signal.SIGKILL
    with Project.open(project.path) as again:
        made = len(again.atoms(source_id, 0))
        assert made in (last + 1, last + 2)  # one more may be on the disk, not yet told
        assert again.recovered.edits_replayed == made
        assert again.undo()
        assert len(again.atoms(source_id, 0)) == made - 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@settings(relaxed, max_examples=4)
@given(
    st.lists(ACTIONS.filter(lambda a: a[0] not in ("reopen", "crash")), min_size=4, max_size=25),
    st.floats(0, 1),
)
def test_a_process_killed_anywhere_leaves_what_its_journal_says(
    actions: list[tuple[str, int, int]], where: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project, source_id = begin(Path(folder))
        project.close()
        twin = Path(folder) / "twin.apgan"
        shutil.copytree(project.path, twin, ignore=shutil.ignore_patterns("lock"))
        states = _states(twin, source_id, actions)
        _kill_while_it_works(project.path, actions, round(where * len(actions)))
        with Project.open(project.path) as again:
            number = again.edit_number
            assert snapshot(again) == states[number]
            done = 0
            while again.undo():
                done += 1
            assert snapshot(again) == states[0], "undo reaches the start"
            for _ in range(done):
                assert again.redo()
            assert snapshot(again) == states[number], "redo reaches the end"
        with Project.open(project.path) as third:
            assert snapshot(third) == states[number]


def _states(path: Path, source_id: str, actions: list[tuple[str, int, int]]) -> list[Snapshot]:
    """Return the state after each line of the journal, of acts that nobody interrupts."""
    with Project.open(path) as project:
        states = [snapshot(project)]
        for action in actions:
            if action[0] != "save":
                act(project, source_id, action)
            if project.edit_number == len(states):
                states.append(snapshot(project))
        return states


def _kill_while_it_works(path: Path, actions: list[tuple[str, int, int]], after: int) -> None:
    """Do the acts in another process, and kill it once it has told of so many of them."""
    todo = path.with_suffix(".json")
    todo.write_text(json.dumps(actions))
    worker = subprocess.Popen(
        [sys.executable, str(random_edits.__file__), str(path), str(todo)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert worker.stdout is not None
    told = 0
    while told < after and worker.stdout.readline():
        told += 1
    worker.send_signal(signal.SIGKILL)
    worker.stdout.close()
    worker.wait()
    assert told == min(after, len(actions)), "it came to an end by itself"


def test_undo_reaches_back_beyond_reopening(
    tmp_path: Path, reopen: Callable[[Project], Project]
) -> None:
    project, source_id = begin(tmp_path)
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    one = project.atoms(source_id, 0)
    project.add_atoms(source_id, 0, make_atoms([[2, 2]], "Ti"))
    two = project.atoms(source_id, 0)
    project = reopen(project)
    project.undo()
    assert_frame_equal(project.atoms(source_id, 0), one, check_exact=True)
    project = reopen(project)
    assert project.redo_title == "add 1 atom"
    project.redo()
    assert_frame_equal(project.atoms(source_id, 0), two, check_exact=True)
    project.undo()
    project.add_atoms(source_id, 1, make_atoms([[2, 2]], "Ti"))
    assert not reopen(project).can_redo


def test_a_copied_folder_opens_as_it_is(tmp_path: Path) -> None:
    project, source_id = begin(tmp_path)
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    copy = tmp_path / "elsewhere" / "copy.apgan"
    shutil.copytree(project.path, copy)
    project.close()
    with Project.open(copy) as again:
        assert len(again.atoms(source_id, 0)) == 1
        assert again.source(source_id).frame(1).shape == (20, 24)


@pytest.mark.parametrize("written", range(5))
def test_labels_that_hold_an_edit_do_not_get_it_again(tmp_path: Path, written: int) -> None:
    project, source_id = begin(tmp_path)
    ids = project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    project.change_atoms(source_id, 0, ids, x_px=5.0)
    project.add_region(source_id, 0, Region.whole((20, 24)))
    before = snapshot(project)
    for job in project._jobs()[:written]:
        job()
    crash(project)
    with Project.open(project.path) as again:
        assert snapshot(again) == before
        assert again.recovered.edits_replayed == {0: 3, 1: 1}.get(written, 0)


def test_files_of_labels_follow_a_late_pixel_size(tmp_path: Path) -> None:
    project, source_id = begin(tmp_path)
    project.add_atoms(source_id, 0, make_atoms([[2, 1]], "Pb"))
    project.save()
    project.set_calibration(source_id, Calibration.from_pixel_size(10.0, origin="user"))
    project.close()
    header, row = (project.path / "labels" / source_id / "00000.csv").read_text().splitlines()[-2:]
    assert dict(zip(header.split(","), row.split(","), strict=True))["x_pm"] == "20.0"
