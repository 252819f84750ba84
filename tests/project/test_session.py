"""The session says what changed, and only that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Source
from napari_apgan.project import Project, Round, Session, recent_projects
from napari_apgan.regions import Region

SIGNALS = (
    "project_changed source_changed frame_changed atoms_changed regions_changed elements_changed "
    "element_changed model_changed pairs_changed runs_changed prediction_changed "
    "calibration_changed sources_changed"
).split()


class Heard:
    """Collects what a session emits."""

    def __init__(self, session: Session) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.messages: list[str] = []
        for name in SIGNALS:
            getattr(session, name).connect(self._listener(name))
        session.message.connect(self.messages.append)

    def _listener(self, name: str) -> Any:
        return lambda *values: self.events.append((name, *values))

    def take(self) -> list[tuple[Any, ...]]:
        events, self.events = self.events, []
        return events


@pytest.fixture
def session() -> Any:
    made = Session()
    yield made
    made.close_project()


@pytest.fixture
def heard(session: Session) -> Heard:
    return Heard(session)


def test_a_project_is_made_on_demand_and_says_so(
    session: Session, heard: Heard, series: Source
) -> None:
    assert session.project is None
    assert session.status_line() == "No project yet: open an image to begin."
    assert (len(session.atoms()), session.regions(), session.frame()) == (0, [], None)
    source_id = session.add_source(series)
    assert session.project is not None
    assert session.project.is_unsaved
    assert heard.messages == ["Unsaved project, kept safe. Save as…"]
    assert heard.take() == [
        ("project_changed",),
        ("sources_changed",),
        ("source_changed", source_id),
        ("frame_changed", source_id, 0),
    ]
    frame = session.frame()
    assert frame is not None
    assert frame.shape == (48, 64)


def test_only_what_changed_is_told(session: Session, heard: Heard, series: Source) -> None:
    source_id = session.add_source(series)
    session.ensure_project().set_elements(make_elements(["Pb", "Ti"]))
    heard.take()
    session.frame_index = 2
    assert heard.take() == [("frame_changed", source_id, 2)]
    session.frame_index = 2
    assert heard.take() == []
    ids = session.add_atoms(make_atoms([[1, 1]], "Pb"))
    assert heard.take() == [("atoms_changed", source_id, 2)]
    session.change_atoms(ids, x_px=3.0)
    assert heard.take() == [("atoms_changed", source_id, 2)]
    session.undo()
    session.redo()
    assert heard.take() == [("atoms_changed", source_id, 2)] * 2
    session.add_region(Region.rectangle(0, 0, 9, 9))
    assert heard.take() == [("regions_changed", source_id, 2)]
    session.set_regions([])
    assert heard.take() == [("regions_changed", source_id, 2)]
    session.element = "Ti"
    assert heard.take() == [("element_changed", "Ti")]
    session.ensure_project().add_pair(source_id, 2)
    assert heard.take() == [("pairs_changed",)]
    session.set_calibration(Calibration.from_pixel_size(12.0, origin="user"))
    assert heard.take() == [("calibration_changed", source_id)]
    assert heard.messages[-1] == "Lengths follow the new pixel size on 1 labelled frame."
    session.ensure_project().new_run_dir()
    assert heard.take() == [("runs_changed",)]
    session.remove_atoms(ids)
    assert heard.take() == [("atoms_changed", source_id, 2)]


def test_a_batch_tells_each_part_once(session: Session, heard: Heard, series: Source) -> None:
    source_id = session.add_source(series)
    heard.take()
    session.add_atoms(make_atoms([[1, 1], [2, 2]], ["Pb", "Ti"]))
    assert heard.take() == [
        ("elements_changed",),
        ("element_changed", "Pb"),
        ("atoms_changed", source_id, 0),
    ]


def test_the_current_element_follows_when_it_goes(
    session: Session, heard: Heard, series: Source
) -> None:
    session.add_source(series)
    project = session.ensure_project()
    project.set_elements(make_elements(["Pb", "Ti"]))
    session.element = "Ti"
    heard.take()
    project.set_elements(project.elements[:1])
    assert session.element == "Pb"
    assert heard.take() == [("elements_changed",), ("element_changed", "Pb")]
    with pytest.raises(UserError, match="no element called 'Ti'"):
        session.element = "Ti"


def test_a_renamed_element_stays_the_current_one(session: Session, series: Source) -> None:
    session.add_source(series)
    project = session.ensure_project()
    project.set_elements(make_elements(["Pb", "Ti"]))
    session.element = "Ti"
    project.set_elements(make_elements(["Pb", "Zr"]), moves={"Ti": "Zr"})
    assert session.element == "Zr"
    session.undo()
    assert session.element == "Ti"


def test_reopening_goes_on_where_the_user_was(
    session: Session, heard: Heard, series: Source, tmp_path: Path
) -> None:
    project = session.create_project(tmp_path / "work", make_elements(["Pb", "Ti"]))
    source_id = session.add_source(series)
    session.go_to(source_id, 1)
    session.element = "Ti"
    run = project.new_run_dir()
    project.add_pair(source_id, 1)
    session.add_atoms(make_atoms([[1, 1]], "Pb"))
    project.add_round(Round(number=1, run_id=run.name, pairs=1, atoms=1, validation_score=0.967))
    session.model = run
    line = session.status_line()
    assert line == (
        "work · movie, frame 2 of 3 · Ti · training set 1 pair · 1 atoms · "
        "model round 1, agrees with your labels 0.97"
    )
    session.close_project()
    assert session.project is None
    session.open_project(tmp_path / "work.apgan")
    assert (session.source_id, session.frame_index, session.element) == (source_id, 1, "Ti")
    assert session.model == run
    assert session.status_line() == line
    assert recent_projects() == [project.path]


def test_saving_as_keeps_the_place_and_the_model(
    session: Session, heard: Heard, series: Source, tmp_path: Path
) -> None:
    source_id = session.add_source(series)
    session.model = session.ensure_project().new_run_dir()
    session.frame_index = 2
    session.save_as(tmp_path / "kept")
    assert (session.source_id, session.frame_index) == (source_id, 2)
    assert session.model == tmp_path / "kept.apgan" / "runs" / "run-001"
    assert session.model.is_dir()
    assert recent_projects() == [tmp_path / "kept.apgan"]
    heard.take()
    session.add_atoms(make_atoms([[1, 1]], "Pb"))
    assert ("atoms_changed", source_id, 2) in heard.take()


def test_a_project_that_cannot_be_opened_leaves_the_present_one(
    session: Session, series: Source, tmp_path: Path
) -> None:
    source_id = session.add_source(series)
    with pytest.raises(UserError, match="is not a project"):
        session.open_project(tmp_path)
    with Project.create(tmp_path / "other") as other:
        with pytest.raises(UserError, match="another window"):
            session.open_project(other.path)
        assert session.source_id == source_id
        assert session.open_project(other.path, read_only=True).read_only
        assert session.source_id == ""
        assert "other (read-only)" in session.status_line()


def test_the_old_project_is_silent_after_a_new_one_is_opened(
    session: Session, heard: Heard, series: Source, tmp_path: Path
) -> None:
    session.add_source(series)
    old = session.ensure_project()
    session.create_project(tmp_path / "new")
    heard.take()
    old.runs_changed.emit()
    assert old.closed
    assert heard.take() == []


def test_recovery_is_told(session: Session, heard: Heard, series: Source) -> None:
    with Project.create_unsaved() as project:
        source_id = project.add_source(series)
        project.add_region(source_id, 0, Region.whole((48, 64)))
        project._release()
    session.open_project(project.path)
    assert heard.messages[0].startswith("Recovered: 1 region, 0 runs, last edit ")


def test_places_that_do_not_exist_are_refused(session: Session, series: Source) -> None:
    with pytest.raises(UserError, match="No project is open"):
        session.go_to("x", 0)
    with pytest.raises(UserError, match="No image is open"):
        session.add_atoms(make_atoms([[1, 1]], "Pb"))
    source_id = session.add_source(series)
    with pytest.raises(UserError, match="no number 3"):
        session.frame_index = 3
    assert session.frame_index == 0
    assert session.prediction_files() is None
    session.model = Path("somewhere") / "run-007" / "best.safetensors"
    files = session.prediction_files()
    assert files is not None
    assert files.folder.parts[-2:] == ("run-007", source_id)
