"""Where the camera looks while regions are reviewed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QApplication, QWidget

from napari_apgan.predict.prediction import Box

if TYPE_CHECKING:
    from .workbench import Workbench

#: Part of the view that an opened region fills.
_FILL = 0.85


def look_at_box(workbench: Workbench, box: Box) -> None:
    """Move the camera so that a region fills most of the view."""
    image, viewer = workbench.image_layer, workbench.viewer
    if image is None:
        return
    x0, y0, x1, y1 = box
    high, wide = np.abs(np.asarray(image.scale[-2:])) * (y1 - y0, x1 - x0)
    viewer.reset_view()
    centre(workbench, (x0 + x1) / 2, (y0 + y1) / 2)
    canvas = canvas_of(workbench)
    if canvas is not None:  # zoom counts screen px per unit of the world
        fit = min(canvas.width() / wide, canvas.height() / high)
        viewer.scene.camera.zoom = _FILL * float(fit)


def bring_into_view(workbench: Workbench, x: float, y: float) -> None:
    """Move the camera only when a place is outside the middle of the view."""
    image = workbench.image_layer
    if image is None:
        return
    (y0, x0), (y1, x1) = np.asarray(image.corner_pixels, dtype=float)[:, -2:]
    margin_x, margin_y = 0.1 * (x1 - x0), 0.1 * (y1 - y0)
    inside_x = x0 + margin_x <= x <= x1 - margin_x
    inside_y = y0 + margin_y <= y <= y1 - margin_y
    if not (inside_x and inside_y):
        centre(workbench, x, y)


def centre(workbench: Workbench, x: float, y: float) -> None:
    """Put a place of the image, in px, into the middle of the view."""
    image, viewer = workbench.image_layer, workbench.viewer
    point = np.zeros(image.ndim)
    point[-2:] = y, x
    world = np.asarray(image.data_to_world(point))[-2:]
    before = list(viewer.scene.camera.center)
    viewer.scene.camera.center = (*before[:-2], *(float(v) for v in world))


def canvas_of(workbench: Workbench) -> QWidget | None:
    """Return napari's canvas in the window of the workbench."""
    window = workbench.window()
    found = (
        w
        for w in QApplication.allWidgets()
        if type(w).__name__.startswith("CanvasBackend") and w.window() is window
    )
    return next(found, None)
