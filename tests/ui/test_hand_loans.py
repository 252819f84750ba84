"""A tool that is lent gives its clicks and drawings to whoever asked, and makes nothing of them."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_apgan.ui.hand import Loan

pytestmark = pytest.mark.gui


@pytest.fixture
def taken(workbench):
    class Record(list):
        left = 0

        def leave(self) -> None:
            self.left += 1

        def lend(self, tool: str) -> None:
            workbench.desk.hand.lend(tool, Loan(self.append, self.leave))

    return Record()


def test_clicks_go_to_the_borrower_until_escape(workbench, canvas, taken):
    taken.lend("point")
    canvas.click(40.0, 30.0)
    canvas.click(60.0, 50.0)
    assert np.allclose(np.ravel(taken), [40, 30, 60, 50], atol=0.6)
    assert workbench.session.atoms().empty
    canvas.key(Qt.Key.Key_Escape)
    assert taken.left == 1
    canvas.click(80.0, 50.0)
    assert len(taken) == 2
    assert len(workbench.session.atoms()) == 1


def test_a_lent_box_makes_no_region(workbench, canvas, taken):
    taken.lend("box")
    assert not workbench.label_tab.regions.box_button.isChecked()
    canvas.drag((20.0, 20.0), (70.0, 60.0))
    assert workbench.session.regions() == []
    ((a, _b, c, _d),) = taken
    assert np.allclose([*a, *c], [20, 20, 70, 60], atol=0.8)
    assert taken.left == 0
    assert workbench.desk.hand.tool == "atoms"


def test_a_lent_polygon_is_closed_by_enter(workbench, canvas, taken):
    taken.lend("polygon")
    for corner in ((20.0, 20.0), (70.0, 20.0), (70.0, 60.0)):
        canvas.click(*corner)
    canvas.key(Qt.Key.Key_Return)
    assert len(taken[0]) == 3
    assert workbench.session.regions() == []


def test_another_tool_ends_the_loan(workbench, canvas, taken):
    taken.lend("point")
    canvas.key(Qt.Key.Key_R)
    assert taken.left == 1
    canvas.drag((20.0, 20.0), (70.0, 60.0))
    assert len(workbench.session.regions()) == 1
    assert taken == []
