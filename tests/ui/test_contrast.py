"""The contrast assistant in the window: one sentence, and a button that takes the advice."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_apgan.elements import Element
from napari_apgan.ui.contrast import LAYER_NAME

pytestmark = pytest.mark.gui


def waves(side: int = 200, period: float = 13.0) -> np.ndarray:
    """Return the sum of three waves whose one spot a cell is bright."""
    y, x = np.mgrid[:side, :side].astype(float)
    total = np.zeros((side, side))
    for degrees in (10, 130, 250):
        angle = np.radians(degrees)
        total += np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    return total + np.random.default_rng(0).normal(0, 0.5, total.shape)


def asked(workbench, qtbot) -> str:
    tab = workbench.label_tab
    QTest.mouseClick(tab.detect.ask, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: tab.contrast.worker is None, timeout=20_000)
    return tab.detect.advice.text()


def test_the_advice_is_a_sentence_and_a_button_takes_it(open_workbench, qtbot):
    image = waves()
    image[:, 130:] *= -1
    workbench = open_workbench(image.astype(np.float32))
    workbench.desk.add_element(Element(name="C", color="#00FF00"))
    tab, box = workbench.label_tab, workbench.label_tab.detect
    assert box.take.isHidden()
    said = asked(workbench, qtbot)
    assert said.startswith("Dark atoms, bright ring centres")
    assert "the contrast reverses at the right" in said
    assert LAYER_NAME in workbench.desk.viewer.layers
    QTest.mouseClick(box.take, Qt.MouseButton.LeftButton)
    assert workbench.desk.current_element().polarity == "dark"
    assert box.search.way == "rings"
    assert box.take.isHidden()
    QTest.mouseClick(box.find, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: tab.detection.candidates > 100, timeout=20_000)
    qtbot.waitUntil(lambda: tab.detection.worker is None, timeout=20_000)
    workbench.desk.undo()
    assert workbench.desk.current_element().polarity == "bright", "taking it was one edit"


def test_advice_goes_with_its_frame_and_leaves_a_good_way_alone(open_workbench, lattice, qtbot):
    image, _ = lattice()
    workbench = open_workbench(np.stack([image, -image]))
    workbench.desk.add_element(Element(name="Pb", color="#FF00FF"))
    box = workbench.label_tab.detect
    assert asked(workbench, qtbot).startswith("Bright atoms")
    QTest.mouseClick(box.take, Qt.MouseButton.LeftButton)
    assert box.search.way == "network"
    session = workbench.session
    first = session.frame_index
    session.go_to(session.source_id, 1 - first)
    assert box.advice.isHidden()
    other = asked(workbench, qtbot)
    assert other.startswith("Dark atoms" if first == 0 else "Bright atoms") or first == 1


def test_an_empty_image_gives_nothing_to_take(open_workbench, qtbot):
    rng = np.random.default_rng(1)
    workbench = open_workbench(rng.normal(size=(128, 128)).astype(np.float32))
    assert "No pattern of atoms shows" in asked(workbench, qtbot)
    assert workbench.label_tab.detect.take.isHidden()
