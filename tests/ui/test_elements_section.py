"""Elements are suggested, kept as one edit, painted, added between, and doubts are walked."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.doubts import doubtful
from napari_apgan.elements import Element
from napari_apgan.measure import match

pytestmark = pytest.mark.gui

SHIFT = Qt.KeyboardModifier.ShiftModifier


def press(button) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()


def three_kinds() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image, its columns x, y and their names; the fourth Pb is between Pb and Sr."""
    rng = np.random.default_rng(1)
    yy, xx = np.mgrid[:112, :144].astype(float)
    ys, xs = np.mgrid[8:112:16, 8:144:16].astype(float)
    strong = np.column_stack([xs.ravel(), ys.ravel()])
    weak = strong[(strong < (130, 98)).all(axis=1)] + 8.0
    names = np.where(strong[:, 0] < 70, "Pb", "Sr").astype(object)
    heights = np.where(names == "Pb", 100.0, 60.0) * np.exp(rng.normal(0, 0.02, len(strong)))
    heights[3] = 77.0
    image = rng.normal(0, 0.5, xx.shape) + 20
    for (x, y), height in zip(
        np.concatenate([strong, weak]), [*heights, *np.full(len(weak), 30.0)], strict=True
    ):
        image += height * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.2**2))
    xy = np.concatenate([strong, weak])
    return image.astype(np.float32), xy, np.r_[names, np.full(len(weak), "Ti", dtype=object)]


@pytest.fixture
def scene(open_workbench):
    """A workbench on the three kinds, all labelled as lead; Sr and Ti to choose from."""
    image, xy, names = three_kinds()
    workbench = open_workbench(image)
    for name, color in (("Pb", "#FF00FF"), ("Sr", "#00FFFF"), ("Ti", "#FFFF00")):
        workbench.desk.add_element(Element(name=name, color=color))
    workbench.session.add_atoms(make_atoms(xy, "Pb", origin="detected"))
    return workbench, xy, names


@pytest.fixture
def section(scene):
    return scene[0].label_tab.sections.open("elements")


def doubt(workbench, ids) -> None:
    """Put some labels in doubt, as a suggestion does."""
    workbench.session.change_atoms(ids, flag="element unsure (0.60)", confidence=0.6)


def test_a_suggestion_is_shown_and_kept_as_one_edit(scene, section, qtbot):
    workbench, xy, names = scene
    press(section.form.suggest)
    qtbot.waitUntil(lambda: section.table is not None, timeout=60_000)
    # The heaviest is the strongest, and what is left is the lightest.
    becomes = section.form.rows.elements
    assert (becomes["A1"], becomes["A2"]) == ("Pb", "Sr")
    assert {e for c, e in becomes.items() if c.startswith("B")} == {"Ti"}
    assert set(workbench.session.atoms()["element"]) == {"Pb"}
    press(section.form.keep)
    table = workbench.session.atoms()
    a, b = match(positions(table), xy, 0.5)
    right = table["element"].to_numpy(object)[a] == names[b]
    assert right[b != 3].all()
    assert set(table["sublattice"]) == {"A", "B"}
    # The one between the kinds is in doubt, crossed and listed.
    assert section.doubts.ids == table["id"][doubtful(table)].tolist()
    assert len(section.doubts.ids) >= 1
    assert section.doubts.words.text().startswith(f"{len(section.doubts.ids)} to check")
    assert table["id"][b == 3].tolist()[0] in section.doubts.ids
    assert len(section.doubts.layer.data) == len(section.doubts.ids)
    words = shlex.split(section.command())
    assert words[:3] == ["apgan", "label", "elements"]
    workbench.desk.undo()
    assert set(workbench.session.atoms()["element"]) == {"Pb"}
    assert section.doubts.ids == []


def test_doubts_are_walked_by_space_and_settled_by_keys(scene, section, hand_on):
    workbench, _xy, _names = scene
    canvas = hand_on(workbench)
    ids = workbench.session.atoms()["id"].tolist()[:40:10]
    doubt(workbench, ids)
    doubts = section.doubts
    assert sorted(doubts.ids) == ids
    assert doubts.words.text().startswith("4 to check")
    assert [row.key for row in doubts.list.rows]
    canvas.key(Qt.Key.Key_Space)
    first = doubts.current
    assert workbench.atoms.selected == [("label", first)]
    canvas.key(Qt.Key.Key_2)  # it is strontium
    row = workbench.atoms.row(("label", first))
    assert (row["element"], row["flag"], row["origin"]) == ("Sr", "", "corrected")
    assert len(doubts.ids) == 3
    canvas.key(Qt.Key.Key_Space)
    second = doubts.current
    assert second not in (None, first)
    canvas.key(Qt.Key.Key_1)  # what it is called already: the doubt ends
    assert workbench.atoms.row(("label", second))["flag"] == ""
    canvas.key(Qt.Key.Key_Space)
    third = doubts.current
    canvas.key(Qt.Key.Key_A)  # leaves it, and goes on
    assert doubts.current not in (None, third)
    assert len(doubts.ids) == 1
    canvas.key(Qt.Key.Key_Space, SHIFT)
    canvas.key(Qt.Key.Key_Delete)
    assert doubts.ids == []
    assert doubts.isHidden()
    assert doubts.layer is None
    assert len(workbench.session.atoms()) == len(_names) - 1
    for _ in range(4):
        workbench.desk.undo()
    assert sorted(doubts.ids) == ids


def test_space_is_left_to_others_where_the_section_is_shut(scene, section, hand_on):
    workbench = scene[0]
    canvas = hand_on(workbench)
    doubt(workbench, workbench.session.atoms()["id"].tolist()[:2])
    workbench.label_tab.sections.folds["elements"].toggle.click()
    canvas.key(Qt.Key.Key_Space)
    assert workbench.atoms.selected == []


def test_of_two_lists_the_one_with_something_new_is_walked(scene, section, hand_on):
    workbench = scene[0]
    canvas = hand_on(workbench)
    went = []
    other = lambda: True  # noqa: E731
    workbench.prefer("next_atom", lambda: went.append(1), "Another list", other)
    canvas.key(Qt.Key.Key_Space)
    assert went == [1]
    doubt(workbench, workbench.session.atoms()["id"].tolist()[:2])
    canvas.key(Qt.Key.Key_Space)
    assert section.doubts.current is not None
    workbench.desk.actions.lead(other)
    canvas.key(Qt.Key.Key_Space)
    assert went == [1, 1]


def test_an_area_is_painted(scene, section, hand_on):
    workbench, xy, _names = scene
    canvas = hand_on(workbench)
    section.form.paint_element.setEditText("Ba")
    section.paint("box")
    canvas.drag((2.0, 2.0), (60.0, 50.0))
    table = workbench.session.atoms()
    inside = ((xy > 2) & (xy < (60, 50))).all(axis=1)
    assert (table["element"].to_numpy() == np.where(inside, "Ba", "Pb")).all()
    assert "Ba" in [e.name for e in workbench.desk.elements]
    assert workbench.session.regions() == []
    workbench.desk.undo()
    assert set(workbench.session.atoms()["element"]) == {"Pb"}
    assert "Ba" not in [e.name for e in workbench.desk.elements]


def test_the_atoms_between_are_added(scene, section, qtbot):
    workbench, xy, names = scene
    table = workbench.session.atoms()
    workbench.session.remove_atoms(table["id"][names == "Ti"].tolist())
    section.form.second.setEditText("Ti")
    section.add_between()
    qtbot.waitUntil(lambda: len(workbench.session.atoms()) > (names != "Ti").sum(), timeout=60_000)
    made = workbench.session.atoms()
    added = made[made["element"] == "Ti"]
    assert len(match(positions(added), xy[names == "Ti"], 1.0)[0]) == len(added)
    assert len(added) > 0.9 * (names == "Ti").sum()
    workbench.desk.undo()
    assert len(workbench.session.atoms()) == (names != "Ti").sum()


def test_maps_name_the_labels(scene, section, qtbot, tmp_path):
    workbench, xy, names = scene
    yy, xx = np.mgrid[:112, :144].astype(float)
    for name in ("Pb", "Sr", "Ti"):
        chart = sum(np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 18) for x, y in xy[names == name])
        np.save(tmp_path / f"{name}.npy", (20 * chart).astype(np.float32))
        section.form.maps.add(name, tmp_path / f"{name}.npy")
    section.suggest_by_maps()
    qtbot.waitUntil(lambda: section.table is not None, timeout=60_000)
    press(section.form.keep)
    table = workbench.session.atoms()
    sure = ~doubtful(table)
    assert (table["element"].to_numpy(object) == names)[sure].all()
    assert sure.mean() > 0.9


def test_a_layer_serves_as_a_map(scene, section):
    workbench, _xy, _names = scene
    workbench.desk.viewer.add_image(np.ones((56, 72), np.float32), name="Pb counts")
    workbench.desk.adopt(workbench.desk.viewer.layers["picture"])
    section.form.maps.add("Pb")
    given = section.form.maps.references(section.naming.folder)
    assert np.load(given["Pb"]["path"]).shape == (56, 72)


def test_without_labels_it_says_what_to_do(workbench):
    section = workbench.label_tab.sections.open("elements")
    section.suggest()
    assert "Label some atoms first" in workbench.messages.text.text()
