"""Texts of other programs as tables: delimiter, header lines, comments, whatever ends the lines."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError

from ._guard import existing_file, explain

#: Larger files are no tables of labels.
LARGEST_BYTES = 200 * 2**20
_NO_VALUE = frozenset({"", "nan", "na", "none", "null", "-"})


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table as it stands in the file.

    Parameters
    ----------
    header : tuple of tuple of str
        Lines above the first row of numbers; empty for a file that begins with numbers.
    rows : tuple of tuple of str
        All of one length, short ones filled up with empty cells.
    comments : tuple of str
        Lines that begin with ``#`` or ``%``.
    """

    header: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[str, ...], ...]
    comments: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.rows[0]) if self.rows else 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: the last header line, else numbered."""
        numbered = tuple(f"column {k + 1}" for k in range(self.width))
        if not self.header:
            return numbered
        last = self.header[-1]
        return tuple(
            last[k].strip() if k < len(last) and last[k].strip() else numbered[k]
            for k in range(self.width)
        )

    def numbers(self, column: int) -> NDArray[np.float64]:
        """Return a column as numbers, NaN where there is none."""
        return np.array([to_number(row[column]) for row in self.rows], dtype=np.float64)


def to_number(cell: str) -> float:
    """Read a cell; NaN where it holds no number."""
    text = cell.strip().strip('"')
    try:
        return float(text)
    except ValueError:
        return np.nan


def read_text_table(path: Path) -> TextTable:
    """Read a text table of any delimiter.

    Decimal commas are understood where semicolons, tabs or blanks part the columns.

    Raises
    ------
    UserError
        When the file cannot be read, is no text, or holds no row with two numbers.
    """
    text = _decoded(existing_file(path))
    lines = [line for line in text.replace("\r", "\n").split("\n") if line.strip()]
    comments = tuple(line.strip()[1:].strip() for line in lines if line.lstrip()[0] in "#%")
    lines = [line for line in lines if line.lstrip()[0] not in "#%"]
    delimiter = _delimiter(lines)
    decimal_comma = delimiter != "," and any(
        re.search(r"(?<!\d)\d+,\d+(?!\d)", line) for line in lines
    )
    try:
        cells = [_split(line, delimiter) for line in lines]
    except csv.Error as error:
        raise UserError(f"{path.name} is not a table: {explain(error)}.") from error
    if decimal_comma:
        cells = [[_with_point(c) for c in row] for row in cells]
    first = next((k for k, row in enumerate(cells) if _is_data(row)), len(cells))
    heads = [row[0].strip().lower() if row else "" for row in cells[:first]]
    if "scorer" in heads and "coords" in heads:  # DeepLabCut's frames may begin without a point
        first = heads.index("coords") + 1
    rows = [row for row in cells[first:] if any(c.strip() for c in row)]
    if not rows:
        raise UserError(f"{path.name} holds no table of positions: no line has two numbers in it.")
    width = max(len(row) for row in rows)
    padded = tuple(tuple(row + [""] * (width - len(row))) for row in rows)
    return TextTable(tuple(tuple(row) for row in cells[:first]), padded, comments)


def _decoded(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise UserError(f"{path.name} is too large for a table of labels (over 200 MB).")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path.name} could not be read: {explain(error)}.") from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").lstrip("\ufeff")
    if b"\x00" in data:
        raise UserError(f"{path.name} is not a text file.")
    for encoding in ("utf-8-sig", "cp1252", "latin-1"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path.name} is not a text file.")


def _delimiter(lines: list[str]) -> str | None:
    """Return what parts the columns: the delimiter that most lines have the same number of."""
    some = lines[-50:]
    best, most = None, 0.0
    for mark in (";", "\t", ","):
        counts = [line.count(mark) for line in some]
        if not counts or max(counts) == 0:
            continue
        usual = max(set(counts), key=counts.count)
        share = counts.count(usual) / len(counts) if usual else 0.0
        if share > most + 1e-9:
            best, most = mark, share
    if best == "," and all(re.search(r"\d,\d+\s+-?\d+,\d", line) for line in some):
        return None  # decimal commas, parted by blanks
    return best


def _split(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if re.fullmatch(r"\s*-?\d*,\d+\s*", cell) else cell


def _is_data(row: list[str]) -> bool:
    """Whether a line is data: two numbers, and no name of a column among them."""
    numbers = sum(np.isfinite(to_number(c)) for c in row)
    words = [c for c in row if c.strip().lower() not in _NO_VALUE and np.isnan(to_number(c))]
    return bool(numbers >= 2 and numbers >= len(words))
