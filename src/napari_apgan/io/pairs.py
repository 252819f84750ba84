"""The pairs folder: what a network learns from, as plain files.

``NAME.tif`` (or any readable image) + ``NAME.csv`` (atoms), and optionally ``NAME.json``
(:class:`PairFile`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_apgan.atoms import with_calibration
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame, Missing
from napari_apgan.io._guard import explain
from napari_apgan.io.images import READABLE, open_source
from napari_apgan.io.tables import atoms_to_csv, read_atoms, save_file
from napari_apgan.io.tiffs import tiff_bytes
from napari_apgan.regions import Region

PairOrigin = Literal["human", "simulated", "corrected", "predicted", "detected"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One frame with its atoms: an example to learn from.

    Parameters
    ----------
    name : str
        Name of its files, without suffix.
    frame : Frame
    atoms : DataFrame
        Atom table.
    regions : tuple of Region
        Where the labels are complete, and what to ignore.
    origin : str
        Who placed the atoms: ``human``, ``simulated``, ``corrected``, …
    source : str
        Where the frame comes from, in words: a path, a simulation.
    note : str
        What was assumed when the pair was read.
    simulation : dict, optional
        How a simulated frame was made: settings, seed, what was drawn and measured, vacancies.
    """

    name: str
    frame: Frame
    atoms: pd.DataFrame
    regions: tuple[Region, ...] = ()
    origin: str = "human"
    source: str = ""
    note: str = ""
    simulation: dict[str, Any] | None = None


class PairFile(BaseModel):
    """``NAME.json`` of a pair.

    Parameters
    ----------
    schema_version : int
    pixel_size_pm : Calibration, float or (y, x), optional
        Pixel size in pm. Written in full (2x2 matrix with its origin and error); a single number
        or two, along y and x, may stand there when a file is made by hand.
    regions : list of Region, optional
        Polygons in px, see :class:`napari_apgan.regions.Region`. Absent: the labels are complete
        on the whole frame. An empty list: nothing is complete.
    origin : str
        Who placed the atoms.
    source : str
        Where the frame comes from.
    index : int
        Number of the frame in that source.
    missing : {"auto", "zero", "nan", "none"}, optional
        Which pixels of the image are missing; used where the reader is not told otherwise.
    simulation : dict, optional
        How a simulated frame was made: settings, seed, what was drawn and measured, vacancies.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    pixel_size_pm: Calibration | float | tuple[float, float] | None = None
    regions: list[Region] | None = None
    origin: str = "human"
    source: str = ""
    index: int = Field(default=0, ge=0)
    missing: Missing | None = None
    simulation: dict[str, Any] | None = None

    def calibration(self) -> Calibration | None:
        """Return the pixel size as a calibration; None when the file does not give it."""
        size = self.pixel_size_pm
        if size is None or isinstance(size, Calibration):
            return size
        y_pm, x_pm = (size, size) if isinstance(size, float) else size
        return Calibration.from_pixel_size(x_pm, y_pm, origin="file", note="From the pair's JSON.")


WHOLE_NOTE = "No regions are given, so the labels count as complete on the whole frame."


def read_pairs(
    folder: str | os.PathLike[str],
    *,
    missing: Missing = "auto",
    calibration: Calibration | None = None,
) -> list[Pair]:
    """Read a pairs folder, in the order of the names.

    Parameters
    ----------
    folder : path
    missing : {"auto", "zero", "nan", "none"}
        Which pixels count as missing, see :func:`napari_apgan.frames.find_missing`.
    calibration : Calibration, optional
        Used instead of what the files say.

    Returns
    -------
    list of Pair

    Raises
    ------
    UserError
        When the folder is empty, an image has no table or a table no image, an image holds a
        series, or a file is broken.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"There is no folder {root}.")
    images, tables = _members(root)
    lonely = sorted({p.name for n, p in images.items() if n not in tables})
    lonely += sorted({p.name for n, p in tables.items() if n not in images})
    if lonely:
        shown = ", ".join(lonely[:6]) + (f" and {len(lonely) - 6} more" if len(lonely) > 6 else "")
        raise UserError(
            f"A pair is an image and a CSV of the same name; these lack the other: {shown} "
            f"(in {root})."
        )
    if not images:
        raise UserError(f"{root} holds no pairs: put NAME.tif and NAME.csv there.")
    return [
        _read_pair(name, images[name], tables[name], missing, calibration)
        for name in sorted(images)
    ]


def _members(root: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    images: dict[str, Path] = {}
    tables: dict[str, Path] = {}
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix.lower() in READABLE:
            if path.stem in images:
                raise UserError(
                    f"{images[path.stem].name} and {path.name} have the same name: one pair each, "
                    f"please (in {root})."
                )
            images[path.stem] = path
        elif path.suffix.lower() == ".csv":
            tables[path.stem] = path
    return images, tables


def _read_pair(
    name: str, image: Path, table: Path, missing: Missing, calibration: Calibration | None
) -> Pair:
    about = _read_json(image.with_name(f"{name}.json"))
    try:
        chosen = calibration or (about.calibration() if about else None)
    except UserError as error:
        raise UserError(f"{name}.json: {error}") from error
    if missing == "auto" and about is not None and about.missing is not None:
        missing = about.missing
    source = open_source(image, missing=missing, calibration=chosen)
    if source.n_frames != 1:
        raise UserError(
            f"{image.name} holds a series of {source.n_frames} frames; a pair is one frame."
        )
    frame = source.frame(0)
    if about is not None and about.index:
        frame = Frame(
            frame.data, frame.valid, frame.calibration, frame.name, about.index, frame.note
        )
    atoms = read_atoms(table)
    if frame.calibration.known:
        atoms = with_calibration(atoms, frame.calibration)
    _check_inside(table, atoms, frame.shape)
    if about is None or about.regions is None:
        regions: tuple[Region, ...] = (Region.whole(frame.shape),)
        note = WHOLE_NOTE
    else:
        regions, note = tuple(about.regions), ""
    return Pair(
        name=name,
        frame=frame,
        atoms=atoms,
        regions=regions,
        origin=about.origin if about else "human",
        source=about.source if about else "",
        note=note,
        simulation=about.simulation if about else None,
    )


def _check_inside(path: Path, atoms: pd.DataFrame, shape: tuple[int, int]) -> None:
    """Refuse a table most of whose atoms lie outside: it is of another image, or in other units."""
    outside = (
        (atoms["x_px"] < -0.5)
        | (atoms["y_px"] < -0.5)
        | (atoms["x_px"] > shape[1] - 0.5)
        | (atoms["y_px"] > shape[0] - 0.5)
    )
    if len(atoms) and outside.mean() > 0.5:
        raise UserError(
            f"{int(outside.sum())} of the {len(atoms)} atoms of {path.name} lie outside its image "
            f"of {shape[1]} x {shape[0]} px: positions are x (column) and y (row) in px."
        )


def _read_json(path: Path) -> PairFile | None:
    if not path.exists():
        return None
    try:
        return PairFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, ValueError) as error:
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            place = ".".join(str(p) for p in first["loc"]) or "its text"
            reason = f"{place}: {first['msg']}"
        else:
            reason = explain(error)
        raise UserError(f"{path.name} is not the description of a pair ({reason}).") from error


def write_pairs(pairs: Sequence[Pair], folder: str | os.PathLike[str]) -> None:
    """Write pairs as a folder that :func:`read_pairs` reads back unchanged.

    Missing pixels are NaN in the image. Files of the same names are replaced, each in one step;
    others are left alone.

    Raises
    ------
    UserError
        When two pairs share a name, a name cannot be a file's, or the system refuses.
    """
    root = Path(folder)
    names = [p.name for p in pairs]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UserError(f"Two pairs are called {twice[0]}: names must differ.")
    for pair in pairs:
        if not pair.name or any(c in pair.name for c in '/\\:*?"<>|') or pair.name.startswith("."):
            raise UserError(f"{pair.name!r} cannot be the name of a file.")
    for pair in pairs:
        image = np.where(pair.frame.valid, pair.frame.data, np.float32(np.nan))
        about = PairFile(
            pixel_size_pm=pair.frame.calibration,
            regions=list(pair.regions),
            origin=pair.origin,
            source=pair.source,
            index=pair.frame.index,
            missing="nan",
            simulation=pair.simulation,
        )
        save_file(root / f"{pair.name}.csv", atoms_to_csv(pair.atoms))
        save_file(root / f"{pair.name}.json", about.model_dump_json(indent=2))
        save_file(root / f"{pair.name}.tif", tiff_bytes(image, pair.frame.calibration, "YX"))
