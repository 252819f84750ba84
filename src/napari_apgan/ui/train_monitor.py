"""Follows the trainings of a project by their folders, whoever started them."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from napari_apgan.errors import UserError
from napari_apgan.train.events import Event
from napari_apgan.train.launcher import Trainer, attach, launch
from napari_apgan.train.runfolder import RunFolder, Status

#: How often the events of a running training are read (ms): the curve moves twice a second.
TAIL_MS = 500
#: How often a trainer that was started a moment ago is looked for before it is given up.
PATIENCE = 120


class TrainMonitor(QObject):
    """Reads the events of one training as they are written.

    The trainer is a process of its own: this object may come and go while it works.
    """

    updated = Signal()
    ended = Signal(object, str)  # RunFolder, Status

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.trainer: Trainer | None = None
        self._seen = 0
        self._timer = QTimer(self)
        self._timer.setInterval(TAIL_MS)
        self._timer.timeout.connect(self.look)
        self._expected: RunFolder | None = None
        self._patience = 0
        self._expecting = QTimer(self)
        self._expecting.setInterval(TAIL_MS)
        self._expecting.timeout.connect(self._look_out)

    @property
    def running(self) -> bool:
        """Whether a training is being followed."""
        return self.trainer is not None

    @property
    def folder(self) -> RunFolder | None:
        """The run being followed."""
        return None if self.trainer is None else self.trainer.folder

    def start(self, run_dir: Path, *, resume: bool = False) -> None:
        """Start the trainer of a prepared run and follow it.

        Raises
        ------
        UserError
            When it cannot be started.
        """
        self.follow(launch(run_dir, resume=resume))

    def follow(self, trainer: Trainer) -> None:
        """Follow a training that is running."""
        self.trainer = trainer
        self._seen = 0
        self._expecting.stop()
        self._timer.start()
        self.updated.emit()

    def expect(self, run: RunFolder) -> None:
        """Follow a run as soon as its trainer is heard of: another window has just started it."""
        self._expected, self._patience = run, PATIENCE
        self._expecting.start()

    def _look_out(self) -> None:
        self._patience -= 1
        run = self._expected
        if run is not None and run.status() == "running":
            self.follow(attach(run.path))
        elif self._patience <= 0:
            self._expecting.stop()

    def stop_training(self) -> None:
        """Ask the trainer to stop after its current step."""
        if self.trainer is not None:
            self.trainer.stop()

    def let_go(self) -> None:
        """Follow nothing any more; the training goes on."""
        self._timer.stop()
        self._expecting.stop()
        self.trainer = None

    def look(self) -> None:
        """Read what is new, and notice the end."""
        trainer = self.trainer
        if trainer is None:
            return
        # The state first: events written after it are seen the next time round.
        status = trainer.status()
        events: list[Event] = trainer.folder.events(self._seen)
        self._seen += len(events)
        if status == "running":
            if events:
                self.updated.emit()
            return
        self.updated.emit()
        self.let_go()
        self.ended.emit(trainer.folder, status)


def folders(paths: list[Path]) -> list[RunFolder]:
    """Return the run folders among some paths, in their order."""
    found: list[RunFolder] = []
    for path in paths:
        folder = RunFolder(path)
        try:
            folder.run_file  # noqa: B018  # raises where there is no sound run.json
        except UserError:
            continue
        found.append(folder)
    return found


def find_running(runs: list[RunFolder]) -> Trainer | None:
    """Return the newest run that is being trained."""
    for run in reversed(runs):
        if run.status() == "running":
            return attach(run.path)
    return None


def find_resumable(runs: list[RunFolder]) -> tuple[RunFolder, Status] | None:
    """Return the newest run when it was stopped or interrupted and can go on."""
    if not runs:
        return None
    status = runs[-1].status()
    if status in ("stopped", "interrupted") and runs[-1].can_resume:
        return runs[-1], status
    return None
