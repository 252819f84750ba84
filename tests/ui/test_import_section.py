"""Labels of other programs are seen over the image before they are added, in one edit."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element
from napari_apgan.io.map_images import read_picture, unmix
from napari_apgan.ui.output_map_export import export_channels, export_picture

pytestmark = pytest.mark.gui

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def importing(workbench):
    return workbench.label_tab.show_section("import")


def look(section, path, qtbot):
    section.import_file(str(path))
    qtbot.waitUntil(lambda: section.placed is not None, timeout=20_000)


def test_a_table_of_rows_and_columns_is_recognised_shown_and_added_at_once(
    importing, workbench, canvas, centres, tmp_path, qtbot
):
    path = tmp_path / "points.csv"
    np.savetxt(path, centres[:, ::-1], delimiter=",", fmt="%.3f")  # row, column; no header
    look(importing, path, qtbot)
    assert workbench.session.atoms().empty, "nothing is added before it is wished"
    shown = np.asarray(importing.layer.data)[:, ::-1]
    assert np.allclose(shown, centres, atol=1e-3), "the image tells rows from columns"
    assert importing.form.element.currentText() == "Pb"
    QTest.mouseClick(importing.form.swap, LEFT)
    qtbot.waitUntil(lambda: importing.placed.outside > 0, timeout=20_000)
    assert "order of x and y" in importing.said.text()
    QTest.mouseClick(importing.form.swap, LEFT)
    qtbot.waitUntil(lambda: importing.placed.outside == 0, timeout=20_000)
    importing.form.element.setFocus()
    importing.form.element.setCurrentText("Ti")
    qtbot.waitUntil(lambda: set(importing.placed.atoms["element"]) == {"Ti"}, timeout=20_000)
    assert importing.add_button.text() == f"Add {len(centres)} labels"
    number = workbench.session.project.edit_number
    QTest.mouseClick(importing.add_button, LEFT)
    assert workbench.session.project.edit_number == number + 1
    assert np.allclose(positions(workbench.session.atoms()), centres, atol=1e-3)
    assert "Import preview" not in workbench.desk.viewer.layers
    canvas.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert workbench.session.atoms().empty


def test_cancel_adds_nothing_and_takes_the_points_away(
    importing, workbench, centres, tmp_path, qtbot
):
    np.savetxt(tmp_path / "p.csv", centres, delimiter=",", header="x,y", comments="")
    look(importing, tmp_path / "p.csv", qtbot)
    QTest.mouseClick(importing.cancel_button, LEFT)
    assert workbench.session.atoms().empty
    assert "Import preview" not in workbench.desk.viewer.layers


def test_labels_go_out_and_come_in_as_they_were(importing, workbench, tmp_path, qtbot):
    table = make_atoms([(40.0, 40.0), (60.0, 40.0)], ["Pb", "Ti"], origin="corrected")
    workbench.session.add_atoms(table)
    importing.export("csv", str(tmp_path / "out.csv"))
    workbench.desk.undo()
    look(importing, tmp_path / "out.csv", qtbot)
    assert not importing.form.ask.isVisibleTo(importing), "nothing need be asked"
    QTest.mouseClick(importing.add_button, LEFT)
    back = workbench.session.atoms()
    assert positions(back).tolist() == [[40.0, 40.0], [60.0, 40.0]]
    assert back["origin"].tolist() == ["corrected", "corrected"]
    look(importing, tmp_path / "out.csv", qtbot)
    assert importing.placed.doubled == 2, "no label is set upon another"
    assert not importing.add_button.isEnabled()


def test_what_cannot_be_read_is_said_in_the_panel(importing, tmp_path, qtbot):
    (tmp_path / "no.csv").write_text("nothing here\n")
    importing.import_file(str(tmp_path / "no.csv"))
    qtbot.waitUntil(lambda: "Looking" not in importing.said.text(), timeout=20_000)
    assert importing.said.text()
    assert not importing.add_button.isEnabled()


def test_the_map_goes_out_as_a_picture_and_as_channels_and_comes_back(
    importing, workbench, centres, tmp_path, qtbot
):
    names = ["Pb", "Ti"] * (len(centres) // 2)
    workbench.session.add_atoms(make_atoms(centres, names))
    picture = tmp_path / "map.png"
    export_picture(workbench, str(picture))
    qtbot.waitUntil(picture.exists, timeout=20_000)
    elements = [Element(name="Pb", color="#FF00FF"), Element(name="Ti", color="#FFFF00")]
    channels = unmix(read_picture(picture), elements)
    drawn = workbench.desk.map_drawing()()
    assert np.abs(channels - drawn).max() < 0.02
    export_channels(workbench, str(tmp_path))
    stem = workbench.source_name()
    last = tmp_path / f"{stem}_map_Ti.tif"
    qtbot.waitUntil(last.exists, timeout=20_000)
    qtbot.wait(50)
    workbench.session.remove_atoms(workbench.session.atoms()["id"].tolist())
    look(importing, picture, qtbot)
    assert importing.colors.answers() == {"#FF00FF": "Pb", "#FFFF00": "Ti"}
    QTest.mouseClick(importing.add_button, LEFT)
    back = workbench.session.atoms()
    assert len(back) == len(centres)
    order = [int(np.hypot(*(positions(back) - c).T).argmin()) for c in centres]
    assert np.abs(positions(back)[order] - centres).max() < 0.3
    assert back["element"].to_numpy()[order].tolist() == names


def test_the_radius_is_said_in_pm_and_kept_for_the_training(workbench, centres, qtbot):
    box = workbench.label_tab.map
    workbench.session.add_atoms(make_atoms(centres, "Pb"))
    assert box.unit.currentText() == "pm"
    assert box.radius.text() == "auto: 80"
    box.unit.setCurrentText("px")
    assert box.radius.text() == "auto: 4.0"
    box.radius.setValue(3.0)
    project = workbench.session.project
    qtbot.waitUntil(lambda: project.elements[0].radius_pm == 60.0)
    box.unit.setCurrentText("pm")
    assert box.radius.value() == 60.0
    workbench.desk.undo()
    assert box.radius.text() == "auto: 80"
