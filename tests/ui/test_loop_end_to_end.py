"""The main job in the real window, on real images: open, click, train, correct, retrain, reopen."""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import napari
import numpy as np
import psutil
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication
from scipy.spatial import cKDTree

from napari_apgan.atoms import positions
from napari_apgan.train.runfolder import RunFolder
from napari_apgan.ui.commands import open_workbench

pytestmark = [pytest.mark.gui, pytest.mark.data, pytest.mark.timeout(600)]

CTRL = Qt.KeyboardModifier.ControlModifier
HAND = Path(__file__).with_name("loop_hand.py")


def _hand() -> Any:
    spec = importlib.util.spec_from_file_location("loop_hand", HAND)
    module = importlib.util.module_from_spec(spec)
    sys.modules["loop_hand"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


hand = _hand()


@pytest.fixture
def windows(qapp) -> Iterator[list[Any]]:
    """Close the windows that a test opened, and stop what it left training."""
    opened: list[Any] = []
    yield opened
    gc.unfreeze()
    for workbench in opened:
        _close(workbench)


def _close(workbench: Any) -> None:
    viewer = workbench.desk.viewer
    window = getattr(viewer.window, "_qt_window", None)
    if window is None:
        return
    with patch.object(window, "_save_current_window_settings"):
        viewer.close()
    for _ in range(10):
        QApplication.processEvents()


def _emptiest_spot(box: tuple[int, int, int, int], atoms: np.ndarray) -> tuple[float, float]:
    """Return the place of a box that is farthest from any drawn atom."""
    x, y = np.meshgrid(np.arange(box[0] + 10, box[2] - 10), np.arange(box[1] + 10, box[3] - 10))
    points = np.column_stack([x.ravel(), y.ravel()])
    distance, _ = cKDTree(atoms).query(points)
    best = points[distance.argmax()]
    return float(best[0]), float(best[1])


@pytest.mark.parametrize("name", ["pto_sro", "graphene_flower"])
def test_the_loop_on_a_real_image(name, real_data, tmp_path, windows, torch_free):
    case = hand.CASES[name]
    workbench = hand.open_image(case, real_data)
    windows.append(workbench)
    session = workbench.session
    session.save_as(tmp_path / "loop.apgan")
    if case.pixel_nm is not None:
        workbench.calibration.unit.setCurrentText("nm")
        workbench.calibration.x.setText(str(case.pixel_nm))
        workbench.calibration.give.click()
    assert session.calibration.known

    # click and snap the atoms of a region with the mouse, and mark it complete
    hand.look_at(workbench, case.box)
    wanted = case.inside(real_data)
    hand.click_atoms(workbench, wanted, lambda n: None)
    labels = session.atoms()
    assert len(labels) == len(wanted)
    off = np.hypot(*(positions(labels)[:, None] - wanted[None]).transpose(2, 0, 1)).min(axis=1)
    assert np.median(off) < 2.0
    hand.drag_region(workbench, case.box)
    assert [r.kind for r in session.regions()] == ["complete"]
    assert [(p.source_id, p.frame) for p in session.project.pairs] == [(session.source_id, 0)]

    # train; the overlay and the predicted atoms come by themselves
    hand.train(workbench, 30)
    hand.turn(lambda: session.model is not None)
    hand.turn(lambda: workbench.predictions.shown is not None)
    assert workbench.predictions.layers.layers[case.element.name].visible
    assert len(session.atoms()) == len(wanted)

    # open the worst region, take what is right there, send it back
    workbench.show_tab("review")
    hand.turn(lambda: bool(workbench.review_tab.items))
    canvas = hand.canvas_class()(workbench)
    workbench.desk.scene.activate_home()
    canvas.key(Qt.Key.Key_N)
    before = len(session.atoms())
    spot = _emptiest_spot(workbench.review_tab.current.box, workbench.atoms.xy)
    canvas.click(*spot)
    assert len(session.atoms()) == before + 1
    canvas.key(Qt.Key.Key_Return, CTRL)
    complete = [r for r in session.regions() if r.kind == "complete"]
    assert len(complete) == 2
    count = len(session.atoms())
    if name == "graphene_flower":
        return  # dark atoms on a bright ground come this far; what follows is the same for all

    # retrain from the last model, and compare the rounds
    workbench.train_tab.advanced.run_form.editors["steps"].setText("15")
    workbench.review_tab.primary.click()
    hand.turn(lambda: len(session.project.rounds) == 2)
    second = RunFolder(session.project.runs()[-1])
    assert Path(second.run_file.settings.init).name == "run-001"
    assert second.status() == "done"
    hand.turn(lambda: workbench.predictions.shown_at is not None)
    hand.turn(lambda: not workbench.predictions.busy)
    assert workbench.predictions.model.run_id == "run-002"

    # close napari, open it again: everything is there
    project_path, model = session.project.path, session.model
    _close(workbench)
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    again = open_workbench(viewer)
    windows.append(again)
    again.session.open_project(project_path)
    hand.turn(lambda: again.image_layer is not None)
    assert len(again.session.atoms()) == count
    assert len(again.session.regions()) == 2
    assert again.session.calibration.known
    assert [r.number for r in again.session.project.rounds] == [1, 2]
    assert again.session.model == model
    hand.turn(lambda: again.predictions.shown is not None)
    assert case.element.name in again.predictions.layers.layers
    torch_free()


def test_killing_napari_loses_no_click_and_no_training(real_data, tmp_path, windows):
    project = tmp_path / "killed.apgan"
    victim = subprocess.Popen(
        [sys.executable, str(HAND), "pto_sro", str(real_data), str(project)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        facts = [line.strip() for line in _lines_until(victim, "training")]
        facts.append(victim.stdout.readline().strip())
    finally:
        psutil.Process(victim.pid).kill()  # no goodbye: SIGKILL, or TerminateProcess
        victim.stdout.close()
        victim.wait()
    labelled = max(int(f.split()[1]) for f in facts if f.startswith("labelled"))
    assert labelled > 30

    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    workbench = open_workbench(viewer)
    windows.append(workbench)
    workbench.session.open_project(project)
    hand.turn(lambda: workbench.image_layer is not None)
    tab = workbench.train_tab
    try:
        assert len(workbench.session.atoms()) == labelled
        assert len(workbench.session.regions()) == 1
        hand.turn(lambda: tab.monitor.running)  # the training outlives napari and is shown again
        assert tab.primary.text() == "Stop"
        hand.turn(lambda: bool(tab.progress.losses.series))
    finally:
        for run in workbench.session.project.runs():
            RunFolder(run).request_stop()
    hand.turn(lambda: not tab.monitor.running)
    assert tab.progress.result.text().startswith("Stopped after")


def _lines_until(process: subprocess.Popen[str], last: str) -> Iterator[str]:
    end = time.monotonic() + 240
    for line in process.stdout:
        yield line
        if line.strip() == last:
            return
        assert time.monotonic() < end
    raise AssertionError("the other napari ended before it was killed")
