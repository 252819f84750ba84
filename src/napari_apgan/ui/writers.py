"""What napari calls to save a points layer as an atom table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from napari.utils.notifications import show_error

from napari_apgan.atoms import COLUMNS, conform
from napari_apgan.errors import UserError


def table_of_points(data: Any, attributes: dict[str, Any]) -> pd.DataFrame:
    """Make an atom table from a points layer's data (rows of y, x or frame, y, x) and features.

    Features named like columns of the table are kept; without an element the class is `unknown`.
    """
    points = np.asarray(data, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] not in (2, 3):
        raise UserError("Only points on an image or on a series of images make an atom table.")
    features = pd.DataFrame(attributes.get("features", {})).reset_index(drop=True)
    table = features[[c for c in features.columns if c in COLUMNS]].copy()
    table["x_px"], table["y_px"] = points[:, -1], points[:, -2]
    if points.shape[1] == 3:
        table["frame"] = np.rint(points[:, 0]).astype(int)
    if "element" not in table:
        table["element"] = pd.Series(["unknown"] * len(table), dtype="str")
    return conform(table)


def write_atom_table(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write one points layer as `NAME.atoms.csv`; return the paths written."""
    from napari_apgan.io import write_atoms

    try:
        write_atoms(table_of_points(data, attributes), Path(path))
    except (UserError, OSError) as error:
        show_error(f"The atom table was not written: {error}")
        return []
    return [path]
