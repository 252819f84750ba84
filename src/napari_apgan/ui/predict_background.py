"""Work off the window's thread: results come back between two turns of the event loop."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_apgan.errors import UserError

#: How often finished work is looked for (ms).
POLL_MS = 25

Failure = Callable[[str, str], None]


class Background(QObject):
    """Runs functions one after another in one thread.

    The thread never touches a widget: this object looks for what it has finished. Functions get
    no Qt objects and no project, only what they need, already taken from them.

    Parameters
    ----------
    parent : QObject
    failed : callable
        Called with a sentence and details where a function raised.
    """

    def __init__(self, parent: QObject, failed: Failure) -> None:
        super().__init__(parent)
        self._failed = failed
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="apgan")
        self._running: list[tuple[Future[Any], Callable[[Any], None], Failure]] = []
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._collect)

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        return bool(self._running)

    def run(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        failed: Failure | None = None,
    ) -> None:
        """Do `work` in the thread and call `then` with its result in the window's."""
        self._running.append((self._pool.submit(work), then, failed or self._failed))
        self._timer.start()

    def stop(self) -> None:
        """Drop what waits; what runs ends by itself and is not told of."""
        self._timer.stop()
        self._running = []
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _collect(self) -> None:
        finished = [entry for entry in self._running if entry[0].done()]
        self._running = [entry for entry in self._running if not entry[0].done()]
        if not self._running:
            self._timer.stop()
        for future, then, failed in finished:
            error = future.exception()
            if error is None:
                then(future.result())
            elif isinstance(error, UserError):
                failed(str(error), "")
            else:
                details = "".join(traceback.format_exception(error))
                failed(f"That did not work ({type(error).__name__}: {error}).", details)
