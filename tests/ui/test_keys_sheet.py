"""The sheet of keys says what each does now, and keys can be changed."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.settings import Settings
from napari_apgan.ui.keys import KEYS, binding, changes_of, chosen_keys, rebound

pytestmark = pytest.mark.gui

SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


def test_every_line_of_the_table_has_its_own_name_and_key():
    assert len({k.name for k in KEYS}) == len(KEYS)
    assert len({str(binding(k.combo)) for k in KEYS}) == len(KEYS)


def test_a_taken_key_and_an_unknown_one_are_refused_in_a_sentence():
    with pytest.raises(UserError, match="L is taken: select atoms by drawing around them"):
        rebound(KEYS, "erase", "l")
    with pytest.raises(UserError, match="press another"):
        rebound(KEYS, "erase", "Tab")
    with pytest.raises(UserError, match="no key that the canvas can take"):
        rebound(KEYS, "erase", "Shift-é")
    with pytest.raises(UserError, match="Ctrl"):
        rebound(KEYS, "erase", "Control-Shift-Z")


def test_exchanged_keys_are_remembered_and_nonsense_in_the_file_is_left_out():
    changes = {"erase": "L", "lasso": "E", "no_such_act": "X", "region": "M", "sequence": "?"}
    keys = {k.name: k.combo for k in chosen_keys(changes)}
    assert (keys["erase"], keys["lasso"]) == ("L", "E")
    assert (keys["region"], keys["output_map"], keys["sequence"]) == ("R", "M", "S")
    assert [k.name for k in chosen_keys(changes)] == [k.name for k in KEYS]
    assert changes_of(chosen_keys(changes)) == {"erase": "L", "lasso": "E"}


def test_the_sheet_says_what_keys_do_now(workbench, canvas):
    canvas.key(Qt.Key.Key_F1)
    sheet = workbench.keys_sheet
    assert sheet.isVisible()
    assert sheet.text_of("element_1").startswith("1 | Pb: a click adds it (as now)")
    workbench.session.add_atoms(make_atoms([(40.0, 40.0), (60.0, 40.0)], "Pb"))
    workbench.atoms.select([("label", 0), ("label", 1)])
    assert sheet.text_of("element_2").startswith("2 | Ti: make the 2 selected atoms Ti")
    assert sheet.text_of("nudge_left").startswith(
        "Left | Nudge the 2 selected atoms left by 0.1 px"
    )
    assert sheet.text_of("delete").startswith("Delete | Remove the 2 selected atoms")
    assert sheet.text_of("undo") == "Ctrl+Z | Undo: add 2 atoms | "
    canvas.key(Qt.Key.Key_E)
    assert sheet.text_of("erase").startswith("E | Put down")
    assert sheet.text_of("clear") == "Escape | Put the tool down | "
    sheet.close()


def test_another_key_takes_over_at_once_and_is_remembered(workbench, canvas):
    workbench.show_keys()
    sheet = workbench.keys_sheet
    sheet.begin("erase")
    QTest.keyClick(sheet, Qt.Key.Key_L)
    assert "L is taken" in sheet.note.text()
    QTest.keyClick(sheet, Qt.Key.Key_X, CTRL)
    assert Settings.load().keys == {"erase": "Control-X"}
    canvas.key(Qt.Key.Key_E)
    assert workbench.desk.hand.tool == "atoms", "the old key does nothing any more"
    canvas.key(Qt.Key.Key_X, CTRL)
    assert workbench.desk.hand.tool == "erase"
    assert "Ctrl+X" in workbench.label_tab.hand.erase.toolTip()
    sheet.begin("lasso")
    QTest.keyClick(sheet, Qt.Key.Key_Escape)
    assert sheet.isVisible()
    assert Settings.load().keys == {"erase": "Control-X"}
    sheet.usual.click()
    assert Settings.load().keys == {}
    canvas.key(Qt.Key.Key_E)
    assert workbench.desk.hand.tool == "atoms"
    sheet.close()


def test_a_key_that_napari_uses_is_told(workbench):
    workbench.show_keys()
    sheet = workbench.keys_sheet
    sheet.begin("erase")
    QTest.keyClick(sheet, Qt.Key.Key_V)
    assert sheet.text_of("erase").endswith(" | toggle selected visibility")
    sheet.usual.click()
    sheet.close()


def test_keys_on_the_sheet_never_reach_the_atoms(workbench):
    workbench.session.add_atoms(make_atoms([(40.0, 40.0)], "Pb"))
    workbench.atoms.select([("label", 0)])
    workbench.show_keys()
    sheet = workbench.keys_sheet
    for widget in (sheet.list, sheet.change, sheet.usual, sheet):
        widget.setFocus()
        for key in (Qt.Key.Key_Delete, Qt.Key.Key_2, Qt.Key.Key_Right):
            QTest.keyClick(widget, key)
    assert workbench.session.atoms()["element"].tolist() == ["Pb"]
    assert workbench.session.atoms()["x_px"].tolist() == [40.0]
    sheet.close()
