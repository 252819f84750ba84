"""Plain arrays: npz, npy and HDF5 files of no particular kind, and which array is an image."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration

from . import _rosetta
from ._stored import (
    LUMINANCE_NOTE,
    Asked,
    FrameAxis,
    Stored,
    lazy_stack,
    luminance,
    stack_shape,
    to_stack,
)
from .units import Scale, calibration_from_scales

#: Images are at least this many pixels wide and high; smaller arrays are tables.
_MIN_SIDE = 8

_PIXEL_SIZE = re.compile(r"(?i)(?:.*/)?pixel_?size_?(pm|nm|um|a|å|angstrom)?")

_PREFERRED = ("image", "img", "data", "frames", "stack")


def scan_npz(path: Path, asked: Asked) -> list[Stored]:
    """Find the images in an npz or npy file; the arrays themselves are read later."""
    if path.suffix.lower() == ".npy":
        return [_npy(path, asked)]
    shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(".npy"):
                with archive.open(member) as file:
                    shapes[member[:-4]] = _npy_header(file)
    with np.load(path, allow_pickle=False) as arrays:
        scalars = {k: arrays[k] for k, (shape, dtype) in shapes.items() if _is_number(shape, dtype)}
    calibration = _named_pixel_size(scalars)

    def read(name: str) -> NDArray[Any]:
        with np.load(path, allow_pickle=False) as arrays:
            whole: NDArray[Any] = arrays[name]
        return whole

    found = [
        _from_array(name, shape, dtype, lambda n=name: read(n), calibration, asked.axis_of(name))
        for name, (shape, dtype) in shapes.items()
    ]
    return _images(found, asked)


def _npy(path: Path, asked: Asked) -> Stored:
    with path.open("rb") as file:
        shape, dtype = _npy_header(file)
    stored = _from_array(
        "", shape, dtype, lambda: np.load(path, allow_pickle=False), Calibration(), asked.axis
    )
    if stored is None:
        raise UserError(f"{path.name} holds an array of shape {shape}, which is no image.")
    return stored


def _npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    return shape, dtype


def scan_hdf5(path: Path, asked: Asked) -> list[Stored]:
    """Find the images in an HDF5 file: hyperspy's own (also old ones), else every dataset."""
    with h5py.File(path, "r") as file:
        if "Experiments" in file:
            hyperspy = True
        else:
            hyperspy = False
            datasets = _datasets(file)
            calibration = _named_pixel_size(
                {
                    **{str(k): np.asarray(v) for k, v in file.attrs.items()},
                    **{n: d[()] for n, d in datasets.items() if _is_number(d.shape, d.dtype)},
                }
            )
            own = {
                name: _named_pixel_size({str(k): np.asarray(v) for k, v in d.attrs.items()})
                for name, d in datasets.items()
            }
            shapes = {name: (d.shape, d.dtype) for name, d in datasets.items()}
    if hyperspy:
        return _rosetta.scan(path, "hspy")
    return _images(
        [
            _from_hdf5(
                path,
                name,
                shape,
                dtype,
                own[name] if own[name].known else calibration,
                asked.axis_of(name),
            )
            for name, (shape, dtype) in shapes.items()
        ],
        asked,
    )


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            found[name] = item

    file.visititems(visit)
    return found


def _from_hdf5(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    calibration: Calibration,
    asked: FrameAxis,
) -> Stored | None:
    def whole() -> NDArray[Any]:
        with h5py.File(path, "r") as file:
            array: NDArray[Any] = file[name][()]
        return array

    stored = _from_array(name, shape, dtype, whole, calibration, asked)
    if stored is None or stored.shape[0] == 1 or stored.note == LUMINANCE_NOTE:
        return stored
    last = stored.shape[0] == shape[-1] and stored.shape[1:] == shape[:2] and len(shape) == 3
    leading = shape[:-2]

    def frame(index: int) -> NDArray[Any]:
        with h5py.File(path, "r") as file:
            if last:
                array: NDArray[Any] = file[name][:, :, index]
            else:
                array = file[name][np.unravel_index(index, leading)]
        return array.reshape(stored.shape[1:])

    return Stored(
        dataset=stored.dataset,
        shape=stored.shape,
        read=lambda: lazy_stack(frame, stored.shape, np.dtype(dtype).newbyteorder("=")),
        calibration=stored.calibration,
        metadata=stored.metadata,
        note=stored.note,
    )


def _from_array(
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    whole: Any,
    calibration: Calibration,
    asked: FrameAxis,
) -> Stored | None:
    """Describe one array, None when it cannot be an image."""
    if dtype.kind not in "buif" or len(shape) < 2:
        return None
    if dtype == np.uint8 and len(shape) == 3 and shape[-1] in (3, 4) and asked == "auto":
        return Stored(
            dataset=name,
            shape=(1, shape[0], shape[1]),
            read=lambda: luminance(whole())[None],
            calibration=calibration,
            note=LUMINANCE_NOTE,
        )
    arranged = stack_shape(shape, asked)
    if arranged is None:
        return None
    note = ""
    if arranged[0] > 1:
        axis = "last" if len(shape) == 3 and arranged != shape else "first"
        note = f"{arranged[0]} frames along the {axis} axis of {' × '.join(map(str, shape))}."
    return Stored(
        dataset=name if asked == "auto" else f"{name}@{asked}",
        shape=arranged,
        read=lambda: to_stack(whole(), asked),
        calibration=calibration,
        metadata={"series": note} if note else {},
    )


def _images(found: list[Stored | None], asked: Asked) -> list[Stored]:
    """Keep what is wide and high enough for an image, or asked for by name.

    Names that say "image" stand first, so that they win among arrays of one size.
    """
    images = [
        s
        for s in found
        if s is not None and (min(s.shape[1:]) >= _MIN_SIDE or asked.names(s.dataset))
    ]
    return sorted(images, key=lambda s: s.dataset.rpartition("/")[2].lower() not in _PREFERRED)


def _is_number(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    return int(np.prod(shape)) == 1 and dtype.kind in "uif"


def _named_pixel_size(values: Mapping[str, Any]) -> Calibration:
    """Look for a number called ``pixel_size_A``, ``pixel_size_nm`` and the like."""
    for name, value in values.items():
        match = _PIXEL_SIZE.fullmatch(name)
        number = np.asarray(value)
        if match and number.size == 1 and number.dtype.kind in "uif":
            scale = Scale(float(number.reshape(())), match[1])
            return calibration_from_scales(scale, scale, f"the value {name}")
    return Calibration(note="The file holds no pixel size.")
