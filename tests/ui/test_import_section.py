"""Labels of other programs are seen over the image before they are added, in one edit."""

from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element
from napari_apgan.io import export_atoms
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


def point_roi(xy: np.ndarray) -> bytes:
    """Return points between pixels as ImageJ writes them, counted from the corner of the first."""
    head, second = bytearray(64), bytearray(64)
    whole = np.floor(xy).astype(int)
    left, top = whole.min(axis=0)
    head[:10] = b"Iout" + struct.pack(">hBBh", 227, 10, 0, top)
    head[10:18] = struct.pack(">hhhH", left, whole[:, 1].max() + 1, whole[:, 0].max() + 1, len(xy))
    head[50:52] = struct.pack(">h", 128)
    body = (whole - (left, top)).T.astype(">i2").tobytes() + xy.T.astype(">f4").tobytes()
    head[60:64] = struct.pack(">i", 64 + len(body))
    return bytes(head + body + second)


def test_files_of_atomap_imagej_and_deeplabcut_come_in_by_the_mouse(
    importing, workbench, centres, tmp_path, monkeypatch, qtbot
):
    form, session = importing.form, workbench.session

    def choose(name):
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / name), ""))
        QTest.mouseClick(importing.import_button, LEFT)
        qtbot.waitUntil(lambda: importing.placed is not None, timeout=20_000)
        assert session.atoms().empty, "nothing is added before it is wished"

    def added():
        QTest.mouseClick(importing.add_button, LEFT)
        table = session.atoms()
        workbench.desk.undo()
        return {n: positions(part) for n, part in table.groupby("element", observed=True)}

    names = ["Pb", "Ti"] * (len(centres) // 2)
    atoms, elements = make_atoms(centres, names), workbench.desk.elements
    export_atoms(atoms, tmp_path / "lattice.hdf5", "atomap", elements=elements)
    choose("lattice.hdf5")
    assert form.note.text().startswith("2 sublattices of atomap")
    assert np.allclose(importing.layer.data[:, ::-1], [*centres[::2], *centres[1::2]])
    form.names.boxes["Ti"].setFocus()
    form.names.boxes["Ti"].setCurrentText("Sr")
    qtbot.waitUntil(lambda: "Sr" in set(importing.placed.atoms["element"]), timeout=20_000)
    there = added()
    assert set(there) == {"Pb", "Sr"}
    assert np.allclose(there["Sr"], centres[1::2])

    with zipfile.ZipFile(tmp_path / "RoiSet.zip", "w") as packed:
        packed.writestr("Pb_0001.roi", point_roi(centres[:5] + 0.5))
        packed.writestr("Ti_0002.roi", point_roi(centres[5:9] + 0.5))
    choose("RoiSet.zip")
    assert not form.first_pixel.isVisibleTo(form), "the file says where its pixels begin"
    there = added()
    assert np.allclose(there["Pb"], centres[:5], atol=1e-3)
    assert np.allclose(there["Ti"], centres[5:9], atol=1e-3)

    (x, y), (u, v) = centres[10], centres[12]
    lines = (
        "scorer,me,me,me,me,me,me",
        "bodyparts,Pb1,Pb1,Pb1,Ti1,Ti1,Ti1",
        "coords,x,y,likelihood,x,y,likelihood",
        f"img0.png,{x},{y},0.95,{u},{v},0.25",
    )
    (tmp_path / "CollectedData_me.csv").write_text("\n".join(lines))
    choose("CollectedData_me.csv")
    assert importing.add_button.text() == "Add 2 labels"
    form.likelihood.setFocus()
    for _ in range(5):
        QTest.keyClick(form.likelihood, Qt.Key.Key_Up)
    qtbot.waitUntil(lambda: importing.add_button.text() == "Add 1 label", timeout=20_000)
    there = added()
    assert set(there) == {"Pb"}
    assert np.allclose(there["Pb"], [centres[10]])


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
