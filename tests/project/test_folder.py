"""The folder: created, locked, read only, saved elsewhere, with names every system takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from napari_apgan.atoms import make_atoms
from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Source
from napari_apgan.names import safe_name
from napari_apgan.project import Project, recent_projects, unsaved_projects
from napari_apgan.settings import Settings


def test_a_new_project_is_a_folder_with_its_ending(tmp_path: Path) -> None:
    with Project.create(tmp_path / "my work", make_elements(["Pb"])) as project:
        assert project.path == tmp_path / "my work.apgan"
        assert (project.name, project.is_unsaved) == ("my work", False)
    held = json.loads((project.path / "project.json").read_bytes())
    assert held["schema_version"] == 1
    assert held["elements"][0]["name"] == "Pb"


def test_nothing_is_overwritten(project: Project, tmp_path: Path) -> None:
    for taken in (project.path, project.path.with_suffix("")):
        with pytest.raises(UserError, match="already something"):
            Project.create(taken)
        with pytest.raises(UserError, match="already something"):
            project.save_as(taken)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="No project can be made"):
        Project.create(tmp_path / "file" / "below")


def test_what_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a project"):
        Project.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a/b\\c:d*e?f", "a_b_c_d_e_f"),
        ("con", "_con"),
        ("COM1.tif", "_COM1.tif"),
        ("dots. . ", "dots"),
        ("", "project"),
        ("Ünï 42 µm", "Ünï 42 µm"),
        ("x" * 300, "x" * 80),
    ],
)
def test_names_suit_every_system(text: str, name: str) -> None:
    assert safe_name(text, empty="project") == name


@pytest.mark.parametrize("name", ["CON.dm4", "a:b<c>.tif", "ÄÖ ß", "..", "x" * 200, "AUX"])
def test_ids_of_images_are_safe_folder_names(project: Project, series: Source, name: str) -> None:
    series.name = name
    source_id = project.add_source(series)
    assert safe_name(source_id, empty="") == source_id
    assert source_id == source_id.lower()
    assert len(source_id) <= 33
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    project.save()
    assert (project.path / "labels" / source_id / "00000.csv").is_file()


def test_a_second_window_is_told(project: Project, source_id: str) -> None:
    with pytest.raises(UserError, match=r"open in another window.*read-only"):
        Project.open(project.path)
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    with Project.open(project.path, read_only=True) as look:
        assert len(look.atoms(source_id, 0)) == 1
        assert not look.can_undo
        for change in (
            lambda: look.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb")),
            lambda: look.undo(),
            lambda: look.save(),
            lambda: look.new_run_dir(),
            lambda: look.update_settings(preset="paper"),
        ):
            with pytest.raises(UserError, match="read-only"):
                change()
    before = (project.path / "journal.jsonl").read_bytes()
    assert before.count(b"\n") == 1


def test_another_process_is_kept_out(project: Project) -> None:
    code = (
        "import sys; from napari_apgan.project import Project\n"
        "from napari_apgan.errors import UserError\n"
        "try:\n    Project.open(sys.argv[1])\n"
        "except UserError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(project.path)]
    other = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert "open in another window" in other.stdout


def test_closing_twice_is_fine_and_then_nothing_is_changed(
    project: Project, source_id: str
) -> None:
    project.close()
    project.close()
    with pytest.raises(UserError, match="closed"):
        project.add_pair(source_id, 0)


def test_saving_elsewhere_takes_everything_along(
    project: Project, source_id: str, tmp_path: Path, reopen: Callable[[Project], Project]
) -> None:
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    (project.new_run_dir() / "run.json").write_text("{}")
    old = project.path
    project.save_as(tmp_path / "far" / "copy")
    assert project.path == tmp_path / "far" / "copy.apgan"
    project.add_atoms(source_id, 0, make_atoms([[2, 2]], "Pb"))
    again = reopen(project)
    assert len(again.atoms(source_id, 0)) == 2
    assert [p.name for p in again.runs()] == ["run-001"]
    assert again.source(source_id).frame().shape == (48, 64)
    assert not again.recovered.happened
    with Project.open(old) as first:
        assert len(first.atoms(source_id, 0)) == 1
    assert not list((tmp_path / "far").glob(".*"))


def test_an_unsaved_project_moves_when_it_is_saved(tmp_path: Path, series: Source) -> None:
    project = Project.create_unsaved(make_elements(["Pb"]))
    assert project.is_unsaved
    source_id = project.add_source(series)
    project.add_atoms(source_id, 1, make_atoms([[1, 1]], "Pb"))
    old = project.path
    project.save_as(tmp_path / "kept")
    assert not old.exists()
    assert not project.is_unsaved
    project.close()
    with Project.open(tmp_path / "kept.apgan") as again:
        assert again.missing_sources() == {}
        assert again.source(source_id).frame(2).shape == (48, 64)


def test_an_unsaved_project_without_work_leaves_nothing_behind(series: Source) -> None:
    empty = Project.create_unsaved()
    empty.close()
    assert not empty.path.exists()
    used = Project.create_unsaved()
    used.add_source(series)
    used.close()
    assert unsaved_projects() == [used.path]
    with Project.open(used.path):
        assert unsaved_projects() == []


def test_two_unsaved_projects_have_two_places() -> None:
    with Project.create_unsaved() as one, Project.create_unsaved() as two:
        assert one.path != two.path


def test_saving_elsewhere_waits_for_a_training(project: Project, tmp_path: Path) -> None:
    run = project.new_run_dir()
    with (
        FileLock(run / "run.lock"),
        pytest.raises(UserError, match=r"training \(run-001\)"),
    ):
        project.save_as(tmp_path / "copy")
    project.save_as(tmp_path / "copy")


def test_recent_projects_are_those_that_still_exist(project: Project, tmp_path: Path) -> None:
    settings = Settings.load()
    settings.remember_project(tmp_path / "gone.apgan")
    settings.remember_project(project.path)
    assert recent_projects() == [project.path]


def test_what_the_project_remembers_comes_back(
    project: Project, reopen: Callable[[Project], Project]
) -> None:
    project.update_settings(preset="paper", frame=3)
    again = reopen(project)
    assert (again.settings.preset, again.settings.frame) == ("paper", 3)
