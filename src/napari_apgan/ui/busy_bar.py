"""A progress bar that costs little while it knows no end."""

from __future__ import annotations

from qtpy.QtCore import QRect, Qt
from qtpy.QtGui import QHideEvent, QPaintEvent, QPixmap
from qtpy.QtWidgets import QProgressBar, QStyle, QStyleOptionProgressBar, QStylePainter

from .timers import single_shot

#: Time between two places of the moving piece.
STEP_MS = 250
#: Places from one end of the bar to the other.
_PLACES = 8
#: Width of the moving piece, as a part of the bar's.
_PIECE = 0.25


class BusyBar(QProgressBar):
    """A progress bar whose piece takes a few steps a second while the end is not known.

    Qt's own bar moves as often as the screen is drawn. Without a graphics card each of its steps
    composes the whole window in the processor, canvas and all, and takes from the process that is
    waited for a good part of a core.
    """

    def __init__(self) -> None:
        super().__init__()
        self.place = 0
        self._timer = single_shot(self._move, STEP_MS, self)

    def show_progress(self, done: int, total: int, text: str = "") -> None:
        """Show how much is done; a total of 0 says that nobody knows."""
        self.setRange(0, max(total, 0))
        self.setValue(done)
        self.setFormat(text)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the moving piece where the end is not known, else what Qt draws."""
        if self.minimum() < self.maximum():
            super().paintEvent(event)
            return
        painter = QStylePainter(self)
        painter.drawControl(QStyle.ControlElement.CE_ProgressBar, self._option(0))
        # Styles set clips of their own: the piece is cut from a picture of the full bar.
        full = QPixmap(self.size() * self.devicePixelRatioF())
        full.setDevicePixelRatio(self.devicePixelRatioF())
        full.fill(Qt.GlobalColor.transparent)
        on_full = QStylePainter(full, self)
        on_full.drawControl(QStyle.ControlElement.CE_ProgressBar, self._option(1))
        on_full.end()
        painter.setClipRect(self._piece())
        painter.drawPixmap(0, 0, full)
        # A bar that nobody sees is not drawn, and so does not move on either.
        if not self._timer.isActive():
            self._timer.start()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Hold the piece still."""
        self._timer.stop()
        super().hideEvent(event)

    def _move(self) -> None:
        self.place = (self.place + 1) % (2 * _PLACES)
        self.update()

    def _option(self, progress: int) -> QStyleOptionProgressBar:
        """Return how the style is to draw the bar, which for it is empty (0) or full (1).

        A style moves a bar without an end by itself, and gives it no text.
        """
        option = QStyleOptionProgressBar()
        self.initStyleOption(option)
        option.minimum, option.maximum, option.progress = 0, 1, progress
        option.text = self.format()
        return option

    def _piece(self) -> QRect:
        """Return where the piece is on its way to the right end and back."""
        width = round(_PIECE * self.width())
        steps = min(self.place, 2 * _PLACES - self.place)
        return QRect(round(steps / _PLACES * (self.width() - width)), 0, width, self.height())
