"""The window side of the event-loop benchmark (:mod:`napari_apgan.bench.eventloop`)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QEventLoop, QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_apgan.atoms import make_atoms
from napari_apgan.bench.eventloop import EventLoopResult, summarise
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.regions import Region
from napari_apgan.train.events import Step

from .commands import open_workbench
from .review_camera import canvas_of

if TYPE_CHECKING:
    from .workbench import Workbench

_TICK_MS = 10
#: How often the canvas is made to draw the image again: as often as the curve.
_NUDGE_MS = 500
_SPACING_PX = 16
_START_S = 120.0
_STOP_S = 60.0


class PaintCounter(QObject):
    """Counts how often widgets are painted."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Count, and let the event pass."""
        if event.type() == QEvent.Type.Paint:
            self.count += 1
        return False


def run(
    seconds: float, image_px: int, folder: Path, redraw_canvas: bool = False
) -> EventLoopResult:
    """Open napari, train, measure, close; see :func:`napari_apgan.bench.eventloop.measure`."""
    import napari

    viewer = napari.Viewer(show=True)
    try:
        viewer.window.resize(1366, 768)
        workbench = open_workbench(viewer)
        _prepare(workbench, image_px, folder)
        return _measure(workbench, seconds, image_px, redraw_canvas)
    finally:
        viewer.close()


def _prepare(workbench: Workbench, image_px: int, folder: Path) -> None:
    """Show an image with a labelled corner in a project of its own."""
    session = workbench.session
    session.create_project(folder / "eventloop.apgan", [Element(name="Sr", color="#00FFFF")])
    image, centres = _columns(image_px)
    workbench.desk.viewer.add_image(image, name="columns")
    _turn(lambda: workbench.image_layer is not None, 10.0, "The image could not be shown.")
    session.set_calibration(Calibration.from_pixel_size(20.0, origin="user"))
    side = image_px / 2
    corner = centres[(centres < side).all(axis=1)]
    session.add_atoms(make_atoms(corner, "Sr"))
    session.add_region(Region.rectangle(-0.5, -0.5, side - 0.5, side - 0.5))
    session.ensure_project().add_pair(session.source_id, 0)


def _columns(image_px: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Draw noisy columns on a square lattice; return the picture and their centres x, y."""
    rng = np.random.default_rng(0)
    grid = np.arange(_SPACING_PX / 2, image_px, _SPACING_PX)
    centres = np.array([(x, y) for y in grid for x in grid])
    profile = np.exp(-((np.arange(image_px) % _SPACING_PX - _SPACING_PX / 2) ** 2) / 12.0)
    image = 100 * profile[:, None] * profile[None] + rng.normal(0, 15, (image_px, image_px))
    return image.astype(np.float32), centres


def _measure(
    workbench: Workbench, seconds: float, image_px: int, redraw_canvas: bool
) -> EventLoopResult:
    tab = workbench.train_tab
    workbench.show_tab("train")
    tab.advanced.run_form.editors["minutes"].setText(str(max(2.0, seconds / 20.0)))
    tab.advanced.run_form.editors["steps"].setText("1000000")
    tab.train()

    def steps() -> int:
        run = tab.monitor.folder
        last = run.last(Step) if run is not None else None
        return last.step if isinstance(last, Step) else 0

    _turn(lambda: steps() > 0, _START_S, "The training did not start.")
    before = steps()
    curve, canvas = PaintCounter(), PaintCounter()
    tab.progress.losses.installEventFilter(curve)
    widget = canvas_of(workbench)
    if widget is not None:
        widget.installEventFilter(canvas)
    nudge = QTimer()
    nudge.setInterval(_NUDGE_MS)
    nudge.timeout.connect(lambda: _nudge(workbench, canvas.count))
    if redraw_canvas:
        nudge.start()
    ticks: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(_TICK_MS)
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start()
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()
    timer.stop()
    nudge.stop()
    made = steps() - before
    tab.stop()
    _turn(lambda: not tab.monitor.running, _STOP_S, "The training did not stop.")
    return summarise(
        ticks,
        curve_paints=curve.count,
        canvas_paints=canvas.count,
        training_steps=made,
        image_px=image_px,
        cores=os.cpu_count() or 1,
    )


def _nudge(workbench: Workbench, n: int) -> None:
    """Move the camera to and fro by a pixel, so that the canvas draws the whole image again."""
    camera = workbench.desk.viewer.scene.camera
    step = float(workbench.image_layer.scale[-1]) * (1 if n % 2 else -1)
    camera.center = (*camera.center[:-1], camera.center[-1] + step)


def _turn(done: Callable[[], bool], limit_s: float, sentence: str) -> None:
    """Turn the event loop until something is so; `UserError` when it takes too long."""
    end = time.perf_counter() + limit_s
    while not done():
        if time.perf_counter() > end:
            raise UserError(f"{sentence} Look into the run's trainer.log, or try again.")
        QApplication.instance().processEvents()
        time.sleep(0.002)
