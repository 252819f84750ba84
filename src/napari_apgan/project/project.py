"""The project: images, labels, training set and runs in one folder that loses nothing."""

from __future__ import annotations

from pathlib import Path

from .folder import PredictionFiles
from .labelling import WithLabels
from .runs import Round, list_runs, make_run_dir, prediction_files, write_round


class Project(WithLabels):
    """An open project folder.

    Made by :meth:`create`, :meth:`open` or :meth:`create_unsaved`; a context manager that closes
    itself. Every edit is on the disk when the method that made it returns.
    """

    def new_run_dir(self) -> Path:
        """Make and return the folder of the next run."""
        self._writable()
        path = make_run_dir(self._folder)
        self.runs_changed.emit()
        return path

    def runs(self) -> list[Path]:
        """Return the folders of all runs, oldest first."""
        return list_runs(self._folder)

    def add_round(self, record: Round) -> None:
        """Record a round, or put a better record in place of the one of its number."""
        self._writable()
        write_round(self._folder, record)
        self.runs_changed.emit()

    def prediction_files(self, run_id: str, source_id: str, frame: int) -> PredictionFiles:
        """Return where the prediction of a frame by a run lies or will lie."""
        return prediction_files(self._folder, run_id, source_id, frame)
