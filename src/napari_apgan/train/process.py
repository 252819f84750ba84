"""The trainer's own surroundings: lock, priority, heartbeat, signals. Free of torch."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from types import FrameType

from filelock import FileLock, Timeout

from napari_apgan.errors import UserError

from .events import EventLog, Failed, Heartbeat
from .runfile import EVENTS_FILE, LOCK_FILE, STOP_FILE, RunFile
from .runfolder import HEARTBEAT_EVERY_S

#: Someone asking for the state holds the lock for a moment; a trainer does for long (s).
LOCK_PATIENCE_S = 5.0


def run_trainer(run_dir: Path, *, resume: bool = False) -> int:
    """Train a run folder in this process until it is done, stopped or failed.

    Returns
    -------
    int
        The exit code: 0 done or stopped, 1 failed, 2 nothing could be begun.
    """
    try:
        RunFile.read(run_dir)
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201  # this is the trainer's log
        return 2
    lock = FileLock(run_dir / LOCK_FILE)
    try:
        lock.acquire(timeout=LOCK_PATIENCE_S)
    except Timeout:
        print(f"{run_dir} is being trained already.", file=sys.stderr)  # noqa: T201
        return 2
    with lock:
        if not resume and (run_dir / EVENTS_FILE).exists():
            print(  # noqa: T201
                f"{run_dir} was trained before: resume it, or make a new run.", file=sys.stderr
            )
            return 2
        lower_priority()
        log = EventLog(run_dir / EVENTS_FILE)
        with _heartbeat(log):
            code = _train(run_dir, log, resume=resume)
        # The request was for this training, not for the one that resumes it.
        (run_dir / STOP_FILE).unlink(missing_ok=True)
        log.close()
    return code


def _train(run_dir: Path, log: EventLog, *, resume: bool) -> int:
    """Train and write the final event, whatever happens."""
    log.write(Heartbeat())
    try:
        # Only now: importing torch takes seconds, in which the lock already shows life.
        try:
            from .loop import Training
        except (ImportError, OSError) as error:
            traceback.print_exc()
            raise UserError(
                f"The training's libraries could not be loaded ({error}): "
                "install napari-apgan anew, with its dependencies."
            ) from error

        stop = stop_on_signals(lambda: (run_dir / STOP_FILE).exists())
        log.write(Training(run_dir, log, stop, resume=resume).run())
    except UserError as error:
        log.write(Failed(message=str(error)))
        return 1
    except OSError as error:
        traceback.print_exc()
        log.write(
            Failed(message=f"The run folder could not be written ({error.strerror or error}).")
        )
        return 1
    except Exception as error:
        # The user gets a sentence, trainer.log the rest.
        traceback.print_exc()
        log.write(
            Failed(
                message=f"The training ended by an unexpected error ({type(error).__name__}: "
                f"{error}); trainer.log in the run folder says more."
            )
        )
        return 1
    return 0


def stop_on_signals(asked: Callable[[], bool]) -> Callable[[], bool]:
    """Make the signals that end a process ask it to stop; return what tells whether to."""
    flag = Flag()

    def handle(_number: int, _frame: FrameType | None) -> None:
        flag.set()

    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, handle)
    return lambda: flag.is_set() or asked()


def lower_priority() -> None:
    """Let everything else on this computer go first; then all cores may be used.

    Must come before torch is imported: its threads read their waiting policy once.
    """
    # Threads that spin while they wait for a preempted one make a step ten times longer as soon
    # as anything else runs (measured: 1.7 s against 0.15 s on two busy cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "win32":
        import ctypes

        below_normal = 0x4000
        kernel = ctypes.windll.kernel32
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        kernel.SetPriorityClass.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), below_normal)
    else:
        os.nice(10)


class _heartbeat:  # noqa: N801  # a context manager, used like a function
    """Writes a heartbeat every few seconds while its block runs."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._end = Flag()
        self._thread = Thread(target=self._beat, name="heartbeat", daemon=True)

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_EVERY_S):
            self._log.write(Heartbeat())

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_exc: object) -> None:
        self._end.set()
        self._thread.join()
