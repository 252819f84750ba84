"""Images leave a project whole, and come back whole by undo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Source
from napari_apgan.project import Project, Session
from napari_apgan.regions import Region

Reopen = Callable[[Project], Project]


@pytest.fixture
def movie(project: Project, series: Source) -> str:
    """A labelled series in the project, in the training set."""
    source_id = project.add_source(series)
    project.add_atoms(source_id, 0, make_atoms([[3, 4], [9, 8]], "Pb"))
    project.add_atoms(source_id, 2, make_atoms([[5, 6]], "Ti"))
    project.add_region(source_id, 1, Region.whole((48, 64)))
    project.add_pair(source_id, 0)
    project.set_calibration(source_id, Calibration.from_pixel_size(31.0, origin="user"))
    return source_id


def everything(project: Project, source_id: str) -> dict[str, Any]:
    """What a project says of one image."""
    return {
        "record": project.record(source_id).model_dump(),
        "atoms": [project.atoms(source_id, f).to_csv(index=False) for f in range(3)],
        "regions": [project.regions(source_id, f) for f in range(3)],
        "pairs": project.pairs,
        "image": project.source(source_id).frame(2).data.tobytes(),
    }


def crash(project: Project) -> Project:
    """Open a project again that was left without being closed."""
    project._release()
    return Project.open(project.path)


def test_an_image_goes_with_its_labels_and_comes_back_with_them(
    project: Project, movie: str, source_id: str, reopen: Reopen
) -> None:
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Ti"))
    project.add_pair(source_id, 0)
    before, other = everything(project, movie), project.atoms(source_id, 0)
    number = project.edit_number
    project.remove_source(movie)
    assert project.edit_number == number + 1

    def check(now: Project) -> None:
        assert [r.id for r in now.sources] == [source_id]
        assert now.frames_with_labels() == [(source_id, 0)]
        assert [p.source_id for p in now.pairs] == [source_id]
        pd.testing.assert_frame_equal(now.atoms(source_id, 0), other)
        assert now.undo_title == "remove movie"

    check(project)
    again = reopen(project)
    check(again)
    assert again.undo()
    assert everything(again, movie) == before
    back = reopen(again)
    assert everything(back, movie) == before
    assert back.redo()
    assert [r.id for r in back.sources] == [source_id]
    assert back.undo()
    assert everything(back, movie) == before


def test_a_removal_outlives_a_crash_and_so_does_its_undo(project: Project, movie: str) -> None:
    before = everything(project, movie)
    project.save()
    project.remove_source(movie)
    with crash(project) as again:
        assert again.recovered.edits_replayed == 1
        assert movie not in {r.id for r in again.sources}
        again.undo()
        last = crash(again)
    with last:
        assert everything(last, movie) == before


def test_nothing_can_be_asked_of_or_done_to_a_removed_image(
    project: Project, movie: str, source_id: str, image_file: Path
) -> None:
    project.remove_source(movie)
    project.remove_source(source_id)
    image_file.unlink()
    acts: list[Callable[[], object]] = [
        lambda: project.atoms(movie, 0),
        lambda: project.regions(movie, 0),
        lambda: project.source(movie),
        lambda: project.add_atoms(movie, 0, make_atoms([[1, 1]], "Pb")),
        lambda: project.add_pair(movie, 0),
        lambda: project.relocate(movie, image_file),
        lambda: project.remove_source(movie),
    ]
    number = project.edit_number
    for act in acts:
        with pytest.raises(UserError, match="has no image"):
            act()
    assert project.edit_number == number
    assert project.sources == []
    assert project.missing_sources() == {}
    # Its atoms keep no element in the project.
    project.set_elements(make_elements(["Sr"]))
    assert [e.name for e in project.elements] == ["Sr"]


def test_the_same_image_comes_back_without_labels_and_undo_reaches_behind_it(
    project: Project, movie: str, series: Source, reopen: Reopen
) -> None:
    before = everything(project, movie)
    ids = [*project.atoms(movie, 0)["id"], *project.atoms(movie, 2)["id"]]
    project.remove_source(movie)
    assert project.add_source(series) == movie
    again = crash(project)
    assert movie in {r.id for r in again.sources}
    assert again.frames_with_labels(movie) == []
    assert again.calibration(movie).mean_pm == pytest.approx(31.0)
    # Numbers are never used twice, also not those of the removed atoms.
    (new,) = again.add_atoms(movie, 0, make_atoms([[7, 7]], "Pb"))
    assert new not in ids
    again = reopen(again)
    assert again.count_atoms(movie, 0) == 1
    assert again.undo()
    assert again.undo()
    after = everything(again, movie)
    assert after["atoms"] == before["atoms"]
    assert after["regions"] == before["regions"]
    assert after["pairs"] == before["pairs"]


def test_views_leave_the_image_before_they_hear_of_its_labels(
    project: Project, movie: str, source_id: str
) -> None:
    heard: list[tuple[object, ...]] = []
    project.sources_changed.connect(lambda i: heard.append((i, [r.id for r in project.sources])))
    project.changed.connect(lambda docs: heard.append(tuple((d.kind, d.source_id) for d in docs)))
    project.remove_source(movie)
    assert heard == [(movie, [source_id]), (("pairs", ""),)]
    heard.clear()
    project.undo()
    assert heard[0] == (movie, [source_id, movie])
    assert set(heard[1]) == {("pairs", ""), ("atoms", movie), ("regions", movie)}


def test_the_session_goes_to_an_image_that_is_left(
    project: Project, movie: str, source_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("APGAN_HOME", str(tmp_path / "home"))
    project.close()
    session = Session()
    opened = session.open_project(project.path)
    session.go_to(movie, 2)
    places: list[tuple[str, int]] = []
    session.frame_changed.connect(lambda i, f: places.append((i, f)))
    session.atoms_changed.connect(lambda _i, _f: session.atoms())
    opened.remove_source(movie)
    assert (session.source_id, session.frame_index) == (source_id, 0)
    opened.remove_source(source_id)
    assert (session.source_id, session.frame()) == ("", None)
    assert places == [(source_id, 0), ("", 0)]
    assert session.undo()
    session.go_to(source_id)
    assert session.frame() is not None
    session.close_project()


def test_a_removed_image_stays_removed_when_the_project_moves(
    project: Project, movie: str, source_id: str, tmp_path: Path
) -> None:
    before = everything(project, movie)
    project.remove_source(movie)
    project.save_as(tmp_path / "elsewhere")
    assert [r.id for r in project.sources] == [source_id]
    project.undo()
    after = everything(project, movie)
    for part in ("atoms", "regions", "pairs", "image"):
        assert after[part] == before[part]
