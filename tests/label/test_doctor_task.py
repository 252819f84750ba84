"""The label doctor in the helper, and its fixes as edits of a project."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_apgan.atoms import concat, make_atoms, next_id, positions
from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import source_from_array, write_atoms
from napari_apgan.label import doctor, process
from napari_apgan.label.doctor_project import fix_edit, ignore, ignored_on, listen_again
from napari_apgan.label.doctor_types import Fix, Point
from napari_apgan.label.doctor_wish import DoctorFrame, DoctorWish, read_report
from napari_apgan.label.protocol import LANGUAGE, SourceRef, TaskRequest
from napari_apgan.project import Project
from napari_apgan.regions import Region

SIDE, A = 128, 16.0


def picture() -> tuple[np.ndarray, np.ndarray]:
    gx, gy = (v.ravel() for v in np.meshgrid(np.arange(8, 120, A), np.arange(8, 120, A)))
    xy = np.column_stack([gx, gy]) + 0.3
    yy, xx = np.mgrid[:SIDE, :SIDE]
    image = np.random.default_rng(0).normal(2, 0.1, (SIDE, SIDE))
    for x, y in xy:
        image += np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.2**2))
    return image.astype(np.float32), xy


def ask(*requests: TaskRequest) -> list[Any]:
    replies = io.BytesIO()
    server = process.Server(io.BytesIO(), replies)
    for request in requests:
        server._answer(request)
    return [r for r in LANGUAGE.replies().feed(replies.getvalue()) if r.event != "progress"]


@pytest.fixture
def request_doctor(tmp_path: Path) -> TaskRequest:
    """Labels of which one is doubled."""
    image, xy = picture()
    np.save(tmp_path / "image.npy", image)
    atoms = make_atoms(xy, "Sr")
    double = make_atoms(xy[24] + (1.5, 1.0), "Sr", id=next_id(atoms["id"]))
    write_atoms(concat([atoms, double]), tmp_path / "labels.csv")
    return TaskRequest(
        id="a",
        task="doctor",
        source=SourceRef(path=str(tmp_path / "image.npy"), missing="none"),
        atoms=str(tmp_path / "labels.csv"),
        options=DoctorWish(regions=[Region.whole((SIDE, SIDE))]).model_dump(mode="json"),
        out_dir=str(tmp_path / "out"),
    )


def test_suspects_arrive_as_they_were_found(request_doctor: TaskRequest) -> None:
    (done,) = ask(request_doctor)
    (suspect,) = read_report(done.values["report"]).suspects
    assert suspect.kind == "too close"
    assert suspect.fix.act == "delete"
    assert suspect.others[-1].act == "ignore"
    assert done.sentence == "50 labels examined: 1 too close."


def test_an_ignored_suspect_stays_quiet_and_nothing_is_measured_again(
    request_doctor: TaskRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []
    real = doctor.measure_labels

    def counting(*args: Any, **keywords: Any) -> Any:
        measured.append(1)
        return real(*args, **keywords)

    monkeypatch.setattr("napari_apgan.label.doctor_task.measure_labels", counting)
    (first,) = ask(request_doctor)
    key = read_report(first.values["report"]).suspects[0].key
    options = {**request_doctor.options, "ignored": [key]}
    quiet = request_doctor.model_copy(update={"id": "b", "options": options})
    _, second = ask(request_doctor, quiet)
    assert read_report(second.values["report"]).suspects == ()
    assert len(measured) == 2, "once for each helper"


def test_the_training_set_is_counted_frame_by_frame(
    request_doctor: TaskRequest, tmp_path: Path
) -> None:
    _, xy = picture()
    write_atoms(make_atoms(xy, "Sr"), tmp_path / "right.csv")
    wish = DoctorWish.model_validate(request_doctor.options)
    frames = [
        DoctorFrame(
            source_id=name,
            frame=0,
            source=request_doctor.source,
            atoms=str(tmp_path / f"{table}.csv"),
            wish=wish,
        ).model_dump(mode="json")
        for name, table in (("bad", "labels"), ("good", "right"))
    ]
    (done,) = ask(
        TaskRequest(id="s", task="doctor_set", options={"frames": frames}, out_dir=str(tmp_path))
    )
    assert [(c["source_id"], c["suspects"]) for c in done.values["counts"]] == [
        ("bad", 1),
        ("good", 0),
    ]
    assert done.sentence == "1 label looks doubtful."


@pytest.fixture
def project(tmp_path: Path) -> Any:
    image, xy = picture()
    with Project.create(tmp_path / "p.apgan", make_elements(["Sr", "Ti"])) as made:
        known = Calibration.from_pixel_size(20.0, origin="user")
        made.add_source(source_from_array(image, "picture", known))
        made.add_atoms(made.sources[0].id, 0, make_atoms(xy, "Sr", origin="predicted"))
        yield made


FIXES = {
    "delete": Fix("delete", "Delete Sr", (3,)),
    "move": Fix("move", "Move to its peak", (5,), (Point(40.5, 60.25, "Sr"),)),
    "change element": Fix("change element", "Make it Ti", (7,), (Point(0.0, 0.0, "Ti"),)),
    "add": Fix("add", "Add Ti here", (), (Point(30.0, 31.0, "Ti"), Point(46.0, 31.0, "Ti"))),
    "set region": Fix(
        "set region", "Ignore this area", region=Region.rectangle(1, 1, 9, 9, id=4, kind="ignore")
    ),
    "set radius": Fix("set radius", "Use a radius of 2 px", radius_px={"Sr": 2.0}),
}


@pytest.mark.parametrize("act", FIXES)
def test_a_fix_is_one_edit_that_is_undone_whole(project: Project, act: str) -> None:
    source = project.sources[0].id
    fix = FIXES[act]
    before = (project.atoms(source, 0), project.regions(source, 0), project.elements)
    number = project.edit_number
    edit = fix_edit(project, source, 0, fix)
    assert edit is not None
    project.apply(edit)
    assert project.edit_number == number + 1
    assert project.undo_title.lower() == fix.words.lower()
    atoms = project.atoms(source, 0).set_index("id")
    expected = {
        "delete": lambda: 3 not in atoms.index and len(atoms) == len(before[0]) - 1,
        "move": lambda: atoms.loc[5, ["x_px", "y_px"]].tolist() == [40.5, 60.25],
        "change element": lambda: atoms.loc[7, "element"] == "Ti",
        "add": lambda: atoms["element"].tolist()[-2:] == ["Ti", "Ti"],
        "set region": lambda: [r.kind for r in project.regions(source, 0)] == ["ignore"],
        "set radius": lambda: [e.radius_pm for e in project.elements] == [40.0, None],
    }
    assert expected[act]()
    if act in ("move", "change element"):
        assert (atoms["origin"] == "corrected").sum() == 1
    assert np.allclose(
        positions(before[0])[[0, 48]],
        project.atoms(source, 0).set_index("id").loc[[0, 48], ["x_px", "y_px"]],
    ), "the others stay"
    project.undo()
    assert project.atoms(source, 0).equals(before[0])
    assert project.regions(source, 0) == before[1]
    assert project.elements == before[2]


def test_a_fix_of_what_is_gone_does_nothing(project: Project) -> None:
    source = project.sources[0].id
    project.remove_atoms(source, 0, [3])
    assert fix_edit(project, source, 0, FIXES["delete"]) is None


def test_a_radius_needs_the_pixel_size(project: Project) -> None:
    source = project.sources[0].id
    project.set_calibration(source, Calibration())
    with pytest.raises(UserError, match="pixel size"):
        fix_edit(project, source, 0, FIXES["set radius"])


def test_what_is_ignored_is_remembered_with_the_project(project: Project) -> None:
    source = project.sources[0].id
    ignore(project, source, 0, ["missed:1,2:None"])
    ignore(project, source, 0, ["missed:1,2:None", "too close:1,2:None"])
    project.save()
    again = Project.open(project.path, read_only=True)
    assert ignored_on(again, source, 0) == ["missed:1,2:None", "too close:1,2:None"]
    again.close()
    listen_again(project, source, 0)
    assert ignored_on(project, source, 0) == []
