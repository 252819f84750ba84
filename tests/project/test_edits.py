"""Every edit applies and inverts exactly, and refuses what does not fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from pydantic import ValidationError

from napari_apgan.atoms import make_atoms
from napari_apgan.elements import Element, make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.project import AddAtoms, Batch, ChangeAtoms, Project, RemoveAtoms, SetRegions
from napari_apgan.project.edits import EDIT
from napari_apgan.regions import Region


def put(project: Project, source_id: str, n: int = 3, element: str = "Pb") -> list[int]:
    xy = np.arange(2 * n).reshape(n, 2) + 0.1
    return project.add_atoms(source_id, 0, make_atoms(xy, element))


def test_new_atoms_get_ids_and_positions_in_pm(project: Project, source_id: str) -> None:
    assert project.add_atoms(source_id, 0, make_atoms([[1.5, 2.0], [3, 4]], "Pb")) == [0, 1]
    table = project.atoms(source_id, 0)
    assert table["x_pm"].tolist() == [30.0, 60.0]
    assert table["y_pm"].tolist() == [40.0, 80.0]


def test_ids_are_never_reused_not_even_after_undo_or_on_another_frame(
    project: Project, series: object
) -> None:
    movie = project.add_source(series)  # type: ignore[arg-type]
    assert project.add_atoms(movie, 0, make_atoms([[1, 1]], "Pb")) == [0]
    assert project.undo()
    assert project.add_atoms(movie, 2, make_atoms([[1, 1]], "Pb")) == [1]
    project.remove_atoms(movie, 2, [1])
    assert project.add_atoms(movie, 1, make_atoms([[1, 1]], "Pb")) == [2]


def test_moving_an_atom_and_taking_it_back(project: Project, source_id: str) -> None:
    ids = put(project, source_id)
    before = project.atoms(source_id, 0)
    project.change_atoms(source_id, 0, [ids[1]], x_px=7.123456789012345, element="Ti")
    after = project.atoms(source_id, 0)
    assert after["x_px"].tolist() == [0.1, 7.123456789012345, 4.1]
    assert after["element"].tolist() == ["Pb", "Ti", "Pb"]
    assert project.undo_title == "move 1 atom"
    project.undo()
    assert_frame_equal(project.atoms(source_id, 0), before, check_exact=True)
    project.redo()
    assert_frame_equal(project.atoms(source_id, 0), after, check_exact=True)


def test_removed_atoms_come_back_whole_and_in_their_place(project: Project, source_id: str) -> None:
    table = make_atoms([[1, 1], [2, 2], [3, 3]], ["Pb", "Ti", "Pb"], flag=["", "too near", ""])
    ids = project.add_atoms(source_id, 0, table.assign(probability=[0.1, 0.2, 0.3]))
    before = project.atoms(source_id, 0)
    project.remove_atoms(source_id, 0, [ids[1]])
    assert project.atoms(source_id, 0)["id"].tolist() == [ids[0], ids[2]]
    project.undo()
    assert_frame_equal(project.atoms(source_id, 0), before, check_exact=True)


def test_a_table_given_out_is_a_copy(project: Project, source_id: str) -> None:
    put(project, source_id)
    table = project.atoms(source_id, 0)
    table.loc[0, "x_px"] = 99.0
    assert project.atoms(source_id, 0)["x_px"].iloc[0] == 0.1


def test_a_region_gets_an_id_of_its_own(project: Project, source_id: str) -> None:
    first = project.add_region(source_id, 0, Region.rectangle(0, 0, 9, 9))
    project.undo()
    second = project.add_region(source_id, 0, Region.rectangle(0, 0, 9, 9, kind="ignore"))
    assert (first.id, second.id) == (0, 1)
    assert project.regions(source_id, 0) == [second]


def test_an_element_with_atoms_is_not_removed_unless_they_go_somewhere(
    project: Project, source_id: str
) -> None:
    put(project, source_id, 2, "Ti")
    lead = project.elements[0]
    with pytest.raises(UserError, match="Ti still has 2 atoms"):
        project.set_elements([lead])
    assert [e.name for e in project.elements] == ["Pb", "Ti"]
    project.set_elements([lead], moves={"Ti": "Pb"})
    assert project.atoms(source_id, 0)["element"].tolist() == ["Pb", "Pb"]
    project.undo()
    assert project.atoms(source_id, 0)["element"].tolist() == ["Ti", "Ti"]
    assert [e.name for e in project.elements] == ["Pb", "Ti"]


def test_renaming_an_element_takes_its_atoms_along(project: Project, source_id: str) -> None:
    put(project, source_id, 2, "Ti")
    put(project, source_id, 1, "Pb")
    lead, titanium = project.elements
    mixed = Element(name="Ti/O", color=titanium.color)
    project.set_elements([lead, mixed], moves={"Ti": "Ti/O"})
    assert project.elements[1] == mixed
    assert project.atoms(source_id, 0)["element"].tolist() == ["Ti/O", "Ti/O", "Pb"]
    with pytest.raises(UserError, match="same name"):
        project.set_elements([lead, lead], moves={"Ti/O": "Pb"})


def test_atoms_of_a_new_element_bring_it_along_in_the_same_step(
    project: Project, source_id: str
) -> None:
    put(project, source_id, 1, "Sr")
    assert [e.name for e in project.elements] == ["Pb", "Ti", "Sr"]
    project.undo()
    assert [e.name for e in project.elements] == ["Pb", "Ti"]
    with pytest.raises(UserError, match="cannot be the name"):
        put(project, source_id, 1, "far too long a name for an element")
    assert not project.can_undo


def test_a_late_pixel_size_rescales_positions_and_errors(project: Project, source_id: str) -> None:
    table = make_atoms([[10, 5], [1, 1]], "Pb").assign(sigma_x_pm=[3.0, np.nan], sigma_y_pm=1.0)
    project.add_atoms(source_id, 0, table)
    before = project.atoms(source_id, 0)
    report = project.set_calibration(
        source_id, Calibration.from_pixel_size(30.0, 10.0, origin="user")
    )
    after = project.atoms(source_id, 0)
    assert report.rescaled_frames == [0]
    assert after["x_pm"].tolist() == [300.0, 30.0]
    assert after["y_pm"].tolist() == [50.0, 10.0]
    np.testing.assert_allclose(after["sigma_x_pm"], [4.5, np.nan])
    np.testing.assert_allclose(after["sigma_y_pm"], 0.5)
    assert project.source(source_id).calibration.x_pm == 30.0
    project.undo()
    assert_frame_equal(project.atoms(source_id, 0), before, check_exact=True)
    assert project.source(source_id).calibration.x_pm == 20.0


def test_forgetting_the_pixel_size_forgets_lengths(project: Project, source_id: str) -> None:
    project.add_atoms(source_id, 0, make_atoms([[10, 5]], "Pb").assign(sigma_x_pm=3.0))
    project.set_calibration(source_id, Calibration())
    after = project.atoms(source_id, 0)
    assert after[["x_pm", "y_pm", "sigma_x_pm"]].isna().all(axis=None)


def test_the_training_set_is_edited_too(project: Project, source_id: str) -> None:
    project.add_pair(source_id, 0)
    project.add_pair(source_id, 0)
    assert [(p.source_id, p.frame, p.round) for p in project.pairs] == [(source_id, 0, 1)]
    project.remove_pair(source_id, 0)
    assert project.pairs == []
    project.undo()
    assert len(project.pairs) == 1


def test_predictions_never_overwrite_labels(project: Project, source_id: str) -> None:
    project.add_atoms(source_id, 0, make_atoms([[10, 10]], "Ti"))
    predicted = make_atoms([[10.5, 10], [20, 10], [30, 10]], "Pb", probability=0.9)
    ids = project.accept_prediction(source_id, 0, predicted, 2)
    table = project.atoms(source_id, 0)
    assert ids == [1, 2]
    assert table["x_px"].tolist() == [10, 20, 30]
    assert table["origin"].tolist() == ["human", "predicted", "predicted"]
    assert table["round"].tolist() == [0, 2, 2]
    assert table["probability"].tolist()[1:] == [0.9, 0.9]
    assert project.accept_prediction(source_id, 0, predicted, 3) == []


def test_what_does_not_fit_changes_nothing(project: Project, source_id: str) -> None:
    put(project, source_id)
    number, before = project.edit_number, project.atoms(source_id, 0)
    stale = AddAtoms.of(source_id, 0, before)
    moved = ChangeAtoms(
        source_id=source_id, frame=0, ids=[0], before={"x_px": [5.0]}, after={"x_px": [6.0]}
    )
    wrong = before.iloc[:1].assign(x_px=5.0)
    for edit, sentence in [
        (stale, "used before"),
        (moved, "has changed since"),
        (RemoveAtoms.of(source_id, 0, wrong), "has changed since"),
        (AddAtoms.of(source_id, 7, make_atoms([[1, 1]], "Pb", id=50)), "no number 7"),
        (AddAtoms.of("nobody", 0, make_atoms([[1, 1]], "Pb", id=50)), "no image 'nobody'"),
        (AddAtoms.of(source_id, 0, make_atoms([[1, 1]], "Xx", id=50)), "no element 'Xx'"),
    ]:
        with pytest.raises(UserError, match=sentence):
            project.apply(edit)
    with pytest.raises(UserError, match="no atom number 77"):
        project.remove_atoms(source_id, 0, [77])
    with pytest.raises(UserError, match="must be a number"):
        project.change_atoms(source_id, 0, [0], x_px=float("nan"))
    with pytest.raises(UserError, match="no column 'colour'"):
        project.change_atoms(source_id, 0, [0], colour=1)
    with pytest.raises(UserError, match="2 values of x_px were given for 1 atoms"):
        project.change_atoms(source_id, 0, [0], x_px=[1, 2])
    assert project.edit_number == number
    assert_frame_equal(project.atoms(source_id, 0), before)


def test_edits_refuse_nonsense_when_they_are_made() -> None:
    rows = {"id": [1, 1], "element": ["A", "A"], "x_px": [0.0, 1.0], "y_px": [0.0, 1.0]}
    with pytest.raises(ValidationError, match="twice"):
        AddAtoms(source_id="s", frame=0, rows=rows)
    with pytest.raises(ValidationError, match="one length"):
        AddAtoms(source_id="s", frame=0, rows={**rows, "id": [1]})
    with pytest.raises(ValidationError, match="not id, frame"):
        ChangeAtoms(source_id="s", frame=0, ids=[1], before={"id": [1]}, after={"id": [2]})
    region = Region.rectangle(0, 0, 1, 1)
    with pytest.raises(ValidationError, match="same id"):
        SetRegions(source_id="s", frame=0, before=(), after=(region, region))


def test_a_batch_is_undone_as_one(project: Project, source_id: str) -> None:
    ids = put(project, source_id)
    before = project.atoms(source_id, 0)
    first = ChangeAtoms(
        source_id=source_id, frame=0, ids=[ids[0]], before={"x_px": [0.1]}, after={"x_px": [5.0]}
    )
    second = ChangeAtoms(
        source_id=source_id, frame=0, ids=[ids[0]], before={"x_px": [5.0]}, after={"x_px": [6.0]}
    )
    project.apply(Batch(name="walk", edits=(first, second)))
    assert project.atoms(source_id, 0)["x_px"].iloc[0] == 6.0
    assert project.undo_title == "walk"
    project.undo()
    assert_frame_equal(project.atoms(source_id, 0), before, check_exact=True)


def test_an_edit_survives_json() -> None:
    table = make_atoms([[0.1, 1 / 3]], "Ti", id=4, flag='a, "b"\n# c', sigma_x_pm=np.inf)
    edit = AddAtoms.of("s", 2, table)
    again = EDIT.validate_json(edit.model_dump_json())
    assert again == edit
    row = again.table.iloc[0]  # type: ignore[union-attr]
    assert (row["x_px"], row["y_px"], row["flag"]) == (0.1, 1 / 3, 'a, "b" # c')
    assert pd.isna(row["sigma_x_pm"])


def test_colours_can_change_without_touching_labels(project: Project, source_id: str) -> None:
    put(project, source_id)
    elements = make_elements(["Pb", "Ti"], palette="paper")
    project.set_elements(elements)
    assert project.elements == elements
    assert project.undo_title == "change the elements"
