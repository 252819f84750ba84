"""Atoms under the mouse: add, snap, select, drag, pan; every act an edit that can be undone."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.regions import Region

pytestmark = pytest.mark.gui

SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


def test_a_click_snaps_to_the_column_and_adds_an_atom(workbench, canvas, centres):
    x, y = centres[10]
    canvas.click(x + 2.0, y - 1.5)
    table = workbench.session.atoms()
    assert table["element"].tolist() == ["Pb"]
    assert table["origin"].tolist() == ["human"]
    assert np.abs(positions(table)[0] - (x, y)).max() < 0.4
    assert len(workbench.atoms.layer.data) == 1
    assert np.abs(workbench.atoms.layer.data[0][::-1] - (x, y)).max() < 0.4


def test_without_snapping_the_atom_is_where_the_click_was(workbench, canvas):
    workbench.label_tab.snap.setChecked(False)
    canvas.click(31.0, 33.0)
    assert np.abs(positions(workbench.session.atoms())[0] - (31.0, 33.0)).max() < 0.3


def test_the_snapped_spot_is_shown_before_the_click(workbench, canvas, centres, qtbot):
    x, y = centres[10]
    canvas.move(x + 2.0, y + 2.0)
    qtbot.waitUntil(lambda: workbench.desk.marks.spot is not None)
    spot = workbench.desk.marks.spot
    assert np.hypot(spot[0] - x, spot[1] - y) < 0.4
    assert spot[2:] == ("#FF00FF", True)
    canvas.click(x + 2.0, y + 2.0)
    assert np.allclose(positions(workbench.session.atoms())[0], spot[:2], atol=1e-6)


def test_dragging_empty_image_pans_and_adds_nothing(workbench, canvas):
    before = workbench.desk.viewer.scene.camera.center
    canvas.drag((40.0, 40.0), (70.0, 60.0))
    assert not np.allclose(before, workbench.desk.viewer.scene.camera.center)
    assert workbench.session.atoms().empty


def test_dragging_an_atom_moves_it_and_not_the_image(workbench, canvas):
    workbench.label_tab.snap.setChecked(False)
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Ti"))
    before = workbench.desk.viewer.scene.camera.center
    canvas.drag((40.0, 40.0), (55.0, 47.0))
    assert np.allclose(before, workbench.desk.viewer.scene.camera.center)
    assert np.abs(positions(workbench.session.atoms())[0] - (55.0, 47.0)).max() < 0.4
    workbench.session.undo()
    assert np.allclose(positions(workbench.session.atoms())[0], (40.0, 40.0))
    canvas.drag((90.0, 40.0), (70.0, 60.0))
    assert not np.allclose(before, workbench.desk.viewer.scene.camera.center), "panning works again"


def test_clicks_select_and_a_digit_changes_what_is_selected(workbench, canvas):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0), (70.0, 40.0), (100.0, 60.0)], "Pb"))
    canvas.click(40.0, 40.0)
    canvas.click(70.0, 40.0, SHIFT)
    assert workbench.atoms.selected == [("label", 0), ("label", 1)]
    canvas.key(Qt.Key.Key_2)
    assert workbench.session.atoms()["element"].tolist() == ["Ti", "Ti", "Pb"]
    assert workbench.session.element == "Pb", "with atoms selected the current element stays"
    canvas.key(Qt.Key.Key_Escape)
    canvas.key(Qt.Key.Key_2)
    assert workbench.session.element == "Ti"
    assert workbench.session.atoms()["element"].tolist() == ["Ti", "Ti", "Pb"]


def test_an_added_atom_is_not_recoloured_by_the_next_digit(workbench, canvas, centres):
    canvas.click(*centres[10])
    canvas.key(Qt.Key.Key_2)
    canvas.click(*centres[11])
    assert workbench.session.atoms()["element"].tolist() == ["Pb", "Ti"]


def test_shift_drag_selects_a_box_and_delete_removes_it(workbench, canvas):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 50.0), (100.0, 60.0)], "Pb"))
    canvas.drag((30.0, 30.0), (75.0, 65.0), SHIFT)
    assert workbench.atoms.selected == [("label", 0), ("label", 1)]
    canvas.key(Qt.Key.Key_Delete)
    assert workbench.session.atoms()["id"].tolist() == [2]
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert workbench.session.atoms()["id"].tolist() == [0, 1, 2]
    canvas.key(Qt.Key.Key_Z, CTRL | SHIFT)
    assert workbench.session.atoms()["id"].tolist() == [2]


def test_a_dragged_box_becomes_a_complete_region_in_the_training_set(workbench, canvas):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 50.0), (100.0, 60.0)], "Pb"))
    canvas.key(Qt.Key.Key_R)
    assert workbench.desk.hand.tool == "box"
    canvas.drag((30.0, 30.0), (75.0, 65.0))
    (region,) = workbench.session.regions()
    assert region.kind == "complete"
    assert np.abs(np.ptp(region.polygon, axis=0) - (45.0, 35.0)).max() < 1.0
    assert workbench.desk.regions.captions == ["complete: 2 Pb"]
    assert workbench.desk.hand.tool == "atoms", "the next drag pans again"
    assert [(p.source_id, p.frame) for p in workbench.session.project.pairs] == [
        (workbench.session.source_id, 0)
    ]
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert workbench.session.regions() == []
    assert workbench.session.project.pairs == [], "one act, one undo"


def test_the_box_says_what_it_holds_while_it_is_drawn(workbench, canvas):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 50.0)], "Pb"))
    canvas.key(Qt.Key.Key_R)
    canvas.press(30.0, 30.0)
    canvas.move(50.0, 50.0, held=True)
    canvas.move(70.0, 60.0, held=True)
    assert workbench.desk.regions.layer.features["caption"].tolist() == ["2 Pb"]
    canvas.release(70.0, 60.0)
    texts = workbench.desk.regions.layer.features["caption"].tolist()
    assert texts == [""], "no text lies over the atoms once it is drawn"
    canvas.move(65.0, 40.0)
    QTest.qWait(40)
    assert workbench.desk.viewer.status == "complete: 2 Pb"


def test_a_polygon_is_closed_by_enter(workbench, canvas):
    workbench.label_tab.regions.ignore.click()
    workbench.label_tab.regions.polygon_button.click()
    for corner in ((20, 20), (60, 20), (40, 70)):
        canvas.click(*corner)
    canvas.key(Qt.Key.Key_Return)
    (region,) = workbench.session.regions()
    assert region.kind == "ignore"
    assert len(region.polygon) == 3
    assert workbench.session.project.pairs == [], "an ignored part is nothing to train on"


def test_space_held_pans_over_an_atom_and_tapped_steps_on(workbench, canvas, qtbot):
    workbench.label_tab.snap.setChecked(False)
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    steps: list[int] = []
    workbench.register("next_atom", lambda: steps.append(1))
    canvas.key(Qt.Key.Key_Space)
    assert steps == [1]

    before = workbench.desk.viewer.scene.camera.center
    QTest.keyPress(canvas.widget, Qt.Key.Key_Space)
    canvas.drag((40.0, 40.0), (70.0, 60.0))
    qtbot.wait(300)
    QTest.keyRelease(canvas.widget, Qt.Key.Key_Space)
    assert np.allclose(positions(workbench.session.atoms())[0], (40.0, 40.0))
    assert not np.allclose(before, workbench.desk.viewer.scene.camera.center)
    assert steps == [1], "a held space is no step"


def test_keys_work_whichever_layer_of_ours_is_active(workbench, canvas):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 50.0)], "Pb"))
    workbench.session.add_region(Region.rectangle(20, 20, 80, 80))
    workbench.desk.toggle_output_map()
    layers = workbench.desk.viewer.layers
    for layer in list(layers):
        workbench.session.element = "Pb"
        layers.selection.active = layer
        canvas.key(Qt.Key.Key_2)
        assert workbench.session.element == "Ti", layer.name
        assert str(layer.mode) == "pan_zoom", layer.name
    layers.selection.active = workbench.desk.regions.layer
    workbench.desk.regions.layer.selected_data = {0}
    canvas.key(Qt.Key.Key_3)
    canvas.key(Qt.Key.Key_Delete)
    assert len(workbench.session.regions()) == 1
    assert len(workbench.desk.regions.layer.data) == 1
