"""Atom tables as JSON columns and as CSV text, and changes of a table by id.

Tables here are sorted by id and leave `x_pm` and `y_pm` undefined: those always follow from the
calibration of the source (:func:`napari_apgan.atoms.with_calibration`).
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import COLUMNS, REQUIRED
from napari_apgan.errors import UserError

#: Column -> values, one list for each column that differs from its default.
Rows = dict[str, list[Any]]

#: Columns that are computed, never stored in edits.
DERIVED = ("x_pm", "y_pm")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_STAMP = re.compile(r"^# edit: (\d+) atoms: (\d+)$", re.MULTILINE)


def one_line(text: str) -> str:
    """Replace control characters, so that a text survives CSV on every system."""
    return _CONTROL.sub(" ", text)


def encode_rows(table: pd.DataFrame) -> Rows:
    """Turn a conformed table into columns of plain numbers and strings.

    Numbers that are not finite become None; columns that hold nothing but their default are left
    out, as are `frame` and the derived ones.
    """
    rows: Rows = {}
    for name, (kind, default) in COLUMNS.items():
        if name == "frame" or name in DERIVED:
            continue
        values = encode_column(name, table[name].tolist())
        empty = None if kind == "float64" else default
        if name == "id" or name in REQUIRED or any(v != empty for v in values):
            rows[name] = values
    return rows


def encode_column(name: str, values: Sequence[Any]) -> list[Any]:
    """Turn the values of one column into what JSON holds.

    Raises
    ------
    UserError
        When there is no such column, or a value does not suit it.
    """
    if name not in COLUMNS:
        raise UserError(f"The atom table has no column {name!r}: choose {', '.join(COLUMNS)}.")
    kind = COLUMNS[name][0]
    try:
        if kind == "str":
            return [one_line(str(v)) for v in values]
        if kind == "int64":
            return [int(v) for v in values]
        numbers = [math.nan if v is None else float(v) for v in values]
    except (TypeError, ValueError) as error:
        raise UserError(f"A value does not suit the column {name}: {error}") from error
    return [v if math.isfinite(v) else None for v in numbers]


def decode_column(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """Turn one column of JSON values into an array of the column's type."""
    kind = COLUMNS[name][0]
    if kind == "float64":
        return np.array([math.nan if v is None else v for v in values], dtype=np.float64)
    return np.array(values, dtype=object if kind == "str" else np.int64)


def decode_rows(rows: Rows, frame: int) -> pd.DataFrame:
    """Turn columns into a table sorted by id; every row gets `frame`."""
    count = len(rows["id"])
    columns: dict[str, Any] = {}
    for name, (kind, default) in COLUMNS.items():
        if name == "frame":
            values = np.full(count, frame, dtype=np.int64)
        elif name in rows and name not in DERIVED:
            values = decode_column(name, rows[name])
        else:
            values = np.full(count, default, dtype=object if kind == "str" else kind)
        columns[name] = _as_column(name, values)
    table = pd.DataFrame(columns)
    return sort_by_id(table)


def _as_column(name: str, values: NDArray[Any]) -> Any:
    return pd.Series(values, dtype="str") if COLUMNS[name][0] == "str" else values


def sort_by_id(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table sorted by id, with an index from 0."""
    ids = table["id"].to_numpy()
    if len(ids) > 1 and (np.diff(ids) < 0).any():
        table = table.iloc[np.argsort(ids, kind="stable")]
    return table.reset_index(drop=True)


def rows_of(table: pd.DataFrame, ids: Sequence[int]) -> NDArray[np.int64]:
    """Return the row of each id in a table sorted by id.

    Raises
    ------
    UserError
        When an id is not in the table.
    """
    wanted = np.asarray(ids, dtype=np.int64).reshape(-1)
    known = table["id"].to_numpy()
    rows = np.searchsorted(known, wanted)
    inside = rows < len(known)
    if not inside.all() or (known[rows] != wanted).any():
        missing = wanted[~np.isin(wanted, known)]
        raise UserError(f"There is no atom number {missing[0]} on this frame any more.")
    return rows.astype(np.int64)


def insert(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table with more rows, sorted by id."""
    if not len(table) or not len(rows):
        return rows if len(rows) else table
    # Only what lies between the first and the last of them is sorted: seldom more than one row.
    first, last = np.searchsorted(table["id"].to_numpy(), [rows["id"].min(), rows["id"].max()])
    between = sort_by_id(pd.concat([table.iloc[first:last], rows], ignore_index=True))
    return pd.concat([table.iloc[:first], between, table.iloc[last:]], ignore_index=True)


def remove(table: pd.DataFrame, ids: Sequence[int]) -> pd.DataFrame:
    """Return the table without the rows of these ids."""
    keep = np.ones(len(table), dtype=bool)
    keep[rows_of(table, ids)] = False
    return table[keep].reset_index(drop=True)


def assign(table: pd.DataFrame, ids: Sequence[int], columns: Rows) -> pd.DataFrame:
    """Return the table with new values in some columns of some rows."""
    rows = rows_of(table, ids)
    changed = table.copy(deep=False)
    for name, values in columns.items():
        kind = COLUMNS[name][0]
        column = changed[name].to_numpy(object if kind == "str" else kind).copy()
        column[rows] = decode_column(name, values)
        changed[name] = _as_column(name, column)
    return changed


def pick(table: pd.DataFrame, ids: Sequence[int], names: Sequence[str]) -> Rows:
    """Return the values that some rows have now, as :func:`assign` takes them."""
    rows = rows_of(table, ids)
    return {name: encode_column(name, table[name].iloc[rows].tolist()) for name in names}


def to_csv(table: pd.DataFrame, comments: Sequence[str]) -> str:
    """Write a table as CSV text, floats to full precision, below header comments."""
    head = "".join(f"# {one_line(c)}\n" for c in comments)
    return head + str(table.to_csv(index=False, lineterminator="\n"))


def from_csv(text: str) -> pd.DataFrame:
    """Read what :func:`to_csv` wrote, without the derived columns.

    Raises
    ------
    UserError
        When it is not such a table.
    """
    body = text
    while body.startswith("#"):
        body = body.partition("\n")[2]
    try:
        texts = pd.read_csv(io.StringIO(body), dtype=str, keep_default_na=False)
        # Python's own conversion gives back every float exactly, whatever the pandas version.
        table = pd.DataFrame(
            {n: _as_column(n, _column_from_text(n, texts[n].tolist())) for n in COLUMNS}
        )
    except (ValueError, KeyError, pd.errors.ParserError) as error:
        raise UserError(f"It is not a table of labels: {one_line(str(error))}") from error
    for name in DERIVED:
        table[name] = np.nan
    if not np.isfinite(table[["x_px", "y_px"]].to_numpy()).all():
        raise UserError("It has positions that are not numbers.")
    return sort_by_id(table)


def _column_from_text(name: str, texts: Sequence[str]) -> NDArray[Any]:
    if COLUMNS[name][0] == "float64":
        return np.array([float(t) if t else math.nan for t in texts], dtype=np.float64)
    if COLUMNS[name][0] == "int64":
        return np.array([int(t) for t in texts], dtype=np.int64)
    return np.array(texts, dtype=object)


def stamp(number: int, count: int) -> str:
    """Return the header comment that :func:`read_stamp` finds again."""
    return f"edit: {number} atoms: {count}"


def read_stamp(head: str) -> tuple[int, int]:
    """Read the number of the last edit and the number of atoms from a labels file's first lines."""
    match = _STAMP.search(head)
    return (int(match[1]), int(match[2])) if match else (0, 0)
