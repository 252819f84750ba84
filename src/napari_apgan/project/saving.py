"""Writing an open project to its files: at once, and in the background after some edits."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from napari_apgan.errors import UserError

from .autosave import Autosaver
from .contents import ProjectContents
from .documents import Document
from .folder import Folder, PairsFile, ProjectSettings, write_json
from .opening import Loaded
from .sources import SourcesFile

#: Labels go to their files after so many edits or seconds; until then the journal alone has them.
AUTOSAVE_EDITS = 100
AUTOSAVE_SECONDS = 60.0


class WithFiles(ProjectContents):
    """A project and its files, which follow the journal."""

    def __init__(self, folder: Folder, loaded: Loaded, *, read_only: bool) -> None:
        super().__init__(folder, loaded, read_only=read_only)
        self._autosaver = Autosaver()
        self._pending: set[Document] = set()
        self._saved_at = time.monotonic()
        self._edits_since_save = self.recovered.edits_replayed

    def save(self) -> None:
        """Write everything that changed to its file, now.

        Raises
        ------
        UserError
            When the disk does not take it. The journal has every edit all the same.
        """
        self._writable()
        self._collect()
        try:
            for job in self._jobs():
                job()
        except OSError as error:
            self._state.unsaved |= self._pending
            raise UserError(
                f"The labels could not be written to {self.path} ({error}): make room or mend "
                "the folder; until then every edit is kept in the journal."
            ) from error
        self._pending = set()

    def _autosave_when_due(self) -> None:
        self._edits_since_save += 1
        waited = time.monotonic() - self._saved_at
        if self._edits_since_save < AUTOSAVE_EDITS and waited < AUTOSAVE_SECONDS:
            return
        if not self._autosaver.busy:
            self._collect()
            self._autosaver.start(self._jobs())

    def _collect(self) -> None:
        """Wait for the autosave; what it could not write is to be written again."""
        if self._autosaver.wait() is not None:
            self._state.unsaved |= self._pending
        self._pending = set()

    def _jobs(self) -> list[Callable[[], None]]:
        """Return what has to be written, bound to the values of this moment."""
        number = self.edit_number
        self._pending, self._state.unsaved = self._state.unsaved, set()
        self._edits_since_save, self._saved_at = 0, time.monotonic()
        if number == self._file.edit and not self._pending:
            return []
        jobs: list[Callable[[], None]] = [
            partial(
                self._folder.write_labels,
                document,
                self._state.get(document),
                number,
                self.calibration(document.source_id),
            )
            for document in sorted(self._pending)
            if document.kind in ("atoms", "regions")
        ]
        if self._records:
            jobs.append(partial(write_json, self._folder.sources_file, self._sources_file()))
        pairs = PairsFile(edit=number, pairs=self._state.get(Document("pairs")))
        jobs.append(partial(write_json, self._folder.pairs_file, pairs))
        self._file = self._file.model_copy(
            update={"edit": number, "elements": self._state.get(Document("elements"))}
        )
        # Last, since its number says that all the other files hold at least as much.
        jobs.append(partial(write_json, self._folder.project_file, self._file))
        return jobs

    def _sources_file(self) -> SourcesFile:
        held = tuple(
            r.model_copy(
                update={"calibration": self.calibration(r.id), "removed": self.is_removed(r.id)}
            )
            for r in self._records.values()
        )
        return SourcesFile(edit=self.edit_number, sources=held)

    def _write_sources(self) -> None:
        self._collect()
        write_json(self._folder.sources_file, self._sources_file())

    def update_settings(self, **values: Any) -> None:
        """Change some of :class:`ProjectSettings` and write them."""
        self._writable()
        settings = ProjectSettings.model_validate({**self._file.settings.model_dump(), **values})
        if settings == self._file.settings:
            return
        self._collect()
        self._file = self._file.model_copy(update={"settings": settings})
        write_json(self._folder.project_file, self._file)
