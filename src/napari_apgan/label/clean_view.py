"""The task that makes a clean view of a frame in the labelling helper."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.io.reference import SourceRef

from .evidence import in_the_frame
from .filter_kinds import FILTERS, FilterName, FilterSettings, StackedSettings
from .filters import filter_frame
from .filters import filter_series as filter_block
from .process import Job
from .register import Registration, register
from .series import FramesOf, in_the_mean

FOR_THE_EYE = "For the eye only: networks, snapping and detection see the raw frame."
#: Values of a block of frames that is filtered at once (0.25 GB).
LARGEST_BLOCK = 64_000_000


class CleanViewOptions(BaseModel):
    """What the task is asked.

    Parameters
    ----------
    filter : str
        One of :data:`~.filter_kinds.FILTERS`.
    settings : mapping
        Of that filter; what is left out has its default.
    align : bool
        Whether the frames of a block are put onto each other before the stacked filter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    filter: FilterName
    settings: dict[str, Any] = Field(default_factory=dict)
    align: bool = True


@dataclass(frozen=True, slots=True)
class _Block:
    """A filtered block of frames, kept for its other frames."""

    source: SourceRef | None
    asked: CleanViewOptions
    first: int
    clean: NDArray[np.float32]
    registration: Registration | None

    def holds(self, source: SourceRef | None, asked: CleanViewOptions, frame: int) -> bool:
        here = self.first <= frame < self.first + len(self.clean)
        return here and (self.source, self.asked) == (source, asked)


def run(job: Job) -> None:
    """Make the clean view of a frame: the image ``view``, in the frame's units."""
    asked = job.checked(CleanViewOptions)
    kind = FILTERS[asked.filter]
    settings = kind.settings.model_validate(asked.settings)
    if isinstance(settings, StackedSettings):
        image, more = _stacked(job, asked, settings)
    else:
        image = filter_frame(
            job.frame(), asked.filter, settings, progress=job.progress, cancelled=job.cancelled
        )
        more = ""
    job.give_image("view", image)
    job.sentence = f"{kind.title}: {describe(settings)}. {more}{FOR_THE_EYE}"


def describe(settings: FilterSettings) -> str:
    """Say what a filter was told: ``smooth by 1.2 px, flatten by 0 px``."""
    parts = []
    for name, field in type(settings).model_fields.items():
        title, value = field.title or name, getattr(settings, name)
        unit = re.search(r" \((\w+)\)$", title)
        words = title[: unit.start()] if unit else title
        text = f"{value:g}" if isinstance(value, float) else str(value)
        parts.append(f"{words.lower()} {text}{' ' + unit[1] if unit else ''}")
    return ", ".join(parts)


def block_around(frame: int, n_frames: int, wanted: int, pixels: int) -> tuple[int, int]:
    """Return (first, stop) of the frames that are filtered together.

    Parameters
    ----------
    frame, n_frames : int
        The frame that is looked at, and how many the series has.
    wanted : int
        How many to take.
    pixels : int
        Of one frame; fewer are taken where they would not fit :data:`LARGEST_BLOCK`.
    """
    length = min(n_frames, wanted, max(2, LARGEST_BLOCK // max(pixels, 1)))
    first = min(max(frame - length // 2, 0), n_frames - length)
    return first, first + length


def _stacked(
    job: Job, asked: CleanViewOptions, settings: StackedSettings
) -> tuple[NDArray[np.float32], str]:
    """Filter the block around the frame, or take it from the block that is there."""
    source, number = job.source(), job.request.frame
    if source.n_frames < 2:
        raise UserError("The stacked filter needs a series of frames: choose another filter.")
    block: _Block | None = job.kept.get("block")
    if block is None or not block.holds(job.request.source, asked, number):
        rows, columns = source.shape
        first, stop = block_around(number, source.n_frames, settings.frames, rows * columns)
        job.kept.pop("block", None)  # two of them need not be held at once
        block = _filter(job, asked, settings, FramesOf(source, first, stop), first)
        job.kept["block"] = block
    clean = block.clean[number - block.first]
    last = block.first + len(block.clean)
    more = f"Frames {block.first + 1} to {last} together"
    if block.registration is None:
        return clean, f"{more}, not aligned. "
    registration, place = block.registration, number - block.first
    known = np.isfinite(clean)
    still = Frame(np.where(known, clean, np.float32(0)), known)
    back = in_the_frame(still, lambda xy: registration.in_mean(xy, place), clean.shape)
    drift = float(np.hypot(*np.ptp(registration.shift_px, axis=0)))
    return back.astype(np.float32), f"{more}, aligned (they drift by {drift:.1f} px). "


def _filter(
    job: Job, asked: CleanViewOptions, settings: StackedSettings, frames: FramesOf, first: int
) -> _Block:
    registration = None
    still = frames[:]
    if asked.align:
        registration = register(frames, progress=job.progress, cancelled=job.cancelled)
        for t, frame in enumerate(still):
            job.progress(t, len(still), "Aligning")
            image, share = in_the_mean(frame, registration, t)
            there = share > 0.5
            # A frame that drifted out of sight has nothing to give where the others are.
            still[t] = Frame(np.where(there, image, 0).astype(np.float32), there)
    clean = filter_block(still, settings, progress=job.progress, cancelled=job.cancelled)
    return _Block(job.request.source, asked, first, clean, registration)
