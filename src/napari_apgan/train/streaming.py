"""Crops of frames that are simulated while the training runs. Free of torch.

One thread simulates and prepares frames ahead of the training. Frames, and the crops cut from
them, follow from settings and seed by their number alone, so a fast computer sees the same crops as
a slow one, and a resumed training goes on with the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np

from napari_apgan.simulate.settings import SimulationSettings
from napari_apgan.simulate.stream import LANES, FrameStream

from .crops import Crop, Placement, TrainingFrame, cut_crop, make_training_frame
from .prepare import at_pixel_size

#: Frames kept ready.
AHEAD = 2 * LANES


class StreamCrops:
    """Endless crops, no two of which share a pixel's noise.

    A frame is cut into as many crops as fit side by side; crops of `LANES` frames take turns. The
    frames lie under every angle already, so crops are mirrored and turned by quarters only, which
    interpolates nothing: their noise is the one that was asked for.

    Parameters
    ----------
    settings : SimulationSettings
    elements : sequence of str
        Output channels.
    radius_px : sequence of float
        Of each element's discs.
    normalisation : str
    pixel_size_pm : float, optional
        Pixel size trained at; frames of another are resampled.
    seed : int
    """

    def __init__(
        self,
        settings: SimulationSettings,
        elements: Sequence[str],
        radius_px: Sequence[float],
        normalisation: str,
        pixel_size_pm: float | None,
        seed: int,
    ) -> None:
        self._stream = FrameStream(settings, seed)
        self._elements = list(elements)
        self._radii = list(radius_px)
        self._normalisation = normalisation
        self._pixel_size_pm = pixel_size_pm
        self._seed = seed
        self._worker: ThreadPoolExecutor | None = None
        self._coming: deque[Future[TrainingFrame]] = deque()
        self._asked = 0
        self._block: list[TrainingFrame] = []
        self._position = 0
        #: A frame for whoever must know their size; it is the first that is drawn from.
        self.first: TrainingFrame = self._prepare(0)

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
        frame = self._block[place % LANES]
        self._position += 1
        placement = _place(frame, (row, column), (down, across), side, rng)
        return cut_crop(frame, placement, side, self._radii)

    def _next_frames(self, block: int) -> list[TrainingFrame]:
        """Wait for the frames of a block and ask for more."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="simulate")
            self._asked = block * LANES
        wanted = (block + 1) * LANES + AHEAD
        for number in range(self._asked, wanted):
            self._coming.append(self._worker.submit(self._prepare, number))
        self._asked = wanted
        return [self._coming.popleft().result() for _ in range(LANES)]

    def _prepare(self, number: int) -> TrainingFrame:
        pair, _ = at_pixel_size(self._stream.frame(number), self._pixel_size_pm)
        learn = np.ones(pair.frame.shape, dtype=np.bool_)  # simulated labels are complete
        return make_training_frame(
            pair, learn, self._elements, max(self._radii), self._normalisation, turned=False
        )


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
