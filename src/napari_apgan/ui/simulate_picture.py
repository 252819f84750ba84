"""Pictures of frames with their atoms, small enough for the dock."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

#: What is drawn where no pixel was measured.
_MISSING = (40, 44, 52)
_UNKNOWN = "#9A9A9A"


def grey(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return (Y, X, 3) greys of an image, between its 1st and 99.7th percentile."""
    there = np.isfinite(image)
    low, high = np.percentile(image[there], (1.0, 99.7)) if there.any() else (0.0, 1.0)
    scaled = np.clip((np.where(there, image, low) - low) / max(high - low, 1e-30), 0, 1)
    out = np.repeat(np.rint(255 * scaled).astype(np.uint8)[..., None], 3, axis=2)
    out[~there] = _MISSING
    return out


def middle(
    image: NDArray[np.floating], shape: tuple[int, int]
) -> tuple[NDArray[np.floating], int, int]:
    """Return the middle of an image, at most (rows, columns) of it, and where it begins (x, y)."""
    rows, columns = (min(n, wanted) for n, wanted in zip(image.shape, shape, strict=True))
    y, x = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return image[y : y + rows, x : x + columns], x, y


class FramePicture(QLabel):
    """A square that shows one frame whole, its atoms on it as rings in their colours."""

    def __init__(self, empty: str) -> None:
        super().__init__(empty)
        self._pixmap: QPixmap | None = None
        self._shape = (1, 1)
        self._rings: list[tuple[float, float, QColor]] = []
        self._radius_px = 3.0
        self.rings_shown = True
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setStyleSheet("background: #101216; border-radius: 3px; color: #9AA3AD;")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)

    def sizeHint(self) -> QSize:
        """Ask for a square that fits beside another one."""
        return QSize(170, 170)

    def show_frame(
        self,
        image: NDArray[np.floating],
        atoms: pd.DataFrame | None = None,
        colors: Mapping[str, str] | None = None,
        radius_px: float = 3.0,
    ) -> None:
        """Show a frame.

        Parameters
        ----------
        image : (Y, X) array
            NaN where nothing was measured.
        atoms : DataFrame, optional
        colors : mapping, optional
            Of elements to colours.
        radius_px : float
            Of the rings, in px of the frame.
        """
        rgb = np.ascontiguousarray(grey(image))
        held = QImage(
            rgb.tobytes(), rgb.shape[1], rgb.shape[0], 3 * rgb.shape[1], QImage.Format.Format_RGB888
        )
        self._pixmap, self._shape, self._radius_px = (
            QPixmap.fromImage(held),
            rgb.shape[:2],
            radius_px,
        )
        self._rings = []
        if atoms is not None:
            known = {name: QColor(color) for name, color in (colors or {}).items()}
            self._rings = [
                (float(x), float(y), known.get(element, QColor(_UNKNOWN)))
                for x, y, element in zip(
                    atoms["x_px"], atoms["y_px"], atoms["element"], strict=True
                )
            ]
        self.setText("")
        self.update()

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(Rows, columns) of what is shown."""
        return self._shape

    @property
    def ring_colors(self) -> set[str]:
        """Colours of the rings, ``#RRGGBB``."""
        return {color.name().upper() for _, _, color in self._rings}

    def show_rings(self, shown: bool) -> None:
        """Draw the atoms, or the image alone."""
        self.rings_shown = shown
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame as large as fits, then its atoms."""
        super().paintEvent(event)
        if self._pixmap is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rows, columns = self._shape
        scale = min(self.width() / columns, self.height() / rows)
        painter.translate((self.width() - columns * scale) / 2, (self.height() - rows * scale) / 2)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, scale < 1)
        painter.scale(scale, scale)
        painter.setClipRect(0, 0, columns, rows)
        painter.drawPixmap(0, 0, self._pixmap)
        if self.rings_shown:
            for x, y, color in self._rings:
                painter.setPen(QPen(color, 1.4 / scale))
                painter.drawEllipse(QPointF(x + 0.5, y + 0.5), self._radius_px, self._radius_px)
        painter.end()


def side_by_side(*pictures: QWidget) -> QWidget:
    """Put pictures beside each other, as high as they are wide."""
    return _Squares(pictures)


class _Squares(QWidget):
    def __init__(self, pictures: tuple[QWidget, ...]) -> None:
        super().__init__()
        self._pictures = pictures
        for picture in pictures:
            picture.setParent(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(170)

    def resizeEvent(self, event: object) -> None:
        """Give each picture that is shown its square."""
        self.lay_out()

    def lay_out(self) -> None:
        """Place the pictures that are not hidden."""
        shown = [p for p in self._pictures if not p.isHidden()]
        if not shown:
            return
        gap = 4
        width = (self.width() - gap * (len(shown) - 1)) // len(shown)
        for n, picture in enumerate(shown):
            picture.setGeometry(n * (width + gap), 0, width, self.height())
