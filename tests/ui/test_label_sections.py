"""The folding sections of the Label tab."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication, QScrollArea, QVBoxLayout, QWidget

from napari_apgan.label.protocol import TaskDone
from napari_apgan.settings import Settings
from napari_apgan.ui.label_helper import LabelTask
from napari_apgan.ui.label_sections import (
    SECTIONS,
    FoldingSection,
    LabelSection,
    SectionStack,
    label_helper_of,
)
from napari_apgan.ui.widgets import scrolled


def test_sections_are_made_when_first_opened_and_remembered(workbench):
    stack = workbench.label_tab.sections
    fold = stack.folds["import"]
    assert fold.section is None
    fold.toggle.click()
    assert fold.section.isVisibleTo(workbench.label_tab)
    assert Settings.load().open_sections == ["import"]
    again = SectionStack(workbench.session, workbench)
    assert again.folds["import"].opened
    assert again.folds["import"].section is None, "nobody has looked at it"
    fold.toggle.click()
    assert not fold.section.isVisibleTo(workbench.label_tab)
    assert Settings.load().open_sections == []


def test_a_section_left_open_is_made_when_it_is_first_seen(qtbot):
    def make(_kind):
        section = LabelSection(None, SimpleNamespace(desk=None))
        section.setMinimumHeight(200)
        return section

    fold, content = FoldingSection(SECTIONS[0], make), QWidget()
    layout = QVBoxLayout(content)
    layout.addSpacing(900)
    layout.addWidget(fold)
    area = scrolled(content)
    qtbot.addWidget(area)
    area.resize(300, 300)
    fold.restore()
    scrolls = []
    fold.grown.connect(scrolls.append)
    with qtbot.waitExposed(area):
        area.show()
    area.grab()
    QApplication.processEvents()
    assert fold.opened
    assert fold.section is None
    area.ensureWidgetVisible(fold)
    qtbot.waitUntil(lambda: fold.height() > 200)
    assert fold.section.isVisible()
    assert scrolls == [], "it was not opened just now"
    fold.toggle.click()
    fold.toggle.click()
    assert scrolls == [fold]


def test_an_opened_section_scrolls_into_view(workbench, qtbot):
    workbench.resize(360, 420)
    last = list(workbench.label_tab.sections.folds.values())[-1]
    area = last
    while not isinstance(area, QScrollArea):
        area = area.parentWidget()

    def top():
        return last.toggle.mapTo(area.viewport(), QPoint(0, 0)).y()

    qtbot.waitUntil(lambda: top() > area.viewport().height())
    last.toggle.click()
    qtbot.waitUntil(lambda: 0 <= top() < area.viewport().height())


def test_every_section_opens(workbench):
    for kind in SECTIONS:
        section = workbench.label_tab.sections.open(kind.name)
        assert section.isVisibleTo(workbench.label_tab)


@pytest.fixture
def task(workbench):
    made = LabelTask(label_helper_of(workbench), workbench.session, "sing")
    yield made
    made.close()


def test_a_task_that_does_not_exist_fails_in_a_sentence(task, qtbot):
    with qtbot.waitSignal(task.failed, timeout=30_000) as said:
        task.ask()
    assert said.args[0] == "There is no task called 'sing'."
    assert not task.busy


def test_answers_for_a_frame_that_was_left_are_not_shown(task, qtbot):
    task.ask()
    task.place = ("elsewhere", 0)
    done = []
    task.done.connect(done.append)
    reply = TaskDone(id=task._id, task="sing", sentence="", files={}, values={}, seconds=0.0)
    with qtbot.waitSignal(task.cancelled):
        task._on_done(reply)
    assert done == []


def test_no_section_is_wider_than_a_narrow_dock(workbench):
    for kind in SECTIONS:
        section = workbench.label_tab.sections.open(kind.name)
        assert section.minimumSizeHint().width() <= 330, kind.name
