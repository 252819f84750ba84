"""A run seen from outside: its state, its events, its best model. Free of torch."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from napari_apgan.errors import UserError
from napari_apgan.settings import write_atomically

from .events import FINAL, Done, Event, Failed, Started, Step, Stopped, parse_event
from .runfile import (
    BEST_FILE,
    CHECKPOINT_FILE,
    EVENTS_FILE,
    LOCK_FILE,
    LOG_FILE,
    PREVIEW_FILE,
    STOP_FILE,
    RunFile,
)

Status = Literal["waiting", "running", "done", "stopped", "failed", "interrupted"]

#: A trainer on another computer counts as alive while its last event is younger than this (s).
HEARTBEAT_LIMIT_S = 30.0
#: Seconds between two heartbeats.
HEARTBEAT_EVERY_S = 5.0


class RunFolder:
    """A run folder, read by anyone while a trainer may be writing it.

    Parameters
    ----------
    path : Path
        The run folder.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._offset = 0
        self._events: list[Event] = []

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def run_file(self) -> RunFile:
        """The content of `run.json`; `UserError` when there is none."""
        return RunFile.read(self.path)

    @property
    def best_model(self) -> Path | None:
        """The best model so far, or None before the first validation."""
        path = self.path / BEST_FILE
        return path if path.is_file() else None

    @property
    def preview(self) -> Path | None:
        """The newest preview, or None; replaced as a whole, (C, Y, X) uint8."""
        path = self.path / PREVIEW_FILE
        return path if path.is_file() else None

    @property
    def can_resume(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return (self.path / CHECKPOINT_FILE).is_file()

    def events(self, after: int = 0) -> list[Event]:
        """Return the events from number `after` on; only the file's new part is read.

        Parameters
        ----------
        after : int
            How many events the caller has seen.
        """
        self._read_new()
        return self._events[after:]

    def last(self, kind: type[Event]) -> Event | None:
        """Return the newest event of a kind, or None."""
        self._read_new()
        return next((e for e in reversed(self._events) if isinstance(e, kind)), None)

    def _read_new(self) -> None:
        try:
            with (self.path / EVENTS_FILE).open("rb") as file:
                file.seek(0, 2)
                if file.tell() < self._offset:  # the run was started anew
                    self._offset, self._events = 0, []
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            self._offset, self._events = 0, []
            return
        # A line without its end is still being written.
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._events += [e for line in whole.splitlines() if (e := parse_event(line)) is not None]

    def status(self) -> Status:
        """Say what state the run is in.

        Alive or dead is decided by the lock that a trainer holds, on another computer by its
        heartbeat; never by a process number, which zombies answer and others inherit.
        """
        if self._locked():
            return "running"
        self._read_new()
        final: Event | None = None
        started: Started | None = None
        for event in reversed(self._events):
            if isinstance(event, FINAL):
                final = final or event
            if isinstance(event, Started):
                started = event
                break
        if isinstance(final, Done):
            return "done"
        if isinstance(final, Stopped):
            return "stopped"
        if isinstance(final, Failed):
            return "failed"
        if started is None:
            return "interrupted" if self._events else "waiting"
        elsewhere = started.host != socket.gethostname()
        if elsewhere and time.time() - self._events[-1].time < HEARTBEAT_LIMIT_S:
            return "running"
        return "interrupted"

    def _locked(self) -> bool:
        path = self.path / LOCK_FILE
        if not path.exists():
            return False
        # Twice: someone else who asks this very moment holds it, too, but not for long.
        return _is_held(path) and _is_held(path)

    def request_stop(self) -> None:
        """Ask the trainer to stop after its current step; it saves its state first."""
        write_atomically(self.path / STOP_FILE, "stop\n")

    def withdraw_stop(self) -> None:
        """Take the request back."""
        (self.path / STOP_FILE).unlink(missing_ok=True)

    @property
    def stop_requested(self) -> bool:
        """Whether the trainer was asked to stop."""
        return (self.path / STOP_FILE).exists()

    def remaining_s(self) -> float | None:
        """Estimate the seconds until the training ends, or None when that is not known."""
        step = self.last(Step)
        if not isinstance(step, Step) or step.remaining_s is None:
            return None
        return max(0.0, step.remaining_s - max(0.0, time.time() - step.time))

    def message(self) -> str:
        """Return the sentence of the last final event, or of a trainer that died without one."""
        for event in reversed(self.events()):
            if isinstance(event, FINAL):
                return event.message
            if isinstance(event, Started):
                break
        return ""

    def log_tail(self, lines: int = 20) -> str:
        """Return the end of what the trainer printed (for bug reports)."""
        try:
            text = (self.path / LOG_FILE).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def steps(self) -> Iterator[Step]:
        """Yield the step events: the training curve."""
        return (e for e in self.events() if isinstance(e, Step))


def _is_held(path: Path) -> bool:
    """Whether another process (or another part of this one) holds the lock at `path`."""
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except (Timeout, PermissionError):
        return True
    except OSError:
        # A folder that cannot be written cannot be locked either, and nobody trains in it.
        return False
    lock.release()
    return False


def require_run(path: Path) -> RunFolder:
    """Return the run folder at `path`; `UserError` when it is none."""
    folder = RunFolder(path)
    if not path.is_dir():
        raise UserError(f"There is no run folder at {path}.")
    folder.run_file  # noqa: B018  # raises where run.json is missing or damaged
    return folder
