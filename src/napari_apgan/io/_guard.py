"""One wrapper round every reader: whatever it raises becomes one sentence, no file stays open."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from napari_apgan.errors import UserError

T = TypeVar("T")

#: How long a damaged HDF5 file may keep the process that tries it.
PROBE_SECONDS = 30.0

# Warning filters belong to the whole process, so readers run one at a time.
_lock = threading.RLock()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the readers from printing what they make of a file: the user gets our sentence."""
    loggers = [logging.getLogger(name) for name in ("tifffile", "rsciio")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def guarded(path: Path, work: Callable[[], T]) -> T:
    """Run `work`, which reads `path`, and turn any failure into one sentence.

    Readers meet damaged files with every kind of exception, with warnings, and with files left
    open. What a failed call leaves behind is cleared away, so that its files are closed at once.

    Raises
    ------
    UserError
        When `work` fails in any way.
    """
    with _lock, warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        try:
            return work()
        except UserError:
            raise
        except Exception as error:
            reason = explain(error)
            traceback.clear_frames(error.__traceback__)
        gc.collect()  # some readers keep their open files in reference cycles
    raise UserError(
        f"{path.name} could not be read: it is damaged, or not what its name says ({reason})."
    )


def survive_hdf5(path: Path) -> None:
    """Make sure that reading an HDF5 file neither hangs nor crashes this process.

    The HDF5 library loops for ever, crashes, or never closes the file again on some damaged ones,
    and nothing can be caught then. So a short-lived process tries the file first, once for each
    state of the file.

    Raises
    ------
    UserError
        When that process hangs, dies or meets an error.
    """
    stat = path.stat()
    _probe(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _probe(path: Path, _size: int, _mtime_ns: int) -> None:
    script = Path(__file__).with_name("_hdf5_probe.py")
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(script), str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError:  # no process can be started here: the file must do without the trial
        return
    except subprocess.TimeoutExpired:
        reason = "the HDF5 library hangs on it"
    else:
        if done.returncode == 0:
            return
        lines = done.stderr.strip().splitlines()
        reason = (
            lines[-1][:120].rstrip(".")
            if done.returncode == 1 and lines
            else "the HDF5 library crashes on it"
        )
    raise UserError(
        f"{path.name} could not be read: it is damaged, or not what its name says ({reason})."
    )


def explain(error: BaseException) -> str:
    """Say in a few words what an exception was about."""
    lines = str(error).strip().splitlines()
    text = (lines[0] if lines else "").strip().rstrip(".")[:120]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def existing_file(path: Path) -> Path:
    """Return the path when it is a file with something in it.

    Raises
    ------
    UserError
        When it is absent, a folder, empty, or not readable.
    """
    try:
        if not path.exists():
            raise UserError(f"There is no file {path}.")
        if not path.is_file():
            raise UserError(f"{path} is a folder; give a file.")
        if path.stat().st_size == 0:
            raise UserError(f"{path.name} is empty.")
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise UserError(f"{path.name} could not be opened: {explain(error)}.") from error
    return path
