"""The tools of the hand: sequence, lasso, eraser, nudges; each act one edit that can be undone."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QToolButton

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element

pytestmark = pytest.mark.gui

SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier
GRID = [(x, y) for y in (30.0, 50.0, 70.0) for x in (30.0, 60.0, 90.0)]


def names(workbench) -> list[str]:
    return workbench.session.atoms()["element"].tolist()


def ids(workbench) -> list[int]:
    return workbench.session.atoms()["id"].tolist()


def draw(canvas, path, modifiers=Qt.KeyboardModifier.NoModifier) -> None:
    """Drag along a path."""
    canvas.move(*path[0], modifiers=modifiers)
    canvas.press(*path[0], modifiers)
    for point in path[1:]:
        canvas.move(*point, held=True, modifiers=modifiers)
    canvas.release(*path[-1], modifiers)


def test_in_sequence_each_click_adds_the_next_element(workbench, canvas, centres):
    canvas.key(Qt.Key.Key_S)
    assert workbench.label_tab.hand.sequence.isChecked()
    for place in centres[9:12]:
        canvas.click(*place)
    assert names(workbench) == ["Pb", "Ti", "Pb"]
    canvas.key(Qt.Key.Key_Z, CTRL)
    canvas.click(*centres[13])
    assert names(workbench) == ["Pb", "Ti", "Pb"], "undo goes back in the motif"
    canvas.key(Qt.Key.Key_S)
    for place in centres[17:19]:
        canvas.click(*place)
    assert names(workbench)[3:] == ["Ti", "Ti"], "quick again: the same element"


def test_a_motif_may_name_an_element_twice(workbench, canvas, centres):
    workbench.desk.hand.set_motif("Pb Ti Ti")
    workbench.label_tab.hand.sequence.click()
    for place in centres[9:14]:
        canvas.click(*place)
    assert names(workbench) == ["Pb", "Ti", "Ti", "Pb", "Ti"]
    canvas.key(Qt.Key.Key_1)
    canvas.click(*centres[17])
    canvas.click(*centres[18])
    assert names(workbench)[5:] == ["Pb", "Ti"], "a digit jumps to its place in the motif"
    workbench.desk.hand.set_motif("Pb Xx")
    assert "no element Xx" in workbench.messages.text.text()


def test_the_eraser_takes_what_the_stroke_goes_over_in_one_edit(workbench, canvas):
    workbench.session.add_atoms(make_atoms(GRID, "Pb"))
    canvas.key(Qt.Key.Key_E)
    canvas.press(20.0, 30.0)
    canvas.move(40.0, 30.0, held=True)
    canvas.move(100.0, 30.0, held=True)  # fast: over two atoms in one step
    assert len(workbench.desk.marks.doomed) == 3
    assert len(ids(workbench)) == 9, "until the button goes up nothing is gone"
    canvas.release(100.0, 30.0)
    assert ids(workbench) == [3, 4, 5, 6, 7, 8]
    assert workbench.desk.marks.doomed == []
    canvas.click(60.0, 50.0)
    assert ids(workbench) == [3, 5, 6, 7, 8]
    canvas.key(Qt.Key.Key_Z, CTRL)
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert len(ids(workbench)) == 9, "two strokes, two undos"
    canvas.click(75.0, 40.0)
    assert len(ids(workbench)) == 9, "erasing where nothing is adds nothing"
    canvas.key(Qt.Key.Key_Escape)
    assert workbench.desk.hand.tool == "atoms"


def test_the_eraser_shows_its_reach(workbench, canvas, qtbot):
    canvas.key(Qt.Key.Key_E)
    canvas.move(44.0, 40.0)
    qtbot.waitUntil(lambda: workbench.desk.marks.tip is not None)
    x, y, diameter, _ = workbench.desk.marks.tip
    assert np.hypot(x - 44.0, y - 40.0) < 0.5
    assert diameter > 0
    assert workbench.desk.marks.spot is None


@pytest.mark.parametrize("way", ["key", "ctrl"])
def test_a_lasso_selects_what_it_goes_around(workbench, canvas, way):
    workbench.session.add_atoms(make_atoms(GRID, "Pb"))
    around = [(20, 20), (70, 20), (70, 40), (40, 40), (40, 60), (20, 60), (20, 25)]
    if way == "key":
        canvas.key(Qt.Key.Key_L)
        draw(canvas, around)
        draw(canvas, [(80, 60), (100, 60), (100, 80), (80, 80)], SHIFT)
    else:
        draw(canvas, around, CTRL)
        draw(canvas, [(80, 60), (100, 60), (100, 80), (80, 80)], CTRL | SHIFT)
    assert workbench.atoms.selected == [("label", i) for i in (0, 1, 3, 8)]
    assert workbench.desk.regions.layer.nshapes == 0, "the lasso itself leaves nothing"
    canvas.key(Qt.Key.Key_2)
    assert names(workbench) == ["Ti", "Ti", "Pb", "Ti", *["Pb"] * 4, "Ti"]
    canvas.click(75.0, 40.0, Qt.KeyboardModifier.NoModifier if way == "key" else CTRL)
    assert workbench.atoms.selected == []
    assert len(ids(workbench)) == 9, "a click with the lasso adds nothing"


def test_arrows_nudge_the_selection_by_tenths_of_a_pixel(workbench, canvas):
    workbench.session.add_atoms(make_atoms(GRID, "Pb", origin="detected"))
    workbench.atoms.select([("label", 0), ("label", 4)])
    canvas.key(Qt.Key.Key_Right)
    canvas.key(Qt.Key.Key_Up)
    canvas.key(Qt.Key.Key_Down, SHIFT)
    moved = positions(workbench.session.atoms())
    assert np.allclose(moved[[0, 4]] - np.array(GRID)[[0, 4]], (0.1, 0.9))
    assert np.allclose(np.delete(moved, [0, 4], 0), np.delete(np.array(GRID), [0, 4], 0))
    assert workbench.session.atoms()["origin"].tolist().count("corrected") == 2
    assert workbench.atoms.selected == [("label", 0), ("label", 4)]
    for _ in range(3):
        canvas.key(Qt.Key.Key_Z, CTRL)
    assert np.allclose(positions(workbench.session.atoms()), GRID)


def test_without_a_selection_left_and_right_change_the_frame(open_workbench, lattice, hand_on):
    image, _ = lattice()
    workbench = open_workbench(np.stack([image, image[::-1]]))
    canvas = hand_on(workbench)
    canvas.key(Qt.Key.Key_Right)
    assert workbench.session.frame_index == 1
    canvas.key(Qt.Key.Key_Right)
    assert workbench.session.frame_index == 1
    canvas.key(Qt.Key.Key_Left)
    assert workbench.session.frame_index == 0


def test_labels_are_copied_to_the_next_frame_with_the_drift(
    open_workbench, lattice, hand_on, qtbot
):
    image, centres = lattice()
    workbench = open_workbench(np.stack([image, np.roll(image, (2, 3), (0, 1))]))
    desk, session = workbench.desk, workbench.session
    desk.add_element(Element(name="Pb", color="#FF00FF"))
    session.add_atoms(make_atoms(centres, "Pb"))
    canvas = hand_on(workbench)
    strip = workbench.label_tab.hand
    assert strip.carry.isVisible()
    canvas.key(Qt.Key.Key_Right, CTRL)
    qtbot.waitUntil(lambda: session.frame_index == 1, timeout=20_000)
    there = positions(session.atoms())
    drifted = np.add(centres, (3, 2))
    inside = (drifted[:, 0] < 127.5) & (drifted[:, 1] < 95.5)
    assert len(there) == inside.sum()
    assert np.abs(there - drifted[inside]).max() < 0.6
    assert f"{len(there)} labels copied to frame 2" in workbench.messages.text.text()
    assert "drift +3.0, +2.0 px" in workbench.messages.text.text()
    assert not strip.carry.isVisible(), "there is no further frame"
    qtbot.waitUntil(lambda: desk.carrying.worker is None, timeout=5000)
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert session.atoms().empty, "one act, one undo"


def test_keys_on_the_buttons_of_the_strip_never_reach_the_atoms(workbench):
    workbench.session.add_atoms(make_atoms(GRID, "Pb"))
    workbench.atoms.select([("label", 0)])
    strip = workbench.label_tab.hand
    for button in strip.findChildren(QToolButton):
        button.setFocus()
        for key in (Qt.Key.Key_Delete, Qt.Key.Key_2, Qt.Key.Key_Right, Qt.Key.Key_E, Qt.Key.Key_G):
            QTest.keyClick(button, key)
    assert names(workbench) == ["Pb"] * 9
    assert np.allclose(positions(workbench.session.atoms()), GRID)
    assert workbench.desk.hand.tool == "atoms"


def test_the_brush_paints_areas_that_grow_and_are_rubbed_out(workbench, canvas):
    workbench.session.add_atoms(make_atoms([(60.0, 30.0)], "Pb"))
    canvas.key(Qt.Key.Key_B)
    hand = workbench.desk.hand
    assert (hand.tool, hand.brush_kind) == ("brush", "vacuum")
    radius = hand.brush_size * workbench.desk.px_per_screen_px()
    canvas.press(30.0, 70.0)
    canvas.move(60.0, 70.0, held=True)
    canvas.move(90.0, 70.0, held=True)
    assert workbench.session.regions() == []
    assert len(workbench.desk.marks.stroke) > 3, "the stroke is shown while it is drawn"
    canvas.release(90.0, 70.0)
    assert workbench.desk.marks.stroke == []
    (region,) = workbench.session.regions()
    assert region.kind == "vacuum"
    assert region.contains(np.array([[30.0, 70.0], [90.0, 70.0], [60.0, 70.0 - radius + 1]])).all()
    assert not region.contains(np.array([[60.0, 70.0 - radius - 1]]))[0]
    assert workbench.desk.regions.captions == ["vacuum"]
    assert workbench.session.project.pairs == [], "vacuum alone is nothing to train on"
    draw(canvas, [(60.0, 70.0), (60.0, 30.0)])
    assert len(workbench.session.regions()) == 1
    assert workbench.desk.regions.captions == ["vacuum, yet with 1 Pb"]
    assert "1 label stands in the vacuum" in workbench.messages.text.text()
    draw(canvas, [(60.0, 40.0), (60.0, 20.0)], SHIFT)
    assert workbench.desk.regions.captions == ["vacuum"]
    for _ in range(3):
        canvas.key(Qt.Key.Key_Z, CTRL)
    assert workbench.session.regions() == [], "three strokes, three undos"


def test_the_brush_has_four_kinds_and_any_size(workbench, canvas):
    hand, strip = workbench.desk.hand, workbench.label_tab.hand
    canvas.key(Qt.Key.Key_B, SHIFT)
    canvas.key(Qt.Key.Key_B, SHIFT)
    assert (hand.tool, hand.brush_kind) == ("brush", "amorphous")
    assert "paint amorphous" in strip.brush.toolTip()
    size = hand.brush_size
    canvas.key(Qt.Key.Key_BracketRight)
    assert hand.brush_size > size
    canvas.key(Qt.Key.Key_BracketLeft)
    canvas.key(Qt.Key.Key_BracketLeft)
    assert hand.brush_size < size
    strip.brush.menu().actions()[2].trigger()
    canvas.click(40.0, 40.0)
    assert [r.kind for r in workbench.session.regions()] == ["contamination"]
    assert workbench.desk.regions.captions == ["contamination: not learned"]
    canvas.key(Qt.Key.Key_Escape)
    assert hand.tool == "atoms"


def test_the_counter_tells_acts_and_hand_time(workbench, canvas, centres):
    counter = workbench.label_tab.hand.counter
    before = workbench.session.project.effort.acts
    canvas.click(*centres[10])
    canvas.click(*centres[11])
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert counter.isVisible()
    assert counter.full_text.startswith(f"1 atom · {before + 3} acts · ")
    assert counter.full_text.endswith(" s of hand time")


def test_the_layer_follows_whatever_kind_of_edit(workbench):
    """Only what changed is given to napari; the layer must still show the table."""
    session, layer = workbench.session, workbench.atoms.layer
    colors = {"Pb": (1.0, 0.0, 1.0, 1.0), "Ti": (1.0, 1.0, 0.0, 1.0)}

    def check() -> None:
        table = session.atoms()
        assert np.allclose(layer.data[:, ::-1], positions(table))
        assert layer.features["id"].tolist() == table["id"].tolist()
        assert layer.features["element"].astype(str).tolist() == table["element"].tolist()
        assert np.allclose(layer.face_color, [colors[e] for e in table["element"]])
        assert [str(s) for s in layer.symbol] == ["disc"] * len(table)
        for values in (layer.size, layer.shown, layer.border_width, layer.border_color):
            assert len(values) == len(table)

    session.add_atoms(make_atoms(GRID, "Pb"))
    check()
    session.add_atoms(make_atoms([(40.0, 40.0)], "Ti"))
    check()
    session.change_atoms([2, 9], element="Ti", x_px=[91.0, 41.0])
    check()
    session.change_atoms([2, 9], element=["Pb", "Pb"])
    check()
    session.remove_atoms([0])
    session.add_atoms(make_atoms([(44.0, 44.0)], "Ti"))
    check()
    session.remove_atoms([1, 3])
    check()
    session.add_atoms(make_atoms([(44.0, 54.0), (54.0, 54.0)], "Ti"))
    check()
    while workbench.session.undo() and len(session.atoms()):
        check()
