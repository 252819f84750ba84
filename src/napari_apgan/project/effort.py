"""How much of a hand's work is in a project: acts and seconds, counted from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from .journal import Entry

#: After so many seconds without an act the clock of the hand stands still.
IDLE_SECONDS = 15.0


class Effort:
    """Acts of labelling and the time they took.

    Every edit, undo and redo is an act. The time between two of them counts, at most
    `IDLE_SECONDS` of it: who looks longer than that does something else.

    Parameters
    ----------
    entries : iterable of Entry
        The journal so far.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.acts = 0
        self._seconds = 0.0
        self._last: float | None = None
        for entry in entries:
            self.note(entry)

    def note(self, entry: Entry) -> None:
        """Count one line of the journal."""
        if entry.op == "mark":
            return
        at = datetime.fromisoformat(entry.time).timestamp()
        self._seconds = self.seconds(at)
        self._last = at
        self.acts += 1

    def seconds(self, now: float | None = None) -> float:
        """Return the seconds of hand time.

        Parameters
        ----------
        now : float, optional
            The present time (s since 1970): the time since the last act counts as well.
        """
        if now is None or self._last is None:
            return self._seconds
        return self._seconds + min(max(now - self._last, 0.0), IDLE_SECONDS)

    def running(self, now: float) -> bool:
        """Whether the last act was so recent that the clock runs."""
        return self._last is not None and 0 <= now - self._last < IDLE_SECONDS
