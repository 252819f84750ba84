"""Clean views for the eye: filtered copies of a frame or a series; networks see the raw pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2
from scipy.ndimage import gaussian_filter

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress
from napari_apgan.serving import Cancelled

from .filter_kinds import (
    FILTERS,
    BackgroundSettings,
    BandpassSettings,
    FilterKind,
    FilterName,
    FilterSettings,
    GaussianSettings,
    NonlinearSettings,
    StackedSettings,
)
from .fourier import (
    Gain,
    Image,
    Rings,
    Spectrum,
    background_filter,
    band,
    filled,
    nonlinear_filter,
    periodic_part,
)
from .stacked import filter_cube, overlapping, plan_cubes

CancelledNow = Callable[[], bool]

#: Images larger than this (px along a side) are filtered in tiles, so that memory stays bounded.
LARGEST_WHOLE = 4096
#: Tiles overlap by this many px, over which one fades into the next.
OVERLAP = 128
#: Values held at once by the filter of series: about 0.6 GB at its peak.
LARGEST_CUBE = 24_000_000


def filter_frame(
    frame: Frame,
    name: FilterName,
    settings: FilterSettings | None = None,
    *,
    progress: Progress | None = None,
    cancelled: CancelledNow | None = None,
    largest_whole: int = LARGEST_WHOLE,
) -> Image:
    """Make a clean view of a frame.

    Parameters
    ----------
    frame : Frame
        Missing pixels are filled from measured ones near them before any filter.
    name : str
        One of :data:`~.filter_kinds.FILTERS` that is not for series.
    settings : FilterSettings, optional
        Of that filter's type; its defaults when left out.
    progress, cancelled : callable, optional
    largest_whole : int
        Larger images are filtered in tiles, each with a background of its own.

    Returns
    -------
    (Y, X) float32 array
        In the frame's units; NaN far from any measured pixel.

    Raises
    ------
    UserError
        When the filter is for series, or the frame is smaller than 8x8 px.
    Cancelled
        When `cancelled` says so.
    """
    kind = FILTERS[name]
    chosen = _checked(kind, settings)
    if kind.series:
        raise UserError(f"The filter “{kind.title}” needs a series of frames: open one.")
    if min(frame.shape) < 8:
        raise UserError("The image is too small to filter: it needs at least 8x8 px.")
    image, unknown = filled(frame)
    if isinstance(chosen, GaussianSettings):
        out = _gaussian(frame, image, chosen)
    elif max(frame.shape) <= largest_whole:
        out = _in_fourier(image, chosen, name, _Report(progress, cancelled, kind.title))
    else:
        out = _in_tiles(image, chosen, kind, progress, cancelled, largest_whole)
    out[unknown] = np.nan
    return out


def filter_series(
    frames: Sequence[Frame],
    settings: StackedSettings | None = None,
    *,
    progress: Progress | None = None,
    cancelled: CancelledNow | None = None,
) -> NDArray[np.float32]:
    """Filter a series as blocks of many frames (see :mod:`.stacked`).

    Parameters
    ----------
    frames : sequence of Frame
        Of one shape, at least 2, one after the other; aligned when the series drifts.
    settings : StackedSettings, optional
    progress, cancelled : callable, optional

    Returns
    -------
    (T, Y, X) float32 array
        NaN far from any measured pixel.

    Raises
    ------
    UserError
        When there are fewer than two frames, they differ in shape, or are smaller than 8x8 px.
    Cancelled
        When `cancelled` says so.
    """
    kind = FILTERS["stacked"]
    chosen = _checked(kind, settings)
    assert isinstance(chosen, StackedSettings)
    if len(frames) < 2 or len({frame.shape for frame in frames}) != 1:
        raise UserError("The stacked filter needs at least two frames of one size.")
    if min(frames[0].shape) < 8:
        raise UserError("The images are too small to filter: they need at least 8x8 px.")
    shape = (len(frames), *frames[0].shape)
    total = np.zeros(shape, np.float32)
    weight = np.zeros(shape, np.float32)
    cubes = plan_cubes(shape, chosen.frames, LARGEST_CUBE)
    report = _Report(progress, cancelled, kind.title)
    for done, (when, rows, columns) in enumerate(cubes):
        report(done, len(cubes))
        cube = np.stack(
            [
                filled(Frame(frames[t].data[rows, columns], frames[t].valid[rows, columns]))[0]
                for t in range(when.start, when.stop)
            ]
        )
        fade = _fade(cube.shape)
        clean = filter_cube(cube, chosen.strength, chosen.smallest_px)
        total[when, rows, columns] += clean * fade
        weight[when, rows, columns] += fade
    total /= weight
    for t, frame in enumerate(frames):
        if not frame.valid.all():
            total[t][filled(frame)[1]] = np.nan
    report(len(cubes), len(cubes))
    return total


@dataclass(frozen=True, slots=True)
class _Report:
    """Says how far the work is, and ends it when asked."""

    progress: Progress | None
    cancelled: CancelledNow | None
    what: str

    def __call__(self, done: int, total: int) -> None:
        if self.cancelled is not None and self.cancelled():
            raise Cancelled
        if self.progress is not None:
            self.progress(done, total, self.what)


def _checked(kind: FilterKind, settings: FilterSettings | None) -> FilterSettings:
    chosen = kind.settings() if settings is None else settings
    if not isinstance(chosen, kind.settings):
        raise TypeError(f"{kind.name} takes {kind.settings.__name__}, not {type(chosen).__name__}")
    return chosen


def _gaussian(frame: Frame, image: Image, settings: GaussianSettings) -> Image:
    """Smooth over the measured pixels alone."""
    weight = frame.valid.astype(np.float32)
    level = np.float32(frame.data[frame.valid].mean())

    def smooth(sigma: float) -> Image:
        total = gaussian_filter((image - level) * weight, sigma, mode="reflect")
        near = gaussian_filter(weight, sigma, mode="reflect")
        # Where next to nothing is near, the fill knows as much as the average would.
        out = np.where(near > 1e-3, level + total / np.maximum(near, np.float32(1e-3)), image)
        return np.asarray(out, dtype=np.float32)

    narrow = smooth(settings.narrow_px) if settings.narrow_px > 0 else image.copy()
    return narrow - smooth(settings.wide_px) + level if settings.wide_px > 0 else narrow


def _in_fourier(image: Image, settings: FilterSettings, name: FilterName, report: _Report) -> Image:
    report(0, 1)
    rings = Rings.of((image.shape[0], image.shape[1]))
    spectrum, rest = periodic_part(image)
    if isinstance(settings, BandpassSettings):
        gain = band(rings, settings.smallest_px, settings.largest_px, settings.softness)
        # The rest is smooth: it belongs to the background wherever that is taken away.
        keep_rest = settings.largest_px == 0
        gain[0, 0] = 1.0
        out = irfft2(spectrum * gain, s=image.shape)
        return np.asarray(out + rest if keep_rest else out, dtype=np.float32)
    assert isinstance(settings, BackgroundSettings)
    clean: Spectrum
    if isinstance(settings, NonlinearSettings):
        clean = nonlinear_filter(
            spectrum,
            rings,
            settings.kind,
            settings.strength,
            settings.cutoff,
            settings.cycles,
            lambda done: report(done, settings.cycles),
        )
    else:
        gain_kind: Gain = "absf" if name == "absf" else "wiener"
        clean = background_filter(spectrum, rings, gain_kind, settings.strength)
    if settings.smallest_px > 0:
        clean = clean * band(rings, settings.smallest_px, 0.0, 0.2)
    report(1, 1)
    return np.asarray(irfft2(clean, s=image.shape) + rest, dtype=np.float32)


def _in_tiles(
    image: Image,
    settings: FilterSettings,
    kind: FilterKind,
    progress: Progress | None,
    cancelled: CancelledNow | None,
    largest: int,
) -> Image:
    """Filter tile by tile; where tiles overlap, one fades into the next."""
    overlap = min(OVERLAP, largest // 4)
    spans = [overlapping(length, largest, overlap) for length in image.shape]
    total = np.zeros_like(image)
    weight = np.zeros_like(image)
    n_tiles = len(spans[0]) * len(spans[1])
    outside = _Report(progress, cancelled, kind.title)
    inside = _Report(None, cancelled, kind.title)
    tiles = [(rows, columns) for rows in spans[0] for columns in spans[1]]
    for done, (rows, columns) in enumerate(tiles):
        outside(done, n_tiles)
        part = np.ascontiguousarray(image[rows, columns])
        fade = _fade(part.shape)
        total[rows, columns] += _in_fourier(part, settings, kind.name, inside) * fade
        weight[rows, columns] += fade
    outside(n_tiles, n_tiles)
    return total / weight


def _fade(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return weights that rise from every border of a tile towards its middle."""
    out = np.ones(shape, np.float32)
    for axis, length in enumerate(shape):
        reach = max(1, min(OVERLAP, length // 2))
        ramp = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)) / reach
        view = [1] * len(shape)
        view[axis] = length
        out *= np.minimum(ramp, 1.0).astype(np.float32).reshape(view)
    return out
