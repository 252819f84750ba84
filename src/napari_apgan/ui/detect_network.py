"""Asking the prediction helper for the atoms of a frame that nobody has labelled."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from qtpy.QtCore import QObject, Signal

from napari_apgan.io import read_atoms
from napari_apgan.models.bundled import bundled_path
from napari_apgan.predict.protocol import Detected, DetectRequest, Failed, Progress, WasCancelled
from napari_apgan.project import Project

from .predict_files import Place, reference_to
from .predict_overlay import Predictions


class NetworkSearch(QObject):
    """Looks for atoms with the network that comes with the package, one frame at a time.

    Parameters
    ----------
    predictions : Predictions
        Whose helper process and device are used.
    """

    found = Signal(object, str)  # atom table, sentence
    failed = Signal(str, str)  # sentence, details
    cancelled = Signal()
    progressed = Signal(int, int, str)

    def __init__(self, predictions: Predictions) -> None:
        super().__init__(predictions)
        self._predictions, self._helper = predictions, predictions.helper
        self._id = ""
        self._folder: Any = None
        self._helper.detected.connect(self._on_detected)
        self._helper.progress.connect(self._on_progress)
        self._helper.failed.connect(self._on_failed)
        self._helper.cancelled.connect(self._on_cancelled)

    @property
    def busy(self) -> bool:
        """Whether a search is under way."""
        return bool(self._id)

    def start(self, project: Project, place: Place, polarity: str) -> None:
        """Look for the bright or dark atoms of a frame; one of the signals follows.

        Raises
        ------
        UserError
            When this installation lacks the network, or no file holds the image.
        """
        model, source = bundled_path(), reference_to(project, place[0])
        self._folder = tempfile.TemporaryDirectory(prefix="apgan-detect-")
        self._id = self._helper.new_id()
        starting = self._helper.info is None
        self._helper.detect(
            DetectRequest(
                id=self._id,
                model=str(model),
                source=source,
                frame=place[1],
                polarity=polarity,
                out_dir=self._folder.name,
                device=self._predictions.device,
            )
        )
        self.progressed.emit(0, 0, "Starting the network …" if starting else "Looking for atoms …")

    def cancel(self) -> None:
        """End the search; `cancelled` follows, or `found` if that was faster."""
        if self._id:
            self._helper.cancel(self._id)

    def _end(self) -> None:
        self._id = ""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _on_detected(self, reply: Detected) -> None:
        if reply.id != self._id:
            return
        sentence = " ".join([reply.sentence, *reply.notes])
        # Tens of thousands of atoms take a while to read.
        self._predictions.background.run(
            partial(read_atoms, Path(reply.atoms)), partial(self._take, sentence), self._not_read
        )

    def _take(self, sentence: str, table: pd.DataFrame) -> None:
        self._end()
        self.found.emit(table, sentence)

    def _not_read(self, sentence: str, details: str) -> None:
        self._end()
        self.failed.emit(sentence, details)

    def _on_progress(self, progress: Progress) -> None:
        if progress.id == self._id:
            self.progressed.emit(progress.done, progress.total, "Looking for atoms …")

    def _on_failed(self, failed: Failed) -> None:
        if failed.id == self._id:
            self._end()
            self.failed.emit(failed.sentence, failed.details)

    def _on_cancelled(self, cancelled: WasCancelled) -> None:
        if cancelled.id == self._id:
            self._end()
            self.cancelled.emit()
