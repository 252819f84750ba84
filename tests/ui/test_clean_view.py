"""The clean view: one key shows and hides it, and it never becomes what is worked on."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_apgan.atoms import positions
from napari_apgan.elements import Element
from napari_apgan.ui.clean_view_section import LAYER_NAME

pytestmark = pytest.mark.gui

PATIENCE_MS = 60_000


def views(workbench) -> list:
    return [x for x in workbench.desk.viewer.layers if x.name.startswith(LAYER_NAME)]


def shown(workbench) -> bool:
    return any(layer.visible for layer in views(workbench))


def test_a_key_shows_the_view_and_the_raw_frame_stays_what_is_worked_on(
    workbench, canvas, centres, qtbot
):
    desk, session = workbench.desk, workbench.session
    image, source_id, raw = workbench.image_layer, session.source_id, desk.frame().data.copy()
    canvas.key(Qt.Key.Key_F)
    qtbot.waitUntil(lambda: shown(workbench), timeout=PATIENCE_MS)
    (view,) = views(workbench)
    section = workbench.label_tab.sections.folds["clean_view"].section
    assert section.did.text().startswith("Gaussian: smooth by 1.2 px")
    assert "For the eye only" in section.did.text()
    assert view.data.shape == raw.shape
    assert view.data.std() < raw.std()
    assert np.allclose(view.scale, image.scale)
    layers = desk.viewer.layers
    assert layers.index(view) == layers.index(image) + 1, "right above the image, below the atoms"
    layers.selection.active = view
    QApplication.processEvents()
    assert workbench.image_layer is image
    assert session.source_id == source_id
    assert np.array_equal(desk.frame().data, raw)
    desk.scene.activate_home()
    x, y = centres[10]
    canvas.click(x + 2.0, y - 1.5)
    assert np.abs(positions(session.atoms())[0] - (x, y)).max() < 0.4
    canvas.key(Qt.Key.Key_F)
    assert not shown(workbench)
    canvas.key(Qt.Key.Key_F)
    assert shown(workbench), "the view is kept, nothing is filtered again"


def test_a_copy_of_the_view_is_no_image_to_work_on(workbench, canvas, qtbot):
    canvas.key(Qt.Key.Key_F)
    qtbot.waitUntil(lambda: shown(workbench), timeout=PATIENCE_MS)
    (view,) = views(workbench)
    image = workbench.image_layer
    copy = type(view).create(*view.as_layer_data_tuple())
    copy.name = f"{LAYER_NAME} copy"
    workbench.desk.viewer.add_layer(copy)
    QApplication.processEvents()
    workbench.desk.viewer.layers.selection.active = copy
    QApplication.processEvents()
    assert workbench.image_layer is image
    assert len(workbench.session.project.sources) == 1
    assert workbench.desk.scene.images() == [image]


def test_another_filter_or_setting_makes_the_view_anew(workbench, qtbot):
    section = workbench.label_tab.sections.open("clean_view")
    section.shown.click()
    qtbot.waitUntil(lambda: shown(workbench), timeout=PATIENCE_MS)
    before = views(workbench)[0].data.copy()
    editor = section.forms["gaussian"].editors["narrow_px"]
    editor.setText("5")
    editor.editingFinished.emit()
    assert not shown(workbench), "what was asked for before is not shown as what is asked for now"
    qtbot.waitUntil(lambda: shown(workbench), timeout=PATIENCE_MS)
    assert views(workbench)[0].data.std() < 0.8 * before.std()
    section.choice.setCurrentIndex(section.choice.findData("bandpass"))
    qtbot.waitUntil(lambda: "band-pass" in section.did.text(), timeout=PATIENCE_MS)
    assert shown(workbench)
    section.choice.setCurrentIndex(section.choice.findData("stacked"))
    qtbot.waitUntil(lambda: "needs a series" in workbench.messages.text.text(), timeout=PATIENCE_MS)
    assert not section.shown.isChecked()
    assert not shown(workbench)


def test_the_view_follows_the_frame_of_a_series(open_workbench, lattice, hand_on, qtbot):
    image, _ = lattice()
    workbench = open_workbench(np.stack([image, image[::-1], image[:, ::-1]]))
    workbench.desk.add_element(Element(name="Pb", color="#FF00FF"))
    workbench.session.go_to(workbench.session.source_id, 0)
    hand_on(workbench).key(Qt.Key.Key_F)
    qtbot.waitUntil(lambda: shown(workbench), timeout=PATIENCE_MS)
    first = views(workbench)[0].data.copy()
    workbench.desk.viewer.dims.set_current_step(0, 1)
    assert not shown(workbench), "the view of one frame never lies over another"
    qtbot.waitUntil(lambda: shown(workbench), timeout=PATIENCE_MS)
    assert np.allclose(views(workbench)[0].data, first[::-1], atol=1e-2)


def test_the_view_goes_with_its_image(workbench, canvas, qtbot):
    canvas.key(Qt.Key.Key_F)
    qtbot.waitUntil(lambda: shown(workbench), timeout=PATIENCE_MS)
    workbench.desk.viewer.layers.remove(workbench.image_layer)
    QApplication.processEvents()
    assert views(workbench) == []
