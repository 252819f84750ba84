"""Frames: one 2-D image each, with its pixel size and the pixels that are missing.

Positions are (x, y) in pixels, x along columns, y along rows, 0 at the centre of the first pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from .errors import UserError

CalibrationOrigin = Literal["file", "user", "unknown"]
Matrix = tuple[tuple[float, float], tuple[float, float]]

#: Pixel sizes outside these bounds (pm) are taken for a mistake of the file or the user.
PIXEL_SIZE_BOUNDS_PM = (0.5, 1e6)


class Calibration(BaseModel):
    """How pixels become picometres.

    Parameters
    ----------
    matrix_pm : 2x2 tuple of float, optional
        ``[x_pm, y_pm] = matrix_pm @ [x_px, y_px]``; None when the pixel size is not known.
    relative_error : float, optional
        Standard error of the scale as a fraction, when known.
    origin : {"file", "user", "unknown"}
        Where the pixel size came from.
    note : str
        One sentence for the user: the tag it was read from, or why a stored value was refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    matrix_pm: Matrix | None = None
    relative_error: float | None = None
    origin: CalibrationOrigin = "unknown"
    note: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.matrix_pm is None:
            return self
        flat = [v for row in self.matrix_pm for v in row]
        if not all(math.isfinite(v) for v in flat) or abs(self._determinant()) < 1e-9:
            raise ValueError("a calibration needs four finite numbers and a non-zero area")
        low, high = PIXEL_SIZE_BOUNDS_PM
        for axis, size in (("x", self.x_pm), ("y", self.y_pm)):
            if size is None or not low <= size <= high:
                raise ValueError(
                    f"a pixel size of {size} pm along {axis} is not between 0.5 pm and 1 µm"
                )
        return self

    def _determinant(self) -> float:
        assert self.matrix_pm is not None
        (a, b), (c, d) = self.matrix_pm
        return a * d - b * c

    @property
    def known(self) -> bool:
        """Whether there is a pixel size at all."""
        return self.matrix_pm is not None

    @property
    def x_pm(self) -> float | None:
        """Pixel size along x in pm."""
        return (
            None
            if self.matrix_pm is None
            else math.hypot(self.matrix_pm[0][0], self.matrix_pm[1][0])
        )

    @property
    def y_pm(self) -> float | None:
        """Pixel size along y in pm."""
        return (
            None
            if self.matrix_pm is None
            else math.hypot(self.matrix_pm[0][1], self.matrix_pm[1][1])
        )

    @property
    def mean_pm(self) -> float | None:
        """Square root of a pixel's area, in pm."""
        return None if self.matrix_pm is None else math.sqrt(abs(self._determinant()))

    def to_pm(self, xy_px: NDArray[np.floating]) -> NDArray[np.float64]:
        """Turn (N, 2) positions x, y in px into pm; NaN when the pixel size is unknown."""
        xy = np.asarray(xy_px, dtype=np.float64).reshape(-1, 2)
        if self.matrix_pm is None:
            return np.full_like(xy, np.nan)
        return xy @ np.asarray(self.matrix_pm, dtype=np.float64).T

    @classmethod
    def from_pixel_size(
        cls,
        x_pm: float,
        y_pm: float | None = None,
        *,
        origin: CalibrationOrigin,
        note: str = "",
        relative_error: float | None = None,
    ) -> Calibration:
        """Make a calibration from pixel sizes in pm (y as x when left out).

        Raises
        ------
        UserError
            When a size is not between 0.5 pm and 1 µm.
        """
        y_pm = x_pm if y_pm is None else y_pm
        low, high = PIXEL_SIZE_BOUNDS_PM
        for axis, size in (("x", x_pm), ("y", y_pm)):
            if not (math.isfinite(size) and low <= size <= high):
                raise UserError(
                    f"A pixel size of {size:g} pm along {axis} cannot be right: give one between "
                    "0.5 pm and 1 µm (1,000,000 pm)."
                )
        return cls(
            matrix_pm=((float(x_pm), 0.0), (0.0, float(y_pm))),
            origin=origin,
            note=note,
            relative_error=relative_error,
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """One 2-D image.

    Parameters
    ----------
    data : (Y, X) float32 array
        Intensities; 0 where `valid` is False.
    valid : (Y, X) bool array
        False where a pixel carries no measurement.
    calibration : Calibration
    name : str
        What the user calls it.
    index : int
        Number of the frame in its source.
    note : str
        What was decided about missing pixels, in one sentence; empty when there was nothing to say.
    """

    data: NDArray[np.float32]
    valid: NDArray[np.bool_]
    calibration: Calibration = field(default_factory=Calibration)
    name: str = ""
    index: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        if self.data.ndim != 2 or self.data.shape != self.valid.shape:
            raise ValueError(
                f"frame {self.data.shape} and mask {self.valid.shape} must be the same 2-D shape"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.data.shape[0], self.data.shape[1]

    @property
    def missing_fraction(self) -> float:
        """Fraction of the pixels without a measurement."""
        return 1.0 - float(self.valid.mean())


Missing = Literal["auto", "zero", "nan", "none"]


def find_missing(image: NDArray[Any], policy: Missing = "auto") -> tuple[NDArray[np.bool_], str]:
    """Decide which pixels of an image carry no measurement.

    NaN and infinities are always missing. Under ``auto``, exact zeros are missing only when the
    histogram has a gap above zero *and* their fraction does not depend on the local mean: counting
    data have true zeros (37 % of the pixels at one electron a pixel), and those fail both tests.

    Parameters
    ----------
    image : (Y, X) array
        Any real type.
    policy : {"auto", "zero", "nan", "none"}
        ``zero``: zeros are missing; ``nan`` and ``none``: only NaN and infinities are.

    Returns
    -------
    valid : (Y, X) bool array
    note : str
        What was decided, for the user; empty when nothing is missing and nothing was doubtful.
    """
    finite = np.isfinite(image)
    zeros = (image == 0) & finite
    n_nan = int((~finite).sum())
    nan_note = (
        f"{n_nan / image.size:.1%} of the pixels are not numbers and count as missing. "
        if n_nan
        else ""
    )
    n_zero = int(zeros.sum())
    if policy == "zero":
        note = f"{n_zero / image.size:.1%} of the pixels are zero and count as missing, as asked."
        return finite & ~zeros, (nan_note + note if n_zero else nan_note).strip()
    fraction = n_zero / max(1, int(finite.sum()))
    if policy in ("nan", "none") or fraction < 0.005 or n_zero == finite.sum():
        return finite, nan_note.strip()

    with np.errstate(all="ignore"):
        gap = _gap_above_zero(image[finite & ~zeros].astype(np.float64))
        random = gap and _zeros_are_random(image.astype(np.float64), zeros, finite)
    if random:
        note = f"{fraction:.1%} of the pixels are exactly zero, at random places: taken as missing."
        return finite & ~zeros, (nan_note + note).strip()
    why = (
        "no value lies just above zero, but their number follows the brightness"
        if gap
        else "they look like true counts"
    )
    note = (
        f"{fraction:.1%} of the pixels are exactly zero; {why}: kept. "
        "If they were never measured, set missing pixels to “zero”."
    )
    return finite, (nan_note + note).strip()


def _gap_above_zero(rest: NDArray[np.float64]) -> bool:
    """Whether no value lies near zero, compared with the spread of the others.

    The lowest half per cent must lie above 2.5 steps between neighbouring values (counts have
    gaps of one step between all their values) and above 2 % of the median.
    """
    low, middle = np.percentile(np.abs(rest), [0.5, 50])
    if not (np.isfinite(middle) and middle > 0):
        return False
    levels = np.unique(np.round(rest / middle, 9))
    step = float(np.median(np.diff(levels)[:64])) if levels.size > 1 else 0.0
    return bool(low / middle > max(2.5 * step, 0.02))


def _zeros_are_random(
    image: NDArray[np.float64], zeros: NDArray[np.bool_], finite: NDArray[np.bool_]
) -> bool:
    """Whether the fraction of zeros is the same in dark and in bright neighbourhoods."""
    from scipy.ndimage import uniform_filter

    size = 9
    weight = uniform_filter((finite & ~zeros).astype(np.float64), size)
    total = uniform_filter(np.where(finite & ~zeros, image, 0.0), size)
    local_mean = np.where(weight > 0, total / np.maximum(weight, 1e-9), np.nan)
    usable = finite & np.isfinite(local_mean)
    if usable.sum() < 400:
        return False
    edges = np.quantile(local_mean[usable], [0.25, 0.75])
    dark = zeros[usable & (local_mean <= edges[0])].mean()
    bright = zeros[usable & (local_mean >= edges[1])].mean()
    overall = zeros[usable].mean()
    # Only the sampling error of independent pixels may part them; scan trajectories get slack.
    tolerance = max(0.15 * overall, 4 * math.sqrt(overall * (1 - overall) / (usable.sum() / 4)))
    return bool(abs(dark - bright) <= tolerance)


def make_frame(
    image: NDArray[Any],
    calibration: Calibration | None = None,
    *,
    missing: Missing = "auto",
    name: str = "",
    index: int = 0,
) -> Frame:
    """Make a frame from an array of any real type.

    Raises
    ------
    UserError
        When it is not a 2-D image of at least 2x2 px with at least one finite pixel.
    """
    image = np.asarray(image)
    if image.ndim != 2 or min(image.shape) < 2:
        raise UserError(f"{name or 'This'} is not a 2-D image (its shape is {image.shape}).")
    if image.dtype.kind not in "buif":
        raise UserError(f"{name or 'This image'} holds {image.dtype} values, not real intensities.")
    valid, note = find_missing(image, missing)
    with np.errstate(over="ignore"):
        data = np.where(valid, image, 0).astype(np.float32)
    valid &= np.isfinite(data)  # a float64 beyond float32 is no intensity either
    data[~valid] = 0
    if not valid.any():
        raise UserError(f"{name or 'This image'} holds no valid pixel.")
    return Frame(data, valid, calibration or Calibration(), name, index, note)


@dataclass(slots=True)
class Source:
    """A file or layer that holds one frame or a series.

    Parameters
    ----------
    name : str
    stack : (T, Y, X) array-like
        Sliced one frame at a time; a dask array for series.
    calibration : Calibration
    path : Path, optional
        The file it was read from; None for a layer that lives in memory.
    dataset : str
        Which image of the file, where a file holds several.
    metadata : mapping
        What the file says beyond the pixels (detector, microscope, title), as plain strings.
    missing : Missing
        Policy for missing pixels, see :func:`find_missing`.
    note : str
        What was done to the pixels when they were read, in one sentence; part of each frame's note.
    """

    name: str
    stack: Any
    calibration: Calibration = field(default_factory=Calibration)
    path: Path | None = None
    dataset: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    missing: Missing = "auto"
    note: str = ""

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.stack.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a frame."""
        return int(self.stack.shape[1]), int(self.stack.shape[2])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored pixels."""
        dtype: np.dtype[Any] = np.dtype(self.stack.dtype)
        return dtype

    def frame(self, index: int = 0) -> Frame:
        """Read one frame.

        Raises
        ------
        UserError
            When there is no such frame, or the file cannot be read.
        """
        if not 0 <= index < self.n_frames:
            raise UserError(f"{self.name} has {self.n_frames} frames; there is no number {index}.")
        try:
            image = np.asarray(self.stack[index])
        except Exception as error:
            raise UserError(f"Frame {index} of {self.name} could not be read: {error}") from error
        frame = make_frame(
            image, self.calibration, missing=self.missing, name=self.name, index=index
        )
        return replace(frame, note=f"{self.note} {frame.note}".strip()) if self.note else frame


Progress = Callable[[int, int, str], None]
"""Called with (done, total, what) by everything that takes long."""
