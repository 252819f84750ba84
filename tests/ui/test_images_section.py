"""A folder of images becomes a table, and rows of it images of the project."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

pytestmark = pytest.mark.gui

LEFT, CTRL = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def folder(tmp_path, lattice):
    made = tmp_path / "images"
    made.mkdir()
    for number, spacing in enumerate((16, 20)):
        image, _ = lattice(spacing=spacing)
        tifffile.imwrite(made / f"scan{number}.tif", image, imagej=True, resolution=(50, 50),
                         metadata={"unit": "nm"})  # fmt: skip
    shutil.copyfile(made / "scan0.tif", made / "scan9_copy.tif")
    noise = np.random.default_rng(0).normal(100, 1, (128, 128)).astype(np.float32)
    tifffile.imwrite(made / "vacuum.tif", noise)
    return made


def read(window, qtbot):
    qtbot.waitUntil(lambda: window._task.busy, timeout=10_000)
    qtbot.waitUntil(lambda: not window._task.busy, timeout=90_000)


def cell(window, row, column):
    return window.sorter.index(row, column).data()


def click_row(window, row, modifiers=Qt.KeyboardModifier.NoModifier):
    where = window.view.visualRect(window.sorter.index(row, 0)).center()
    QTest.mouseClick(window.view.viewport(), LEFT, modifiers, where)


def test_a_dropped_folder_becomes_a_table_and_rows_become_images(workbench, folder, qtbot):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    action, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(9, 9), action, data, LEFT, none)
    QApplication.sendEvent(workbench, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(workbench, QDropEvent(QPointF(9, 9), action, data, LEFT, none))
    section = workbench.label_tab.sections.open("images")
    qtbot.waitUntil(lambda: section.window_ is not None)
    window = section.window_
    read(window, qtbot)
    assert window.isVisible()
    assert window.said.text().startswith("4 files")
    names = [cell(window, r, 0) for r in range(4)]
    assert names == ["scan0.tif", "scan1.tif", "scan9_copy.tif", "vacuum.tif"]
    assert cell(window, 0, 3) == "20"
    assert "square" in cell(window, 0, 5)
    assert cell(window, 2, 8) == "The same file as scan0.tif"
    assert cell(window, 3, 8).startswith("Blank")
    window.hide_spare.click()
    assert window.sorter.rowCount() == 2
    window.view.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    assert [cell(window, r, 0) for r in range(2)] == ["scan1.tif", "scan0.tif"]
    window.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    layers = len(workbench.desk.viewer.layers)
    click_row(window, 0)
    click_row(window, 1, CTRL)
    assert window.take_button.text() == "Take 2 images into the project"
    with qtbot.waitSignal(window.taken, timeout=20_000):
        QTest.mouseClick(window.take_button, LEFT)
    project = workbench.session.project
    assert [r.name for r in project.sources][1:] == ["scan0", "scan1"]
    assert len(workbench.desk.viewer.layers) == layers, "no layer before it is wanted"
    rows = section.list.rows
    assert [r.name for r in rows][1:] == ["scan0", "scan1"]
    item = section.list.item(2)
    where = section.list.visualItemRect(item).center()
    QTest.mouseClick(section.list.viewport(), LEFT, pos=where)
    assert project.record(workbench.session.source_id).name == "scan1"
    assert workbench.image_layer.name == "scan1"
    assert workbench.session.calibration.x_pm == pytest.approx(20.0)


@pytest.mark.data
def test_the_folder_of_real_images_is_told_apart(workbench, real_data, qtbot):
    window = workbench.label_tab.show_section("images").look_through([real_data / "formats"])
    read(window, qtbot)
    assert len(window.table.rows) > 5
    assert all(r.error or r.n_frames for r in window.table.rows)
    assert window.sorter.rowCount() == len(window.table.rows)
