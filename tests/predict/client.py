"""A blocking client of the prediction helper; the window uses QProcess."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from napari_apgan.errors import UserError
from napari_apgan.predict.protocol import (
    LANGUAGE,
    CancelRequest,
    Detected,
    DetectRequest,
    Done,
    Failed,
    PredictRequest,
    QuitRequest,
    Ready,
    Reply,
    Request,
    Warmed,
    WarmRequest,
    WasCancelled,
    encode,
)

#: Lines of the helper's stderr that are kept for an error message.
LOG_LINES = 40


class Helper:
    """The helper process. Use it as a context; leaving it ends the process.

    Parameters
    ----------
    python : path, optional
        Interpreter; this one by default.
    start_timeout : float
        Seconds that the helper may take until it is ready (torch is imported).

    Raises
    ------
    UserError
        When it does not start.
    """

    def __init__(self, python: str | Path = sys.executable, *, start_timeout: float = 120) -> None:
        self._process = subprocess.Popen(
            LANGUAGE.command(python),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._replies: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._threads = [
            threading.Thread(target=self._read_replies, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        try:
            first = self.receive(start_timeout)
            if not isinstance(first, Ready):
                raise UserError(f"The prediction helper said {first.event} instead of ready.")
        except BaseException:
            self.close()
            raise
        self.ready = first

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def returncode(self) -> int | None:
        """Exit status of the process; None while it runs."""
        return self._process.poll()

    @property
    def log(self) -> list[str]:
        """The last lines that the helper, or a library in it, printed."""
        return list(self._log)

    def send(self, request: Request) -> None:
        """Send a request.

        Raises
        ------
        UserError
            When the helper has ended.
        """
        self.send_line(encode(request))

    def send_line(self, line: bytes) -> None:
        """Send raw bytes; see :meth:`send`."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise UserError(f"The prediction helper has ended. {self._last_words()}") from error

    def receive(self, timeout: float | None = None) -> Reply:
        """Wait for the next reply.

        Raises
        ------
        UserError
            When none comes in `timeout` seconds, or the helper has ended.
        """
        try:
            reply = self._replies.get(timeout=timeout)
        except queue.Empty:
            raise UserError(
                f"The prediction helper said nothing for {timeout:g} s. {self._last_words()}"
            ) from None
        if reply is None:
            self._replies.put(None)
            raise UserError(f"The prediction helper has ended. {self._last_words()}")
        return reply

    def run(
        self, request: PredictRequest | DetectRequest | WarmRequest, timeout: float | None = None
    ) -> Iterator[Reply]:
        """Send a request and yield its replies, the last one included.

        The last is `done`, `detected`, `warmed`, `failed` or `cancelled`. Replies to other
        requests are dropped. `timeout` holds for the time between two replies.
        """
        self.send(request)
        while True:
            reply = self.receive(timeout)
            if getattr(reply, "id", None) != request.id:
                continue
            yield reply
            if isinstance(reply, Done | Detected | Warmed | Failed | WasCancelled):
                return

    def cancel(self, id: str) -> None:
        """Ask for the end of a request."""
        self.send(CancelRequest(id=id))

    def close(self, timeout: float = 15) -> int:
        """End the helper and return its exit status."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode(QuitRequest()))
            self._process.stdin.close()
        except (OSError, ValueError):
            pass  # it has ended already
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None and not pipe.closed:
                _close_quietly(pipe)
        return status

    def _last_words(self) -> str:
        return f"Its last words: {self._log[-1]}" if self._log else ""

    def _read_replies(self) -> None:
        assert self._process.stdout is not None
        decoder = LANGUAGE.replies()
        while chunk := self._process.stdout.read1(65536):  # type: ignore[attr-defined]
            for reply in decoder.feed(chunk):
                self._replies.put(reply)
        self._replies.put(None)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line.decode("utf-8", "replace").rstrip())


def _close_quietly(pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # what was left to write has nobody to read it
        pipe.close()
