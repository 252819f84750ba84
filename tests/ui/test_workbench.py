"""The workbench around the tabs: sources, pixel sizes, projects, keys in the dock, closing."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QListWidget,
    QPushButton,
    QSlider,
    QTableWidget,
)

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element
from napari_apgan.frames import Calibration
from napari_apgan.project import Project
from napari_apgan.regions import Region
from napari_apgan.ui.sessions import session_of

pytestmark = pytest.mark.gui


def test_an_image_without_pixel_size_is_asked_for_one_and_everything_follows(
    open_workbench, lattice
):
    image, _ = lattice()
    workbench = open_workbench(image, pixel_pm=None)
    desk, bar = workbench.desk, workbench.calibration
    desk.add_element(Element(name="Pb", color="#FF00FF"))
    workbench.session.add_atoms(make_atoms([(40.0, 20.0)], "Pb"))
    assert bar.isVisible()
    assert str(workbench.image_layer.units[0]) == "pixel"
    assert np.isnan(workbench.session.atoms()["x_pm"][0])
    bar.x.setText("12.5")
    bar.y.setText("25")
    QTest.keyClick(bar.y, Qt.Key.Key_Return)
    assert not bar.isVisible()
    assert workbench.session.calibration.origin == "user"
    assert workbench.session.atoms().loc[0, ["x_pm", "y_pm"]].tolist() == [500.0, 500.0]
    ours = (
        workbench.image_layer,
        desk.atoms.layer,
        desk.regions.layer,
        desk.marks.layer,
    )
    for layer in ours:
        assert np.allclose(layer.scale, (0.025, 0.0125)), layer.name
        assert {str(u) for u in layer.units} == {"nanometer"}, layer.name
    workbench.desk.undo()
    assert np.allclose(workbench.image_layer.scale, 1.0)


def test_a_field_of_view_is_the_other_way_to_give_it(open_workbench, lattice):
    image, _ = lattice(shape=(96, 128))
    workbench = open_workbench(image, pixel_pm=None)
    bar = workbench.calibration
    bar.kind.setCurrentIndex(1)
    bar.x.setText("2.56")
    bar.give.click()
    assert workbench.session.calibration.x_pm == pytest.approx(20.0)
    assert workbench.session.calibration.y_pm == pytest.approx(20.0)


def test_nonsense_for_a_pixel_size_is_refused_in_a_sentence(open_workbench, lattice):
    image, _ = lattice()
    workbench = open_workbench(image, pixel_pm=None)
    workbench.calibration.x.setText("0.0001")
    workbench.calibration.give.click()
    assert "cannot be right" in workbench.messages.text.text()
    assert not workbench.session.calibration.known


def test_a_tiff_that_napari_opened_is_read_again_for_its_pixel_size(
    open_workbench, tmp_path, lattice
):
    image, _ = lattice()
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, image, imagej=True, resolution=(50, 50), metadata={"unit": "nm"})
    workbench = open_workbench()
    workbench.desk.viewer.open(path, plugin="napari")
    QApplication.processEvents()
    assert workbench.session.calibration.x_pm == pytest.approx(20.0)
    assert workbench.session.calibration.origin == "file"
    assert workbench.session.project.source(workbench.session.source_id).path == path
    assert np.allclose(workbench.image_layer.scale, 0.02)


def test_an_image_opened_into_a_waiting_workbench_gives_all_layers_one_unit(
    open_workbench, lattice, recwarn
):
    workbench = open_workbench()
    workbench.desk.viewer.add_image(
        lattice()[0], scale=(0.02, 0.02), units=("nm", "nm"), name="scan"
    )
    QApplication.processEvents()
    assert workbench.session.calibration.x_pm == pytest.approx(20.0)
    assert {str(u) for layer in workbench.desk.viewer.layers for u in layer.units} == {"nanometer"}
    assert not [w for w in recwarn if "units" in str(w.message)]


def test_colours_and_memory_are_taken_and_said(open_workbench):
    rng = np.random.default_rng(0)
    workbench = open_workbench()
    workbench.desk.viewer.add_image(
        rng.integers(0, 255, (40, 50, 3), dtype=np.uint8), rgb=True, name="photo"
    )
    QApplication.processEvents()
    assert "brightness" in workbench.messages.text.text()
    assert "keeps a copy" in workbench.messages.text.text()
    assert workbench.desk.frame().shape == (40, 50)


def test_frames_of_a_series_have_labels_of_their_own(open_workbench, lattice, hand_on):
    image, _ = lattice()
    workbench = open_workbench(np.stack([image, image[::-1], image]))
    desk = workbench.desk
    desk.add_element(Element(name="Pb", color="#FF00FF"))
    desk.viewer.dims.set_current_step(0, 1)
    assert workbench.session.frame_index == 1
    workbench.session.add_atoms(make_atoms([(40.0, 20.0)], "Pb"))
    assert len(desk.atoms.layer.data) == 1
    desk.viewer.dims.set_current_step(0, 2)
    assert len(desk.atoms.layer.data) == 0
    workbench.session.go_to(workbench.session.source_id, 1)
    assert desk.viewer.dims.current_step[0] == 1
    assert len(desk.atoms.layer.data) == 1
    canvas = hand_on(workbench)
    workbench.label_tab.snap.setChecked(False)
    canvas.click(60.0, 30.0)
    assert workbench.session.atoms()["frame"].tolist() == [1, 1]


@pytest.mark.parametrize(
    "kind", [QLineEdit, QDoubleSpinBox, QComboBox, QListWidget, QTableWidget, QPushButton, QSlider]
)
def test_keys_typed_in_the_dock_never_reach_the_atoms(workbench, kind):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 40.0)], "Pb"))
    workbench.atoms.select([("label", 0)])
    sent: list[int] = []
    workbench.register("send_to_training", lambda: sent.append(1))
    workbench.register("train", lambda: sent.append(2))
    widget = kind()
    workbench.label_tab.layout().addWidget(widget)
    widget.show()
    widget.setFocus()
    for key in (
        Qt.Key.Key_Delete,
        Qt.Key.Key_Backspace,
        Qt.Key.Key_2,
        Qt.Key.Key_Return,
        Qt.Key.Key_T,
    ):
        QTest.keyClick(widget, key)
    QTest.keyClick(widget, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert workbench.session.atoms()["element"].tolist() == ["Pb", "Pb"]
    assert sent == []


def test_what_napari_s_own_tools_do_becomes_edits(workbench):
    workbench.label_tab.snap.setChecked(False)
    workbench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 40.0), (80.0, 40.0)], "Pb"))
    layer = workbench.atoms.layer
    layer.add([[50.0, 30.0]])
    assert positions(workbench.session.atoms())[-1].tolist() == [30.0, 50.0]
    layer.selected_data = {0}
    layer.remove_selected()
    assert workbench.session.atoms()["id"].tolist() == [1, 2, 3]
    workbench.desk.undo()
    workbench.desk.undo()
    assert workbench.session.atoms()["id"].tolist() == [0, 1, 2]
    assert np.allclose(layer.data[:, ::-1], positions(workbench.session.atoms()))


def test_a_removed_layer_is_drawn_again_and_nothing_is_lost(workbench):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    workbench.desk.viewer.layers.remove(workbench.atoms.layer)
    assert len(workbench.session.atoms()) == 1
    assert "removed" in workbench.messages.text.text()
    workbench.messages.action_button.click()
    assert len(workbench.atoms.layer.data) == 1
    assert workbench.desk.viewer.layers.selection.active is workbench.atoms.layer


def test_removing_the_image_puts_everything_away_and_opening_it_brings_it_back(workbench):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    image = workbench.image_layer
    workbench.desk.viewer.layers.remove(image)
    assert workbench.image_layer is None
    assert len(workbench.atoms.layer.data) == 0
    assert "Open an image" in workbench.label_tab.primary.text()
    workbench.desk.viewer.layers.append(image)
    workbench.desk.viewer.layers.selection.active = image
    QApplication.processEvents()
    assert len(workbench.atoms.layer.data) == 1


def test_a_closed_dock_loses_nothing(window, workbench, dock, undock):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    session = workbench.session
    window.window.remove_dock_widget(workbench)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    assert [layer.name for layer in window.layers] == ["picture"]
    session.add_atoms(make_atoms([(60.0, 40.0)], "Pb"))
    again = dock(window, pixel_pm=None)
    assert again.session is session
    assert len(again.atoms.layer.data) == 2
    undock(again)


def test_a_saved_project_opens_with_its_image_labels_and_regions(open_workbench, tmp_path, lattice):
    image, _ = lattice()
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, image)
    workbench = open_workbench()
    workbench.open_image_path(path)
    QApplication.processEvents()
    workbench.desk.add_element(Element(name="Pb", color="#FF00FF"))
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    workbench.desk.add_region(Region.rectangle(20, 20, 80, 80))
    assert workbench.header.save_button.isVisibleTo(workbench)
    workbench.projects.save_as(str(tmp_path / "mine.apgan"))
    assert not workbench.header.save_button.isVisibleTo(workbench)
    workbench.session.close_project()
    workbench.desk.viewer.layers.clear()
    workbench.open_project(tmp_path / "mine.apgan")
    assert workbench.image_layer.name == "scan"
    assert len(workbench.atoms.layer.data) == 1
    assert workbench.desk.regions.captions == ["complete: 1 Pb"]
    assert "mine" in workbench.header.project_button.text()


def test_a_missing_image_is_asked_for_and_found(open_workbench, tmp_path, lattice):
    image, _ = lattice()
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "scan.tif"
    tifffile.imwrite(path, image)
    with Project.create(tmp_path / "p" / "mine.apgan") as project:
        from napari_apgan.io import open_source

        source_id = project.add_source(open_source(path))
        project.add_atoms(source_id, 0, make_atoms([(40.0, 40.0)], "Pb"))
    (tmp_path / "elsewhere").mkdir()
    path.rename(tmp_path / "elsewhere" / "renamed.tif")
    workbench = open_workbench()
    workbench.open_project(tmp_path / "p" / "mine.apgan")
    assert "Labels are safe" in workbench.messages.text.text()
    workbench.projects.find_images(str(tmp_path / "elsewhere"))
    assert "1 image found" in workbench.messages.text.text()
    assert len(workbench.atoms.layer.data) == 1


def test_a_project_open_elsewhere_can_be_looked_at(open_workbench, tmp_path, lattice):
    image, _ = lattice()
    with Project.create(tmp_path / "mine.apgan"):
        workbench = open_workbench(image)
        workbench.open_project(tmp_path / "mine.apgan")
        assert "open" in workbench.messages.text.text()
        workbench.messages.action_button.click()
        assert workbench.session.project.read_only
        assert "read only" in workbench.header.state.full_text


def test_an_error_of_ours_is_a_sentence_with_details(workbench):
    workbench.run(lambda: 1 / 0)
    assert "Nothing was lost" in workbench.messages.text.text()
    workbench.messages.details_button.click()
    assert "ZeroDivisionError" in QApplication.clipboard().text()


def test_the_output_map_follows_the_labels_and_the_radius(workbench, qtbot):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    workbench.label_tab.map.show_button.click()
    layer = workbench.desk.map.layer
    assert layer.data[40, 40].tolist() == [255, 0, 255, 255]
    assert layer.data[40, 50, 3] == 0
    workbench.label_tab.map.unit.setCurrentText("pm")
    workbench.label_tab.map.radius.setValue(300.0)
    qtbot.waitUntil(lambda: layer.data[40, 52, 3] == 255)
    assert layer.data[40, 58, 3] == 0, "15 px at 20 pm a pixel"
    workbench.session.remove_atoms([0])
    qtbot.waitUntil(lambda: layer.data[..., 3].max() == 0)


def test_detected_candidates_become_labels_only_when_kept(workbench, qtbot, centres):
    workbench.label_tab.primary.click()
    detection = workbench.label_tab.detection
    qtbot.waitUntil(lambda: detection.candidates > 0, timeout=20_000)
    qtbot.waitUntil(lambda: detection.worker is None, timeout=20_000)
    assert workbench.session.atoms().empty
    found = detection.candidates
    workbench.label_tab.detect.slider.setValue(500)
    assert detection.candidates < found
    workbench.label_tab.detect.slider.setValue(0)
    assert workbench.label_tab.primary.text() == f"Keep {found} atoms, all as Pb"
    assert "all rings become Pb" in workbench.label_tab.teach.text()
    workbench.label_tab.primary.click()
    assert "No atoms yet" not in workbench.label_tab.teach.text()
    assert not workbench.label_tab.teach.isVisibleTo(workbench)
    table = workbench.session.atoms()
    assert len(table) == found == len(centres)
    assert set(table["origin"]) == {"detected"}
    workbench.desk.undo()
    assert workbench.session.atoms().empty


def test_labels_cover_their_discs_on_the_maps(workbench):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 40.0)], "Pb"))
    atoms, maps = workbench.atoms, np.ones((1, 96, 128), np.float32)
    plain = float(atoms.layer.size[0])
    workbench.predictions.layers.show(maps, ["Pb"], workbench.desk.elements)
    assert float(atoms.layer.size[0]) > 2 * atoms.radius_px > plain
    workbench.predictions.layers.set_visible(False)
    assert float(atoms.layer.size[0]) == plain


def test_elements_are_picked_recoloured_and_renamed(workbench):
    workbench.label_tab.open_table()
    table = workbench.label_tab.table
    assert not table.cells["Pb"].isEnabled()
    table.dark.setChecked(True)
    table.cells["O"].click()
    assert [e.name for e in workbench.desk.elements] == ["Pb", "Ti", "O"]
    assert workbench.desk.elements[2].polarity == "dark"
    assert workbench.session.element == "O"
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "O"))
    element = workbench.desk.elements[2]
    workbench.desk.replace_element(
        "O", element.model_copy(update={"name": "O2", "color": "#112233"})
    )
    assert workbench.session.atoms()["element"].tolist() == ["O2"]
    assert np.allclose(workbench.atoms.layer.face_color[0][:3], np.array([17, 34, 51]) / 255)
    workbench.desk.remove_element("O2")
    assert "still has 1 atom" in workbench.messages.text.text()


def test_predicted_atoms_are_hollow_and_become_corrected_labels(workbench, canvas):
    workbench.label_tab.snap.setChecked(False)
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    workbench.desk.hand.on_predicted_edit = None
    predicted = make_atoms(
        [(40.5, 40.0), (70.0, 40.0), (90.0, 60.0)], "Ti", origin="predicted", probability=0.9
    )
    workbench.atoms.show_predicted(predicted, {2: "too close"})
    assert workbench.atoms.keys == [("label", 0), ("predicted", 1), ("predicted", 2)]
    layer = workbench.atoms.layer
    assert layer.face_color[:, 3].tolist() == [1.0, 0.0, 1.0]
    assert [str(s) for s in layer.symbol] == ["disc", "disc", "cross"]
    canvas.drag((70.0, 40.0), (76.0, 46.0))
    table = workbench.session.atoms()
    assert table["origin"].tolist() == ["human", "corrected"]
    assert np.abs(positions(table)[1] - (76.0, 46.0)).max() < 0.4
    workbench.atoms.select([("predicted", 2)])
    canvas.key(Qt.Key.Key_Delete)
    assert workbench.atoms.predicted_left().empty
    assert len(workbench.session.atoms()) == 2


def test_the_forms_fit_a_small_screen(workbench):
    for index in range(workbench.tabs.count()):
        workbench.tabs.setCurrentIndex(index)
        QApplication.processEvents()
        tab = workbench.tabs.currentWidget()
        assert tab.minimumSizeHint().width() <= workbench.tabs.width()
    workbench.tabs.setCurrentIndex(0)
    QApplication.processEvents()
    button = workbench.label_tab.primary
    bottom = button.mapTo(workbench.window(), button.rect().bottomLeft()).y()
    assert button.isVisible()
    assert bottom < 768


def test_torch_stays_out_of_the_window_s_process(workbench, canvas, centres, torch_free):
    canvas.click(*centres[10])
    torch_free()


def test_the_session_belongs_to_the_real_viewer(window, workbench):
    assert session_of(window) is session_of(workbench.desk.viewer) is workbench.session
    workbench.session.set_calibration(Calibration.from_pixel_size(30.0, origin="user"))
    assert session_of(window).calibration.x_pm == 30.0


def test_an_image_can_be_taken_out_and_brought_back(open_workbench, lattice):
    image, _ = lattice()
    workbench = open_workbench(image)
    desk, session = workbench.desk, workbench.session
    desk.add_element(Element(name="Pb", color="#FF00FF"))
    session.add_atoms(make_atoms([(40.0, 20.0)], "Pb"))
    source_id, menu = session.source_id, workbench.projects
    menu.remove_image()
    assert session.source_id == ""
    assert session.project.sources == []
    assert desk.scene.image_layer is None
    assert not desk.scene.images()
    workbench.messages.action_button.click()
    assert session.source_id == source_id
    assert len(session.atoms()) == 1
    assert desk.scene.image_layer is not None


def test_an_image_taken_out_is_not_brought_back_by_undoing_other_work(open_workbench, lattice):
    image, _ = lattice()
    workbench = open_workbench(image)
    desk, session = workbench.desk, workbench.session
    desk.add_element(Element(name="Pb", color="#FF00FF"))
    workbench.projects.remove_image()
    desk.add_element(Element(name="Sr", color="#00FF00"))
    workbench.messages.action_button.click()
    assert "Ctrl+Z" in workbench.messages.text.text()
    assert [e.name for e in session.project.elements] == ["Pb", "Sr"]
