"""One wrapper round every reader: whatever it raises becomes one sentence, no file stays open."""

from __future__ import annotations

import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from napari_apgan.errors import UserError

T = TypeVar("T")

# Warning filters belong to the whole process, so readers run one at a time.
_lock = threading.RLock()


def guarded(path: Path, work: Callable[[], T]) -> T:
    """Run `work`, which reads `path`, and turn any failure into one sentence.

    Readers meet damaged files with every kind of exception, with warnings, and with files left
    open. Frames of a failed call are cleared, so that the files they hold are closed at once.

    Raises
    ------
    UserError
        When `work` fails in any way.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return work()
        except UserError:
            raise
        except Exception as error:
            reason = explain(error)
            traceback.clear_frames(error.__traceback__)
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
