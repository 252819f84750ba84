"""Atoms for other programs: csv, xyz, cif, hspy, atomap, napari."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import COLUMNS, conform, positions, with_calibration
from napari_apgan.elements import SYMBOLS, Element, make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io.tables import atoms_to_csv, save_file
from napari_apgan.maps import output_map

ExportKind = Literal["csv", "xyz", "cif", "hspy", "atomap", "napari"]

#: What each kind's file is called.
EXPORT_SUFFIXES: dict[str, str] = {
    "csv": ".csv",
    "xyz": ".xyz",
    "cif": ".cif",
    "hspy": ".hspy",
    "atomap": ".hdf5",
    "napari": ".points.csv",
}

#: Stands for a class that is no chemical element, as in ASE.
_DUMMY = "X"

_PROJECTED = (
    "projected 2-D structure: the third coordinate is 0 and means nothing; y points down, as in "
    "the image"
)


@dataclass(frozen=True, slots=True)
class Export:
    """What an exporter needs beside the path."""

    table: pd.DataFrame
    calibration: Calibration
    elements: tuple[Element, ...]
    shape: tuple[int, int]
    image: NDArray[np.float32] | None
    name: str

    def picture(self) -> NDArray[np.float32]:
        """Return the frame, or, where it was not given, the output map drawn from the atoms."""
        if self.image is not None:
            return self.image
        channels = output_map(self.table, [e.name for e in self.elements], self.shape)
        whole: NDArray[np.float32] = channels.max(axis=0, initial=0.0)
        return whole


def export_atoms(
    table: pd.DataFrame,
    path: str | os.PathLike[str],
    kind: str,
    *,
    calibration: Calibration | None = None,
    elements: Sequence[Element] | Sequence[str] | None = None,
    frame_shape: tuple[int, int] | None = None,
    image: NDArray[np.float32] | None = None,
) -> None:
    """Write atoms for another program, in one step.

    Parameters
    ----------
    table : DataFrame
        Atom table; one frame for all but ``csv``, ``xyz`` and ``napari``.
    path : path
    kind : {"csv", "xyz", "cif", "hspy", "atomap", "napari"}
        ``csv``: the whole table. ``xyz``: extended XYZ in Å, one block a frame. ``cif``: P1 cell of
        the field of view. ``hspy``: a hyperspy file of the image with the atoms as markers, one
        set per element, and the table in ``metadata.Atoms``. ``atomap``: the HDF5 file that
        ``atomap.io.load_atom_lattice_from_hdf5`` reads, one sublattice per element. ``napari``:
        the CSV of a points layer, the other columns as its features.
    calibration : Calibration, optional
        Needed by ``xyz`` and ``cif``.
    elements : sequence of Element or str, optional
        Colours and order; by default those in the table.
    frame_shape : (int, int), optional
        (rows, columns) of the frame; by default just large enough for the atoms.
    image : (Y, X) array, optional
        The frame, for ``hspy`` and ``atomap``; they get the output map without it.

    Raises
    ------
    UserError
        When the kind is unknown, needs a pixel size that is not known or a single frame, or the
        file cannot be written.
    """
    if kind not in get_args(ExportKind):
        raise UserError(
            f"Atoms cannot be exported to {kind!r}: choose {', '.join(get_args(ExportKind))}."
        )
    target = Path(path)
    calibration = calibration or Calibration()
    made = conform(table)
    if kind in ("xyz", "cif") and not calibration.known:
        raise UserError(
            f"{target.name} needs positions in Å, and the pixel size of these atoms is not known: "
            "give one with --pixel-size or in the workbench."
        )
    if kind in ("cif", "hspy", "atomap") and made["frame"].nunique() > 1:
        raise UserError(
            f"{target.name} takes one frame, and these atoms are of {made['frame'].nunique()}: "
            "export each frame by itself."
        )
    if calibration.known:
        made = with_calibration(made, calibration)
    if image is not None:
        frame_shape = (image.shape[0], image.shape[1])
    export = Export(
        table=made,
        calibration=calibration,
        elements=_elements(made, elements),
        shape=frame_shape or _shape_around(made),
        image=image,
        name=target.name.split(".")[0] or "atoms",
    )
    save_file(target, _writer(kind)(export))


def _writer(kind: str) -> Callable[[Export], str | bytes]:
    if kind in ("hspy", "atomap"):
        from napari_apgan.io import export_hdf5

        return export_hdf5.to_hspy if kind == "hspy" else export_hdf5.to_atomap
    return {"csv": to_csv, "xyz": to_xyz, "cif": to_cif, "napari": to_napari}[kind]


def _elements(
    table: pd.DataFrame, elements: Sequence[Element] | Sequence[str] | None
) -> tuple[Element, ...]:
    """Return the elements asked for, then those of the table that were not named."""
    given = list(elements or [])
    known = [e for e in given if isinstance(e, Element)]
    names = [e for e in given if isinstance(e, str)]
    seen = {e.name for e in known} | set(names)
    names += [n for n in dict.fromkeys(table["element"]) if n not in seen]
    return (*known, *make_elements(names))


def _shape_around(table: pd.DataFrame) -> tuple[int, int]:
    xy = positions(table)
    if not len(xy):
        return 1, 1
    columns, rows = np.ceil(np.maximum(xy.max(axis=0), 0)).astype(int) + 1
    return int(rows), int(columns)


def to_csv(export: Export) -> str:
    """Return the whole table as CSV, with its pixel size in the head."""
    note = export.calibration.note or (
        f"{export.calibration.mean_pm:.6g} pm a pixel" if export.calibration.known else "unknown"
    )
    return atoms_to_csv(
        export.table, [f"x: column, y: row, 0: centre of the first pixel. Pixel size: {note}"]
    )


def to_xyz(export: Export) -> str:
    """Return extended XYZ, positions in Å; classes that are no elements become X."""
    lines: list[str] = []
    for frame, part in export.table.groupby("frame", sort=True):
        lines += [
            str(len(part)),
            f'Properties=species:S:1:pos:R:3:class:S:1:id:I:1 frame={frame} comment="{_PROJECTED}"',
        ]
        classes = part["element"].str.replace(r"\s", "_", regex=True)
        lines += [
            f"{_symbol(name):2s} {x / 100:14.6f} {y / 100:14.6f} {0.0:10.6f} {name} {number}"
            for name, x, y, number in zip(
                classes, part["x_pm"], part["y_pm"], part["id"], strict=True
            )
        ]
    if not lines:
        lines = ["0", f'comment="{_PROJECTED}"']
    return "\n".join(lines) + "\n"


def to_cif(export: Export) -> str:
    """Return a CIF: P1, the cell is the field of view, one site per atom."""
    assert export.calibration.matrix_pm is not None
    matrix = np.asarray(export.calibration.matrix_pm) / 100
    rows, columns = export.shape
    a, b = matrix[:, 0] * columns, matrix[:, 1] * rows
    length_a, length_b = float(np.hypot(*a)), float(np.hypot(*b))
    gamma = math.degrees(math.acos(float(a @ b) / (length_a * length_b)))
    head = [
        f"# {_PROJECTED}.",
        f"# The cell is the field of view of {columns} x {rows} px; c = 1 angstrom means nothing.",
        "data_" + re.sub(r"[^A-Za-z0-9_.-]", "_", export.name),
        "_symmetry_space_group_name_H-M 'P 1'",
        "_symmetry_Int_Tables_number 1",
        f"_cell_length_a {length_a:.6f}",
        f"_cell_length_b {length_b:.6f}",
        "_cell_length_c 1.000000",
        "_cell_angle_alpha 90",
        "_cell_angle_beta 90",
        f"_cell_angle_gamma {gamma:.6f}",
        "loop_",
        "_symmetry_equiv_pos_as_xyz",
        "'x, y, z'",
        "loop_",
        *(f"_atom_site_{name}" for name in ("label", "type_symbol", "fract_x", "fract_y")),
        "_atom_site_fract_z",
        "_atom_site_occupancy",
    ]
    xy = positions(export.table)
    fractions = (xy + 0.5) / (columns, rows)
    sites = [
        f"{_symbol(element)}{number} {_symbol(element)} {u:.8f} {v:.8f} 0.0 1.0"
        for element, number, (u, v) in zip(
            export.table["element"], export.table["id"], fractions.tolist(), strict=True
        )
    ]
    return "\n".join([*head, *sites]) + "\n"


def to_napari(export: Export) -> str:
    """Return the CSV of a napari points layer: (frame,) row, column, then the features."""
    table = export.table
    axes = ["y_px", "x_px"] if table["frame"].nunique() < 2 else ["frame", "y_px", "x_px"]
    features = [
        name
        for name in COLUMNS
        if name not in axes and (COLUMNS[name][0] != "float64" or table[name].notna().any())
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", *(f"axis-{i}" for i in range(len(axes))), *features])
    columns = [table[name].to_list() for name in (*axes, *features)]
    for index, row in enumerate(zip(*columns, strict=True)):
        writer.writerow([index, *(repr(v) if isinstance(v, float) else v for v in row)])
    return text.getvalue()


def _symbol(name: str) -> str:
    return name if name in SYMBOLS else _DUMMY
