"""Open microscope images: one function for every format, one sentence for every failure."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Missing, Source, make_frame

from . import _arrays, _rosetta, _tiff
from ._guard import existing_file, guarded, survive_hdf5
from ._stored import (
    LUMINANCE_NOTE,
    Asked,
    Stored,
    largest,
    luminance,
    one_frame_chunks,
    to_stack,
)

_ARRAYS: dict[str, Callable[[Path, Asked], list[Stored]]] = {
    ".npz": _arrays.scan_npz,
    ".npy": _arrays.scan_npz,
    ".h5": _arrays.scan_hdf5,
    ".hdf5": _arrays.scan_hdf5,
}
_HDF5 = frozenset({".h5", ".hdf5", ".hspy", ".emd"})
_TIFF = frozenset({".tif", ".tiff"})

#: Suffixes of the files that :func:`open_source` reads, in lower case.
READABLE: frozenset[str] = frozenset({*_ARRAYS, *_TIFF, *_rosetta.PLUGINS})


def open_source(
    path: str | os.PathLike[str],
    *,
    dataset: str | None = None,
    missing: Missing = "auto",
    calibration: Calibration | None = None,
) -> Source:
    """Open one image or series.

    Parameters
    ----------
    path : path
        A file with one of the suffixes in `READABLE`.
    dataset : str, optional
        Which image of a file that holds several (the names that :func:`list_sources` gives); the
        largest by default. ``NAME@first`` or ``NAME@last`` says which axis of a 3-D array in an
        npz or HDF5 file counts the frames, where its shape misleads.
    missing : {"auto", "zero", "nan", "none"}
        Which pixels count as missing, see :func:`napari_apgan.frames.find_missing`.
    calibration : Calibration, optional
        Used instead of the file's.

    Returns
    -------
    Source
        Single images are in memory, series are dask arrays with one frame a chunk (those of npz
        and TIA files are in memory too, since these cannot be read in parts).

    Raises
    ------
    UserError
        When the file cannot be read, or holds no image.
    """
    file = existing_file(Path(path))
    asked = Asked.parse(dataset)
    found = _scan(file, asked)
    default = largest(file.name, found)
    chosen = next((s for s in found if asked.names(s.dataset)), None) if asked.name else default
    if chosen is None:
        known = ", ".join(s.dataset for s in found if s.dataset) or "one image without a name"
        raise UserError(f"{file.name} holds no image called {asked.name!r} (there is: {known}).")
    return _open(file, chosen, chosen is default, missing, calibration)


def list_sources(path: str | os.PathLike[str]) -> list[Source]:
    """Open every image and series of a file, in its order (arrays called image or data first).

    Raises
    ------
    UserError
        When the file cannot be read, or holds no image.
    """
    file = existing_file(Path(path))
    found = _scan(file, Asked())
    default = largest(file.name, found)
    return [_open(file, stored, stored is default, "auto", None) for stored in found]


def calibration_from_file(path: str | os.PathLike[str]) -> Calibration:
    """Read only the pixel size of a file's largest image, for a layer that napari opened itself.

    Raises
    ------
    UserError
        When the file cannot be read, or holds no image.
    """
    file = existing_file(Path(path))
    return largest(file.name, _scan(file, Asked())).calibration


def source_from_array(
    array: Any,
    name: str,
    calibration: Calibration | None = None,
    path: Path | None = None,
    *,
    rgb: bool | None = None,
    missing: Missing = "auto",
) -> Source:
    """Make a source of an array in memory, such as the data of a napari layer.

    Parameters
    ----------
    array : (..., Y, X) or (..., Y, X, 3 or 4) array
        numpy or dask; leading axes count the frames.
    name : str
    calibration : Calibration, optional
    path : Path, optional
        The file it was read from, when there is one.
    rgb : bool, optional
        Whether the last axis holds colours, which become luminance; by default when it is of
        length 3 or 4 and the type is uint8.
    missing : {"auto", "zero", "nan", "none"}

    Raises
    ------
    UserError
        When it is no image.
    """
    shape = tuple(array.shape)
    if rgb is None:
        rgb = len(shape) >= 3 and shape[-1] in (3, 4) and np.dtype(array.dtype) == np.uint8
    if rgb and len(shape) >= 3:
        array = (
            array.rechunk({array.ndim - 1: -1}).map_blocks(
                luminance, dtype=np.float32, drop_axis=array.ndim - 1
            )
            if hasattr(array, "map_blocks")
            else luminance(np.asarray(array))
        )
    if array.ndim < 2 or 0 in array.shape:
        raise UserError(f"{name} is not an image (its shape is {shape}).")
    stack = one_frame_chunks(to_stack(array, "first"))
    source = Source(
        name,
        stack,
        calibration or Calibration(),
        path,
        missing=missing,
        note=LUMINANCE_NOTE if rgb else "",
    )
    _check(source)
    return source


def _scan(path: Path, asked: Asked) -> list[Stored]:
    suffix = path.suffix.lower()
    if suffix in _HDF5:
        survive_hdf5(path)
    if suffix in _ARRAYS:
        return guarded(path, lambda: _ARRAYS[suffix](path, asked))
    if suffix in _TIFF:
        return guarded(path, lambda: _tiff.scan(path))
    if suffix in _rosetta.PLUGINS:
        return guarded(path, lambda: _rosetta.scan(path, _rosetta.PLUGINS[suffix]))
    raise UserError(
        f"{path.name}: files ending in {suffix or 'nothing'} cannot be read as images (readable: "
        f"{', '.join(sorted(READABLE))})."
    )


def _open(
    path: Path,
    stored: Stored,
    is_default: bool,
    missing: Missing,
    calibration: Calibration | None,
) -> Source:
    stack = guarded(path, stored.read)
    source = Source(
        name=path.stem if is_default else f"{path.stem} [{stored.dataset.replace('/', '-')}]",
        stack=stack,
        calibration=calibration if calibration is not None else stored.calibration,
        path=path,
        dataset=stored.dataset,
        metadata=stored.metadata,
        missing=missing,
        note=stored.note,
    )
    guarded(path, lambda: _check(source))
    return source


def _check(source: Source) -> None:
    """Read the first frame as a user would, so that a broken file opens nothing."""
    frame = replace(source, missing="none").frame(0)
    make_frame(frame.data, name=source.name, missing="none")
