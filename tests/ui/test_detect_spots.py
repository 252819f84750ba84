"""Spots, and atoms between rings: found without training, thinned live, kept as one edit."""

from __future__ import annotations

import time

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element

pytestmark = pytest.mark.gui


def honeycomb(side: int, a: float = 14.0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of bright ring centres, and where the dark atoms between them are."""
    rng = np.random.default_rng(0)
    i, j = (g.ravel() for g in np.mgrid[-side // 12 : side // 6, : side // 10])
    cells = np.column_stack([a * (i + 0.5 * j), a * 3**0.5 / 2 * j]) + 3.0
    up = np.array([0, a / 3**0.5])
    atoms = np.concatenate([cells + up, cells - up])
    image = np.zeros((side, side))
    centres = cells[((cells > 0) & (cells < side - 1)).all(axis=1)]
    np.add.at(image, tuple(np.rint(centres).astype(int).T[::-1]), 100.0)
    data = gaussian_filter(image, 3.0) + rng.normal(0, 0.1, image.shape)
    inner = ((atoms > a) & (atoms < side - a)).all(axis=1)
    return data.astype(np.float32), atoms[inner]


def choose(box, title: str) -> None:
    """Choose a way with the keyboard, as a person does."""
    box.way.setFocus()
    QTest.keyClick(box.way, Qt.Key.Key_Home)
    for _ in range(box.way.findText(title)):
        QTest.keyClick(box.way, Qt.Key.Key_Down)
    assert box.way.currentText() == title


def found(detection, qtbot) -> int:
    qtbot.waitUntil(lambda: detection.candidates > 0, timeout=20_000)
    qtbot.waitUntil(lambda: detection.worker is None, timeout=20_000)
    return detection.candidates


def press(button) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def test_spots_are_found_thinned_and_kept(workbench, centres, qtbot):
    tab, box = workbench.label_tab, workbench.label_tab.detect
    workbench.session.add_atoms(make_atoms(centres[:2], "Ti"))
    assert box.settings.isHidden()
    choose(box, "Spots")
    assert not box.settings.isHidden()
    press(box.find)
    n = found(tab.detection, qtbot)
    assert n == len(centres) - 2
    assert "320 pm) apart, by the autocorrelation. 2 of them have labels." in box.note.text()
    for _ in range(4):
        QTest.keyClick(box.slider, Qt.Key.Key_PageUp)
    assert tab.detection._kept == round(0.8 * len(centres))
    assert tab.detection.candidates < n
    strengths = tab.detection._found.spots.strength
    kept = tab.detection._found.table(tab.detection._kept)
    assert kept["amplitude"].min() >= strengths[tab.detection._kept - 1]
    QTest.keyClick(box.slider, Qt.Key.Key_Home)
    assert tab.detection.candidates == n
    press(box.keep)
    table = workbench.session.atoms()
    assert len(table) == len(centres)
    distance, _ = cKDTree(positions(table)).query(centres)
    assert distance.max() < 1.0
    assert (table["element"] == "Pb").sum() == n
    workbench.desk.undo()
    assert len(workbench.session.atoms()) == 2


def test_another_spacing_looks_again_and_another_size_too(workbench, centres, qtbot):
    tab, box = workbench.label_tab, workbench.label_tab.detect
    choose(box, "Spots")
    press(box.find)
    n = found(tab.detection, qtbot)
    first = tab.detection._found
    box.spacing.setFocus()
    box.spacing.selectAll()
    QTest.keyClicks(box.spacing, "45")
    QTest.keyClick(box.spacing, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: tab.detection._found not in (None, first), timeout=20_000)
    assert tab.detection._found.total < n
    assert "45.0 px (900 pm) apart, as you say." in box.note.text()
    assert len(workbench.session.atoms()) == 0, "the return key made no label"
    second = tab.detection._found
    box.several.click()
    qtbot.waitUntil(lambda: tab.detection._found not in (None, second), timeout=20_000)
    assert box.search.several_sizes
    press(box.discard)
    assert tab.detection.candidates == 0
    qtbot.waitUntil(lambda: tab.detection.worker is None, timeout=20_000)


def test_dark_atoms_are_found_between_bright_rings(open_workbench, qtbot):
    image, atoms = honeycomb(256)
    workbench = open_workbench(image)
    workbench.desk.add_element(Element(name="C", color="#00FF00", polarity="dark"))
    tab, box = workbench.label_tab, workbench.label_tab.detect
    choose(box, "Spots between rings")
    press(box.find)
    n = found(tab.detection, qtbot)
    assert box.note.text().startswith("Ring centres 13.9 px (278 pm) apart")
    press(tab.primary)
    table = workbench.session.atoms()
    assert len(table) == n
    distance, _ = cKDTree(positions(table)).query(atoms)
    assert np.mean(distance < 1.5) > 0.98
    assert np.isfinite(table["amplitude"]).all()


def test_what_a_step_of_the_slider_costs_on_a_large_image_is_told(open_workbench, qtbot):
    image, _ = honeycomb(1024)
    workbench = open_workbench(image)
    workbench.desk.add_element(Element(name="C", color="#00FF00", polarity="dark"))
    tab, box = workbench.label_tab, workbench.label_tab.detect
    for title in ("Spots between rings", "Spots"):
        tab.detection.discard()
        choose(box, title)
        press(box.find)
        n, steps = found(tab.detection, qtbot), []
        for value in range(box.slider.value() + 10, box.slider.value() + 60, 10):
            began = time.perf_counter()
            box.slider.setValue(value)
            steps.append(1e3 * (time.perf_counter() - began))
        print(
            f"{title}, 1024x1024, {n:,} atoms: a step of the slider takes {np.median(steps):.0f} "
            f"ms of Python, at most {max(steps):.0f} ms"
        )
        assert tab.detection.candidates < n
