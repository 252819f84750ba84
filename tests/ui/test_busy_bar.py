"""The bar of a wait that knows no end: it moves in few steps, and only while it is seen."""

from __future__ import annotations

import pytest
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QTabWidget, QWidget

from napari_apgan.ui import busy_bar
from napari_apgan.ui.busy_bar import BusyBar

pytestmark = pytest.mark.gui


class CountingBar(BusyBar):
    """A bar that counts how often it is drawn."""

    drawn = 0

    def paintEvent(self, event) -> None:  # noqa: N802
        self.drawn += 1
        super().paintEvent(event)


@pytest.fixture
def show_bar(qtbot, monkeypatch):
    """Show a bar without an end that takes a step in so many milliseconds."""

    def show(step_ms: int) -> tuple[CountingBar, QTabWidget]:
        monkeypatch.setattr(busy_bar, "STEP_MS", step_ms)
        bar, tabs = CountingBar(), QTabWidget()
        bar.show_progress(0, 0, "Starting")
        tabs.addTab(bar, "bar")
        tabs.addTab(QWidget(), "other")
        qtbot.addWidget(tabs)
        tabs.show()
        qtbot.waitUntil(lambda: bar.drawn > 0)
        return bar, tabs

    return show


def test_it_moves_while_it_is_shown_and_holds_still_while_it_is_hidden(qtbot, show_bar):
    bar, tabs = show_bar(1)
    first = bar.place
    qtbot.waitUntil(lambda: bar.place != first)
    for hide, show in (
        (bar.hide, bar.show),
        (lambda: tabs.setCurrentIndex(1), lambda: tabs.setCurrentIndex(0)),
    ):
        hide()
        left = bar.place
        QTest.qWait(50)
        assert bar.place == left
        show()
        qtbot.waitUntil(lambda left=left: bar.place != left)


def test_it_is_not_drawn_between_its_steps(qtbot, show_bar):
    bar, _ = show_bar(3_600_000)

    def rests() -> bool:
        drawn = bar.drawn
        QTest.qWait(200)
        return bar.drawn == drawn

    qtbot.waitUntil(rests)  # at once, but for what comes late of being shown


def test_its_places_look_different(show_bar):
    bar, _ = show_bar(3_600_000)
    before = bar.grab().toImage()
    bar.place += 1
    assert bar.grab().toImage() != before


def test_it_stands_where_the_end_is_known(qtbot, show_bar):
    bar, _ = show_bar(1)
    bar.show_progress(1, 4, "%p %")
    assert bar.text() == "25 %"
    QTest.qWait(20)  # the step that was under way
    left = bar.place
    QTest.qWait(50)
    assert bar.place == left
    bar.show_progress(0, 0)
    qtbot.waitUntil(lambda: bar.place != left)
