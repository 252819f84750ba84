"""What an open project holds, to be read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from napari_apgan.atoms import with_calibration
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.regions import Region

from .documents import Document, DocumentKind, PairEntry, State
from .folder import Folder, ProjectFile, ProjectSettings
from .journal import JournalWriter
from .opening import Loaded, RecoverySummary
from .runs import Round, read_rounds
from .sources import SourceRecord


class ProjectContents:
    """The parts of an open project, and reading them."""

    recovered: RecoverySummary

    def __init__(self, folder: Folder, loaded: Loaded, *, read_only: bool) -> None:
        self.read_only = read_only
        self.closed = False
        self.recovered = loaded.summary
        #: Acts and seconds of labelling so far.
        self.effort = loaded.effort
        self._folder = folder
        self._file: ProjectFile = loaded.file
        self._records: dict[str, SourceRecord] = loaded.records
        self._state: State = loaded.state
        self._writer: JournalWriter | None = loaded.writer

    @property
    def path(self) -> Path:
        """The project folder."""
        return self._folder.path

    @property
    def name(self) -> str:
        """The folder's name without its ending."""
        return self.path.stem

    @property
    def edit_number(self) -> int:
        """Number of the journal's last line; 0 before the first."""
        return self._writer.number if self._writer is not None else self.recovered.last_number

    def _writable(self) -> None:
        if self.closed:
            raise UserError("The project is closed: open it again.")
        if self.read_only:
            raise UserError(
                f"{self.name} is open read-only: close it in the other window, open it again, and "
                "then make the change."
            )

    @property
    def elements(self) -> list[Element]:
        """The elements, in the order of their keys."""
        return list(self._state.get(Document("elements")))

    @property
    def settings(self) -> ProjectSettings:
        """What the project remembers beside its data."""
        return self._file.settings.model_copy()

    def atoms(self, source_id: str, frame: int) -> pd.DataFrame:
        """Return the labels of a frame, sorted by id, with positions in pm where calibrated."""
        self.record(source_id)
        table: pd.DataFrame = self._state.get(Document("atoms", source_id, frame))
        return with_calibration(table, self.calibration(source_id))

    def regions(self, source_id: str, frame: int) -> list[Region]:
        """Return the regions of a frame."""
        self.record(source_id)
        return list(self._state.get(Document("regions", source_id, frame)))

    def frames_with_labels(self, source_id: str | None = None) -> list[tuple[str, int]]:
        """Return (source id, frame) of every frame with atoms or regions."""
        found = [*self._state.filled("atoms", source_id), *self._state.filled("regions", source_id)]
        return sorted({(d.source_id, d.frame) for d in found})

    def filled_documents(self, kind: DocumentKind, source_id: str | None = None) -> list[Document]:
        """Return the frames' atoms or regions that are not empty."""
        return self._state.filled(kind, source_id)

    def count_atoms(self, source_id: str, frame: int) -> int:
        """Return how many atoms a frame has, without reading them."""
        return self._state.counts.get(Document("atoms", source_id, frame), 0)

    def calibration(self, source_id: str) -> Calibration:
        """Return the pixel size of a source, with where it came from."""
        calibration: Calibration = self._state.get(Document("calibration", source_id))
        return calibration

    @property
    def pairs(self) -> list[PairEntry]:
        """Which frames are in the training set, and since which round."""
        return list(self._state.get(Document("pairs")))

    def record(self, source_id: str) -> SourceRecord:
        """Return what is known of one source; `UserError` when there is none of this id."""
        if source_id not in self._records or self.is_removed(source_id):
            raise UserError(f"The project {self.name} has no image {source_id!r}.")
        return self._records[source_id].model_copy(
            update={"calibration": self.calibration(source_id), "removed": False}
        )

    def is_removed(self, source_id: str) -> bool:
        """Whether an image was taken out of the project; false for one that never was in it."""
        return source_id in self._records and bool(self._state.get(Document("removed", source_id)))

    @property
    def rounds(self) -> list[Round]:
        """What each turn of the loop gained, first one first."""
        return read_rounds(self._folder)
