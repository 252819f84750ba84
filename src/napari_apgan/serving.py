"""What the helper processes share: one JSON object a line on stdin and on stdout.

A request carries an `op`, a reply an `event`. Lines are UTF-8 and end with a line feed; what a
line means never depends on another line, except that `cancel` names an earlier `id`.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Generic, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from .errors import UserError, fault_of

#: A line longer than this is refused: no request or reply comes near it.
MAX_LINE_BYTES = 1 << 20
#: Seconds between two progress replies, so that a pipe nobody reads fills late.
PROGRESS_INTERVAL = 0.1
#: Seconds that running work may take after stdin has closed, before it is abandoned.
GRACE = 10.0

_T = TypeVar("_T")
_Request = TypeVar("_Request")
_Reply = TypeVar("_Reply")


class Message(BaseModel):
    """A request or a reply."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CancelRequest(Message):
    """End the request `id`, running or waiting, as soon as it can be."""

    op: Literal["cancel"] = "cancel"
    id: str


class QuitRequest(Message):
    """End the helper after what it is doing has been cancelled."""

    op: Literal["quit"] = "quit"


class Progress(Message):
    """How far a request is: `done` of `total` steps."""

    event: Literal["progress"] = "progress"
    id: str
    done: int
    total: int
    what: str


class Failed(Message):
    """A request failed.

    Parameters
    ----------
    id : str
        Empty when the request was unreadable.
    sentence : str
        What happened and what to do, for the user.
    details : str
        A traceback to copy into a report; empty when the user's own input was at fault.
    """

    event: Literal["failed"] = "failed"
    id: str
    sentence: str
    details: str = ""


class WasCancelled(Message):
    """A request was ended as asked; what it had finished stays."""

    event: Literal["cancelled"] = "cancelled"
    id: str


class Cancelled(Exception):  # noqa: N818  # nothing went wrong
    """Work was asked to end."""


def encode(message: BaseModel) -> bytes:
    """Turn a message into its line, line feed included."""
    return message.model_dump_json().encode("utf-8") + b"\n"


def _decode(adapter: TypeAdapter[_T], what: str, line: bytes) -> _T:
    try:
        return adapter.validate_json(line)
    except ValidationError as error:
        raise ValueError(f"This is no {what} ({fault_of(error)}).") from error


class LineDecoder(Generic[_T]):
    """Puts messages together from chunks of bytes as they arrive from a pipe.

    Bytes that are no message do not stop the stream: they are kept in `strays` for a log.

    Parameters
    ----------
    decode_line : callable
        Turns a line into a message, or raises `ValueError`.
    """

    def __init__(self, decode_line: Callable[[bytes], _T]) -> None:
        self._decode = decode_line
        self._rest = b""
        self.strays: list[bytes] = []

    def feed(self, chunk: bytes) -> list[_T]:
        """Return the messages that `chunk` completes, in order."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            self.strays.append(self._rest[:200])
            self._rest = b""
        messages: list[_T] = []
        for line in lines:
            if not line.strip():
                continue
            try:
                messages.append(self._decode(line))
            except ValueError:
                self.strays.append(line[:200])
        return messages


class Language(Generic[_Request, _Reply]):
    """What one kind of helper is asked and what it answers.

    Parameters
    ----------
    module : str
        The package that the helper runs.
    requests, replies : TypeAdapter
        All messages to it, and all from it.
    """

    def __init__(
        self, module: str, requests: TypeAdapter[_Request], replies: TypeAdapter[_Reply]
    ) -> None:
        self._module, self._requests, self._replies = module, requests, replies

    def request(self, line: bytes) -> _Request:
        """Read a request; `ValueError` with one sentence when the line is none."""
        return _decode(self._requests, "request", line)

    def reply(self, line: bytes) -> _Reply:
        """Read a reply; `ValueError` with one sentence when the line is none."""
        return _decode(self._replies, "reply", line)

    def replies(self) -> LineDecoder[_Reply]:
        """Return what puts replies together as they arrive from a pipe."""
        return LineDecoder(self.reply)

    def command(self, python: str | Path) -> list[str]:
        """Return the command that starts the helper with this Python.

        `-P` keeps the working folder, where a user's `types.py` may lie, off the import path.
        """
        return [str(python), "-P", "-m", self._module, "--serve"]


def keep_stdout_clean() -> BinaryIO:
    """Take stdout for the protocol alone: what anything else prints goes to stderr.

    Works on the descriptors, so that libraries written in C are led away too.

    Returns
    -------
    binary file
        The former stdout.
    """
    sys.stdout.flush()
    protocol = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdout = sys.stderr
    return protocol


class LineServer(ABC):
    """Answers requests from one stream on another, until the first ends.

    One thread reads requests, so that a cancellation or the end of stdin is heard while another
    request runs; the calling thread does the work, one request after another in the order they
    came.

    Parameters
    ----------
    requests, replies : binary file
    abandon : callable, optional
        Called when work still hangs some seconds after stdin has closed.
    """

    def __init__(
        self,
        requests: BinaryIO,
        replies: BinaryIO,
        abandon: Callable[[], None] | None = None,
    ) -> None:
        self._abandon = abandon
        self._requests = requests
        self._replies = replies
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._cancelled: set[str] = set()
        self._known: set[str] = set()
        self._ended = threading.Event()
        self._finished = threading.Event()

    @abstractmethod
    def decode(self, line: bytes) -> BaseModel:
        """Read a request; `ValueError` with one sentence when the line is none."""

    @abstractmethod
    def work(self, request: Any) -> None:
        """Do one request and send its replies; it may raise `UserError` or :class:`Cancelled`."""

    @abstractmethod
    def trouble(self, error: Exception) -> str:
        """Return the sentence for a fault of the program."""

    @abstractmethod
    def ready(self) -> BaseModel:
        """Return the first reply."""

    def serve(self) -> None:
        """Say `ready`, then work until stdin closes or `quit` arrives."""
        self.send(self.ready())
        threading.Thread(target=self._listen, name="requests", daemon=True).start()
        while (request := self._queue.get()) is not None:
            self._answer(request)
        self._finished.set()

    def send(self, reply: BaseModel) -> None:
        """Write a reply; any thread may."""
        with self._lock:
            try:
                self._replies.write(encode(reply))
                self._replies.flush()
            except (OSError, ValueError):
                self._ended.set()  # nobody reads any more; stdin will close too

    def is_cancelled(self, id: str) -> bool:
        """Tell whether a request is to end."""
        return self._ended.is_set() or id in self._cancelled

    def check(self, id: str) -> None:
        """Raise :class:`Cancelled` when a request is to end."""
        if self.is_cancelled(id):
            raise Cancelled

    def replaces(self, request: Any) -> set[str]:
        """Return the ids of earlier requests that one just arrived makes needless."""
        return set()

    def _listen(self) -> None:
        """Read requests until the stream ends; runs in its own thread."""
        while line := self._requests.readline(MAX_LINE_BYTES):
            if not line.strip():
                continue
            try:
                request = self.decode(line)
            except ValueError as error:
                self.send(Failed(id=_id_of(line), sentence=str(error)))
                continue
            if not self._take(request):
                break
        self._ended.set()
        self._queue.put(None)
        # Work that hangs (a lost GPU) must not keep the process after its window has gone.
        if not self._finished.wait(GRACE) and self._abandon is not None:
            self._abandon()

    def _take(self, request: BaseModel) -> bool:
        """Queue or act on a request; False ends the listening."""
        if isinstance(request, QuitRequest):
            return False
        if isinstance(request, CancelRequest):
            if request.id in self._known:
                self._cancelled.add(request.id)
            return True
        self._cancelled |= self.replaces(request) & self._known
        if id := getattr(request, "id", ""):
            self._known.add(id)
        self._queue.put(request)
        return True

    def _answer(self, request: Any) -> None:
        """Do one request; whatever it raises becomes a reply."""
        try:
            self.work(request)
        except Cancelled:
            self.send(WasCancelled(id=request.id))
        except UserError as error:
            self.send(Failed(id=request.id, sentence=str(error)))
        except Exception as error:  # the helper outlives everything that a request may bring
            self.send(
                Failed(id=request.id, sentence=self.trouble(error), details=traceback.format_exc())
            )
        finally:
            self._known.discard(request.id)
            self._cancelled.discard(request.id)


def run_helper(
    module: str,
    description: str,
    server: Callable[[], type[LineServer]],
    arguments: Sequence[str] | None,
) -> NoReturn:
    """Run a helper until its stdin closes: the whole of `python -m MODULE --serve`.

    Parameters
    ----------
    module, description : str
        For the help of the command.
    server : callable
        Imports and returns the class that answers. It is called when stdout is taken, since what
        it imports (torch, engines) may print.
    arguments : sequence of str, optional
        By default those of the command line.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--serve", action="store_true", required=True, help="listen on stdin")
    parser.parse_args(arguments)
    # Threads that spin while they wait starve each other when a training runs beside.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    replies = keep_stdout_clean()
    server()(sys.stdin.buffer, replies, abandon=lambda: os._exit(1)).serve()
    replies.close()
    sys.stderr.flush()
    # Nothing is left to do, and native threads (OpenMP, drivers of GPUs) may abort an interpreter
    # that takes itself down around them.
    os._exit(0)


def _id_of(line: bytes) -> str:
    """Return the `id` of a line that is otherwise no request; empty where it has none."""
    try:
        found = json.loads(line)["id"]
    except (ValueError, KeyError, TypeError):
        return ""
    return found if isinstance(found, str) else ""
