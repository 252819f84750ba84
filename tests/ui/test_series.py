"""A series: every frame has its own labels, maps and predicted atoms, and its own progress."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element
from napari_apgan.maps import output_map
from napari_apgan.predict.files import write_prediction
from napari_apgan.predict.prediction import Prediction

pytestmark = pytest.mark.gui

FRAMES = 5
#: A busy machine is slow to import torch and to predict.
PATIENCE_MS = 150_000

#: A network of the fast preset that has learned nothing, made where torch may be imported.
MAKE_MODEL = """
import sys, torch
from pathlib import Path
from napari_apgan.elements import Element
from napari_apgan.models.card import ModelCard
from napari_apgan.models.modelfile import save_model
from napari_apgan.models.networks import build_network
from napari_apgan.models.presets import PRESETS
torch.manual_seed(0)
card = ModelCard(preset="fast", network=PRESETS["fast"].network, radius_px={"Pb": 3.0},
                 elements=(Element(name="Pb", color="#FF00FF"),))
save_model(Path(sys.argv[1]), build_network(card), card)
"""


@pytest.fixture
def series(open_workbench, lattice, tmp_path):
    """Open a file of five frames, the frame axis last, in a workbench with the element Pb."""

    def make(shape: tuple[int, int] = (96, 128)):
        image, centres = lattice(shape)
        stack = np.stack([np.roll(image, 2 * n, axis=1) for n in range(FRAMES)], axis=-1)
        np.savez(tmp_path / "movie.npz", image=stack)
        workbench = open_workbench()
        workbench.open_image_path(tmp_path / "movie.npz")
        QApplication.processEvents()
        workbench.desk.add_element(Element(name="Pb", color="#FF00FF"))
        workbench.session.element = "Pb"
        assert workbench.session.project.record(workbench.session.source_id).n_frames == FRAMES
        return workbench, centres

    return make


def written(workbench, centres) -> dict[int, np.ndarray]:
    """Write a prediction of every frame, each with other atoms, and use their model."""
    project, source_id = workbench.session.project, workbench.session.source_id
    run_dir = project.new_run_dir()
    (run_dir / "best.safetensors").write_bytes(b"")
    told = {}
    for frame in range(FRAMES):
        table = make_atoms(
            centres[frame::7] + np.array([2.0 * frame, 0.0]), "Pb", origin="predicted"
        )
        maps = output_map(table, ["Pb"], (96, 128))
        files = project.prediction_files(run_dir.name, source_id, frame)
        write_prediction(files.folder, files.name, Prediction(maps, table, ("Pb",)))
        told[frame] = positions(table)
    workbench.session.model = run_dir
    return told


def test_the_slider_shows_labels_maps_and_atoms_of_its_frame(series, qtbot):
    workbench, centres = series()
    predictions, viewer = workbench.predictions, workbench.desk.viewer
    predictions.helper.stop()  # the predictions are written here, by no network
    told = written(workbench, centres)
    session = workbench.session
    for frame in (0, 3):
        viewer.dims.set_current_step(0, frame)
        session.add_atoms(make_atoms([(10.0 + frame, 20.0)], "Pb"))
    for frame in (4, 3, 1, 0):
        viewer.dims.set_current_step(0, frame)
        assert session.frame_index == frame
        labels = [
            xy
            for key, xy in zip(workbench.atoms.keys, workbench.atoms.xy, strict=True)
            if key[0] == "label"
        ]
        assert np.array(labels).tolist() == ([[10.0 + frame, 20.0]] if frame in (0, 3) else [])
        shown = np.asarray(workbench.image_layer._slice.image.raw)
        assert np.allclose(shown, workbench.desk.frame().data), "the image is that of the frame"
        place = (predictions.model.run_id, session.source_id, frame)
        qtbot.waitUntil(lambda p=place: predictions.shown_at == p, timeout=PATIENCE_MS)
        assert np.allclose(positions(predictions.shown.atoms), told[frame])
        left = positions(workbench.atoms.predicted_left())
        assert set(map(tuple, left)) <= set(map(tuple, told[frame]))
        assert len(left) >= len(told[frame]) - 1, "but for one below a label"
        pixels = predictions.layers.layers["Pb"].data
        rows, columns = np.rint(told[frame]).astype(int).T[::-1]
        inside = columns < 128
        assert pixels[rows[inside], columns[inside]].min() > 0.5
        assert pixels.max() <= 1.0


def test_a_series_is_predicted_frame_by_frame_and_a_cancel_loses_nothing(series, qtbot):
    workbench, _ = series((288, 320))
    predictions, session = workbench.predictions, workbench.session
    predictions.follow = False
    run_dir = session.project.new_run_dir()
    path = run_dir / "best.safetensors"
    subprocess.run([sys.executable, "-c", MAKE_MODEL, str(path)], check=True)
    session.model = run_dir
    workbench.show_tab("review")
    box, said, ended = workbench.review_tab.predict, [], []
    predictions.progressed.connect(lambda *step: said.append(step[2]))
    predictions.ended.connect(ended.append)

    def stop(*_: object) -> None:
        predictions.frame_predicted.disconnect(stop)
        assert box.bar.isVisible()
        box.cancel.click()

    predictions.frame_predicted.connect(stop)
    workbench.desk.viewer.dims.set_current_step(0, 2)
    box.series_action.trigger()
    qtbot.waitUntil(lambda: bool(ended), timeout=PATIENCE_MS)
    assert ended == ["Prediction cancelled."]
    assert any(text.startswith("Frame 1 of 5") for text in said)
    kept = [frame for _, frame in predictions.model.predicted_frames()]
    assert kept[:1] == [2], "the frame on the screen comes first"
    assert len(kept) < FRAMES
    assert f"{len(kept)} finished frames are kept" in workbench.messages.text.text()
    stamps = {
        f: predictions.model.files(session.source_id, f).atoms.stat().st_mtime_ns for f in kept
    }
    ended.clear()
    said.clear()
    box.series_action.trigger()
    qtbot.waitUntil(lambda: bool(ended), timeout=PATIENCE_MS)
    left = FRAMES - len(kept)
    assert f"{left} frame" in ended[0]
    assert any(f" of {left}, " in text and text.endswith("left") for text in said)
    assert [f for _, f in predictions.model.predicted_frames()] == list(range(FRAMES))
    for frame, stamp in stamps.items():
        assert predictions.model.files(session.source_id, frame).atoms.stat().st_mtime_ns == stamp
    qtbot.waitUntil(lambda: not box.bar.isVisible(), timeout=PATIENCE_MS)
