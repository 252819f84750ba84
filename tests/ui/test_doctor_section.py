"""Doubtful labels are listed, walked and fixed by one key each."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_apgan.atoms import concat, make_atoms, next_id
from napari_apgan.ui import train_doubts

pytestmark = pytest.mark.gui

SPACE, ACCEPT, IGNORE = Qt.Key.Key_Space, Qt.Key.Key_A, Qt.Key.Key_I
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
DOUBLED, BESIDE = 19, 28


@pytest.fixture
def doctor(workbench, centres, qtbot):
    """The doctor's report on labels of which one is doubled and one lies beside its column."""
    xy = centres.copy()
    xy[BESIDE] += (0.0, 5.0)
    table = make_atoms(xy, "Pb")
    double = make_atoms(centres[DOUBLED] + (1.5, 1.0), "Pb", id=next_id(table["id"]))
    workbench.session.add_atoms(concat([table, double]))
    section = workbench.label_tab.show_section("doctor")
    check(section, qtbot)
    return section


def check(section, qtbot):
    with qtbot.waitSignal(section.examination.done, timeout=60_000):
        QTest.mouseClick(section.check_button, Qt.MouseButton.LeftButton)


def near(suspect, place):
    return np.hypot(suspect.x - place[0], suspect.y - place[1]) < 6.0


def test_suspects_are_listed_in_groups_with_reasons(doctor):
    names = [r.name + r.tail for r in doctor.list.rows]
    assert names[0] == "Too close · 1"
    assert any(n.startswith("Off peak") for n in names)
    assert all(r.detail for r in doctor.list.rows if not r.quiet)
    assert "1 too close" in doctor.said.text()


def test_space_walks_a_fixes_and_one_undo_takes_it_back(doctor, workbench, canvas, centres, qtbot):
    n = len(workbench.session.atoms())
    canvas.key(SPACE)
    assert doctor.current.kind == "too close"
    assert near(doctor.current, centres[DOUBLED])
    assert len(workbench.atoms.selected) == 1
    assert len(workbench.desk.marks.suspects) == len(doctor.suspects)
    y, x = workbench.desk.viewer.scene.camera.center[-2:]
    at = workbench.image_layer.world_to_data((y, x))
    assert np.hypot(at[1] - doctor.current.x, at[0] - doctor.current.y) < 1.0, "in the middle"
    left = len(doctor.suspects)
    canvas.key(ACCEPT)
    assert len(workbench.session.atoms()) == n - 1
    assert len(doctor.suspects) == left - 1
    assert doctor.current is not None, "it goes on to the next"
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert len(workbench.session.atoms()) == n
    with qtbot.waitSignal(doctor.examination.done, timeout=60_000):
        pass  # the labels are examined again by themselves
    assert len(doctor.suspects) == left


def test_an_ignored_suspect_stays_quiet_until_it_is_asked_for(doctor, workbench, canvas, qtbot):
    canvas.key(SPACE)
    key = doctor.current.key
    canvas.key(IGNORE)
    assert key not in [s.key for s in doctor.suspects]
    check(doctor, qtbot)
    assert key not in [s.key for s in doctor.suspects]
    with qtbot.waitSignal(doctor.examination.done, timeout=60_000):
        QTest.mouseClick(doctor.again, Qt.MouseButton.LeftButton)
    assert key in [s.key for s in doctor.suspects]


def test_shift_space_goes_back_and_a_row_can_be_clicked(doctor, workbench, canvas):
    canvas.key(SPACE)
    canvas.key(SPACE)
    assert doctor.current is doctor.suspects[1 % len(doctor.suspects)]
    canvas.key(SPACE, SHIFT)
    assert doctor.current is doctor.suspects[0]
    last = doctor.list.item(len(doctor.list.rows) - 1)
    where = doctor.list.visualItemRect(last).center()
    doctor.list.scrollToItem(last)
    where = doctor.list.visualItemRect(last).center()
    QTest.mouseClick(doctor.list.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert doctor.current is doctor.suspects[-1]


def test_the_train_tab_says_what_is_doubtful_and_leads_there(doctor, workbench, qtbot, monkeypatch):
    monkeypatch.setattr(train_doubts, "PAUSE_MS", 10)
    workbench.session.ensure_project().add_pair(workbench.session.source_id, 0)
    workbench.show_tab("train")
    doubts = workbench.train_tab.doubts
    qtbot.waitUntil(lambda: doubts.total > 0, timeout=60_000)
    assert doubts.isVisible()
    assert f"{doubts.total} labels look doubtful." == doubts.text.text()
    assert workbench.train_tab.primary.isEnabled(), "nothing is blocked"
    QTest.mouseClick(doubts.look_button, Qt.MouseButton.LeftButton)
    assert doctor.isVisible()
    qtbot.waitUntil(lambda: bool(doctor.suspects), timeout=60_000)
