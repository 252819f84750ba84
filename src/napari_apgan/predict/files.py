"""Predictions as files: `NAME.atoms.csv`, `NAME.maps.tif` and `NAME.deviation.tif`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_apgan.errors import UserError
from napari_apgan.io import read_atoms, read_maps, write_atoms, write_maps
from napari_apgan.names import safe_name

from .prediction import Box, Prediction

ATOMS_SUFFIX = ".atoms.csv"
MAPS_SUFFIX = ".maps.tif"
DEVIATION_SUFFIX = ".deviation.tif"

_BOX_COMMENT = re.compile(r"^#\s*box_px:\s*(\d+),(\d+),(\d+),(\d+)\s*$")
_NOTE_COMMENT = re.compile(r"^#\s*note:\s*(.+?)\s*$")
_ELEMENTS_COMMENT = re.compile(r"^#\s*elements:\s*(.+?)\s*$")


@dataclass(frozen=True, slots=True)
class PredictionFiles:
    """Where a prediction lies.

    Parameters
    ----------
    atoms : Path
    maps : Path, optional
        None when the maps were not asked for.
    deviation : Path, optional
        Beside the maps, where the standard deviations of their pixels were asked for.
    """

    atoms: Path
    maps: Path | None
    deviation: Path | None = None


def file_stem(name: str) -> str:
    """Return the name of a prediction's files, without their endings."""
    return safe_name(name, empty="image", longest=200)


def prediction_files(folder: str | Path, name: str) -> PredictionFiles:
    """Return the paths of the prediction called `name`, whether they exist or not."""
    base = Path(folder) / file_stem(name)
    return PredictionFiles(
        base.with_name(base.name + ATOMS_SUFFIX),
        base.with_name(base.name + MAPS_SUFFIX),
        base.with_name(base.name + DEVIATION_SUFFIX),
    )


def write_prediction(
    folder: str | Path, name: str, prediction: Prediction, maps: bool = True
) -> PredictionFiles:
    """Write a prediction so that a reader finds the old files or the new ones, never a part.

    The maps come first: an atom table that exists has its maps beside it.

    Parameters
    ----------
    folder : path
        Made when absent.
    name : str
    prediction : Prediction
    maps : bool
        Whether to write the probability maps too, and their deviations where the prediction has
        them; older ones of the same name are removed if not.
    """
    files = prediction_files(folder, name)
    assert files.maps is not None
    assert files.deviation is not None
    deviation = prediction.deviation if maps else None
    if deviation is None:
        _remove(files.deviation)
    else:
        write_maps(files.deviation, deviation, prediction.elements, prediction.calibration)
    if maps:
        write_maps(files.maps, prediction.maps, prediction.elements, prediction.calibration)
    else:
        _remove(files.maps)
    write_atoms(prediction.atoms, files.atoms, comments=describe(prediction))
    return PredictionFiles(
        files.atoms, files.maps if maps else None, None if deviation is None else files.deviation
    )


def read_prediction(folder: str | Path, name: str) -> Prediction:
    """Read a prediction back; without a maps file the maps have the shape (C, 0, 0).

    Raises
    ------
    UserError
        When there is none, or a file of it is damaged.
    """
    files = prediction_files(folder, name)
    assert files.maps is not None
    assert files.deviation is not None
    if not files.atoms.is_file():
        raise UserError(f"There is no prediction of {name} in {folder}: predict it first.")
    atoms = read_atoms(files.atoms)
    box, notes, elements = _read_comments(files.atoms)
    if files.maps.is_file():
        maps, names = read_maps(files.maps)
        elements = tuple(names)
        stack = np.asarray(maps, dtype=np.float32)
    else:
        elements = elements or tuple(dict.fromkeys(atoms["element"]))
        stack = np.zeros((len(elements), 0, 0), dtype=np.float32)
    deviation = None
    if files.deviation.is_file():
        deviation = np.asarray(read_maps(files.deviation)[0], dtype=np.float32)
    return Prediction(stack, atoms, elements, notes, box, deviation=deviation)


def _remove(path: Path) -> None:
    """Remove the maps of an older prediction, which the new atoms would not belong to."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"The older maps {path} cannot be removed ({error.strerror}): close what shows them."
        ) from error


def describe(prediction: Prediction) -> list[str]:
    """Return the comments at the head of a prediction's atom table."""
    comments = ["predicted atoms", f"elements: {', '.join(prediction.elements)}"]
    if prediction.box is not None:
        comments.append("box_px: " + ",".join(str(edge) for edge in prediction.box))
    return comments + [f"note: {' '.join(note.split())}" for note in prediction.notes]


def _read_comments(path: Path) -> tuple[Box | None, tuple[str, ...], tuple[str, ...]]:
    box: Box | None = None
    notes: list[str] = []
    elements: tuple[str, ...] = ()
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                break
            if found := _BOX_COMMENT.match(line):
                x0, y0, x1, y1 = (int(edge) for edge in found.groups())
                box = (x0, y0, x1, y1)
            elif found := _NOTE_COMMENT.match(line):
                notes.append(found[1])
            elif found := _ELEMENTS_COMMENT.match(line):
                elements = tuple(part.strip() for part in found[1].split(","))
    return box, tuple(notes), elements
