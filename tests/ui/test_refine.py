"""Refine from the window: one edit, failures counted, what was changed meanwhile left alone."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_apgan.atoms import make_atoms, positions

pytestmark = pytest.mark.gui

PATIENCE_MS = 60_000


@pytest.fixture
def section(workbench, centres):
    """The opened section, with labels a little off and one where nothing is."""
    rng = np.random.default_rng(0)
    xy = np.concatenate([centres + rng.normal(0, 0.4, centres.shape), [[31.8, 31.9]]])
    workbench.session.add_atoms(make_atoms(xy, "Pb"))
    return workbench.label_tab.sections.open("refine")


def press(section, qtbot) -> None:
    QTest.mouseClick(section.button, Qt.MouseButton.LeftButton)
    assert section.refining.busy
    qtbot.waitUntil(lambda: not section.refining.busy, timeout=PATIENCE_MS)


def test_all_labels_are_refined_as_one_edit(section, workbench, centres, qtbot):
    assert section.button.text() == f"Refine all {len(centres) + 1} labels"
    before = workbench.session.atoms()
    press(section, qtbot)
    after = workbench.session.atoms()
    good = (after["flag"] == "").to_numpy()
    assert good[:-1].mean() > 0.9
    assert after["flag"].iloc[-1].startswith("fit: ")
    np.testing.assert_array_equal(positions(after)[~good], positions(before)[~good])
    off = np.hypot(*(positions(after)[:-1] - centres)[good[:-1]].T)
    assert off.max() < 0.2
    assert (after["sigma_x_pm"][good] > 0).all()
    assert "1 without a peak there" in section.said.text()
    assert (after["origin"] == "human").all()
    workbench.desk.undo()
    np.testing.assert_array_equal(positions(workbench.session.atoms()), positions(before))


@pytest.mark.parametrize("shape", ["gaussian", "ellipse"])
def test_the_selected_ones_alone_are_refined(section, workbench, canvas, centres, qtbot, shape):
    before = positions(workbench.session.atoms())
    canvas.click(*before[7])
    assert section.button.text() == "Refine the 1 selected"
    section.shape.setFocus()
    for _ in range(section.shape.findData(shape)):
        QTest.keyClick(section.shape, Qt.Key.Key_Down)
    assert section.shape.currentData() == shape
    press(section, qtbot)
    after = positions(workbench.session.atoms())
    moved = np.hypot(*(after - before).T) > 0
    assert np.flatnonzero(moved).tolist() == [7]
    assert np.hypot(*(after[7] - centres[7])) < 0.2


def test_a_label_changed_meanwhile_is_left_alone(section, workbench, qtbot):
    QTest.mouseClick(section.button, Qt.MouseButton.LeftButton)
    first = int(workbench.session.atoms()["id"].iloc[0])
    workbench.session.change_atoms([first], x_px=[5.0])
    qtbot.waitUntil(lambda: not section.refining.busy, timeout=PATIENCE_MS)
    assert workbench.session.atoms()["x_px"].iloc[0] == 5.0
    assert "1 were changed meanwhile" in section.said.text()


def test_without_labels_there_is_nothing_to_press(workbench):
    section = workbench.label_tab.sections.open("refine")
    assert not section.button.isEnabled()
