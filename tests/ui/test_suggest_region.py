"""A region of some cells by one click and Enter."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element
from napari_apgan.regions import Region

pytestmark = pytest.mark.gui

SPACING = 16


@pytest.fixture
def large(open_workbench, lattice):
    """A workbench on 16x12 cells, Suggest set to boxes of four, and the centres of the atoms."""
    image, centres = lattice((192, 256))
    workbench = open_workbench(image)
    workbench.desk.add_element(Element(name="Pb", color="#FF00FF"))
    workbench.label_tab.suggestion.cells.setValue(4)
    return workbench, centres


def suggested(workbench, qtbot, deed):
    """Do something that asks for a box, and return the new one."""
    suggestion = workbench.label_tab.suggestion
    before = suggestion.draft
    deed()
    qtbot.waitUntil(
        lambda: suggestion._worker is None and suggestion.draft not in (None, before),
        timeout=20_000,
    )
    return suggestion.draft


def test_a_click_moves_the_suggested_box_and_enter_takes_it(large, hand_on, qtbot):
    workbench, centres = large
    workbench.session.add_atoms(make_atoms(centres, "Pb"))
    suggestion, canvas = workbench.label_tab.suggestion, hand_on(workbench)
    first = suggested(workbench, qtbot, suggestion.button.click)
    assert first.labelled == 16
    assert workbench.session.regions() == [], "it is a draft"
    drawn = workbench.desk.regions.layer
    assert drawn.features["caption"].tolist() == ["4x4 cells: 16 labelled"]
    moved = suggested(
        workbench, qtbot, lambda: canvas.click(first.centre[0] + 20, first.centre[1] + 10)
    )
    assert np.abs(np.subtract(moved.centre, first.centre) - (20, 10)).max() <= SPACING / 2 + 1
    assert len(workbench.session.atoms()) == len(centres), "the click added no atom"
    canvas.key(Qt.Key.Key_Return)
    (region,) = workbench.session.regions()
    assert region.kind == "complete"
    assert np.ptp(region.polygon, axis=0) == pytest.approx((64, 64), rel=0.03)
    assert workbench.desk.hand.tool == "atoms"
    assert drawn.features["caption"].tolist() == [""], "the draft is gone"
    assert len(workbench.session.project.pairs) == 1
    canvas.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert workbench.session.regions() == []


def test_the_next_best_box_lies_elsewhere_and_away_from_regions(large, qtbot):
    workbench, centres = large
    suggestion = workbench.label_tab.suggestion
    workbench.session.add_region(Region.rectangle(-0.5, -0.5, 127.5, 191.5))
    first = suggested(workbench, qtbot, suggestion.button.click)
    assert first.box[0] > 120
    assert first.untouched == 16, "atoms without a label are found by themselves"
    second = suggested(workbench, qtbot, suggestion.button.click)
    assert np.abs(np.subtract(second.centre, first.centre)).max() > 25
    larger = suggested(workbench, qtbot, lambda: suggestion.cells.setValue(6))
    assert larger.size == "6x6 cells"
    assert len(centres) == 192


def test_doubted_predictions_draw_the_box(large, qtbot):
    workbench, centres = large
    near = np.abs(centres - (200, 60)).max(axis=1) < 33
    table = make_atoms(centres, "Pb", origin="predicted").assign(id=np.arange(len(centres)))
    doubts = {int(i): "low probability" for i in table["id"][near]}
    workbench.atoms.show_predicted(table, doubts)
    found = suggested(workbench, qtbot, workbench.label_tab.suggestion.button.click)
    assert found.unsure >= 12
    assert np.abs(np.subtract(found.centre, (200, 60))).max() < 20


def test_escape_and_another_frame_drop_the_draft(large, hand_on, qtbot):
    workbench, _ = large
    suggestion, canvas = workbench.label_tab.suggestion, hand_on(workbench)
    suggested(workbench, qtbot, suggestion.button.click)
    canvas.key(Qt.Key.Key_Escape)
    assert suggestion.draft is None
    assert workbench.desk.regions.layer.nshapes == 0
    canvas.key(Qt.Key.Key_Return)
    assert workbench.session.regions() == []
    x, y = 100.0, 90.0
    canvas.click(x, y)
    assert len(positions(workbench.session.atoms())) == 1, "clicks add atoms again"


def test_where_no_box_can_be_sized_it_is_said(open_workbench, qtbot):
    noise = np.random.default_rng(0).normal(0, 1, (64, 64)).astype(np.float32)
    workbench = open_workbench(np.where(noise > 9, noise, 0).astype(np.float32))
    workbench.label_tab.suggestion.button.click()
    qtbot.waitUntil(lambda: "drag one" in workbench.messages.text.text(), timeout=20_000)
    assert workbench.label_tab.suggestion.draft is None
