"""Probability maps: TIFF for one frame, zarr for a series; channel names are the elements."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io._guard import existing_file, explain, guarded
from napari_apgan.io.tables import save_file
from napari_apgan.io.tiffs import tiff_bytes


def write_maps(
    path: str | os.PathLike[str],
    maps: Any,
    elements: Sequence[str],
    calibration: Calibration | None = None,
) -> None:
    """Write the maps of one frame or of a series, in one step.

    Parameters
    ----------
    path : path
        A name ending in ``.zarr`` makes a zarr 3 group with the array ``maps``, one chunk a frame;
        any other makes a TIFF, for one frame only.
    maps : (C, Y, X) or, for zarr, (T, C, Y, X) array
        numpy or dask; a series is written one frame at a time.
    elements : sequence of str
        Names of the channels, in order.
    calibration : Calibration, optional

    Raises
    ------
    UserError
        When shape and elements do not agree, or the system refuses.
    """
    target = Path(path)
    calibration = calibration or Calibration()
    channel_axis = maps.ndim - 3
    series = target.suffix.lower() == ".zarr"
    if maps.ndim not in ((3, 4) if series else (3,)) or maps.shape[channel_axis] != len(elements):
        raise UserError(
            f"Maps of shape {tuple(maps.shape)} for {len(elements)} elements cannot be written to "
            f"{target.name}: a TIFF takes (C, Y, X), a .zarr folder also (T, C, Y, X)."
        )
    if series:
        _write_zarr(target, maps if maps.ndim == 4 else maps[None], elements, calibration)
        return
    image = np.asarray(maps, dtype=np.float32)
    save_file(target, tiff_bytes(image, calibration, "CYX", labels=elements))


def _write_zarr(target: Path, maps: Any, elements: Sequence[str], calibration: Calibration) -> None:
    """Write to a temporary folder and swap it in: readers see the old one or the whole new one."""
    import zarr

    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        group = zarr.create_group(temporary)
        array = group.create_array(
            "maps", shape=maps.shape, chunks=(1, *maps.shape[1:]), dtype="float32"
        )
        for index in range(maps.shape[0]):
            array[index] = np.asarray(maps[index], dtype=np.float32)
        group.attrs["elements"] = list(elements)
        group.attrs["calibration"] = calibration.model_dump(mode="json")
        if target.exists():
            old = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
            target.rename(old)
            temporary.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.rename(target)
    except OSError as error:
        raise UserError(f"{target} could not be written: {explain(error)}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_maps(path: str | os.PathLike[str]) -> tuple[Any, tuple[str, ...]]:
    """Read maps that :func:`write_maps` wrote.

    Returns
    -------
    maps : (C, Y, X) float32 array, or (T, C, Y, X) dask array with one chunk a frame
        From a TIFF, or from a zarr folder.
    elements : tuple of str

    Raises
    ------
    UserError
        When there is no such file or it holds something else.
    """
    source = Path(path)
    if source.suffix.lower() == ".zarr":
        if not source.is_dir():
            raise UserError(f"There is no folder {source}.")
        return guarded(source, lambda: _read_zarr(source))
    return guarded(source, lambda: _read_tiff(existing_file(source)))


def _read_tiff(path: Path) -> tuple[Any, tuple[str, ...]]:
    with tifffile.TiffFile(path) as tif:
        labels = (tif.imagej_metadata or {}).get("Labels", [])
        elements = tuple(str(v) for v in ([labels] if isinstance(labels, str) else labels))
        maps = np.asarray(tif.asarray(), dtype=np.float32)
    maps = maps[None] if maps.ndim == 2 else maps
    if maps.ndim != 3 or len(elements) != maps.shape[0]:
        raise UserError(
            f"{path.name} holds no probability maps: it lacks one named channel per element."
        )
    return maps, elements


def _read_zarr(path: Path) -> tuple[Any, tuple[str, ...]]:
    import dask.array as da
    import zarr

    group = zarr.open_group(path, mode="r")
    elements = tuple(str(v) for v in group.attrs["elements"])
    maps = da.from_array(group["maps"], chunks=(1, -1, -1, -1))
    if maps.ndim != 4 or maps.shape[1] != len(elements):
        raise UserError(f"{path.name} holds no probability maps: its channels are not named.")
    return maps, elements
