"""Light charts drawn with QPainter: the training's curves, and what each round gained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_apgan.words import share

#: More points than this are thinned: a dock is no wider.
MAX_POINTS = 400
_AXIS = QColor(140, 150, 160, 150)
_GRID = QColor(140, 150, 160, 50)
_TEXT = QColor(154, 163, 173)


@dataclass
class Series:
    """One curve.

    Parameters
    ----------
    name : str
        Stands in the legend, with the last value.
    color : str
        ``#RRGGBB``.
    points : list of (x, y)
    axis : {"left", "right"}
    unit : str
        After the last value in the legend.
    marked : bool
        Whether each point gets a dot, as few measured values want.
    share : bool
        Whether the values are shares, of which only a whole one is written as 1.
    """

    name: str
    color: str
    points: list[tuple[float, float]] = field(default_factory=list)
    axis: str = "left"
    unit: str = ""
    marked: bool = False
    share: bool = False

    @property
    def caption(self) -> str:
        """Name and last value."""
        if not self.points:
            return self.name
        last = self.points[-1][1]
        return f"{self.name} {share(last) if self.share else number(last)}{self.unit}"


def number(value: float) -> str:
    """Write a value in three digits, without an exponent where that is not needed."""
    if value == 0:
        return "0"
    if 100 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.3g}" if 0.001 <= abs(value) < 100 else f"{value:.1e}"


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Choose round values between two, at most `most` + 1 of them."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    step = 10.0 ** math.floor(math.log10(span / most))
    step = next(step * m for m in (1, 2, 5, 10, 20) if span / (step * m) <= most)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def thin(
    points: Sequence[tuple[float, float]], most: int = MAX_POINTS
) -> list[tuple[float, float]]:
    """Keep about `most` points, the last one always."""
    if len(points) <= most:
        return list(points)
    step = math.ceil(len(points) / most)
    kept = list(points[::step])
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    return kept


class Chart(QWidget):
    """Curves over one horizontal axis, with a vertical axis at either side.

    Parameters
    ----------
    empty : str
        What stands there before there is anything to draw.
    height : int
        In screen px.
    """

    def __init__(self, empty: str = "", height: int = 120) -> None:
        super().__init__()
        self.empty = empty
        self.series: list[Series] = []
        self.x_name = ""
        self.whole_x = False
        #: Where the horizontal axis begins at the latest.
        self.x_from: float | None = None
        #: What the left axis never goes beyond, as a share never exceeds 1.
        self.left_most: float | None = None
        #: Whether the right axis begins at 0, as that of an error should.
        self.right_from_zero = True
        self._height = height
        self._ranges = {"left": (0.0, 1.0), "right": (0.0, 1.0)}
        self._span = (0.0, 1.0)
        self.setMinimumHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Ask for the height that was wanted."""
        return QSize(240, self._height)

    def minimumSizeHint(self) -> QSize:
        """Never widen the dock."""
        return QSize(60, self._height)

    def set_series(self, series: Sequence[Series]) -> None:
        """Show these curves; one repaint, whatever changed."""
        self.series = [s for s in series if s.points]
        self._ranges = {axis: self.range_of(axis) for axis in ("left", "right")}
        self._span = self._x_range() if self.series else (0.0, 1.0)
        self.update()

    def range_of(self, axis: str) -> tuple[float, float]:
        """Return the range of values drawn at one side; (0, 1) where nothing is."""
        values = [y for s in self.series if s.axis == axis for _, y in s.points if math.isfinite(y)]
        if not values:
            return 0.0, 1.0
        low, high = min(values), max(values)
        from_zero = axis == "right" and self.right_from_zero
        low = min(low, 0.0) if from_zero or low < 0.5 * high else low
        pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        top = high + pad
        if axis == "left" and self.left_most is not None:
            top = min(top, self.left_most)
        return (low if low == 0.0 else low - pad), top

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw everything."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPixelSize(10)
        painter.setFont(font)
        if not self.series:
            painter.setPen(_TEXT)
            flags = int(Qt.AlignmentFlag.AlignCenter) | int(Qt.TextFlag.TextWordWrap)
            painter.drawText(QRectF(self.rect()), flags, self.empty)
        else:
            area = self._plot_area(painter)
            self._draw_axes(painter, area)
            for one in self.series:
                self._draw_series(painter, area, one)
            self._draw_legend(painter, area)
        painter.end()

    def _plot_area(self, painter: QPainter) -> QRectF:
        metrics = painter.fontMetrics()

        def room(axis: str) -> float:
            if not any(s.axis == axis for s in self.series):
                return 6.0
            texts = [number(v) for v in ticks(*self._ranges[axis])]
            return 8.0 + max(metrics.horizontalAdvance(t) for t in texts)

        left, right, top = room("left"), room("right"), 16.0
        return QRectF(left, top, self.width() - left - right, self.height() - top - 16.0)

    def _x_range(self) -> tuple[float, float]:
        xs = [x for s in self.series for x, _ in s.points]
        low, high = min(xs), max(xs)
        if self.x_from is not None:
            low = min(low, self.x_from)
        if high == low:  # one point: in the middle of its round, or at the end of its steps
            return (low - 0.5, high + 0.5) if self.whole_x or high <= 0 else (0.0, high)
        return low, high

    def _place(self, area: QRectF, point: tuple[float, float], axis: str) -> QPointF:
        (x0, x1), (y0, y1) = self._span, self._ranges[axis]
        x = area.left() + (point[0] - x0) / (x1 - x0) * area.width()
        y = area.bottom() - (point[1] - y0) / (y1 - y0) * area.height()
        return QPointF(x, min(max(y, area.top()), area.bottom()))

    def _draw_axes(self, painter: QPainter, area: QRectF) -> None:
        sides = {s.axis for s in self.series}
        for axis in ("left", "right"):
            if axis not in sides:
                continue
            for value in ticks(*self._ranges[axis]):
                y = self._place(area, (self._span[0], value), axis).y()
                if axis == "left" or "left" not in sides:
                    painter.setPen(QPen(_GRID, 1))
                    painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
                painter.setPen(_TEXT)
                if axis == "left":
                    box = QRectF(0, y - 7, area.left() - 4, 14)
                    side = Qt.AlignmentFlag.AlignRight
                else:
                    box = QRectF(area.right() + 4, y - 7, self.width() - area.right() - 4, 14)
                    side = Qt.AlignmentFlag.AlignLeft
                flags = int(side) | int(Qt.AlignmentFlag.AlignVCenter)
                painter.drawText(box, flags, number(value))
        painter.setPen(QPen(_AXIS, 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        self._draw_x_axis(painter, area)

    def _draw_x_axis(self, painter: QPainter, area: QRectF) -> None:
        painter.setPen(_TEXT)
        low, high = self._span
        values: list[float] = ticks(low, high)
        if self.whole_x:
            values = list(map(float, range(math.ceil(low), math.floor(high) + 1)))[:12]
        metrics = painter.fontMetrics()
        name_from = area.right() - metrics.horizontalAdvance(self.x_name)
        for value in values:
            x = area.left() + (value - low) / (high - low) * area.width()
            if self.x_name and x + metrics.horizontalAdvance(number(value)) / 2 > name_from - 4:
                continue  # the name of the axis stands there
            box = QRectF(x - 24, area.bottom() + 2, 48, 12)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), number(value))
        if self.x_name:
            box = QRectF(area.left(), area.bottom() + 2, area.width(), 12)
            sides = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(box, int(sides), self.x_name)

    def _draw_series(self, painter: QPainter, area: QRectF, one: Series) -> None:
        finite = [p for p in one.points if math.isfinite(p[1])]
        places = [self._place(area, p, one.axis) for p in thin(finite)]
        painter.setPen(QPen(QColor(one.color), 1.6))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if len(places) > 1:
            painter.drawPolyline(QPolygonF(places))
        if one.marked or len(places) == 1:
            painter.setBrush(QColor(one.color))
            for place in places:
                painter.drawEllipse(place, 2.4, 2.4)

    def _draw_legend(self, painter: QPainter, area: QRectF) -> None:
        x = area.left()
        for one in self.series:
            width = painter.fontMetrics().horizontalAdvance(one.caption)
            if x + width + 12 > self.width() and x > area.left():
                break
            painter.setBrush(QColor(one.color))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawRect(QRectF(x, 5, 8, 3))
            painter.setPen(_TEXT)
            painter.drawText(QPointF(x + 11, 11), one.caption)
            x += width + 22
