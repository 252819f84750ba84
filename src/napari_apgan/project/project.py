"""The project: images, labels, training set and runs in one folder that loses nothing."""

from __future__ import annotations

from pathlib import Path

from napari_apgan.io.pairs import Pair, write_pairs

from . import pairs as pairing
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

    def training_pairs(self) -> list[Pair]:
        """Return a pair for every frame of the training set that has a complete region.

        Raises
        ------
        UserError
            When an image of the training set is missing.
        """
        return pairing.training_pairs(self)

    def import_pairs(self, folder: str | Path, *, round: int = 0) -> pairing.ImportReport:
        """Add a pairs folder to the training set, in one edit; labels that exist stay.

        Raises
        ------
        UserError
            When the folder cannot be read; nothing is changed then.
        """
        self._writable()
        return pairing.import_pairs(self, Path(folder).expanduser(), round=round)

    def export_pairs(self, folder: str | Path) -> list[Pair]:
        """Write the training set as a pairs folder, which `apgan train` takes.

        Raises
        ------
        UserError
            When the training set is empty or an image is missing.
        """
        pairs = self.training_pairs()
        pairing.check_exportable(pairs)
        write_pairs(pairs, Path(folder).expanduser())
        return pairs
