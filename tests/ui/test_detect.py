"""Detect: the network of the package in the helper, and what happens where it cannot be asked."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element
from napari_apgan.ui import predict_overlay
from napari_apgan.ui.helper import Helper

pytestmark = pytest.mark.gui

#: Nothing here waits for more than this; a busy machine is slow to import torch.
PATIENCE_MS = 150_000


def use_helper(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let workbenches start another program as their prediction helper."""
    command = [sys.executable, "-c", code]
    monkeypatch.setattr(predict_overlay, "Helper", partial(Helper, command=command))


@pytest.fixture
def silent_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    use_helper(monkeypatch, "import time; time.sleep(600)")


@pytest.fixture
def dying_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    use_helper(monkeypatch, "import sys; sys.exit('no torch here')")


def test_the_network_finds_dark_atoms_that_have_no_label(
    bundled_network, open_workbench, lattice, qtbot, torch_free
):
    image, centres = lattice()
    workbench = open_workbench(-image)
    workbench.desk.add_element(Element(name="O", color="#00FFFF", polarity="dark"))
    workbench.session.element = "O"
    workbench.session.add_atoms(make_atoms(centres[:3], "O"))
    tab = workbench.label_tab
    detection, box = tab.detection, tab.detect
    box.find.click()
    assert not box.find.isEnabled()
    assert not box.cancel.isHidden()
    assert "network" in box.note.text()
    detection.run()
    assert workbench.predictions.helper.busy, "a second wish waits for the first"
    qtbot.waitUntil(lambda: detection.candidates > 0, timeout=PATIENCE_MS)
    assert "dark atoms found" in box.note.text()
    assert box.note.text().endswith("3 of them have labels.")
    assert box.busy.isHidden()
    found = detection.candidates
    sure = np.sort(detection._found.table(found)["probability"])[::-1]
    for value, kept in ((500, round(0.5 * found)), (900, round(0.1 * found)), (1000, 1)):
        box.slider.setValue(value)
        assert detection.candidates == kept, "the slider goes by rank"
        shown = detection._found.table(detection._kept)["probability"]
        assert shown.min() == sure[kept - 1], "the surest stay"
        assert box.count.text() == f"{kept} of {found}"
    box.slider.setValue(0)
    assert box.keep.text() == "Keep all as O"
    assert tab.primary.text() == f"Keep {found} atoms, all as O"
    tab.primary.click()
    table = workbench.session.atoms()
    new = table[table["origin"] == "detected"]
    assert len(new) == found
    assert set(new["element"]) == {"O"}
    assert new["probability"].between(0.0, 1.0).all()
    distance, _ = cKDTree(positions(table)).query(centres)
    assert np.mean(distance < 1.5) > 0.95
    assert box.note.isHidden()
    torch_free()


def test_without_the_network_atoms_are_found_by_contrast_and_it_is_said(workbench, centres, qtbot):
    detection, box = workbench.label_tab.detection, workbench.label_tab.detect
    box.find.click()
    qtbot.waitUntil(lambda: detection.candidates > 0, timeout=20_000)
    assert detection.candidates == len(centres)
    said = "Found by contrast alone. This installation lacks the bundled weights"
    assert box.note.text().startswith(said)
    assert not workbench.predictions.helper.is_running
    qtbot.waitUntil(lambda: detection.worker is None, timeout=20_000)


def test_when_the_helper_fails_atoms_are_found_by_contrast_and_it_is_said(
    dying_helper, bundled_network, workbench, centres, qtbot
):
    detection, box = workbench.label_tab.detection, workbench.label_tab.detect
    box.find.click()
    qtbot.waitUntil(lambda: detection.candidates > 0, timeout=PATIENCE_MS)
    assert detection.candidates == len(centres)
    assert box.note.text() == "Found by contrast alone. The network could not be used."
    assert "keeps stopping" in workbench.messages.text.text()
    assert not workbench.messages.details_button.isHidden()
    qtbot.waitUntil(lambda: detection.worker is None, timeout=20_000)


def test_a_search_can_be_cancelled_and_started_again(
    silent_helper, bundled_network, workbench, qtbot
):
    box, helper = workbench.label_tab.detect, workbench.predictions.helper
    primary = workbench.label_tab.primary
    for start, end in ((box.find, box.cancel), (primary, primary)):
        start.click()
        assert helper.busy
        assert primary.text() == "Looking for atoms … (cancel)"
        end.click()
        assert primary.text() == "Detect atoms"
        assert not helper.busy
        assert box.busy.isHidden()
        assert box.find.isEnabled()
        assert box.note.text() == "Detection cancelled; nothing was added."
    assert workbench.messages.text.text() == "", "a prediction was not cancelled"


def test_a_search_ends_when_the_user_goes_to_another_frame(
    silent_helper, bundled_network, open_workbench, lattice
):
    image, _ = lattice()
    workbench = open_workbench(np.stack([image, image]))
    workbench.desk.add_element(Element(name="Pb", color="#FF00FF"))
    workbench.session.element = "Pb"
    box, helper = workbench.label_tab.detect, workbench.predictions.helper
    box.find.click()
    assert helper.busy
    workbench.session.go_to(workbench.session.source_id, 1 - workbench.session.frame_index)
    assert not helper.busy
    assert box.find.isEnabled()
