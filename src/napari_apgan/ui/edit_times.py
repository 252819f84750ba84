"""The window side of the benchmark of edits (:mod:`napari_apgan.bench.edits`)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QApplication
from vispy.gloo import gl

from napari_apgan.atoms import make_atoms
from napari_apgan.bench.edits import EditTimes, summarise
from napari_apgan.elements import Element
from napari_apgan.errors import UserError

from .commands import open_workbench
from .review_camera import canvas_of

if TYPE_CHECKING:
    from .workbench import Workbench

_SPACING_PX = 10


def run(atoms: int, repeats: int, folder: Path) -> EditTimes:
    """Open napari, label, measure, close; see :func:`napari_apgan.bench.edits.measure`."""
    import napari

    viewer = napari.Viewer(show=True)
    try:
        viewer.window.resize(1366, 768)
        workbench = open_workbench(viewer)
        _prepare(workbench, atoms, folder)
        return _measure(workbench, repeats)
    finally:
        viewer.close()


def _prepare(workbench: Workbench, atoms: int, folder: Path) -> None:
    """Show an image full of labels in a project of its own."""
    elements = [Element(name="Pb", color="#FF00FF"), Element(name="Ti", color="#FFFF00")]
    workbench.session.create_project(folder / "edits.apgan", elements)
    side = int(np.ceil(np.sqrt(atoms)))
    image = np.random.default_rng(0).normal(0, 1, (_SPACING_PX * side,) * 2)
    workbench.desk.viewer.add_image(image.astype(np.float32), name="noise")
    QApplication.processEvents()
    if workbench.image_layer is None:
        raise UserError("The image could not be shown.")
    x, y = np.meshgrid(*(np.arange(side) * _SPACING_PX + 3.0,) * 2)
    places = np.column_stack([x.ravel(), y.ravel()])[:atoms]
    workbench.session.add_atoms(make_atoms(places, "Pb"))


def _measure(workbench: Workbench, repeats: int) -> EditTimes:
    desk, session = workbench.desk, workbench.session
    canvas = canvas_of(workbench)
    if canvas is None:
        raise UserError("The window has no canvas to measure.")
    canvas.makeCurrent()
    renderer = str(gl.glGetParameter(gl.GL_RENDERER))
    workbench.label_tab.snap.setChecked(False)
    ids = session.atoms()["id"].to_numpy()
    camera = desk.viewer.scene.camera

    def add(k: int) -> None:
        desk.hand.click_empty((8.0 + _SPACING_PX * k, 8.0))

    def pan(k: int) -> None:
        z, y, x = camera.center
        camera.center = (z, y + 0.5, x + (1 if k % 2 else -1))

    acts: dict[str, Callable[[int], object]] = {
        "add": add,
        "move": lambda k: desk.move({("label", int(ids[100 + k])): (8.0, 18.0 + k)}),
        "change element": lambda k: desk.change_element([("label", int(ids[200 + k]))], "Ti"),
        "remove": lambda k: desk.remove([("label", int(ids[300 + k]))]),
        "undo": lambda _k: desk.undo(),
        "redo": lambda _k: desk.redo(),
        "pan": pan,
    }
    python: dict[str, list[float]] = {name: [] for name in acts if name != "pan"}
    turn: dict[str, list[float]] = {name: [] for name in acts}
    for k in range(repeats + 1):
        for name, act in acts.items():
            begun, worked = time.perf_counter(), time.thread_time()
            act(k)
            worked = time.thread_time() - worked
            canvas.repaint()
            QApplication.processEvents()
            if k == 0:  # the first of each kind reads modules
                continue
            turn[name].append(time.perf_counter() - begun)
            if name in python:
                python[name].append(worked)
    return summarise(
        python, turn, atoms=len(session.atoms()), renderer=renderer, cores=os.cpu_count() or 1
    )
