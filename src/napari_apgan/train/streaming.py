"""Crops of frames that come while the training runs. Free of torch.

One thread simulates and prepares frames ahead of the training. Frames, and the crops cut from
them, follow from settings and seed by their number alone, so a fast computer sees the same crops as
a slow one, and a resumed training goes on with the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_apgan.io.pairs import Pair
from napari_apgan.simulate.settings import SimulationSettings
from napari_apgan.simulate.stream import LANES, FrameStream
from napari_apgan.simulate.zoo import ZooStream
from napari_apgan.simulate.zoo_settings import ZooSettings, disc_radius_px, shown_channels

from .crops import Crop, Placement, TrainingFrame, cut_crop, make_training_frame
from .prepare import at_pixel_size

#: Frames kept ready.
AHEAD = 2 * LANES


class Frames(Protocol):
    """Endless frames by number; frames whose numbers differ by less than `LANES` differ wholly."""

    def frame(self, number: int) -> Pair:
        """Return frame `number`, always the same."""


def open_stream(settings: SimulationSettings | ZooSettings, seed: int) -> Frames:
    """Return the stream of frames that settings ask for.

    Raises
    ------
    UserError
        When no stream can be made of them.
    """
    if isinstance(settings, ZooSettings):
        return ZooStream(settings, seed)
    return FrameStream(settings, seed)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A prepared frame, the radii of its discs, and the channels it says something about."""

    frame: TrainingFrame
    radii: tuple[float, ...]
    shows: NDArray[np.bool_]


class StreamCrops:
    """Endless crops, no two of which share a pixel's noise.

    A frame is cut into as many crops as fit side by side; crops of `LANES` frames take turns. The
    frames lie under every angle already, so crops are mirrored and turned by quarters only, which
    interpolates nothing: their noise is the one that was asked for.

    Parameters
    ----------
    stream : Frames
    elements : sequence of str
        Output channels.
    radius_px : sequence of float
        Of each element's discs, where a frame does not bring its own.
    normalisation : str
    pixel_size_pm : float, optional
        Pixel size trained at; frames of another are resampled.
    seed : int
    """

    def __init__(
        self,
        stream: Frames,
        elements: Sequence[str],
        radius_px: Sequence[float],
        normalisation: str,
        pixel_size_pm: float | None,
        seed: int,
    ) -> None:
        self._stream = stream
        self._elements = list(elements)
        self._radii = tuple(radius_px)
        self._normalisation = normalisation
        self._pixel_size_pm = pixel_size_pm
        self._seed = seed
        self._worker: ThreadPoolExecutor | None = None
        self._coming: deque[Future[_Ready]] = deque()
        self._asked = 0
        self._block: list[_Ready] = []
        self._position = 0
        #: A frame for whoever must know their size; it is the first that is drawn from.
        self.first: TrainingFrame = self._prepare(0).frame

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the thread, after the frame it works on."""
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)
        self._worker = None
        self._coming.clear()
        self._block = []

    @property
    def position(self) -> int:
        """Number of crops drawn so far."""
        return self._position

    def seek(self, position: int) -> None:
        """Go on as after `position` crops."""
        self.close()
        self._position = position

    def tiles(self, side: int) -> tuple[int, int]:
        """Return how many crops of a side fit on a frame, along y and x."""
        rows, columns = self.first.image.shape
        return max(1, rows // side), max(1, columns // side)

    def draw(self, side: int) -> Crop:
        """Return the next crop; the side must stay the same."""
        down, across = self.tiles(side)
        block, place = divmod(self._position, LANES * down * across)
        if place == 0 or not self._block:
            self._block = self._next_frames(block)
        order = np.random.default_rng([self._seed, block]).permutation(down * across)
        rng = np.random.default_rng([self._seed, self._position, 1])
        row, column = divmod(int(order[place // LANES]), across)
        ready = self._block[place % LANES]
        self._position += 1
        placement = _place(ready.frame, (row, column), (down, across), side, rng)
        crop = cut_crop(ready.frame, placement, side, ready.radii)
        if ready.shows.all():
            return crop
        return replace(crop, learn=crop.learn & ready.shows[:, None, None])

    def _next_frames(self, block: int) -> list[_Ready]:
        """Wait for the frames of a block and ask for more."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="simulate")
            self._asked = block * LANES
        wanted = (block + 1) * LANES + AHEAD
        for number in range(self._asked, wanted):
            self._coming.append(self._worker.submit(self._prepare, number))
        self._asked = wanted
        return [self._coming.popleft().result() for _ in range(LANES)]

    def _prepare(self, number: int) -> _Ready:
        pair, _ = at_pixel_size(self._stream.frame(number), self._pixel_size_pm)
        own, shown = disc_radius_px(pair), shown_channels(pair)
        radii = self._radii if own is None else (own,) * len(self._radii)
        learn = np.ones(pair.frame.shape, dtype=np.bool_)  # simulated labels are complete
        frame = make_training_frame(
            pair, learn, self._elements, max(radii), self._normalisation, turned=False
        )
        shows = np.array([shown is None or name in shown for name in self._elements])
        return _Ready(frame, radii, shows)


def _place(
    frame: TrainingFrame,
    tile: tuple[int, int],
    tiles: tuple[int, int],
    side: int,
    rng: np.random.Generator,
) -> Placement:
    """Put a crop somewhere in its tile, mirrored and turned by quarters at random."""
    centre = np.zeros(2)
    for axis in (0, 1):  # y, x
        size = frame.image.shape[axis]
        low, high = (size * (tile[axis] + k) // tiles[axis] for k in (0, 1))
        free = max(high - low - side, 0)
        start = low + int(rng.integers(free + 1)) if high - low >= side else (size - side) // 2
        # Half-integer centres of an even side put crop pixels on frame pixels.
        centre[1 - axis] = start + side / 2 - 0.5
    quarter = int(rng.integers(4))
    c, s = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
    mirror = np.diag([-1.0 if rng.random() < 0.5 else 1.0, 1.0])
    return Placement(centre, np.array([[c, -s], [s, c]], dtype=np.float64) @ mirror, exact=True)
