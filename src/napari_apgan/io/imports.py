"""Labels of other programs: look first, ask what the file cannot tell, then read."""

from __future__ import annotations

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from napari_apgan.atoms import REQUIRED, conform, empty_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame

from ._guard import existing_file
from .import_guess import guess, questions
from .import_others import is_deeplabcut, read_atomap, read_deeplabcut
from .import_roi import read_rois
from .import_tables import TextTable, read_text_table
from .import_types import (
    KIND_WORDS,
    Choices,
    ImportKind,
    LengthUnit,
    Preview,
    Question,
)
from .tables import read_atoms

__all__ = [
    "KIND_WORDS",
    "Choices",
    "ImportKind",
    "LengthUnit",
    "Preview",
    "Question",
    "preview",
    "read",
]

_HDF5 = frozenset({".h5", ".hdf5"})
_ROI = frozenset({".roi", ".zip"})
_SHOWN = 8
_PM: dict[str, float] = {"nm": 1e3, "Å": 100.0, "pm": 1.0}


def preview(
    path: str | os.PathLike[str],
    *,
    frame: Frame | None = None,
    frame_shape: tuple[int, int] | None = None,
) -> Preview:
    """Look at a file of labels: what it is, what its columns mean, and what must be asked.

    Parameters
    ----------
    path : path
        A text table with any suffix, or ``.roi``, ``.zip``, ``.hdf5``.
    frame : Frame, optional
        The image that the labels belong to. It often tells (x, y) from (row, column) and where
        the file's pixels begin, and its pixel size tells lengths from pixels.
    frame_shape : (int, int), optional
        (rows, columns), where only that is known.

    Raises
    ------
    UserError
        When the file cannot be read, or holds no labels.
    """
    file = existing_file(Path(path))
    suffix = file.suffix.lower()
    if suffix in _HDF5:
        return _preview_atomap(file)
    if suffix in _ROI:
        return _preview_rois(file)
    table = read_text_table(file)
    if is_deeplabcut(table):
        return _preview_deeplabcut(table)
    if _is_napari(table):
        return _preview_napari(table)
    if _is_own(table):
        return _preview_own(table)
    return _preview_table(table, frame, frame_shape)


def read(
    path: str | os.PathLike[str], choices: Choices, *, calibration: Calibration | None = None
) -> pd.DataFrame:
    """Read labels as chosen.

    Parameters
    ----------
    path : path
    choices : Choices
        From a :class:`Preview`, completed by the user's answers.
    calibration : Calibration, optional
        The image's, for positions in nm, Å or pm where `choices` names no pixel size.

    Returns
    -------
    DataFrame
        Atom table, `origin` ``human`` but for atom tables of this program, which keep theirs; rows
        without a position are left out.

    Raises
    ------
    UserError
        When the file is not of that kind, a column is missing, or a length has no pixel size.
    """
    file = existing_file(Path(path))
    if choices.kind == "own":
        return _own(file, choices)
    if choices.kind == "atomap":
        found = read_atomap(file)
    elif choices.kind == "imagej roi":
        found = _rois_table(file)
    elif choices.kind == "deeplabcut":
        table = read_text_table(file)
        if not is_deeplabcut(table):
            raise UserError(f"{file.name} is no table of DeepLabCut: it lacks its header lines.")
        found = read_deeplabcut(table)
        found = found[~(found["probability"] < choices.least_likelihood)]
    else:
        found = _columns(file, read_text_table(file), choices)
    return _finished(file, found, choices, calibration)


def _finished(
    file: Path, found: pd.DataFrame, choices: Choices, calibration: Calibration | None
) -> pd.DataFrame:
    """Bring what was read to pixels from 0, with the elements' names as chosen."""
    found = found[np.isfinite(found["x_px"]) & np.isfinite(found["y_px"])].copy()
    if choices.unit != "px":
        y_pm, x_pm = _pixel_size(file, choices, calibration)
        found["x_px"] *= _PM[choices.unit] / x_pm
        found["y_px"] *= _PM[choices.unit] / y_pm
    if choices.kind != "imagej roi":  # these say themselves where their pixels begin
        found[["x_px", "y_px"]] -= choices.first_pixel if choices.unit == "px" else 0.0
    names = [choices.element_of.get(str(n), str(n)).strip() for n in found["element"]]
    found["element"] = pd.Series(names, index=found.index, dtype=object)
    found = found[found["element"] != ""]
    if not len(found):
        return empty_atoms()
    found["origin"] = "human"
    return conform(found.reset_index(drop=True))


def _pixel_size(
    file: Path, choices: Choices, calibration: Calibration | None
) -> tuple[float, float]:
    if choices.pixel_size_pm is not None and min(choices.pixel_size_pm) > 0:
        return choices.pixel_size_pm
    if calibration is not None and calibration.y_pm is not None and calibration.x_pm is not None:
        return calibration.y_pm, calibration.x_pm
    raise UserError(
        f"The positions in {file.name} are in {choices.unit}: give the image's pixel size to place "
        "them."
    )


def _columns(file: Path, table: TextTable, choices: Choices) -> pd.DataFrame:
    asked = (choices.x_column, choices.y_column, choices.element_column, choices.frame_column)
    last = max(k for k in asked if k is not None)
    if last >= table.width:
        raise UserError(
            f"{file.name} has {table.width} columns; there is no column number {last + 1}."
        )
    found = pd.DataFrame(
        {"x_px": table.numbers(choices.x_column), "y_px": table.numbers(choices.y_column)}
    )
    found["element"] = choices.element
    if choices.element_column is not None:
        cells = [_class_name(row[choices.element_column]) for row in table.rows]
        found["element"] = [cell or choices.element for cell in cells]
    if choices.frame_column is not None:
        numbers = table.numbers(choices.frame_column) - choices.first_frame
        if not np.isfinite(numbers).all() or (numbers < 0).any():
            raise UserError(
                f"{file.name}: the column {table.names[choices.frame_column]} does not number the "
                f"frames from {choices.first_frame} on."
            )
        found["frame"] = np.rint(numbers).astype(np.int64)
    return found


def _class_name(cell: str) -> str:
    """Return a cell as an element's name: without quotes, commas and line breaks, 24 characters."""
    return re.sub(r"[,;\"'\r\n\t]", " ", cell).strip()[:24].strip()


def _rois_table(file: Path) -> pd.DataFrame:
    parts = []
    for roi in read_rois(file):
        xy = roi.xy - (0.5 if roi.sub_pixel else 0.0)
        part = pd.DataFrame({"x_px": xy[:, 0], "y_px": xy[:, 1]})
        part["element"] = _roi_class(roi.name)
        part["frame"] = roi.frame
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _roi_class(name: str) -> str:
    """Return the class that a ROI's name speaks of; ImageJ's own names are numbers."""
    bare = _class_name(re.sub(r"[-_ ]*\d+$", "", name))
    return "unknown" if not bare or re.fullmatch(r"[\d\W_]+", name) else bare


def _preview_atomap(file: Path) -> Preview:
    if not h5py.is_hdf5(file):
        raise UserError(f"{file.name} is no HDF5 file.")
    found = read_atomap(file)
    names = tuple(dict.fromkeys(str(n) for n in found["element"]))
    return Preview(
        "atomap",
        (),
        (),
        Choices(kind="atomap", element_of={n: n for n in names}),
        {"order": 1.0, "unit": 1.0, "first_pixel": 1.0},
        (Question("element_of", "Which element is each sublattice?", names),),
        names,
        len(found),
        f"{len(names)} sublattices of atomap, in px from the centre of the first pixel.",
    )


def _preview_rois(file: Path) -> Preview:
    rois = read_rois(file)
    table = _rois_table(file)
    names = tuple(dict.fromkeys(str(n) for n in table["element"]))
    between = any(r.sub_pixel for r in rois)
    return Preview(
        "imagej roi",
        (),
        (),
        Choices(kind="imagej roi", element_of={n: n for n in names}),
        {"order": 1.0, "unit": 1.0, "first_pixel": 0.95},
        (Question("element_of", "Which element does each group of points show?", names),),
        names,
        len(table),
        f"{len(rois)} selections of points; "
        + ("ImageJ counts from the corner of the first pixel" if between else "whole pixels")
        + ".",
    )


def _preview_deeplabcut(table: TextTable) -> Preview:
    found = read_deeplabcut(table)
    names = tuple(dict.fromkeys(str(n) for n in found["element"]))
    return Preview(
        "deeplabcut",
        (),
        table.rows[:_SHOWN],
        Choices(kind="deeplabcut", element_of={n: n for n in names}),
        {"order": 1.0, "unit": 1.0, "first_pixel": 0.9, "frame": 0.9},
        (Question("element_of", "Which element is each body part?", names),),
        names,
        len(found),
        f"Points of DeepLabCut: {len(table.rows)} frames in the order of the file.",
    )


def _is_own(table: TextTable) -> bool:
    return bool(table.header) and set(REQUIRED) <= {n.strip() for n in table.names}


def _preview_own(table: TextTable) -> Preview:
    names = [n.strip() for n in table.names]
    classes = _classes(table, names.index("element"))
    return Preview(
        "own",
        table.names,
        table.rows[:_SHOWN],
        Choices(kind="own", element_of={n: n for n in classes}),
        {"order": 1.0, "unit": 1.0, "first_pixel": 1.0},
        (),
        classes,
        len(table.rows),
        "An atom table: x, y in px from the centre of the first pixel.",
    )


def _own(file: Path, choices: Choices) -> pd.DataFrame:
    found = read_atoms(file)
    names = [choices.element_of.get(n, n).strip() for n in found["element"]]
    found["element"] = names
    return conform(found[found["element"] != ""].reset_index(drop=True))


def _is_napari(table: TextTable) -> bool:
    names = [n.strip().lower() for n in table.names]
    return "axis-0" in names and "axis-1" in names


def _preview_napari(table: TextTable) -> Preview:
    names = [n.strip().lower() for n in table.names]
    axes = sorted(n for n in names if re.fullmatch(r"axis-\d", n))
    if len(axes) > 3:
        raise UserError(
            f"These points of napari have {len(axes)} axes: points on images and on series can be "
            "read, with two and three."
        )
    element = next((names.index(n) for n in ("element", "label", "class") if n in names), None)
    classes = _classes(table, element)
    choices = Choices(
        kind="napari",
        x_column=names.index(axes[-1]),
        y_column=names.index(axes[-2]),
        frame_column=names.index(axes[0]) if len(axes) == 3 else None,
        element_column=element,
    )
    asked = () if element is not None else (Question("element", "Which element are these atoms?"),)
    return Preview(
        "napari",
        table.names,
        table.rows[:_SHOWN],
        choices,
        {"order": 1.0, "unit": 1.0, "first_pixel": 1.0},
        asked,
        classes,
        len(table.rows),
        "Points of a napari layer: rows before columns, in px from the centre of the first pixel.",
    )


def _classes(table: TextTable, column: int | None) -> tuple[str, ...]:
    if column is None:
        return ()
    return tuple(dict.fromkeys(c for row in table.rows if (c := _class_name(row[column]))))


def _preview_table(
    table: TextTable, frame: Frame | None, frame_shape: tuple[int, int] | None
) -> Preview:
    if table.width < 2:
        raise UserError("A table of points needs two columns of numbers.")
    out = guess(table, frame, frame_shape)
    calibrated = frame is not None and frame.calibration.known
    numbers = table.numbers(out.frame) if out.frame is not None else np.zeros(1)
    first_frame = int(np.nanmin(numbers)) if np.isfinite(numbers).any() else 0
    y_pm = frame.calibration.y_pm if frame is not None else None
    x_pm = frame.calibration.x_pm if frame is not None else None
    size = None
    if out.unit != "px" and y_pm is not None and x_pm is not None:
        size = (y_pm, x_pm)
    choices = Choices(
        x_column=out.x,
        y_column=out.y,
        element_column=out.element,
        frame_column=out.frame,
        first_pixel=out.first_pixel,
        first_frame=min(first_frame, 1),
        unit=out.unit,
        pixel_size_pm=size,
    )
    good = np.isfinite(table.numbers(out.x)) & np.isfinite(table.numbers(out.y))
    note = f"{int(good.sum())} points in {table.width} columns."
    return Preview(
        "table",
        table.names,
        table.rows[:_SHOWN],
        choices,
        {"order": out.order, "unit": out.unit_sure, "first_pixel": out.first_pixel_sure},
        questions(out, table.names, calibrated=calibrated),
        _classes(table, out.element),
        int(good.sum()),
        " ".join([note, *(out.notes or [])]),
    )
