"""Points of ImageJ's and Fiji's ROI manager: ``.roi`` files, and ``.zip`` files of them.

A ``.roi`` file is big-endian: ``Iout``, version (int16 at 4), type (byte at 6); bounds top, left,
bottom, right (int16 at 8, 10, 12, 14); number of points (int16 at 16); options (int16 at 50); place
of a second header (int32 at 60). From byte 64 on integer coordinates relative to the bounds, and
behind them absolute float32 ones where bit 7 of the options is set. The second header holds slice
and frame (int32 at 8 and 12), the name's place and length (int32 at 16 and 20).
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError

from ._guard import existing_file, explain

_POINT = 10
_SUB_PIXEL = 128
#: A ROI file is small; what is larger is none.
_LARGEST = 64 * 2**20


@dataclass(frozen=True, slots=True)
class RoiPoints:
    """The points of one ROI.

    Parameters
    ----------
    name : str
    xy : (N, 2) array
        As ImageJ counts.
    sub_pixel : bool
        Whether they may lie between pixels: the centre of the first pixel is then 0.5, else 0.
    frame : int
        Frame or slice from 0; 0 where none is stored.
    """

    name: str
    xy: NDArray[np.float64]
    sub_pixel: bool
    frame: int


def read_rois(path: Path) -> list[RoiPoints]:
    """Read the points of a ``.roi`` file, or of all those in a ``.zip``.

    Raises
    ------
    UserError
        When the file is damaged, or holds no points.
    """
    file = existing_file(path)
    found: list[RoiPoints] = []
    try:
        if file.suffix.lower() == ".zip":
            with zipfile.ZipFile(file) as packed:
                for entry in packed.infolist():
                    if entry.filename.lower().endswith(".roi") and entry.file_size <= _LARGEST:
                        roi = _decode(packed.read(entry), Path(entry.filename).stem)
                        found += [roi] if roi is not None else []
        else:
            if file.stat().st_size > _LARGEST:
                raise UserError(f"{file.name} is too large for a ROI file.")
            roi = _decode(file.read_bytes(), file.stem)
            found += [roi] if roi is not None else []
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{file.name} could not be read as points of ImageJ's ROI manager ({explain(error)})."
        ) from error
    if not found:
        raise UserError(f"{file.name} holds no points: save a point selection in the ROI manager.")
    return found


def _decode(data: bytes, name: str) -> RoiPoints | None:
    """Read one ROI; None when it is no point selection."""
    if data[:4] != b"Iout" or len(data) < 64:
        raise ValueError("it does not begin as a ROI does")
    if data[6] != _POINT:
        return None
    top, left, _, _, count = struct.unpack(">hhhhH", data[8:18])
    (options,) = struct.unpack(">h", data[50:52])
    (second,) = struct.unpack(">i", data[60:64])
    if count == 0 or 64 + 4 * count > len(data):
        raise ValueError("its points are cut off")
    relative = np.frombuffer(data, ">i2", 2 * count, 64).astype(np.float64)
    xy = np.column_stack([relative[:count] + left, relative[count:] + top])
    sub_pixel = bool(options & _SUB_PIXEL) and len(data) >= 64 + 12 * count
    if sub_pixel:
        floats = np.frombuffer(data, ">f4", 2 * count, 64 + 4 * count).astype(np.float64)
        xy = np.column_stack([floats[:count], floats[count:]])
    if not np.isfinite(xy).all():
        raise ValueError("a position is no number")
    number = 0
    if 0 < second <= len(data) - 24:
        _, slice_, frame, at, length = struct.unpack(">iiiii", data[second + 4 : second + 24])
        number = max(frame, slice_, 1) - 1
        if 0 < at <= len(data) - 2 * length and 0 < length < 256:
            name = data[at : at + 2 * length].decode("utf-16-be", "replace")
    return RoiPoints(name, xy, sub_pixel, number)
