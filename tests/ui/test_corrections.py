"""What a hand changes of what the program found is a corrected label; undo takes it back."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_apgan.atoms import make_atoms, positions

pytestmark = pytest.mark.gui


@pytest.fixture
def found(workbench):
    """Labels taken over as they were detected and predicted, and one set by hand."""
    workbench.label_tab.snap.setChecked(False)
    for xy, origin in (((40.0, 40.0), "detected"), ((70.0, 40.0), "predicted")):
        workbench.session.add_atoms(make_atoms([xy], "Pb", origin=origin))
    workbench.session.add_atoms(make_atoms([(90.0, 60.0)], "Pb", origin="human"))
    return workbench


def origins(workbench) -> list[str]:
    return workbench.session.atoms()["origin"].tolist()


def test_a_dragged_atom_that_the_program_found_is_corrected(found, hand_on):
    canvas = hand_on(found)
    canvas.drag((70.0, 40.0), (76.0, 46.0))
    assert origins(found) == ["detected", "corrected", "human"]
    canvas.drag((90.0, 60.0), (96.0, 66.0))
    assert origins(found) == ["detected", "corrected", "human"]
    found.desk.undo()
    found.desk.undo()
    assert origins(found) == ["detected", "predicted", "human"]
    assert positions(found.session.atoms())[1].tolist() == [70.0, 40.0]


def test_moving_several_keeps_what_the_user_set(found):
    found.desk.move({("label", 0): (41.0, 41.0), ("label", 2): (91.0, 61.0)})
    assert origins(found) == ["corrected", "predicted", "human"]
    found.desk.undo()
    assert origins(found) == ["detected", "predicted", "human"]


def test_another_element_corrects_and_the_same_element_does_not(found, hand_on):
    canvas = hand_on(found)
    found.atoms.select([("label", 0), ("label", 1), ("label", 2)])
    canvas.key(Qt.Key.Key_1)
    assert origins(found) == ["detected", "predicted", "human"]
    canvas.key(Qt.Key.Key_2)
    assert found.session.atoms()["element"].tolist() == ["Ti"] * 3
    assert origins(found) == ["corrected", "corrected", "human"]
    found.desk.undo()
    assert found.session.atoms()["element"].tolist() == ["Pb"] * 3
    assert origins(found) == ["detected", "predicted", "human"]
