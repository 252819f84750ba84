"""The files of a surveyed folder as a table that can be sorted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt
from qtpy.QtGui import QBrush, QColor

from napari_apgan.label.survey_row import SurveyRow

_GREY, _BAD = QColor("#7C848D"), QColor("#E8875F")
_DISPLAY, _SORT = Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.UserRole


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its words for a row, and what it is sorted by."""

    title: str
    tip: str
    words: Callable[[SurveyRow], str]
    order: Callable[[SurveyRow], Any]
    width: int


def is_spare(row: SurveyRow) -> bool:
    """Whether a file is greyed: unreadable, blank, or there already under another name."""
    return bool(row.error or row.blank or row.duplicate_of is not None)


def remark(row: SurveyRow) -> str:
    """Say what is to be known of a file, in few words."""
    if row.error:
        return row.error
    if row.duplicate_of is not None:
        return f"The same file as {row.duplicate_of.name}"
    if row.blank:
        return f"Blank: {row.blank}"
    words = [row.why] if row.why else []
    if row.looks_like is not None:
        words.append(f"Looks like {row.looks_like.name} ({row.likeness:.0%})")
    if row.pixel_note and row.pixel_size_pm is None:
        words.append(row.pixel_note)
    return " ".join(words)


def _pixel(row: SurveyRow) -> str:
    if row.pixel_size_pm is None:
        return "" if row.error else "?"
    y, x = row.pixel_size_pm
    return f"{x:.4g}" if abs(x - y) < 1e-3 * x else f"{x:.4g} x {y:.4g}"


def _length(pm: float | None, px: float | None) -> str:
    if pm is not None:
        return f"{pm:.0f} pm"
    return "" if px is None else f"{px:.1f} px"


def _lattice(row: SurveyRow) -> str:
    spacing = _length(row.spacing_pm, row.spacing_px)
    share = f", {row.material:.0%} agrees" if row.material is not None else ""
    return f"{row.lattice} {spacing}{share}".strip() if row.lattice else ""


def _fits(row: SurveyRow) -> str:
    return {True: "yes", False: "no", None: ""}[row.fits]


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def magnification(text: str) -> str:
    """Say a magnification in few digits: ``2.55 Mx``; as it is where it is no number."""
    value = _as_number(text)
    if value is None or value < 1000:
        return text
    return f"{value / 1e6:.3g} Mx" if value >= 1e6 else f"{value / 1e3:.3g} kx"


def _number(value: float | None) -> float:
    return math.inf if value is None else value


COLUMNS: tuple[Column, ...] = (
    Column("File", "", lambda r: r.path.name, lambda r: r.path.name.lower(), 200),
    Column("Detector", "As the file says", lambda r: r.detector, lambda r: r.detector, 70),
    Column(
        "Magn.",
        "Magnification, as the file says",
        lambda r: magnification(r.magnification),
        lambda r: (_as_number(r.magnification) is None, _as_number(r.magnification) or 0.0),
        70,
    ),
    Column(
        "Pixel (pm)",
        "Pixel size; ? where the file says none that can be true",
        _pixel,
        lambda r: _number(None if r.pixel_size_pm is None else r.pixel_size_pm[1]),
        70,
    ),
    Column(
        "Size",
        "Columns x rows, and frames of a series",
        lambda r: (
            f"{r.shape[1]}x{r.shape[0]}" + (f" x {r.n_frames}" if r.n_frames > 1 else "")
            if r.n_frames
            else ""
        ),
        lambda r: r.shape[0] * r.shape[1] * r.n_frames,
        90,
    ),
    Column(
        "Lattice",
        "Symmetry and largest spacing; how much of it is the reference's",
        _lattice,
        lambda r: (r.lattice or "~", -(r.material or 0.0), _number(r.spacing_pm)),
        190,
    ),
    Column(
        "Finest",
        "Finest period above the noise: the smaller, the sharper",
        lambda r: _length(r.finest_pm, r.finest_px),
        lambda r: (r.finest_pm is None, _number(r.finest_pm or r.finest_px)),
        60,
    ),
    Column("Fits", "Whether the reference's model can be applied", _fits, lambda r: _fits(r), 40),
    Column("Remarks", "", remark, remark, 320),
)


class SurveyTable(QAbstractTableModel):
    """Holds the rows; they are added while a folder is read."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[SurveyRow] = []

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many files there are."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return how many columns there are."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = _DISPLAY) -> Any:
        """Return the title of a column, or its tip."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        column = COLUMNS[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.tip or None
        return column.title if role == _DISPLAY else None

    def data(self, index: QModelIndex, role: int = _DISPLAY) -> Any:
        """Return what a cell says, its colour, or what it is sorted by."""
        row, column = self.rows[index.row()], COLUMNS[index.column()]
        if role == _DISPLAY:
            return column.words(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{row.path}\n{remark(row)}".strip()
        if role == Qt.ItemDataRole.ForegroundRole:
            if is_spare(row):
                return QBrush(_GREY)
            return QBrush(_BAD) if row.fits is False else None
        return None

    def clear(self) -> None:
        """Forget all files."""
        self.beginResetModel()
        self.rows = []
        self.endResetModel()

    def add(self, rows: Sequence[SurveyRow]) -> None:
        """Add files."""
        if rows:
            first = len(self.rows)
            self.beginInsertRows(QModelIndex(), first, first + len(rows) - 1)
            self.rows += rows
            self.endInsertRows()


class SurveySorter(QSortFilterProxyModel):
    """Sorts by what a column means, not by its words; can hide what is greyed."""

    def __init__(self, table: SurveyTable) -> None:
        super().__init__()
        self._table = table
        self._hides = False
        self.setSourceModel(table)
        self.setDynamicSortFilter(True)

    def hide_spare(self, hide: bool) -> None:
        """Show or hide blanks, copies and what cannot be read."""
        self._hides = hide
        self.invalidate()

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:
        """Compare two cells."""
        order = COLUMNS[left.column()].order
        one, other = self._table.rows[left.row()], self._table.rows[right.row()]
        return bool(order(one) < order(other))

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Whether a file is shown."""
        return not (self._hides and is_spare(self._table.rows[row]))
