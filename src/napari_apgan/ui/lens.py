"""The magnifier: what lies below the pointer, large, in a corner of the canvas.

It shows the raw pixels with the image's own contrast and colours, the place that is pointed at, the
spot that a click would go to, and the labels nearby.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from .mouse import XY

if TYPE_CHECKING:
    from .desk import Desk

#: Side of the magnifier, and its distance from the edge of the canvas, in screen px.
SIDE, MARGIN = 190, 10
#: Screen px for a px of the image; more where the canvas itself shows them larger already.
MAGNIFICATION = 7.0
_BEYOND_CANVAS = 2.0


class Lens(QWidget):
    """A look at the neighbourhood of the pointer; it takes no events.

    Parameters
    ----------
    desk : Desk
    canvas : QWidget
        napari's canvas, on which it lies.
    """

    def __init__(self, desk: Desk, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._desk = desk
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFixedSize(SIDE, SIDE)
        self.at: XY | None = None
        self.hide()
        desk.pointed.connect(self.look)

    def look(self) -> None:
        """Show what lies below the pointer now."""
        if self.isHidden():
            return
        self.at = self._desk.hover_at
        self._place()
        self.update()

    def toggle(self) -> None:
        """Take the magnifier out, or put it away."""
        self.setVisible(self.isHidden())
        self.look()

    @property
    def magnification(self) -> float:
        """Screen px for a px of the image."""
        return max(MAGNIFICATION, _BEYOND_CANVAS / self._desk.px_per_screen_px())

    def _place(self) -> None:
        """Keep to a lower corner that the pointer is not in."""
        canvas = self.parentWidget()
        if canvas is None:
            return
        right, top = canvas.width() - SIDE - MARGIN, canvas.height() - SIDE - MARGIN
        place = self._desk.on_screen(self.at) if self.at is not None else None
        near = place is not None and place[0] > right - SIDE / 2 and place[1] > top - SIDE / 2
        self.move(MARGIN if near else right, top)

    # --- drawing -------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw pixels, labels, the spot and the cross."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0))
        frame = self._desk.frame() if self._desk.scene.image_layer is not None else None
        if frame is not None and self.at is not None:
            scale, (x, y) = self.magnification, self.at
            reach = math.ceil(SIDE / 2 / scale) + 1
            x0, x1 = max(int(x) - reach, 0), min(int(x) + reach + 1, frame.shape[1])
            y0, y1 = max(int(y) - reach, 0), min(int(y) + reach + 1, frame.shape[0])
            if x1 > x0 and y1 > y0:
                picture = _picture(self._desk.scene.image_layer, frame.data[y0:y1, x0:x1])
                corner = self._on_lens((x0 - 0.5, y0 - 0.5))
                size = ((x1 - x0) * scale, (y1 - y0) * scale)
                painter.drawImage(QRectF(corner.x(), corner.y(), *size), picture)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._draw_labels(painter, reach)
            self._draw_pointer(painter)
        painter.setPen(QPen(QColor(140, 150, 160), 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(self.rect().adjusted(1, 1, -1, -1))
        painter.end()

    def _on_lens(self, xy: XY) -> QPointF:
        assert self.at is not None
        scale = self.magnification
        return QPointF(
            SIDE / 2 + (xy[0] - self.at[0]) * scale, SIDE / 2 + (xy[1] - self.at[1]) * scale
        )

    def _draw_labels(self, painter: QPainter, reach: int) -> None:
        assert self.at is not None
        x, y = self.at
        atoms, colors = self._desk.atoms, {e.name: e.color for e in self._desk.elements}
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for key in atoms.inside(x - reach, y - reach, x + reach, y + reach):
            color = QColor(colors.get(str(atoms.row(key)["element"]), "#9A9A9A"))
            painter.setPen(QPen(color, 2))
            painter.drawEllipse(self._on_lens(atoms.position(key)), 5.0, 5.0)

    def _draw_pointer(self, painter: QPainter) -> None:
        middle = SIDE / 2
        painter.setPen(QPen(QColor(255, 255, 255, 170), 1))
        for a, b in ((-16, -5), (5, 16)):
            painter.drawLine(QPointF(middle + a, middle), QPointF(middle + b, middle))
            painter.drawLine(QPointF(middle, middle + a), QPointF(middle, middle + b))
        spot = self._desk.marks.spot
        if spot is not None:
            x, y, color, found = spot
            painter.setPen(QPen(QColor(color if found else "#B0B0B0"), 2))
            place = self._on_lens((x, y))
            painter.drawEllipse(place, 9.0, 9.0)
            painter.drawPoint(place)


def _picture(layer: Any, values: NDArray[np.floating]) -> QImage:
    """Return pixels in the colours that the layer shows them in."""
    if layer.rgb:
        low, high, gamma = float(values.min()), float(values.max()), 1.0
        colors = None
    else:
        (low, high), gamma, colors = layer.contrast_limits, float(layer.gamma), layer.colormap
    part = np.clip((values - low) / max(float(high) - float(low), 1e-30), 0, 1)
    part = np.nan_to_num(part).astype(np.float32) ** gamma
    shown = np.repeat(part.ravel()[:, None], 3, 1) if colors is None else colors.map(part.ravel())
    pixels = np.ascontiguousarray(
        np.rint(255 * np.asarray(shown)[:, :3]).astype(np.uint8).reshape(*part.shape, 3)
    )
    rows, columns = part.shape
    # A copy, since Qt would go on reading memory that Python gives back.
    return QImage(pixels.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888).copy()
