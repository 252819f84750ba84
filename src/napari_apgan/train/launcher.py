"""Start a trainer that outlives this process, or find one that is running. Free of torch."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from napari_apgan.errors import UserError

from .runfile import LOG_FILE
from .runfolder import RunFolder, Status, require_run

#: A Popen that is dropped while its process lives gives a ResourceWarning, and one that is never
#: polled leaves a zombie; so this process keeps every trainer it started.
_STARTED: list[subprocess.Popen[bytes]] = []


class Trainer:
    """A training as its starter sees it.

    Parameters
    ----------
    folder : RunFolder
    process : Popen, optional
        Only where this process started it.
    """

    def __init__(self, folder: RunFolder, process: subprocess.Popen[bytes] | None = None) -> None:
        self.folder = folder
        self.process = process

    @property
    def run_dir(self) -> Path:
        """The run folder's path."""
        return self.folder.path

    def status(self) -> Status:
        """Return the run's state; a trainer that has not yet taken its lock counts as running.

        A trainer of ours that died before it could say why counts as interrupted.
        """
        code = None if self.process is None else self.process.poll()
        state = self.folder.status()
        if self.process is None or state == "running":
            return state
        if code is None:
            return "running"
        return "interrupted" if state == "waiting" else state

    @property
    def alive(self) -> bool:
        """Whether it is training."""
        return self.status() == "running"

    def stop(self) -> None:
        """Ask it to stop after its current step."""
        self.folder.request_stop()

    def wait(self, timeout_s: float | None = None) -> Status:
        """Wait until it ends (or the time is up) and return its state."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while self.alive and (end is None or time.monotonic() < end):
            time.sleep(0.05)
        return self.status()


def launch(run_dir: Path | str, *, resume: bool = False) -> Trainer:
    """Start the trainer of a prepared run; it goes on when this process ends.

    Parameters
    ----------
    run_dir : Path or str
    resume : bool
        Go on from the last checkpoint.

    Raises
    ------
    UserError
        When the folder is no run, is being trained already, or the process cannot be started.
    """
    path = Path(run_dir).resolve()
    folder = require_run(path)
    if folder.status() == "running":
        raise UserError(f"The run {path.name} is being trained already.")
    if not resume and folder.events():
        raise UserError(f"The run {path.name} was trained before: resume it, or make a new run.")
    folder.withdraw_stop()
    _STARTED[:] = [p for p in _STARTED if p.poll() is None]
    # -P keeps the run folder, its working directory, out of the module search path.
    command = [sys.executable, "-P", "-m", "napari_apgan.train", str(path)]
    if resume:
        command.append("--resume")
    try:
        with (path / LOG_FILE).open("ab") as log:
            process = _popen(command, path, log.fileno())
    except OSError as error:
        raise UserError(f"The training could not be started: {error.strerror or error}.") from error
    _STARTED.append(process)
    return Trainer(folder, process)


def attach(run_dir: Path | str) -> Trainer:
    """Find a run that someone else started, in whatever state it is.

    Raises
    ------
    UserError
        When the folder is no run.
    """
    return Trainer(require_run(Path(run_dir).resolve()))


def _popen(command: list[str], cwd: Path, log: int) -> subprocess.Popen[bytes]:
    """Start a process that no signal to, and no end of, this one reaches."""

    def start(*, flags: int = 0, own_session: bool = False) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            creationflags=flags,
            start_new_session=own_session,
        )

    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        try:
            return start(flags=flags | subprocess.CREATE_BREAKAWAY_FROM_JOB)
        except PermissionError:  # the job this process runs in forbids breaking away
            return start(flags=flags)
    return start(own_session=True)
