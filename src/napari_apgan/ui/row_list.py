"""The list that the tabs share: rows known by a key, drawn anew only when something changed.

A name that does not fit loses its middle; what a row says after it (how many atoms, how doubtful)
is never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QEvent, QModelIndex, QRect, Qt, Signal
from qtpy.QtGui import QFontMetrics, QPainter
from qtpy.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

_LINE = "\N{LINE SEPARATOR}"
_ROW = Qt.ItemDataRole.UserRole
#: Width at the right end of a row that can be removed, where its cross is (screen px).
_CROSS_PX = 22
#: Room for a tick and the margins (screen px).
_TICK_PX, _MARGIN_PX = 22, 8


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Parameters
    ----------
    key : hashable
        What the row stands for.
    name : str
        Loses its middle where the list is narrow.
    tail : str
        Follows the name and is shown whole.
    detail : str
        Wrapped lines below.
    ticked : bool, optional
        Whether its box is ticked; None: it has none.
    quiet : bool
        Drawn in grey: nothing is to be done there.
    removable : bool
        Has a cross at its end.
    tip : str
        Tooltip; the whole text when empty.
    """

    key: Any
    name: str
    tail: str = ""
    detail: str = ""
    ticked: bool | None = None
    quiet: bool = False
    removable: bool = False
    tip: str = ""

    @property
    def text(self) -> str:
        """Everything it says, uncut."""
        return f"{self.name}{self.tail}" + (f"\n{self.detail}" if self.detail else "")


def fitted(row: Row, metrics: QFontMetrics, width_px: int) -> str:
    """Return the text of a row whose name is cut so that its tail fits in a width."""
    room = width_px - _MARGIN_PX - metrics.horizontalAdvance(row.tail)
    room -= _TICK_PX if row.ticked is not None else 0
    room -= _CROSS_PX if row.removable else 0
    name = metrics.elidedText(row.name, Qt.TextElideMode.ElideMiddle, max(room, 24))
    return f"{name}{row.tail}" + (f"\n{row.detail}" if row.detail else "")


class _RowDelegate(QStyledItemDelegate):
    """Fits the text of a row into the list, and draws the cross of those that can be removed."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Cut the name, not what follows it."""
        super().initStyleOption(option, index)
        row = index.data(_ROW)
        width = option.widget.viewport().width() if option.widget is not None else 300
        # Items are drawn as one paragraph: a line feed would join the lines without a space.
        option.text = fitted(row, option.fontMetrics, width).replace("\n", _LINE)
        option.textElideMode = Qt.TextElideMode.ElideRight

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw a row, with its cross."""
        super().paint(painter, option, index)
        if index.data(_ROW).removable:
            painter.setPen(option.palette.color(option.palette.ColorRole.Text))
            painter.drawText(_cross(option.rect), int(Qt.AlignmentFlag.AlignCenter), "×")

    def editorEvent(
        self, event: QEvent, model: Any, option: QStyleOptionViewItem, index: QModelIndex
    ) -> bool:
        """Take a click on the cross as the wish to remove the row."""
        row = index.data(_ROW)
        released = event.type() == QEvent.Type.MouseButtonRelease
        if released and row.removable and _cross(option.rect).contains(event.position().toPoint()):
            option.widget.remove_wanted.emit(row.key)
            return True
        return super().editorEvent(event, model, option, index)


def _cross(rect: QRect) -> QRect:
    return QRect(rect.right() - _CROSS_PX, rect.top(), _CROSS_PX, rect.height())


class RowList(QListWidget):
    """Rows that can be chosen, ticked and removed.

    Parameters
    ----------
    most_rows : int, optional
        The list is as high as its rows, up to so many; without it, it takes what room there is.
    """

    chosen = Signal(object)  # key: by a click, or as `opened`
    opened = Signal(object)  # key: by a double click or Enter
    toggled = Signal(object, bool)  # key, ticked
    remove_wanted = Signal(object)  # key

    def __init__(self, most_rows: int | None = None) -> None:
        super().__init__()
        self._most_rows = most_rows
        self._rows: list[Row] = []
        self.setMinimumWidth(1)
        self.setWordWrap(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setItemDelegate(_RowDelegate(self))
        self.itemChanged.connect(self._on_changed)
        self.itemActivated.connect(self._on_chosen)
        self.itemActivated.connect(lambda item: self.opened.emit(item.data(_ROW).key))
        self.itemClicked.connect(self._on_chosen)

    @property
    def rows(self) -> list[Row]:
        """What is listed."""
        return list(self._rows)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """List these rows; the chosen one stays so where it still is."""
        if list(rows) == self._rows:
            return
        current = self.currentItem()
        key = current.data(_ROW).key if current is not None else None
        self._rows = list(rows)
        self.blockSignals(True)
        self.clear()
        for row in rows:
            self.addItem(_item(row))
        self.blockSignals(False)
        self.mark(key)
        if self._most_rows is not None:
            shown = min(max(len(rows), 1), self._most_rows)
            height = max(self.sizeHintForRow(0), 20) if rows else 20
            self.setFixedHeight(2 * self.frameWidth() + shown * (height + 2 * self.spacing()) + 2)

    def mark(self, key: Any) -> None:
        """Show one row as the chosen one, if it is listed; None: none of them."""
        at = next((n for n, r in enumerate(self._rows) if r.key == key), -1)
        self.setCurrentRow(at if key is not None else -1)

    def _on_changed(self, item: QListWidgetItem) -> None:
        row = item.data(_ROW)
        self._rows = []  # whatever comes of it, the list is drawn anew
        self.toggled.emit(row.key, item.checkState() == Qt.CheckState.Checked)

    def _on_chosen(self, item: QListWidgetItem) -> None:
        self.chosen.emit(item.data(_ROW).key)


def _item(row: Row) -> QListWidgetItem:
    item = QListWidgetItem(row.text)
    item.setData(_ROW, row)
    item.setToolTip(row.tip or row.text)
    if row.ticked is not None:
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(Qt.CheckState.Checked if row.ticked else Qt.CheckState.Unchecked)
    if row.quiet:
        item.setForeground(Qt.GlobalColor.gray)
    return item
