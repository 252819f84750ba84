"""Fast series: read one frame at a time, and averaged over their registration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress, Source
from napari_apgan.serving import Cancelled

from .fourier import filled
from .register import Registration

Floats = NDArray[np.float64]


class FramesOf(Sequence[Frame]):
    """The frames of a source, read from it when they are asked for.

    Parameters
    ----------
    source : Source
    start, stop : int, optional
        Only these frames.
    """

    def __init__(self, source: Source, start: int = 0, stop: int | None = None) -> None:
        self.source = source
        self._range = range(source.n_frames)[start:stop]

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, index: int) -> Frame: ...

    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...

    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        if isinstance(index, slice):
            return [self.source.frame(number) for number in self._range[index]]
        return self.source.frame(self._range[index])


@dataclass(frozen=True, slots=True)
class Average:
    """The mean of a registered series.

    Parameters
    ----------
    frame : Frame
        In the coordinates of the registration's fixed frame, with its calibration.
    counts : (Y, X) float32 array
        How many frames measured each pixel.
    noise : float
        Standard deviation of the noise of one frame, from its difference to the mean.
    """

    frame: Frame
    counts: NDArray[np.float32]
    noise: float


def average(
    frames: Sequence[Frame],
    registration: Registration,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Average:
    """Average a series over its registration.

    Each frame is taken at the displaced positions by cubic splines; pixels that it did not measure
    have no weight. Frames that could not be placed are left out.

    Parameters
    ----------
    frames : sequence of Frame
        Those that were registered.
    registration : Registration
    progress, cancelled : callable, optional

    Returns
    -------
    Average
        Pixels that fewer than a tenth of the frames measured count as missing.

    Raises
    ------
    UserError
        When the registration belongs to another series.
    Cancelled
        When `cancelled` says so.
    """
    check_fits(frames, registration)
    total = np.zeros(registration.shape, np.float64)
    square = np.zeros(registration.shape, np.float64)
    weight = np.zeros(registration.shape, np.float64)
    used = np.flatnonzero(registration.matched).tolist()
    for done, t in enumerate(used):
        if cancelled is not None and cancelled():
            raise Cancelled
        if progress is not None:
            progress(done, len(used), "Averaging")
        image, share = in_the_mean(frames[t], registration, t)
        total += image * share
        square += image * image * share
        weight += share
    valid = weight >= max(0.5, 0.1 * len(used))
    mean = np.where(valid, total / np.maximum(weight, 1e-9), 0.0)
    variance = np.where(weight > 1.5, square / np.maximum(weight, 1e-9) - mean**2, 0.0)
    several = valid & (weight > 1.5)
    noise = 0.0
    if several.any():
        unbiased = variance[several] * weight[several] / (weight[several] - 1)
        noise = float(np.sqrt(max(float(np.median(unbiased)), 0.0)))
    fixed = frames[registration.reference]
    made = Frame(
        mean.astype(np.float32),
        valid,
        fixed.calibration,
        f"{fixed.name} (mean of {len(used)})".strip(),
        registration.reference,
        f"The mean of {len(used)} of {len(frames)} frames.",
    )
    if progress is not None:
        progress(len(used), len(used), "Averaging")
    return Average(made, weight.astype(np.float32), noise)


def check_fits(frames: Sequence[Frame], registration: Registration) -> None:
    """Raise `UserError` when a registration is of another series."""
    if len(frames) != len(registration) or frames[registration.reference].shape != (
        registration.shape
    ):
        raise UserError("The registration belongs to another series: register this one first.")


def in_the_mean(frame: Frame, registration: Registration, number: int) -> tuple[Floats, Floats]:
    """Bring a frame into the coordinates of the mean.

    Returns
    -------
    image, share : (Y, X) arrays
        Intensities, and how much of each was measured, 0 to 1.
    """
    rows, columns = registration.shape
    yy, xx = np.mgrid[:rows, :columns].astype(np.float64)
    xy = np.column_stack([xx.ravel(), yy.ravel()])
    at = registration.moved(xy, number)[:, ::-1].T.reshape(2, rows, columns)
    image = map_coordinates(filled(frame)[0].astype(np.float64), at, order=3, mode="nearest")
    inside = (at[0] >= -0.5) & (at[0] <= rows - 0.5) & (at[1] >= -0.5) & (at[1] <= columns - 0.5)
    if frame.valid.all():
        return image, inside.astype(np.float64)
    share = map_coordinates(frame.valid.astype(np.float64), at, order=1, mode="nearest")
    return image, share * inside
