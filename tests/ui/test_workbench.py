"""The workbench around the tabs: sources, pixel sizes, projects, keys in the dock, closing."""

from __future__ import annotations

import sys

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
    bench, bar = workbench.bench, workbench.calibration
    bench.add_element(Element(name="Pb", color="#FF00FF"))
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
    ours = (workbench.image_layer, bench.atoms.layer, bench.regions.layer, bench.marks.layer)
    for layer in ours:
        assert np.allclose(layer.scale, (0.025, 0.0125)), layer.name
        assert {str(u) for u in layer.units} == {"nanometer"}, layer.name
    workbench.bench.undo()
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
    workbench.bench.viewer.open(path, plugin="napari")
    QApplication.processEvents()
    assert workbench.session.calibration.x_pm == pytest.approx(20.0)
    assert workbench.session.calibration.origin == "file"
    assert workbench.session.project.source(workbench.session.source_id).path == path
    assert np.allclose(workbench.image_layer.scale, 0.02)


def test_an_image_opened_into_a_waiting_workbench_gives_all_layers_one_unit(
    open_workbench, lattice, recwarn
):
    workbench = open_workbench()
    workbench.bench.viewer.add_image(
        lattice()[0], scale=(0.02, 0.02), units=("nm", "nm"), name="scan"
    )
    QApplication.processEvents()
    assert workbench.session.calibration.x_pm == pytest.approx(20.0)
    assert {str(u) for layer in workbench.bench.viewer.layers for u in layer.units} == {"nanometer"}
    assert not [w for w in recwarn if "units" in str(w.message)]


def test_colours_and_memory_are_taken_and_said(open_workbench):
    rng = np.random.default_rng(0)
    workbench = open_workbench()
    workbench.bench.viewer.add_image(
        rng.integers(0, 255, (40, 50, 3), dtype=np.uint8), rgb=True, name="photo"
    )
    QApplication.processEvents()
    assert "brightness" in workbench.messages.text.text()
    assert "keeps a copy" in workbench.messages.text.text()
    assert workbench.bench.frame().shape == (40, 50)


def test_frames_of_a_series_have_labels_of_their_own(open_workbench, lattice, hand_on):
    image, _ = lattice()
    workbench = open_workbench(np.stack([image, image[::-1], image]))
    bench = workbench.bench
    bench.add_element(Element(name="Pb", color="#FF00FF"))
    bench.viewer.dims.set_current_step(0, 1)
    assert workbench.session.frame_index == 1
    workbench.session.add_atoms(make_atoms([(40.0, 20.0)], "Pb"))
    assert len(bench.atoms.layer.data) == 1
    bench.viewer.dims.set_current_step(0, 2)
    assert len(bench.atoms.layer.data) == 0
    workbench.session.go_to(workbench.session.source_id, 1)
    assert bench.viewer.dims.current_step[0] == 1
    assert len(bench.atoms.layer.data) == 1
    canvas = hand_on(workbench)
    workbench.label_tab.snap.setChecked(False)
    canvas.click(60.0, 30.0)
    assert workbench.session.atoms()["frame"].tolist() == [1, 1]


@pytest.mark.parametrize(
    "kind", [QLineEdit, QDoubleSpinBox, QComboBox, QListWidget, QTableWidget, QPushButton, QSlider]
)
def test_keys_typed_in_the_dock_never_reach_the_atoms(bench, kind):
    bench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 40.0)], "Pb"))
    bench.atoms.select([("label", 0)])
    sent: list[int] = []
    bench.register("send_to_training", lambda: sent.append(1))
    bench.register("train", lambda: sent.append(2))
    widget = kind()
    bench.label_tab.layout().addWidget(widget)
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
    assert bench.session.atoms()["element"].tolist() == ["Pb", "Pb"]
    assert sent == []


def test_what_napari_s_own_tools_do_becomes_edits(bench):
    bench.label_tab.snap.setChecked(False)
    bench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 40.0), (80.0, 40.0)], "Pb"))
    layer = bench.atoms.layer
    layer.add([[50.0, 30.0]])
    assert positions(bench.session.atoms())[-1].tolist() == [30.0, 50.0]
    layer.selected_data = {0}
    layer.remove_selected()
    assert bench.session.atoms()["id"].tolist() == [1, 2, 3]
    bench.bench.undo()
    bench.bench.undo()
    assert bench.session.atoms()["id"].tolist() == [0, 1, 2]
    assert np.allclose(layer.data[:, ::-1], positions(bench.session.atoms()))


def test_a_removed_layer_is_drawn_again_and_nothing_is_lost(bench):
    bench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    bench.bench.viewer.layers.remove(bench.atoms.layer)
    assert len(bench.session.atoms()) == 1
    assert "removed" in bench.messages.text.text()
    bench.messages.action_button.click()
    assert len(bench.atoms.layer.data) == 1
    assert bench.bench.viewer.layers.selection.active is bench.atoms.layer


def test_removing_the_image_puts_everything_away_and_opening_it_brings_it_back(bench):
    bench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    image = bench.image_layer
    bench.bench.viewer.layers.remove(image)
    assert bench.image_layer is None
    assert len(bench.atoms.layer.data) == 0
    assert "Open an image" in bench.label_tab.primary.text()
    bench.bench.viewer.layers.append(image)
    bench.bench.viewer.layers.selection.active = image
    QApplication.processEvents()
    assert len(bench.atoms.layer.data) == 1


def test_a_closed_dock_loses_nothing(window, bench, dock, undock):
    bench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    session = bench.session
    window.window.remove_dock_widget(bench)
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
    workbench.bench.add_element(Element(name="Pb", color="#FF00FF"))
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    workbench.bench.add_region(Region.rectangle(20, 20, 80, 80))
    assert workbench.header.save_button.isVisibleTo(workbench)
    workbench.projects.save_as(str(tmp_path / "mine.apgan"))
    assert not workbench.header.save_button.isVisibleTo(workbench)
    workbench.session.close_project()
    workbench.bench.viewer.layers.clear()
    workbench.open_project(tmp_path / "mine.apgan")
    assert workbench.image_layer.name == "scan"
    assert len(workbench.atoms.layer.data) == 1
    assert workbench.bench.regions.captions == ["complete: 1 Pb"]
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


def test_an_error_of_ours_is_a_sentence_with_details(bench):
    bench.run(lambda: 1 / 0)
    assert "Nothing was lost" in bench.messages.text.text()
    bench.messages.details_button.click()
    assert "ZeroDivisionError" in QApplication.clipboard().text()


def test_the_output_map_follows_the_labels_and_the_radius(bench, qtbot):
    bench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    bench.label_tab.map.show_button.click()
    layer = bench.bench.map.layer
    assert layer.data[40, 40].tolist() == [255, 0, 255, 255]
    assert layer.data[40, 50, 3] == 0
    bench.label_tab.map.unit.setCurrentText("pm")
    bench.label_tab.map.radius.setValue(300.0)
    qtbot.waitUntil(lambda: layer.data[40, 52, 3] == 255)
    assert layer.data[40, 58, 3] == 0, "15 px at 20 pm a pixel"
    bench.session.remove_atoms([0])
    qtbot.waitUntil(lambda: layer.data[..., 3].max() == 0)


def test_detected_candidates_become_labels_only_when_kept(bench, qtbot, centres):
    bench.label_tab.primary.click()
    detection = bench.label_tab.detection
    qtbot.waitUntil(lambda: detection.candidates > 0, timeout=20_000)
    qtbot.waitUntil(lambda: detection.worker is None, timeout=20_000)
    assert bench.session.atoms().empty
    found = detection.candidates
    bench.label_tab.detect.slider.setValue(500)
    assert detection.candidates < found
    bench.label_tab.detect.slider.setValue(0)
    bench.label_tab.primary.click()
    table = bench.session.atoms()
    assert len(table) == found == len(centres)
    assert set(table["origin"]) == {"detected"}
    bench.bench.undo()
    assert bench.session.atoms().empty


def test_elements_are_picked_recoloured_and_renamed(bench):
    bench.label_tab.open_table()
    table = bench.label_tab.table
    assert not table.cells["Pb"].isEnabled()
    table.dark.setChecked(True)
    table.cells["O"].click()
    assert [e.name for e in bench.bench.elements] == ["Pb", "Ti", "O"]
    assert bench.bench.elements[2].polarity == "dark"
    assert bench.session.element == "O"
    bench.session.add_atoms(make_atoms([(40.0, 40.0)], "O"))
    element = bench.bench.elements[2]
    bench.bench.replace_element("O", element.model_copy(update={"name": "O2", "color": "#112233"}))
    assert bench.session.atoms()["element"].tolist() == ["O2"]
    assert np.allclose(bench.atoms.layer.face_color[0][:3], np.array([17, 34, 51]) / 255)
    bench.bench.remove_element("O2")
    assert "still has 1 atom" in bench.messages.text.text()


def test_tables_go_out_and_come_in(bench, tmp_path):
    bench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 40.0)], "Pb"))
    bench.label_tab.export_csv(str(tmp_path / "out.csv"))
    bench.bench.undo()
    bench.label_tab.import_csv(str(tmp_path / "out.csv"))
    assert positions(bench.session.atoms()).tolist() == [[40.0, 40.0], [60.0, 40.0]]


def test_predicted_atoms_are_hollow_and_become_corrected_labels(bench, canvas):
    bench.label_tab.snap.setChecked(False)
    bench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    bench.bench.hand.on_predicted_edit = None
    predicted = make_atoms(
        [(40.5, 40.0), (70.0, 40.0), (90.0, 60.0)], "Ti", origin="predicted", probability=0.9
    )
    bench.atoms.show_predicted(predicted, {2: "too close"})
    assert bench.atoms.keys == [("label", 0), ("predicted", 1), ("predicted", 2)]
    layer = bench.atoms.layer
    assert layer.face_color[:, 3].tolist() == [1.0, 0.0, 1.0]
    assert [str(s) for s in layer.symbol] == ["disc", "disc", "cross"]
    canvas.drag((70.0, 40.0), (76.0, 46.0))
    table = bench.session.atoms()
    assert table["origin"].tolist() == ["human", "corrected"]
    assert np.abs(positions(table)[1] - (76.0, 46.0)).max() < 0.4
    bench.atoms.select([("predicted", 2)])
    canvas.key(Qt.Key.Key_Delete)
    assert bench.atoms.predicted_left().empty
    assert len(bench.session.atoms()) == 2


def test_the_forms_fit_a_small_screen(bench):
    for index in range(bench.tabs.count()):
        bench.tabs.setCurrentIndex(index)
        QApplication.processEvents()
        tab = bench.tabs.currentWidget()
        assert tab.minimumSizeHint().width() <= bench.tabs.width()
    bench.tabs.setCurrentIndex(0)
    QApplication.processEvents()
    button = bench.label_tab.primary
    bottom = button.mapTo(bench.window(), button.rect().bottomLeft()).y()
    assert button.isVisible()
    assert bottom < 768


def test_torch_stays_out_of_the_window_s_process(bench, canvas, centres):
    canvas.click(*centres[10])
    assert "torch" not in sys.modules


def test_the_session_belongs_to_the_real_viewer(window, bench):
    assert session_of(window) is session_of(bench.bench.viewer) is bench.session
    bench.session.set_calibration(Calibration.from_pixel_size(30.0, origin="user"))
    assert session_of(window).calibration.x_pm == 30.0
