"""Small widgets and styles that the tabs share."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

#: Blue that carries white text on napari's light and dark themes alike (contrast above 4.5).
PRIMARY = "#1F6FC4"
WARNING = "#F2C94C"
GOOD = "#3FB27F"
BAD = "#E4572E"

PRIMARY_STYLE = (
    f"QPushButton {{ background: {PRIMARY}; color: white; font-weight: 600; padding: 7px 14px;"
    " border-radius: 4px; }"
    "QPushButton:hover { background: #2B82DE; }"
    "QPushButton:pressed { background: #185A9F; }"
    "QPushButton:disabled { background: #4A5058; color: #9AA0A6; }"
)


def primary_button(text: str, tooltip: str = "") -> QPushButton:
    """Make the one button of a tab that is always the next useful act."""
    button = QPushButton(text)
    button.setStyleSheet(PRIMARY_STYLE)
    button.setToolTip(tooltip)
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return button


def heading(text: str) -> QLabel:
    """Make the heading of a group."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: 600; padding-top: 4px;")
    return label


def hint(text: str = "") -> QLabel:
    """Make a quiet line that wraps."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setStyleSheet("color: #9AA3AD;")
    # A wrapped label may be narrower than its words: it must never widen the dock.
    label.setMinimumWidth(1)
    return label


def rule() -> QFrame:
    """Make a thin line between groups."""
    line = QFrame()
    line.setFixedHeight(1)
    line.setStyleSheet("background: rgba(140, 150, 160, 90);")
    return line


def row(*widgets: QWidget | int) -> QHBoxLayout:
    """Put widgets side by side; a number is a stretch."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(6)
    for widget in widgets:
        if isinstance(widget, int):
            layout.addStretch(widget)
        else:
            layout.addWidget(widget)
    return layout


def column_in(
    widget: QWidget,
    *,
    spacing: int = 4,
    margins: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> QVBoxLayout:
    """Make the layout of a widget whose parts stand below one another.

    Parameters
    ----------
    widget : QWidget
    spacing : int
        Between the parts, in screen px.
    margins : (left, top, right, bottom)
    """
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(*margins)
    layout.setSpacing(spacing)
    return layout


def swatch(color: str, size: int = 12) -> QPixmap:
    """Draw a round patch of a colour with a dark rim."""
    pixmap = QPixmap(size, size)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(color))
    painter.setPen(QColor(20, 20, 20))
    painter.drawEllipse(1, 1, size - 2, size - 2)
    painter.end()
    return pixmap


class WrappedLabel(QLabel):
    """A sentence that goes on in a second line where the dock is narrow."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)


class ElidedLabel(QLabel):
    """A line of text that ends in dots where it does not fit, whole in its tooltip."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self._full = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.set_text(text)

    @property
    def full_text(self) -> str:
        """The text without dots."""
        return self._full

    def set_text(self, text: str) -> None:
        """Show a text."""
        self._full = text
        self.setToolTip(text)
        self._elide()

    def minimumSizeHint(self) -> QSize:
        """Ask for no width."""
        return QSize(1, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Cut anew."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        metrics = self.fontMetrics()
        width = max(self.width(), 10)
        self.setText(metrics.elidedText(self._full, Qt.TextElideMode.ElideRight, width))


FOLD_STYLE = (
    "QToolButton { border: none; background: transparent; font-weight: 600; padding: 3px 0px;"
    " text-align: left; }"
)


def fold_arrow(toggle: QToolButton, *, opened: bool) -> None:
    """Let the heading of what folds point down where it is open."""
    toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    toggle.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)


class Fold(QWidget):
    """A heading that folds what is below it."""

    def __init__(self, title: str, content: QWidget, *, opened: bool = False) -> None:
        super().__init__()
        self.content = content
        self.toggle = QToolButton()
        self.toggle.setText(title)
        self.toggle.setCheckable(True)
        self.toggle.setStyleSheet("QToolButton { border: none; background: transparent; }")
        self.toggle.toggled.connect(self._apply)
        layout = column_in(self, spacing=2)
        layout.addWidget(self.toggle)
        layout.addWidget(content)
        self.toggle.setChecked(opened)
        self._apply(opened)

    def _apply(self, opened: bool) -> None:
        fold_arrow(self.toggle, opened=opened)
        self.content.setVisible(opened)


def scrolled(content: QWidget) -> QScrollArea:
    """Let a tab scroll downwards, never sideways."""
    area = QScrollArea()
    area.setWidget(content)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return area


def tab_page() -> tuple[QScrollArea, QVBoxLayout]:
    """Make the page of a tab that scrolls, and the layout of what stands on it."""
    content = QWidget()
    # On the right there is room for the bar.
    return scrolled(content), column_in(content, spacing=6, margins=(4, 4, 8, 4))


def text_button(text: str, deed: Callable[[], object], tooltip: str = "") -> QPushButton:
    """Make an ordinary button."""
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.clicked.connect(lambda _=False: deed())
    return button
