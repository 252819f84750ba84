"""Overlays of the Review tab: the network of the package before any training, and uncertainty."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element
from napari_apgan.maps import output_map
from napari_apgan.predict.files import write_prediction
from napari_apgan.predict.prediction import Prediction
from napari_apgan.ui import predict_overlay
from napari_apgan.ui.helper import Helper
from napari_apgan.ui.probability import DEVIATION_NAME

pytestmark = pytest.mark.gui

#: Nothing here waits for more than this; a busy machine is slow to import torch.
PATIENCE_MS = 150_000


def names(workbench) -> list[str]:
    return [layer.name for layer in workbench.viewer.layers]


@pytest.fixture
def silent_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(predict_overlay, "Helper", partial(Helper, command=command))


def test_before_any_training_the_network_of_the_package_is_the_overlay(
    bundled_network, open_workbench, lattice, qtbot, torch_free
):
    image, centres = lattice()
    workbench = open_workbench(np.stack([-image, -image]))
    workbench.desk.add_element(Element(name="O", color="#00FFFF", polarity="dark"))
    workbench.session.element = "O"
    workbench.session.go_to(workbench.session.source_id, 0)
    workbench.show_tab("review")
    tab, predictions = workbench.review_tab, workbench.predictions
    assert "knows no elements" in tab.teach.text()
    assert "nothing is trained yet" in tab.predict.button.toolTip()
    assert not predictions.busy, "it waits until it is asked"
    tab.predict.button.click()
    qtbot.waitUntil(lambda: predictions.shown is not None, timeout=PATIENCE_MS)
    assert "O probability" in names(workbench)
    assert DEVIATION_NAME not in names(workbench)
    table = predictions.shown.atoms
    assert set(table["element"]) == {"O"}
    assert np.mean(cKDTree(positions(table)).query(centres)[0] < 1.5) > 0.95
    assert "dark atoms found" in workbench.messages.text.text()
    assert "all are drawn as O" in workbench.messages.text.text()
    assert tab.primary.text() == "Train a first model"
    assert not tab.items

    number = int(table["id"].iloc[0])
    workbench.atoms.select([("predicted", number)])
    tab.accept()
    labels = workbench.session.atoms()
    assert labels["element"].tolist() == ["O"]
    assert labels["origin"].tolist() == ["predicted"]

    workbench.session.go_to(workbench.session.source_id, 1)
    qtbot.waitUntil(lambda: predictions.shown is None, timeout=PATIENCE_MS)
    qtbot.wait(2 * predict_overlay.SETTLE_MS)
    assert not predictions.busy, "another frame is not predicted unasked"
    workbench.session.go_to(workbench.session.source_id, 0)
    qtbot.waitUntil(lambda: predictions.shown is not None, timeout=PATIENCE_MS)

    tab.predict.uncertainty.click()
    qtbot.waitUntil(lambda: DEVIATION_NAME in names(workbench), timeout=PATIENCE_MS)
    assert predictions.shown.deviation.shape == (1, *image.shape)
    order = names(workbench)
    assert order.index("O probability") < order.index(DEVIATION_NAME) < order.index("Atoms")
    layer = workbench.viewer.layers[DEVIATION_NAME]
    assert layer.data.shape == image.shape
    assert np.allclose(layer.scale, workbench.image_layer.scale[-2:])
    tab.predict.overlay.click()
    assert not layer.visible
    tab.predict.overlay.click()
    tab.predict.uncertainty.click()
    assert DEVIATION_NAME not in names(workbench)
    tab.predict.uncertainty.click()
    assert DEVIATION_NAME in names(workbench), "it is there already"
    assert not predictions.busy
    torch_free()


def test_maps_lie_on_the_image_in_the_order_of_the_elements_and_uncertainty_on_them(workbench):
    workbench.desk.add_element(Element(name="Sr", color="#00FFFF"))
    workbench.desk.toggle_output_map()
    layers, maps = workbench.predictions.layers, np.zeros((3, 96, 128), np.float32)
    elements = workbench.session.project.elements
    layers.show(maps[:1], ["Ti"], elements)
    layers.show_deviation(maps[:1])
    for _ in range(2):
        layers.show(maps, ["Ti", "Sr", "Pb"], elements)
        layers.show_deviation(maps)
        order = names(workbench)
        at = order.index("Ti probability")
        assert at == workbench.viewer.layers.index(workbench.image_layer) + 1
        assert order[at:][:4] == [
            "Ti probability",
            "Sr probability",
            "Pb probability",
            DEVIATION_NAME,
        ]
    layers.clear()
    assert not {"Ti probability", DEVIATION_NAME} & set(names(workbench))


def test_without_any_network_there_is_nothing_to_predict_with(workbench):
    workbench.show_tab("review")
    box = workbench.review_tab.predict
    assert not box.button.isEnabled()
    assert not box.uncertainty.isEnabled()
    assert not box.uncertainty.isChecked()
    assert "network" not in workbench.review_tab.teach.text()


def test_a_cancelled_wish_for_uncertainty_is_not_made_again(
    silent_helper, workbench, centres, qtbot
):
    project, source_id = workbench.session.project, workbench.session.source_id
    run_dir = project.new_run_dir()
    (run_dir / "best.safetensors").write_bytes(b"")
    files = project.prediction_files(run_dir.name, source_id, 0)
    table = make_atoms(centres, "Pb", probability=0.99, origin="predicted")
    maps = output_map(table, ["Pb"], (96, 128))
    write_prediction(files.folder, files.name, Prediction(maps, table, ("Pb",)))
    workbench.show_tab("review")
    workbench.session.model = run_dir
    predictions, box = workbench.predictions, workbench.review_tab.predict
    qtbot.waitUntil(lambda: predictions.shown is not None, timeout=PATIENCE_MS)
    box.uncertainty.click()
    assert predictions.busy
    assert not box.cancel.isHidden()
    box.cancel.click()
    assert not predictions.busy
    assert predictions.shown is not None, "what was there stays"
    predictions.shown_at = None
    predictions.refresh()
    qtbot.waitUntil(lambda: predictions.shown_at is not None, timeout=PATIENCE_MS)
    assert not predictions.busy
