"""Writing documents in the background, so that reopening has little to replay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

Job = Callable[[], None]


class Autosaver:
    """Runs one batch of writes at a time in a thread of its own.

    The journal already holds every edit, so a batch that fails loses nothing: its error is kept
    and the next batch writes the same documents again.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    @property
    def busy(self) -> bool:
        """Whether a batch is being written."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, jobs: Sequence[Job]) -> None:
        """Run `jobs` in order in the background; wait for a batch under way first."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(jobs,), name="apgan-autosave")
        self._thread.start()

    def _run(self, jobs: Sequence[Job]) -> None:
        try:
            for job in jobs:
                job()
        except Exception as error:
            self._error = error

    def wait(self) -> Exception | None:
        """Wait for the batch under way; return (once) the error that it met."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        return error
