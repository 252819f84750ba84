"""A lattice is proposed, thinned live, named and kept, with real clicks."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QToolButton

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element
from napari_apgan.measure import match
from napari_apgan.ui.class_rows import LEAVE_OUT
from napari_apgan.ui.lattice_names import first_guess

pytestmark = pytest.mark.gui


#: Heavy atoms at the corners of a cube, lighter ones in its middle.
SITES = [("Ba", 0, 0, 0), ("Zr", 0.5, 0.5, 0.5)]
PICKS = ((40, 40), (56, 40), (40, 56))


def press(button) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()


def two_kinds(empty: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image, strong columns and weak ones in their cages; one strong one is missing."""
    rng = np.random.default_rng(1)
    yy, xx = np.mgrid[:112, :144].astype(float)
    ys, xs = np.mgrid[8:112:16, 8:144:16].astype(float)
    strong = np.column_stack([xs.ravel(), ys.ravel()])
    weak = strong[(strong < (130, 98)).all(axis=1)] + 8.0
    strong = np.delete(strong, empty, axis=0)
    image = rng.normal(0, 2.0, xx.shape) + 20
    for some, height in ((strong, 100.0), (weak, 45.0)):
        for x, y in some:
            image += height * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.2**2))
    return image.astype(np.float32), strong, weak


@pytest.fixture
def scene(open_workbench):
    """A workbench on the two kinds, with the elements Pb and Ti, the section open."""
    image, strong, weak = two_kinds()
    workbench = open_workbench(image)
    workbench.desk.add_element(Element(name="Ti", color="#FFFF00"))
    workbench.desk.add_element(Element(name="Pb", color="#FF00FF"))
    return workbench, strong, weak


@pytest.fixture
def section(scene):
    return scene[0].label_tab.sections.open("lattice")


def proposed(section, qtbot) -> None:
    qtbot.waitUntil(lambda: section.sites is not None, timeout=60_000)


def test_a_proposal_is_kept_as_one_edit(scene, section, qtbot):
    workbench, strong, weak = scene
    press(section.form.go)
    proposed(section, qtbot)
    # Two elements for two sublattices: the heavier one is the stronger.
    assert section.form.rows.elements == {"A": "Pb", "B": "Ti"}
    assert "1 missing" in section.form.counts.text()
    assert workbench.session.atoms().empty
    press(section.form.keep)
    table = workbench.session.atoms()
    for name, truth in (("Pb", strong), ("Ti", weak)):
        mine = positions(table[table["element"] == name])
        assert len(match(mine, truth, 1.0)[0]) == len(mine) >= 0.95 * len(truth)
    assert set(table["origin"]) == {"detected"}
    assert set(table["sublattice"]) == {"A", "B"}
    # The missing place stays on view after keeping.
    assert section.sites is None
    assert np.allclose(section.view.layer.data, [(56, 56)], atol=1.0)
    workbench.desk.undo()
    assert workbench.session.atoms().empty


def test_the_primary_button_of_the_tab_keeps_what_is_proposed(scene, section, qtbot):
    tab = scene[0].label_tab
    assert tab.primary.text() == "Detect atoms"
    press(section.form.go)
    proposed(section, qtbot)
    n = int(section._masks[0].sum())
    assert tab.primary.text() == f"Keep {n} atoms"
    press(tab.primary)
    assert len(scene[0].session.atoms()) == n
    assert "Mark a finished area" in tab.primary.text()


def test_presence_thins_live_without_asking_again(scene, section, qtbot):
    press(section.form.go)
    proposed(section, qtbot)
    asked = section.lattice_task._id
    before = len(section.view.layer.data)
    section.form.slider.setFocus()
    QTest.keyClick(section.form.slider, Qt.Key.Key_Home)  # all sites are filled
    assert "missing" not in section.form.counts.text()
    QTest.keyClick(section.form.slider, Qt.Key.Key_End)
    assert len(section.view.layer.data) != before
    assert section.lattice_task._id == asked == ""


def test_three_clicks_pick_the_lattice(scene, section, hand_on, qtbot):
    workbench, strong, _weak = scene
    canvas = hand_on(workbench)
    press(section.form.pick)
    assert "Click an atom" in section.form.note.text()
    for x, y in PICKS:
        canvas.click(x + 1.0, y - 1.0)
    proposed(section, qtbot)
    assert workbench.session.atoms().empty
    assert not section.form.pick.isChecked()
    assert np.allclose(section._asked["picks"], PICKS, atol=0.5)
    press(section.form.keep)
    assert len(match(positions(workbench.session.atoms()), strong, 1.0)[0]) > 0.95 * len(strong)
    canvas.click(100.0, 33.0)  # the hand is the user's again
    assert workbench.desk.hand.tool == "atoms"


def test_escape_leaves_the_picking(scene, section, hand_on):
    workbench, _strong, _weak = scene
    canvas = hand_on(workbench)
    press(section.form.pick)
    canvas.click(56.0, 56.0)
    assert len(section.view.layer.data) == 1
    canvas.key(Qt.Key.Key_Escape)
    assert not section.form.pick.isChecked()
    assert section.view.layer is None
    assert section.form.note.isHidden()
    assert not section.lattice_task.busy


def test_a_dragged_box_bounds_the_proposal(scene, section, hand_on, qtbot):
    workbench, _strong, _weak = scene
    canvas = hand_on(workbench)
    section.form.where_box.setCurrentIndex(2)
    press(section.form.go)
    canvas.drag((10.0, 10.0), (90.0, 80.0))
    proposed(section, qtbot)
    press(section.form.keep)
    xy = positions(workbench.session.atoms())
    assert len(xy) > 20
    assert (xy.max(axis=0) < (94, 84)).all()
    assert workbench.session.regions() == []


def test_places_with_labels_are_skipped_and_a_sublattice_may_stay_out(scene, section, qtbot):
    workbench, strong, _weak = scene
    workbench.session.add_atoms(make_atoms(strong[:3], "Ti", origin="human"))
    press(section.form.go)
    proposed(section, qtbot)
    # Labels by hand say what the strong ones are.
    assert section.form.rows.elements["A"] == "Ti"
    section.form.rows.combos["B"].setEditText(LEAVE_OUT)
    section.form.rows.combos["A"].setEditText("Sr")
    press(section.form.keep)
    counts = workbench.session.atoms()["element"].value_counts().to_dict()
    assert counts["Ti"] == 3
    assert counts["Sr"] >= 0.95 * len(strong) - 3
    assert "Sr" in [e.name for e in workbench.desk.elements]


def test_a_structure_file_says_what_the_sites_hold(
    scene, section, write_cif, tmp_path, monkeypatch, qtbot
):
    path = write_cif(tmp_path / "bazr.cif", 3.2, SITES)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    press(section.form.structure)
    proposed(section, qtbot)
    assert section.form.rows.elements == {"A": "Ba", "B": "Zr"}, "not those of the project"
    assert section.form.structure_name.full_text == "bazr.cif"
    words = shlex.split(section.command())
    assert str(path) in words
    section.form.zone.setFocus()
    section.form.zone.selectAll()
    QTest.keyClicks(section.form.zone, "0 1")
    QTest.keyClick(section.form.zone, Qt.Key.Key_Return)
    assert "A zone axis is three whole numbers" in scene[0].messages.text.text()
    press(section.form.structure_line.findChild(QToolButton))
    assert not section.form.structure_line.isVisibleTo(section)


def test_discard_and_another_frame_leave_nothing_behind(scene, section, qtbot):
    workbench = scene[0]
    press(section.form.go)
    proposed(section, qtbot)
    press(section.form.discard)
    assert section.sites is None
    assert "Proposed lattice" not in [layer.name for layer in workbench.desk.viewer.layers]
    assert workbench.session.atoms().empty


def test_the_command_says_what_was_asked_for(scene, section, qtbot):
    press(section.form.go)
    proposed(section, qtbot)
    words = shlex.split(section.command())
    assert words[:3] == ["apgan", "label", "lattice"]
    assert "A=Pb" in words
    assert words[words.index("--presence") + 1] == "0.50"


def test_what_sublattices_become_at_first():
    apart, alike = {"A": 1.0, "B": 0.4}, {"A": 1.0, "B": 0.95}
    three = ["Ti", "Pb", "Sr"]
    assert first_guess("AB", ["Ti", "Pb"], "Ti", {}, apart) == {"A": "Pb", "B": "Ti"}
    assert first_guess("AB", three, "Sr", {}, apart) == {"A": "Sr", "B": "Ti"}
    assert first_guess("AB", three, "Sr", {"B": "Ti"}, apart) == {"B": "Ti", "A": "Sr"}
    assert first_guess("AB", ["Pb"], "Pb", {}, apart) == {"A": "Pb", "B": "B"}
    assert first_guess("AB", ["C"], "C", {}, alike) == {"A": "C", "B": "C"}
    assert first_guess("AB", [], "", {}, apart) == {"A": "A", "B": "B"}
    kinds = ["A1", "A2", "B1", "B2"]
    guess = first_guess(kinds, three, "Ti", {}, dict.fromkeys(kinds, 1.0))
    assert guess == {"A1": "Pb", "A2": "Sr", "B1": "Ti", "B2": "Ti"}
