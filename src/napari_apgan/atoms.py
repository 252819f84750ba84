"""The atom table: one row an atom, the same columns in memory, in CSV and on the points layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .errors import UserError
from .frames import Calibration

#: Column -> (type, value when absent). Units are in the names: px, pm.
COLUMNS: dict[str, tuple[str, Any]] = {
    "id": ("int64", -1),
    "frame": ("int64", 0),
    "element": ("str", "unknown"),
    "x_px": ("float64", np.nan),
    "y_px": ("float64", np.nan),
    "x_pm": ("float64", np.nan),
    "y_pm": ("float64", np.nan),
    "sigma_x_pm": ("float64", np.nan),
    "sigma_y_pm": ("float64", np.nan),
    "x_map_px": ("float64", np.nan),
    "y_map_px": ("float64", np.nan),
    "sigma_map_x_pm": ("float64", np.nan),
    "sigma_map_y_pm": ("float64", np.nan),
    "probability": ("float64", np.nan),
    "confidence": ("float64", np.nan),
    "amplitude": ("float64", np.nan),
    "intensity": ("float64", np.nan),
    "intensity_error": ("float64", np.nan),
    "background": ("float64", np.nan),
    "width_px": ("float64", np.nan),
    "sublattice": ("str", ""),
    "grain": ("int64", -1),
    "origin": ("str", "human"),
    "round": ("int64", 0),
    "flag": ("str", ""),
}

REQUIRED = ("element", "x_px", "y_px")


def conform(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy with exactly the table's columns, types and order.

    Absent columns get their default; unknown ones are dropped; rows without an id (-1) get the
    next free ones in order.

    Raises
    ------
    UserError
        When `element`, `x_px` or `y_px` is missing, or a position is not a finite number.
    """
    lacking = [c for c in REQUIRED if c not in table.columns]
    if lacking:
        raise UserError(
            f"The atom table lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}: "
            "it needs at least element, x_px and y_px."
        )
    out = {
        name: _column(table[name], name)
        if name in table.columns
        else np.full(len(table), default, dtype=object if kind == "str" else kind)
        for name, (kind, default) in COLUMNS.items()
    }
    if not all(np.isfinite(out[name]).all() for name in ("x_px", "y_px")):
        raise UserError("The atom table has positions that are not numbers.")
    unnamed = out["id"] < 0
    if unnamed.any():
        out["id"][unnamed] = next_id(out["id"]) + np.arange(int(unnamed.sum()))
    return pd.DataFrame(
        {k: pd.Series(v, dtype="str") if COLUMNS[k][0] == "str" else v for k, v in out.items()}
    )


def _column(column: pd.Series, name: str) -> NDArray[Any]:
    """Return the values of a column in its type, absent ones replaced by the default."""
    kind, default = COLUMNS[name]
    values = column.to_numpy()
    if kind != "str" and values.dtype == kind:
        return values.copy()
    values = column.to_numpy(dtype=object, copy=True)
    values[pd.isna(values)] = default
    try:
        if kind == "str":
            return np.array([str(v) for v in values], dtype=object)
        numbers = np.asarray(pd.to_numeric(values))
        if kind == "int64" and not _whole(numbers):
            raise ValueError("whole numbers are needed")
        return numbers.astype(kind)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"The column {name} of the atom table is not all numbers: {error}"
        ) from error


def _whole(numbers: NDArray[Any]) -> bool:
    floats = numbers.astype(np.float64)
    return bool((np.isfinite(floats) & (np.trunc(floats) == floats)).all())


def empty_atoms() -> pd.DataFrame:
    """Return an atom table without rows."""
    return conform(pd.DataFrame({"element": [], "x_px": [], "y_px": []}))


def make_atoms(xy_px: ArrayLike, element: str | Sequence[str], **columns: Any) -> pd.DataFrame:
    """Make a table from (N, 2) positions x, y in px; scalars in `columns` fill every row."""
    xy = np.asarray(xy_px, dtype=np.float64).reshape(-1, 2)
    given: dict[str, Any] = {"element": element, **columns} if len(xy) else {"element": []}
    return conform(pd.DataFrame({"x_px": xy[:, 0], "y_px": xy[:, 1], **given}))


def positions(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return (N, 2) positions x, y in px."""
    return table[["x_px", "y_px"]].to_numpy(dtype=np.float64)


def next_id(ids: ArrayLike) -> int:
    """Return the smallest number above all of these ids (0 when there are none, or only -1)."""
    return int(np.max(np.asarray(ids), initial=-1)) + 1


def with_calibration(table: pd.DataFrame, calibration: Calibration) -> pd.DataFrame:
    """Return a copy with `x_pm`, `y_pm` computed from the positions in px."""
    x_pm, y_pm = calibration.to_pm(positions(table)).T
    return table.assign(x_pm=x_pm, y_pm=y_pm)


def concat(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Stack tables, keeping ids as they are."""
    filled = [t for t in tables if len(t)]
    return conform(pd.concat(filled, ignore_index=True)) if filled else empty_atoms()


def by_frame(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Part a table with a column `frame`: number of the frame -> its rows, in ascending order."""
    frames = table["frame"].to_numpy()
    return {int(number): table[frames == number] for number in np.unique(frames)}
