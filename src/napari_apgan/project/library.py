"""The images of a project: added, opened, found again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from napari_apgan.frames import Source

from . import compose, sources
from .core import ProjectCore
from .documents import Document
from .sources import SourceRecord


class WithImages(ProjectCore):
    """A project and its images."""

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False, recover: bool = False) -> Self:
        """Open a project folder; images that moved are looked for beside it.

        See :meth:`ProjectCore.open`.
        """
        project = super().open(path, read_only=read_only, recover=recover)
        missing = project._missing_records()
        if missing and not read_only:
            project._take_found(sources.search(missing, project.path.parent, depth=1))
        return project

    @property
    def sources(self) -> list[SourceRecord]:
        """What is known of each source, in the order they were added."""
        return [self.record(i) for i in self._records if not self.is_removed(i)]

    def add_source(self, source: Source, *, keep: bool = True) -> str:
        """Add an image or series and return its id; the same content gets the same id.

        The file stays where it is. An image from memory is copied into the project, up to 512 MB;
        beyond that :meth:`missing_sources` says after reopening what cannot be restored. Content
        that is known already keeps its labels and its calibration; one that was removed comes back
        without labels.

        Parameters
        ----------
        source : Source
        keep : bool
            Whether it stays open; one of many is opened again when it is wanted.
        """
        self._writable()
        source_id, sha256 = sources.identify(source)
        if source_id not in self._records:
            source_id = self._known_id(sha256, source.dataset) or source_id
        known = self._records.get(source_id)
        if known is None:
            self._records[source_id] = sources.make_record(source, source_id, sha256, self._folder)
            self._state.put(
                Document("calibration", source_id), source.calibration, self.edit_number
            )
        elif source.path is not None and sources.resolve(known, self._folder) is None:
            self._records[source_id] = sources.located(known, source.path, self._folder)
        self._state.put(Document("removed", source_id), False, self.edit_number)
        record = self.record(source_id)
        if keep:
            self._opened[source_id] = replace(
                source, name=record.name, calibration=record.calibration, missing=record.missing
            )
        self._write_sources()
        self.sources_changed.emit(source_id)
        return source_id

    def remove_source(self, source_id: str) -> None:
        """Take an image, its labels and its pairs out of the project, in one edit.

        Undo brings all of it back. The file of the image stays where it is, and so do the copy of
        an image from memory, predictions, and runs that were trained on it.

        Raises
        ------
        UserError
            When the project has no such image.
        """
        self._writable()
        self.apply(compose.removed_source(self, source_id))

    def _known_id(self, sha256: str, dataset: str) -> str | None:
        """Find a source by content, whatever its name."""
        same = (r.id for r in self._records.values() if (r.sha256, r.dataset) == (sha256, dataset))
        return next(same, None)

    def source(self, source_id: str) -> Source:
        """Open an image, with the project's calibration.

        Raises
        ------
        UserError
            When its file is missing, has changed, or cannot be read.
        """
        if source_id not in self._opened:
            self._opened[source_id] = sources.open_record(self.record(source_id), self._folder)
        return self._opened[source_id]

    def registration_path(self, source_id: str) -> Path:
        """Return where the registration of the series lies that an image is the mean of."""
        return self._folder.images / f"{source_id}.registration.npz"

    def missing_sources(self) -> dict[str, str]:
        """Return the ids of images that cannot be shown, each with a sentence that says why."""
        reasons = {
            i: sources.why_missing(r, self._folder)
            for i, r in self._records.items()
            if i not in self._opened and not self.is_removed(i)
        }
        return {i: reason for i, reason in reasons.items() if reason}

    def _missing_records(self) -> list[SourceRecord]:
        missing = self.missing_sources()
        return [r for r in self._records.values() if r.id in missing]

    def relocate(self, source_id: str, path: str | Path, *, force: bool = False) -> None:
        """Say where the file of an image is now.

        Parameters
        ----------
        source_id : str
        path : str or Path
        force : bool
            Take it although its content differs from what was labelled (of the same shape).

        Raises
        ------
        UserError
            When the content differs, or the file cannot be read.
        """
        self._writable()
        record = self.record(source_id)
        changed = sources.relocated(record, Path(path).expanduser(), self._folder, force=force)
        self._records[source_id] = changed
        self._opened.pop(source_id, None)
        self._write_sources()
        self.sources_changed.emit(source_id)

    def search_in(
        self, folder: str | Path, progress: Callable[[int, int, str], None] | None = None
    ) -> list[str]:
        """Look for missing images in a folder and below, by content; return the ids found."""
        self._writable()
        found = sources.search(
            self._missing_records(), Path(folder).expanduser(), progress=progress
        )
        self._take_found(found)
        return sorted(found)

    def _take_found(self, found: Mapping[str, Path]) -> None:
        if not found:
            return
        for source_id, path in found.items():
            self._records[source_id] = sources.located(self._records[source_id], path, self._folder)
            self._opened.pop(source_id, None)
        self._write_sources()
        for source_id in found:
            self.sources_changed.emit(source_id)
