"""What the end-to-end tests do at the window, for this process and for one that is killed.

Run as a program it is the victim: it opens napari, labels with the mouse, trains, and waits.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

os.environ.setdefault("QT_API", "pyqt6")

import napari
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_apgan.elements import Element
from napari_apgan.io import read_atoms
from napari_apgan.ui.commands import open_workbench
from napari_apgan.ui.workbench import Workbench


def canvas_class() -> Any:
    """Return the hand on the canvas that the other tests of the window use."""
    spec = importlib.util.spec_from_file_location(
        "hand_of_the_tests", Path(__file__).with_name("conftest.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Canvas


@dataclass(frozen=True)
class Case:
    """A real image, where to label it, and what is on it.

    Parameters
    ----------
    image, labels : str
        Below the folder of real images.
    element : Element
    box : (x0, y0, x1, y1)
        In px: labelled by clicks.
    pixel_nm : float, optional
        Given by the user where the file has none.
    """

    image: str
    labels: str
    element: Element
    box: tuple[float, float, float, float]
    pixel_nm: float | None = None

    def truth(self, data: Path) -> pd.DataFrame:
        """Return the published labels."""
        return read_atoms(data / self.labels)

    def inside(self, data: Path) -> np.ndarray:
        """Return the (N, 2) labels x, y inside the box."""
        x0, y0, x1, y1 = self.box
        xy = self.truth(data)[["x_px", "y_px"]].to_numpy()
        return xy[(xy[:, 0] > x0) & (xy[:, 0] < x1) & (xy[:, 1] > y0) & (xy[:, 1] < y1)]


CASES = {
    "pto_sro": Case(
        "pto_sro/pto_sro_left.hspy",
        "pto_sro/pto_sro_left.csv",
        Element(name="A", color="#FF00FF"),
        (150.0, 20.0, 300.0, 200.0),
    ),
    "graphene_flower": Case(
        "graphene_flower/graphene_flower.tif",
        "graphene_flower/graphene_flower.csv",
        Element(name="C", color="#00FF00", polarity="dark"),
        (150.0, 30.0, 210.0, 90.0),
        0.0218,
    ),
}


def open_image(case: Case, data: Path) -> Workbench:
    """Open napari, an image as a user does, and the workbench."""
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(1366, 768)
    # napari collects garbage whenever a layer goes: what stays need not be looked at each time.
    gc.collect()
    gc.freeze()
    path = str(data / case.image)
    viewer.open(path, plugin="napari" if path.endswith(".tif") else "napari-apgan")
    workbench = open_workbench(viewer)
    turn(lambda: workbench.image_layer is not None)
    workbench.desk.add_element(case.element)
    workbench.session.element = case.element.name
    return workbench


def look_at(workbench: Workbench, box: tuple[float, float, float, float]) -> None:
    """Move the camera so that a box nearly fills the canvas."""
    viewer, image = workbench.desk.viewer, workbench.image_layer
    viewer.reset_view()
    x0, y0, x1, y1 = box
    world = image.data_to_world(((y0 + y1) / 2, (x0 + x1) / 2))
    rows, columns = image.data.shape[-2:]
    larger = min(rows / (y1 - y0), columns / (x1 - x0))
    viewer.scene.camera.zoom = viewer.scene.camera.zoom * max(1.0, 0.8 * larger)
    viewer.scene.camera.center = (0.0, *(float(v) for v in world[-2:]))
    QApplication.processEvents()


def click_atoms(workbench: Workbench, xy: np.ndarray, seen: Callable[[int], None]) -> None:
    """Click every atom a pixel beside its place; `seen` hears how many are labelled."""
    canvas = canvas_class()(workbench)
    workbench.desk.scene.activate_home()
    for n, (x, y) in enumerate(xy):
        off = 1.0 if n % 2 else -1.0
        canvas.click(x + off, y - off)
        seen(len(workbench.session.atoms()))


def drag_region(workbench: Workbench, box: tuple[float, float, float, float]) -> None:
    """Press R and drag a box: every atom inside is labelled."""
    canvas = canvas_class()(workbench)
    workbench.desk.scene.activate_home()
    canvas.key(Qt.Key.Key_R)
    canvas.drag(box[:2], box[2:])


def train(workbench: Workbench, steps: int) -> None:
    """Press T for a short training."""
    form = workbench.train_tab.advanced.run_form
    form.editors["steps"].setText(str(steps))
    canvas = canvas_class()(workbench)
    workbench.desk.scene.activate_home()
    canvas.key(Qt.Key.Key_T)


def turn(done: Callable[[], bool], seconds: float = 200.0) -> None:
    """Turn the event loop until something is so."""
    from qtpy.QtTest import QTest

    left = seconds * 1000
    while not done():
        assert left > 0, "the window waited in vain"
        QTest.qWait(20)
        left -= 20


def victim(name: str, data: Path, project: Path) -> None:
    """Label, train, and wait to be killed; every line printed is a fact that must survive."""
    workbench = open_image(CASES[name], data)
    workbench.session.save_as(project)
    case = CASES[name]
    look_at(workbench, case.box)

    def say(what: str) -> None:
        sys.stdout.write(what + "\n")
        sys.stdout.flush()

    click_atoms(workbench, case.inside(data), lambda n: say(f"labelled {n}"))
    drag_region(workbench, case.box)
    say("region")
    train(workbench, 100_000)
    turn(lambda: workbench.train_tab.monitor.running)
    say("training")
    canvas_class()(workbench).click(*(v + 20 for v in case.box[2:]))
    say(f"labelled {len(workbench.session.atoms())}")
    turn(lambda: False)


if __name__ == "__main__":
    victim(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
