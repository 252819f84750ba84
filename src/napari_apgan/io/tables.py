"""Atom tables as CSV: strict in what is written, tolerant in what is read."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from napari_apgan.atoms import COLUMNS, conform
from napari_apgan.errors import UserError
from napari_apgan.io._guard import existing_file, explain
from napari_apgan.settings import write_atomically

#: What other programs call our columns, in lower case without blanks.
_ALIASES: dict[str, str] = {
    **dict.fromkeys(("x", "x(px)", "x(pixel)", "x(pixels)", "col", "column", "axis-1"), "x_px"),
    **dict.fromkeys(("y", "y(px)", "y(pixel)", "y(pixels)", "row", "axis-0"), "y_px"),
    **dict.fromkeys(("x_pixel", "x_pixels", "xpx", "pos_x", "x_pos", "xpos"), "x_px"),
    **dict.fromkeys(("y_pixel", "y_pixels", "ypx", "pos_y", "y_pos", "ypos"), "y_px"),
    **dict.fromkeys(("symbol", "species", "label", "type", "class", "atom"), "element"),
    **dict.fromkeys(("t", "slice", "frame_number"), "frame"),
}

_DELIMITERS = (",", ";", "\t")


def read_atoms(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    element: str | None = None,
) -> pd.DataFrame:
    """Read an atom table.

    Needs only ``element,x_px,y_px``. Lines that start with ``#`` are comments; the delimiter is a
    comma, semicolon, tab or blanks; any line end will do, also CR CR LF. Columns called ``row`` and
    ``col``, ``x`` and ``y`` are recognised by name in any order; their order alone says nothing.

    Parameters
    ----------
    path : path
    columns : sequence of str, optional
        Names of the columns of a file without a header, in order, for example
        ``("y_px", "x_px")`` for a table of (row, column).
    element : str, optional
        Element of every atom, for a file without such a column.

    Returns
    -------
    DataFrame
        An atom table.

    Raises
    ------
    UserError
        When the file cannot be read, has no header and `columns` is not given, lacks a column, or
        holds a position that is no number.
    """
    file = existing_file(Path(path))
    lines = _lines(file)
    if not lines:
        raise UserError(f"{file.name} holds no table.")
    delimiter = _delimiter(lines[0])
    rows = [_split(line, delimiter) for line in lines]
    if columns is not None:
        header = [_name(c) for c in columns]
    elif all(_is_number(cell) for cell in rows[0] if cell) or not _has_positions(rows[0]):
        raise UserError(
            f"{file.name} has no header that names its columns (its first line is "
            f"{lines[0][:50]!r}), so x and y cannot be told "
            "apart: write a first line such as element,x_px,y_px, x the column and y the row."
        )
    else:
        header = [_name(c) for c in rows.pop(0)]
    _check_width(file, header, rows)
    values = {
        name: pd.Series([row[i] if i < len(row) else "" for row in rows], dtype=object)
        for i, name in enumerate(header)
    }
    if element is not None:
        values["element"] = pd.Series([element] * len(rows), dtype=object)
    return _conform(file, pd.DataFrame(values))


def write_atoms(
    table: pd.DataFrame, path: str | os.PathLike[str], comments: Sequence[str] = ()
) -> None:
    """Write an atom table as CSV, in one step; what is read back equals what was written.

    Columns without a single value are left out (all but ``id``, ``element``, ``x_px``, ``y_px``).

    Parameters
    ----------
    table : DataFrame
        Atom table.
    path : path
    comments : sequence of str
        Lines for the head of the file, each behind a ``#``.

    Raises
    ------
    UserError
        When the table is incomplete or the file cannot be written.
    """
    save_file(Path(path), atoms_to_csv(table, comments))


def atoms_to_csv(table: pd.DataFrame, comments: Sequence[str] = ()) -> str:
    """Return the CSV text of an atom table; floats as the shortest text that reads back exactly."""
    made = conform(table)
    names = [n for n in COLUMNS if n in _ALWAYS or _says_something(made, n)]
    text = io.StringIO()
    for comment in comments:
        text.writelines(f"# {line}\n" for line in comment.splitlines() or [""])
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(
        zip(*([_cell(v) for v in made[name].to_list()] for name in names), strict=True)
    )
    return text.getvalue()


def save_file(path: Path, content: str | bytes) -> None:
    """Write a file atomically; `UserError` when the system refuses."""
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(f"{path} could not be written: {error.strerror or error}.") from error


_ALWAYS = ("id", "element", "x_px", "y_px")


def _says_something(table: pd.DataFrame, name: str) -> bool:
    kind, default = COLUMNS[name]
    column = table[name]
    if kind == "float64":
        return bool(column.notna().any())
    return bool((column != default).any())


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else repr(value)
    return str(value).replace("\r", " ").replace("\n", " ")  # one atom stays one line


def _lines(path: Path) -> list[str]:
    """Return the lines that are neither empty nor comments, whatever ends them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path.name} could not be read: {explain(error)}.") from error
    if b"\x00" in data:
        raise UserError(f"{path.name} is not a text file.")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise UserError(f"{path.name} is not a text file.")
    text = text.replace("\r", "\n")
    return [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]


def _delimiter(line: str) -> str | None:
    counts = {d: line.count(d) for d in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda d: counts[d])
    return best if counts[best] else None


def _split(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _name(cell: str) -> str:
    key = cell.strip().strip('"').lower().replace(" ", "")
    return _ALIASES.get(key, key)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _has_positions(row: Sequence[str]) -> bool:
    names = {_name(cell) for cell in row}
    return bool(names & {"x_px", "y_px", "element"})


def _check_width(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    double = sorted({n for n in header if n and header.count(n) > 1})
    if double:
        raise UserError(f"{path.name} has more than one column that means {', '.join(double)}.")
    for number, row in enumerate(rows, start=1):
        if len(row) > len(header) and any(row[len(header) :]):
            raise UserError(
                f"Row {number} of {path.name} has {len(row)} values for {len(header)} columns."
            )


def _conform(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Turn texts into the table's types; say which file when that fails."""
    lacking = [c for c in ("element", "x_px", "y_px") if c not in table]
    if lacking:
        raise UserError(
            f"{path.name} lacks {', '.join(lacking)}: it has the columns "
            f"{', '.join(map(str, table.columns))}, and needs element, x_px and y_px."
        )
    typed: Mapping[str, object] = {
        name: table[name] if COLUMNS[name][0] == "str" else _numbers(path, table[name], name)
        for name in table.columns
        if name in COLUMNS
    }
    try:
        return conform(pd.DataFrame(typed))
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from error
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path.name} holds a number that cannot be: {explain(error)}.") from error


def _numbers(path: Path, column: pd.Series[str], name: str) -> pd.Series[float]:
    whole = COLUMNS[name][0] == "int64"
    out: list[float | int | None] = []
    for row, cell in enumerate(column, start=1):
        if cell == "" or (whole and cell.lower() == "nan"):
            out.append(None)
            continue
        try:
            out.append(_integer(cell) if whole else float(cell))
        except (ValueError, OverflowError):
            raise UserError(
                f"{path.name}: {name} in row {row} is {cell!r}, which is no "
                f"{'whole ' * whole}number."
            ) from None
    if whole:
        default = COLUMNS[name][1]
        return pd.Series([default if v is None else v for v in out], dtype="int64")
    return pd.Series([np.nan if v is None else v for v in out], dtype="float64")


def _integer(cell: str) -> int:
    try:
        value = int(cell)
    except ValueError:
        number = float(cell)
        if number != int(number):
            raise
        value = int(number)
    if not -(2**63) <= value < 2**63:
        raise OverflowError(cell)
    return value
