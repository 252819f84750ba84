"""One image or series inside a file, found but not yet read; and how arrays become (T, Y, X)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration

FrameAxis = Literal["auto", "first", "last"]

#: ITU-R BT.709 weights of red, green and blue in the luminance.
_LUMINANCE = (0.2126, 0.7152, 0.0722)

LUMINANCE_NOTE = "The colours of the file were turned into luminance."


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds.

    Parameters
    ----------
    dataset : str
        Its name in the file; empty where the file holds one.
    shape : (int, int, int)
        (T, Y, X), as `read` will return it.
    read : callable
        Returns the (T, Y, X) stack: an array for one frame, dask for a series.
    calibration : Calibration
    metadata : mapping
        Plain strings.
    note : str
        What was done to the pixels, for the user.
    """

    dataset: str
    shape: tuple[int, int, int]
    read: Callable[[], Any]
    calibration: Calibration
    metadata: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def size(self) -> int:
        """Number of pixels."""
        return prod(self.shape)


def frame_axis_of(shape: tuple[int, int, int], asked: FrameAxis = "auto") -> int:
    """Return which axis of a 3-D array counts the frames.

    The last when it is clearly the odd one out (shorter than both others), else the first.
    """
    if asked != "auto":
        return 0 if asked == "first" else 2
    return 2 if shape[2] < min(shape[0], shape[1]) else 0


def stack_shape(shape: tuple[int, ...], asked: FrameAxis = "auto") -> tuple[int, int, int] | None:
    """Return the (T, Y, X) that :func:`to_stack` makes of an array, None when it is no image."""
    if len(shape) < 2 or 0 in shape:
        return None
    squeezed = squeeze_shape(shape)
    if len(squeezed) == 3 and frame_axis_of(squeezed, asked) == 2:
        return squeezed[2], squeezed[0], squeezed[1]
    return prod(squeezed[:-2]), squeezed[-2], squeezed[-1]


def squeeze_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop axes of length 1 from the front, then from anywhere, down to two axes."""
    kept = list(shape)
    index = 0
    while len(kept) > 2 and index < len(kept):
        if kept[index] == 1:
            del kept[index]
        else:
            index += 1
    return tuple(kept)


def to_stack(array: Any, asked: FrameAxis = "auto") -> Any:
    """Arrange an array (numpy or dask) of two or more axes as (T, Y, X)."""
    array = array.reshape(squeeze_shape(array.shape))
    if array.ndim == 3 and frame_axis_of(array.shape, asked) == 2:
        return array.transpose(2, 0, 1)
    return array.reshape((-1, *array.shape[-2:]))


def luminance(array: NDArray[Any]) -> NDArray[np.float32]:
    """Turn (..., Y, X, C) colours, or a structured array of R, G, B (, A), into (..., Y, X).

    One channel (with alpha) is returned as it is; three are weighted after ITU-R BT.709; alpha is
    not used. Grey images stored as colours keep their exact values.
    """
    if array.dtype.names:
        channels = [array[name] for name in array.dtype.names[:3]]
    else:
        count = 1 if array.shape[-1] < 3 else 3
        channels = [array[..., i] for i in range(count)]
    grey = np.asarray(channels[0], dtype=np.float32)
    if len(channels) < 3 or all(np.array_equal(channels[0], c) for c in channels[1:]):
        return grey
    total = sum(w * c.astype(np.float64) for w, c in zip(_LUMINANCE, channels, strict=True))
    return np.asarray(total, dtype=np.float32)


def lazy_stack(
    read_frame: Callable[[int], NDArray[Any]],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
) -> Any:
    """Make a dask array of one-frame chunks from a function that reads one (Y, X) frame."""
    import dask.array as da

    def block(block_info: Any = None) -> NDArray[Any]:
        index = block_info[None]["array-location"][0][0]
        return np.asarray(read_frame(index))[None]

    n_frames, rows, columns = shape
    return da.map_blocks(
        block,
        chunks=((1,) * n_frames, (rows,), (columns,)),
        dtype=dtype,
        meta=np.empty((0, 0, 0), dtype=dtype),
    )


def one_frame_chunks(stack: Any) -> Any:
    """Rechunk a dask stack to one frame a chunk; arrays are returned as they are."""
    return stack.rechunk((1, -1, -1)) if hasattr(stack, "rechunk") else stack


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user wants of a file that holds several arrays.

    Parameters
    ----------
    name : str
        Which; empty for the largest.
    axis : {"auto", "first", "last"}
        Which axis of it counts the frames.
    """

    name: str = ""
    axis: FrameAxis = "auto"

    @classmethod
    def parse(cls, dataset: str | None) -> Asked:
        """Split ``NAME``, ``NAME@first`` or ``NAME@last``."""
        name, at, axis = (dataset or "").rpartition("@")
        if at and axis in ("first", "last"):
            return cls(name, "first" if axis == "first" else "last")
        return cls(dataset or "")

    def names(self, dataset: str) -> bool:
        """Whether this is the array asked for by name."""
        return bool(self.name) and Asked.parse(dataset).name == self.name

    def axis_of(self, name: str) -> FrameAxis:
        """Return the axis to take for one array of the file."""
        return self.axis if self.name in ("", name) else "auto"


def largest(file_name: str, found: list[Stored]) -> Stored:
    """Return the one with most pixels; `UserError` when there is none."""
    if not found:
        raise UserError(f"{file_name} holds no image.")
    return max(found, key=lambda stored: stored.size)  # the first of equals
