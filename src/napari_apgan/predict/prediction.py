"""What a model says of one frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.frames import Calibration
from napari_apgan.serving import Cancelled as Cancelled

#: x0, y0, x1, y1 in whole px: columns x0 to x1 - 1 and rows y0 to y1 - 1.
Box = tuple[int, int, int, int]

#: Ways to the deviation per pixel: none; from the maps themselves, which costs nothing; from how
#: much the answers to the eight mirror images and quarter turns differ, which takes eight times as
#: long.
Uncertainty = Literal["none", "map", "symmetry"]

#: Asked between tiles; True ends the prediction with :class:`Cancelled`.
IsCancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The probability maps of a frame and the atoms read from them.

    Parameters
    ----------
    maps : (C, Y, X) float32 array
        One channel an element, 0..1, on the frame's own pixels; only the box when one was asked.
    atoms : DataFrame
        Atom table in the coordinates of the whole frame. `x_map_px`, `y_map_px` come from the
        maps; `x_px`, `y_px` are offered: refined on the raw image where that succeeded.
    elements : tuple of str
        Names of the channels.
    notes : tuple of str
        Sentences for the user: what was resampled, which device took over, what failed.
    box : Box, optional
        The part of the frame that `maps` covers; None for all of it.
    calibration : Calibration
        The frame's.
    deviation : (C, Y, X) float32 array, optional
        Standard deviation of the probability per pixel, where it was asked for.
    """

    maps: NDArray[np.float32]
    atoms: pd.DataFrame
    elements: tuple[str, ...]
    notes: tuple[str, ...] = ()
    box: Box | None = None
    calibration: Calibration = field(default_factory=Calibration)
    deviation: NDArray[np.float32] | None = None


def clip_box(box: Sequence[float] | None, shape: tuple[int, int]) -> Box | None:
    """Round a box outwards to whole pixels inside a frame of (rows, columns).

    Returns None when it covers the whole frame or none was given.

    Raises
    ------
    UserError
        When nothing of it lies inside the frame.
    """
    from napari_apgan.errors import UserError

    if box is None:
        return None
    x0, y0, x1, y1 = box
    clipped = (
        max(int(np.floor(min(x0, x1))), 0),
        max(int(np.floor(min(y0, y1))), 0),
        min(int(np.ceil(max(x0, x1))), shape[1]),
        min(int(np.ceil(max(y0, y1))), shape[0]),
    )
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        raise UserError("The region lies outside the image: draw it on the image.")
    return None if clipped == (0, 0, shape[1], shape[0]) else clipped


def widened(box: Box | None, margin: int, shape: tuple[int, int]) -> Box:
    """Return a box (None: the whole frame) with a margin, inside a frame of (rows, columns)."""
    if box is None:
        return 0, 0, shape[1], shape[0]
    return (
        max(box[0] - margin, 0),
        max(box[1] - margin, 0),
        min(box[2] + margin, shape[1]),
        min(box[3] + margin, shape[0]),
    )


def cut_out(maps: NDArray[np.float32], around: Box, wanted: Box | None) -> NDArray[np.float32]:
    """Return the wanted box (None: all) of (C, Y, X) maps that cover the box `around`."""
    if wanted is not None:
        x0, y0 = wanted[0] - around[0], wanted[1] - around[1]
        maps = maps[:, y0 : y0 + wanted[3] - wanted[1], x0 : x0 + wanted[2] - wanted[0]]
    return np.ascontiguousarray(maps)
