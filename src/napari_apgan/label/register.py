"""How the frames of a series lie on each other: drift, and smooth distortions when asked.

Each frame is correlated with the mean of the frames before it, then again with the mean of all
others. On a lattice a correlation has a maximum at every period: which is meant is decided by what
does not repeat (edges, defects), and where that cannot tell, by the frames before, and said so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.ndimage import map_coordinates

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress
from napari_apgan.serving import Cancelled

from .correlate import (
    Candidates,
    Prepared,
    Reference,
    Sizes,
    candidates,
    choose,
    prepare,
    reduction,
)
from .warp import Grid, refine_field

Floats = NDArray[np.float64]

REPEATS = (
    "The lattice repeats: one period further fits as well; taken as nearest to its neighbours."
)
NO_MATCH = "The frame shows too little in common with the others; its shift is interpolated."
BLANK = "The frame shows nothing but one value; its shift is interpolated."


class RegisterSettings(BaseModel):
    """How a series is registered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nonrigid: bool = Field(
        False,
        title="Follow distortions",
        description="After the shift, find a smooth displacement field for each frame.",
    )
    control_px: float = Field(
        64.0,
        ge=24,
        le=1024,
        title="Control points every (px)",
        description="Fewer points are steadier against noise.",
    )
    stiffness: float = Field(
        0.5,
        gt=0,
        le=100,
        title="Stiffness",
        description="How strongly neighbouring control points are held together.",
    )
    largest_shift_px: float | None = Field(
        None,
        gt=0,
        title="Largest drift (px)",
        description="Over the whole series; by default 40 % of the frame.",
    )
    reference: int | None = Field(
        None,
        ge=0,
        title="Fixed frame",
        description="The frame whose positions the mean has; by default the middle one.",
    )


@dataclass(frozen=True, slots=True)
class Registration:
    """Where the frames of a series lie.

    Parameters
    ----------
    shift_px : (T, 2) array
        x and y: what is at p in the mean is at p + shift in frame t; 0 for the fixed frame.
    correlation : (T,) array
        With the mean of the other frames, of the band-passed images.
    matched : (T,) bool array
        False where a frame could not be placed: its shift is interpolated, and it takes no part in
        the mean.
    sure : (T,) bool array
        False where the lattice repeats and only the neighbouring frames tell by how much.
    reason : tuple of str
        For each frame one sentence, empty when all is well.
    shape : (int, int)
        (rows, columns) of the frames.
    reference : int
        The fixed frame.
    field_px : (T, K, 2) array or None
        Displacements at the control points, which hold the shift too.
    points : (int, int)
        Control points along y and x.
    """

    shift_px: Floats
    correlation: Floats
    matched: NDArray[np.bool_]
    sure: NDArray[np.bool_]
    reason: tuple[str, ...]
    shape: tuple[int, int]
    reference: int
    field_px: Floats | None = None
    points: tuple[int, int] = (1, 1)

    def __len__(self) -> int:
        return len(self.shift_px)

    def displacement(self, xy_px: Floats, frame: int) -> Floats:
        """Return (N, 2) displacements of positions in the mean, in a frame."""
        xy = np.asarray(xy_px, dtype=np.float64).reshape(-1, 2)
        if self.field_px is None:
            return np.broadcast_to(self.shift_px[frame], xy.shape).copy()
        moved: Floats = Grid(self.shape, self.points).weights(xy) @ self.field_px[frame]
        return moved

    def moved(self, xy_px: Floats, frame: int) -> Floats:
        """Return (N, 2): where positions of the mean lie in a frame."""
        return np.asarray(xy_px, np.float64).reshape(-1, 2) + self.displacement(xy_px, frame)

    def in_mean(self, xy_px: Floats, frame: int) -> Floats:
        """Return (N, 2): where positions of a frame lie in the mean."""
        there = np.asarray(xy_px, np.float64).reshape(-1, 2)
        found = there - self.displacement(there, frame)
        if self.field_px is not None:
            for _ in range(3):  # the field is smooth: three steps invert it
                found = there - self.displacement(found, frame)
        return found


def register(
    frames: Sequence[Frame],
    settings: RegisterSettings | None = None,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Registration:
    """Find how the frames of a series lie on each other.

    Parameters
    ----------
    frames : sequence of Frame
        Of one shape; read twice (three times for distortions), one at a time.
    settings : RegisterSettings, optional
    progress, cancelled : callable, optional

    Returns
    -------
    Registration

    Raises
    ------
    UserError
        When there are fewer than two frames, they differ in shape, are smaller than 32x32 px, the
        fixed frame does not exist, or is blank.
    Cancelled
        When `cancelled` says so.
    """
    chosen = settings or RegisterSettings()
    number = len(frames)
    if number < 2:
        raise UserError("A series needs at least two frames to be registered: open one.")
    fixed = number // 2 if chosen.reference is None else chosen.reference
    if fixed >= number:
        raise UserError(f"There is no frame {fixed} to hold fixed: the series has {number}.")
    first = frames[fixed]
    if min(first.shape) < 32:
        raise UserError("The frames are too small to register: they need at least 32x32 px.")
    work = _Work(frames, first, fixed, chosen, progress, cancelled)
    work.follow()
    work.compare_with_all()
    found = work.result()
    return work.bend(found) if chosen.nonrigid else found


class _Sum:
    """A mean of band-passed frames that grows, in the coordinates of the fixed frame."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.total = np.zeros(shape, np.float32)
        self.weight = np.zeros(shape, np.float32)

    def add(self, aligned: Prepared, sign: float = 1.0) -> None:
        self.total += sign * aligned.band * aligned.weight
        self.weight += sign * aligned.weight

    def mean(self) -> Prepared:
        seen = self.weight > 0.05
        band = np.where(seen, self.total / np.where(seen, self.weight, 1), 0)
        return Prepared(band.astype(np.float32), np.clip(self.weight, 0, 1))


def aligned(frame: Prepared, shift_px: Floats) -> Prepared:
    """Bring a prepared frame into the coordinates of the mean by its shift."""
    rows, columns = frame.band.shape
    yy, xx = np.meshgrid(
        np.arange(rows) + shift_px[1], np.arange(columns) + shift_px[0], indexing="ij"
    )
    at = np.stack([yy, xx])
    weight = map_coordinates(frame.weight, at, order=1, mode="constant", prefilter=False)
    band = map_coordinates(frame.band, at, order=1, mode="constant", prefilter=False)
    return Prepared(band, weight)


class _Work:
    """A registration under way."""

    def __init__(
        self,
        frames: Sequence[Frame],
        first: Frame,
        fixed: int,
        settings: RegisterSettings,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.frames, self.fixed, self.settings = frames, fixed, settings
        self.shape = first.shape
        self.progress, self.cancelled = progress, cancelled
        self.done = 0
        self.sizes = Sizes.of(first)
        self.by = reduction(self.shape, self.sizes)
        self.reach = settings.largest_shift_px or 0.4 * min(self.shape)
        number = len(frames)
        self.shift = np.zeros((number, 2))
        self.correlation = np.ones(number)
        self.matched = np.zeros(number, bool)
        self.sure = np.ones(number, bool)
        self.reason = [""] * number
        self.sum = _Sum(self.shape)
        start = prepare(first, self.sizes)
        if not start.band.any():
            raise UserError(f"Frame {fixed} is blank: choose another one to hold fixed.")
        self.matched[fixed] = True
        self.sum.add(start)

    def step(self, what: str) -> None:
        """Say how far it is, and end when asked."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled
        if self.progress is not None:
            passes = 3 if self.settings.nonrigid else 2
            self.progress(self.done, passes * len(self.frames), what)
        self.done += 1

    def prepared(self, number: int) -> Prepared:
        frame = self.frames[number]
        if frame.shape != self.shape:
            raise UserError(
                f"Frame {number} has another size than the others: register series of one size."
            )
        return prepare(frame, self.sizes)

    def follow(self) -> None:
        """Place the frames one after the other, away from the fixed one to both ends."""
        self.step("Following the drift")
        for order in (range(self.fixed + 1, len(self.frames)), range(self.fixed - 1, -1, -1)):
            self._follow(order)
        self._interpolate()

    def _follow(self, order: Iterable[int]) -> None:
        path = [np.zeros(2)]
        for t in order:
            self.step("Following the drift")
            frame = self.prepared(t)
            reference = Reference(self.sum.mean(), self.by, self.reach)
            found = candidates(reference, frame, self.sizes)
            steps = [b - a for a, b in pairwise(path[-6:])]
            expected = path[-1] + (np.median(steps, axis=0) if steps else 0.0)
            self._place(t, frame, found, expected)
            if self.matched[t]:
                start = self.shift[t]
                refined = refine_field(
                    self.sum.mean(), frame, start[None], Grid(self.shape, (1, 1))
                )[0]
                self.shift[t] = self._near(refined, start)
                path.append(self.shift[t])
                self.sum.add(aligned(frame, self.shift[t]))

    def compare_with_all(self) -> None:
        """Place each frame again, beside the mean of all others."""
        for t in range(len(self.frames)):
            self.step("Comparing with the mean")
            frame = self.prepared(t)
            before = aligned(frame, self.shift[t]) if self.matched[t] else None
            if before is not None:
                self.sum.add(before, -1.0)
            others = self.sum.mean()
            if t != self.fixed:
                found = candidates(Reference(others, self.by, self.reach), frame, self.sizes)
                self._place(t, frame, found, self._expected(t))
            if self.matched[t]:
                start = self.shift[t]
                refined = refine_field(others, frame, start[None], Grid(self.shape, (1, 1)))[0]
                self.shift[t] = self._near(refined, start)
                self.sum.add(aligned(frame, self.shift[t]))
        self._interpolate()
        # The others have moved a little against the fixed frame, whose shift is zero by definition.
        self.shift -= self.shift[self.fixed]

    def bend(self, rigid: Registration) -> Registration:
        """Find a smooth displacement field for each frame, on the mean of all others."""
        every = self.settings.control_px
        points = tuple(max(2, round(length / every) + 1) for length in self.shape)
        grid = Grid(self.shape, (points[0], points[1]))
        size = points[0] * points[1]
        total = _Sum(self.shape)
        for placed in np.flatnonzero(rigid.matched).tolist():
            total.add(aligned(self.prepared(placed), rigid.shift_px[placed]))
        field = np.repeat(rigid.shift_px[:, None, :], size, axis=1)
        for t in range(len(self.frames)):
            self.step("Following distortions")
            if not rigid.matched[t]:
                continue
            frame = self.prepared(t)
            own = aligned(frame, rigid.shift_px[t])
            total.add(own, -1.0)
            bent = refine_field(
                total.mean(), frame, field[t], grid, stiffness=self.settings.stiffness
            )
            total.add(own)
            if np.abs(bent - field[t]).max() <= 0.5 * every:
                field[t] = bent
        return replace(rigid, field_px=field, points=(points[0], points[1]))

    def result(self) -> Registration:
        """Return what was found, without distortions."""
        return Registration(
            self.shift,
            self.correlation,
            self.matched,
            self.sure,
            tuple(self.reason),
            self.shape,
            self.fixed,
        )

    def _near(self, refined: Floats, start: Floats) -> Floats:
        """Keep a refined shift only when it stayed within the peak it started from."""
        return refined if np.hypot(*(refined - start)) < 2 * self.sizes.width_px + 1 else start

    def _expected(self, t: int) -> Floats:
        """Return where a frame's neighbours put it."""
        near = [n for n in (t - 1, t + 1) if 0 <= n < len(self.shift) and self.matched[n]]
        expected: Floats = self.shift[near].mean(axis=0) if near else self.shift[t]
        return expected

    def _place(self, t: int, frame: Prepared, found: Candidates, expected: Floats) -> None:
        """Choose among the shifts that fit."""
        blank = not frame.band.any()
        if blank or not found.any:
            self.matched[t], self.sure[t] = False, False
            self.correlation[t] = found.correlation[0] if len(found.correlation) else 0.0
            self.reason[t] = BLANK if blank else NO_MATCH
            return
        best, rival = choose(found, expected, self.sizes)
        self.matched[t], self.sure[t] = True, not rival
        self.shift[t], self.correlation[t] = found.shift_px[best], found.correlation[best]
        self.reason[t] = REPEATS if rival else ""

    def _interpolate(self) -> None:
        """Give frames without a match the shift between those of their neighbours."""
        number, known = np.arange(len(self.shift)), self.matched
        for axis in (0, 1):
            self.shift[~known, axis] = np.interp(
                number[~known], number[known], self.shift[known, axis]
            )
