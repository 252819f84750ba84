"""What a trainer reports: one JSON object a line in `events.jsonl`, in this order of time.

``started``, then any number of ``heartbeat``, ``step``, ``validated``, ``preview``,
``checkpoint`` and ``note``, then exactly one of ``done``, ``stopped``, ``failed``. A resumed run
appends a new ``started`` and goes on.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from napari_apgan.models.card import HeldOutScore


class _Event(BaseModel):
    """What all events carry: `time`, seconds since 1970 (UTC)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: float = Field(default_factory=time.time)


class Started(_Event):
    """The trainer holds the lock and begins, or goes on where it was."""

    event: Literal["started"] = "started"
    host: str
    device: str
    threads: int
    resumed: bool = False
    step: int = 0
    preset: str
    pairs: int
    split: str
    training_atoms: int
    validation_atoms: int
    gap_px: float = 0.0
    message: str = ""


class Heartbeat(_Event):
    """The trainer lives; every few seconds, whatever it is busy with."""

    event: Literal["heartbeat"] = "heartbeat"


class Step(_Event):
    """Losses since the last such event, averaged. `progress` 0..1; times in s."""

    event: Literal["step"] = "step"
    step: int
    epoch: int
    loss: float
    parts: dict[str, float] = Field(default_factory=dict)
    rate: float
    progress: float
    elapsed_s: float
    remaining_s: float | None = None


class Validated(_Event):
    """The held-out labels were predicted and scored."""

    event: Literal["validated"] = "validated"
    step: int
    epoch: int
    loss: float
    score: HeldOutScore
    threshold: float
    best: bool


class Preview(_Event):
    """A probability map was drawn.

    `path` in the run folder holds (C, Y, X) uint8, 255 for probability 1, of the pixels `box`
    (x0, y0, x1, y1) of the pair's frame as the run holds it.
    """

    event: Literal["preview"] = "preview"
    step: int
    path: str
    pair: str
    box: tuple[int, int, int, int]
    elements: list[str]


class Checkpoint(_Event):
    """The state was saved; a resume goes on from here."""

    event: Literal["checkpoint"] = "checkpoint"
    step: int
    path: str


class Note(_Event):
    """Something the user should know, in a sentence."""

    event: Literal["note"] = "note"
    message: str


class Done(_Event):
    """The training ended by itself: budget used, or no further gain."""

    event: Literal["done"] = "done"
    step: int
    epoch: int
    elapsed_s: float
    best: str
    score: HeldOutScore | None = None
    message: str = ""


class Stopped(_Event):
    """The user stopped it; it can be resumed."""

    event: Literal["stopped"] = "stopped"
    step: int
    elapsed_s: float
    best: str | None = None
    message: str = ""


class Failed(_Event):
    """It could not go on; `message` says why in one sentence."""

    event: Literal["failed"] = "failed"
    message: str


Event = (
    Started | Heartbeat | Step | Validated | Preview | Checkpoint | Note | Done | Stopped | Failed
)

FINAL = (Done, Stopped, Failed)

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(line: str | bytes) -> Event | None:
    """Return the event of a line, or None for a torn line or an event of a later version."""
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None


class EventLog:
    """The appending end of `events.jsonl`; safe from several threads of one process."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        torn = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size
        self._file = path.open("ab")
        if torn:
            self._file.write(b"\n")  # the last line of a killed trainer

    def write(self, event: Event) -> None:
        """Append one event and hand it to the system at once."""
        line = json.dumps(_finite(event.model_dump(mode="json")), allow_nan=False)
        with self._lock:
            if not self._file.closed:
                self._file.write(line.encode() + b"\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file; later events are dropped."""
        with self._lock:
            self._file.close()


def _finite(value: Any) -> Any:
    """Replace numbers JSON cannot hold: a loss that is not finite is written as 1e308."""
    if isinstance(value, float):
        return value if abs(value) < 1e308 else 1e308
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return value
