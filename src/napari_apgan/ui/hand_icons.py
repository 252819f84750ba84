"""Icons of the tools of the hand, drawn in the colour of the window's text."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap

#: Side of an icon in px; drawn on a grid of 20 units.
SIDE = 20
_GRID = 20.0


def tool_icon(name: str, color: QColor, accent: str = "") -> QIcon:
    """Draw the icon of a tool; `accent` colours what the tool leaves behind."""
    ratio = 2
    pixmap = QPixmap(SIDE * ratio, SIDE * ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(SIDE * ratio / _GRID, SIDE * ratio / _GRID)
    pen = QPen(color, 1.6)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    _DRAWN[name](painter, color, QColor(accent) if accent else color)
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return QIcon(pixmap)


def _quick(painter: QPainter, color: QColor, accent: QColor) -> None:
    """Draw an atom and a plus."""
    painter.setBrush(color)
    painter.drawEllipse(QPointF(7.0, 12.5), 4.2, 4.2)
    painter.drawLine(QPointF(15, 3), QPointF(15, 9))
    painter.drawLine(QPointF(12, 6), QPointF(18, 6))


def _sequence(painter: QPainter, color: QColor, accent: QColor) -> None:
    """Draw two different atoms and an arrow from one to the other."""
    painter.setBrush(color)
    painter.drawEllipse(QPointF(4.6, 13), 3.0, 3.0)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(QPointF(15.4, 13), 3.0, 3.0)
    path = QPainterPath(QPointF(5, 7))
    path.quadTo(QPointF(10, 1.5), QPointF(15, 7))
    painter.drawPath(path)
    painter.drawLine(QPointF(15, 7), QPointF(11.8, 6.4))
    painter.drawLine(QPointF(15, 7), QPointF(15.2, 3.8))


def _lasso(painter: QPainter, color: QColor, accent: QColor) -> None:
    """Draw a loop of rope."""
    painter.drawEllipse(QRectF(2.5, 3, 15, 9.5))
    path = QPainterPath(QPointF(6, 11.6))
    path.cubicTo(QPointF(3.5, 14), QPointF(9.5, 14), QPointF(6.5, 18))
    painter.drawPath(path)


def _erase(painter: QPainter, color: QColor, accent: QColor) -> None:
    """Draw a rubber, lying on its edge."""
    painter.save()
    painter.translate(10, 9.5)
    painter.rotate(-40)
    painter.drawRoundedRect(QRectF(-7.5, -3.6, 15, 7.2), 1.6, 1.6)
    painter.setBrush(color)
    painter.drawRoundedRect(QRectF(-7.5, -3.6, 6, 7.2), 1.6, 1.6)
    painter.restore()
    painter.drawLine(QPointF(4, 18), QPointF(16, 18))


def _brush(painter: QPainter, color: QColor, accent: QColor) -> None:
    """Draw a brush and the patch of colour that it paints."""
    painter.save()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(accent)
    painter.drawEllipse(QRectF(1.5, 11, 12, 8))
    painter.restore()
    painter.drawLine(QPointF(17.5, 2.5), QPointF(11.5, 8.5))
    painter.setBrush(color)
    path = QPainterPath(QPointF(12.5, 9.8))
    path.cubicTo(QPointF(11, 13.5), QPointF(8.5, 14), QPointF(6, 14.5))
    path.cubicTo(QPointF(7, 12), QPointF(7.5, 9), QPointF(10.2, 7.4))
    path.closeSubpath()
    painter.drawPath(path)


def _lens(painter: QPainter, color: QColor, accent: QColor) -> None:
    """Draw a magnifying glass."""
    painter.drawEllipse(QPointF(8.2, 8.2), 5.4, 5.4)
    painter.setPen(QPen(color, 2.4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawLine(QPointF(12.6, 12.6), QPointF(17, 17))


def _carry(painter: QPainter, color: QColor, accent: QColor) -> None:
    """Draw two frames, one behind the other, and an arrow to the one behind."""
    painter.drawRect(QRectF(2.5, 7, 9.5, 9.5))
    painter.drawLine(QPointF(8, 3.5), QPointF(17.5, 3.5))
    painter.drawLine(QPointF(17.5, 3.5), QPointF(17.5, 12.5))
    painter.drawLine(QPointF(5.5, 11.7), QPointF(14.5, 11.7))
    painter.drawLine(QPointF(14.5, 11.7), QPointF(12, 9.4))
    painter.drawLine(QPointF(14.5, 11.7), QPointF(12, 14))


_DRAWN: dict[str, Callable[[QPainter, QColor, QColor], None]] = {
    "quick": _quick,
    "sequence": _sequence,
    "lasso": _lasso,
    "erase": _erase,
    "brush": _brush,
    "lens": _lens,
    "carry": _carry,
}
