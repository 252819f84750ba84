"""Labels whose layout another program fixes: atomap's HDF5 and DeepLabCut's tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from napari_apgan.errors import UserError

from ._guard import existing_file, guarded, survive_hdf5
from .import_tables import TextTable, to_number


def read_atomap(path: Path) -> pd.DataFrame:
    """Read the sublattices of an atom lattice.

    Returns
    -------
    DataFrame
        `element` (the sublattice's name), `x_px`, `y_px`, `sublattice`, and `width_px` where the
        widths were fitted.

    Raises
    ------
    UserError
        When the file is damaged, or holds no sublattice.
    """
    file = existing_file(path)
    survive_hdf5(file)
    parts = guarded(file, lambda: list(_sublattices(file)))
    if not parts:
        raise UserError(f"{file.name} holds no sublattice of atomap (no atom_positions in it).")
    return pd.concat(parts, ignore_index=True)


def _sublattices(path: Path) -> Iterator[pd.DataFrame]:
    with h5py.File(path, "r") as file:
        for key in file:
            group = file[key]
            if not isinstance(group, h5py.Group) or "atom_positions" not in group:
                continue
            xy = np.asarray(group["atom_positions"], dtype=np.float64)
            if xy.ndim != 2 or xy.shape[1] != 2:
                raise UserError(f"{path.name}: the positions of {key} are no pairs of x and y.")
            name = group.attrs.get("name", "")
            name = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
            table = pd.DataFrame({"x_px": xy[:, 0], "y_px": xy[:, 1]})
            table["element"] = re.sub(r"[,;\"'\r\n\t]", " ", name).strip()[:24] or key[:24]
            table["sublattice"] = key
            widths = [np.asarray(group[k], float) for k in ("sigma_x", "sigma_y") if k in group]
            if len(widths) == 2 and all(w.shape == (len(xy),) for w in widths):
                table["width_px"] = np.sqrt(np.abs(widths[0] * widths[1]))
            yield table


def is_deeplabcut(table: TextTable) -> bool:
    """Whether a table has the header lines of DeepLabCut: scorer, body parts, coordinates."""
    firsts = [row[0].strip().lower() for row in table.header if row]
    return "scorer" in firsts and "bodyparts" in firsts and "coords" in firsts


def read_deeplabcut(table: TextTable) -> pd.DataFrame:
    """Read points of DeepLabCut: one row a frame, x, y and often a likelihood a body part.

    Returns
    -------
    DataFrame
        `element` (the body part without the number at its end), `sublattice` (the whole name),
        `frame` (the row's place in the file), `x_px`, `y_px`, `probability`; points that were not
        set are left out.
    """
    lines = {row[0].strip().lower(): row for row in table.header if row}
    parts, coords = lines["bodyparts"], lines["coords"]
    animals = lines.get("individuals", ("",) * len(parts))
    xs = [k for k in range(min(len(parts), len(coords))) if coords[k].strip().lower() == "x"]
    rows = []
    for number, row in enumerate(table.rows):
        for k in xs:
            if k + 1 >= len(row) or coords[k + 1].strip().lower() != "y":
                raise UserError("The table of DeepLabCut has an x without a y beside it.")
            x, y = to_number(row[k]), to_number(row[k + 1])
            if not (np.isfinite(x) and np.isfinite(y)):
                continue
            likely = k + 2 < len(coords) and coords[k + 2].strip().lower() == "likelihood"
            whole = " ".join(v for v in (animals[k].strip(), parts[k].strip()) if v)
            rows.append(
                {
                    "element": re.sub(r"[\W_]*\d+$", "", parts[k].strip())[:24] or "unknown",
                    "sublattice": whole,
                    "frame": number,
                    "x_px": x,
                    "y_px": y,
                    "probability": to_number(row[k + 2]) if likely else np.nan,
                }
            )
    names = ["element", "sublattice", "frame", "x_px", "y_px", "probability"]
    return pd.DataFrame(rows, columns=names)
