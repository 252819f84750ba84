"""The core of a project: opening, closing, and edits with undo."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from filelock import FileLock
from psygnal import Signal

from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Source

from . import compose, sources
from .documents import Document, Value
from .edits import Edit
from .folder import Folder, held_runs, lock_folder
from .history import History, outcome
from .journal import JournalWriter
from .opening import create_folder, load
from .recent import is_unsaved, new_unsaved_path, project_path
from .runs import list_runs
from .saving import WithFiles


class ProjectCore(WithFiles):
    """An open project folder: its life, its journal and its files.

    Attributes
    ----------
    changed : Signal
        Emitted with a tuple of :class:`Document` after each edit, undo and redo; of images that are
        in the project only, since nothing else can be asked of one that was removed.
    sources_changed : Signal
        Emitted with the id of a source that was added, removed, found again or replaced; before
        `changed`, so that views leave an image before they are told of its labels.
    runs_changed : Signal
        Emitted when a run folder or a round was added.
    recovered : RecoverySummary
        What opening found.
    """

    changed = Signal(tuple)
    sources_changed = Signal(str)
    runs_changed = Signal()

    def __init__(self, path: Path, *, read_only: bool = False, recover: bool = False) -> None:
        folder = Folder(path)
        self._lock: FileLock | None = None if read_only else lock_folder(path)
        try:
            loaded = load(folder, read_only=read_only, recover=recover)
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise
        super().__init__(folder, loaded, read_only=read_only)
        self._history: History = loaded.history
        self._opened: dict[str, Source] = {}
        if self.recovered.history_lost and self._writer is not None:
            self._begin_new_history(self._writer)

    def _begin_new_history(self, writer: JournalWriter) -> None:
        """Write all that is left to the files; from here on the journal counts anew."""
        try:
            self.save()
            writer.append("mark", note="the journal was damaged: history starts anew")
        except BaseException:
            self._release()
            raise

    # ------------------------------------------------------------------ opening and closing

    @classmethod
    def create(cls, path: str | Path, elements: Sequence[Element] = ()) -> Self:
        """Make a project folder; ``.apgan`` is appended where it is missing.

        Raises
        ------
        UserError
            When there is something at that place already, or it cannot be written.
        """
        folder = project_path(path)
        create_folder(Folder(folder), tuple(elements))
        return cls(folder)

    @classmethod
    def create_unsaved(cls, elements: Sequence[Element] = ()) -> Self:
        """Make a project in the user's data folder, for work that has no place yet."""
        return cls.create(new_unsaved_path(), elements)

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False, recover: bool = False) -> Self:
        """Open a project folder.

        Parameters
        ----------
        path : str or Path
        read_only : bool
            Look, but change nothing; works while another window has it open.
        recover : bool
            Open even when the journal is damaged in the middle: labels stay as last saved, edits
            up to the damage are applied, and the damaged journal is kept beside the new one.

        Raises
        ------
        UserError
            When it is no project, is open elsewhere, or is damaged.
        """
        folder = Path(path).expanduser()
        if not (folder / "project.json").is_file():
            raise UserError(f"{folder} is not a project: choose a folder that ends in .apgan.")
        return cls(folder.resolve(), read_only=read_only, recover=recover)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write all labels to their files and release the folder.

        An unsaved project in which nothing was ever done leaves no folder behind.
        """
        if self.closed:
            return
        try:
            if not self.read_only:
                self.save()
        finally:
            self._release()
        if self._is_empty():
            shutil.rmtree(self.path, ignore_errors=True)

    def _release(self) -> None:
        self.closed = True
        self._autosaver.wait()
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()

    def _is_empty(self) -> bool:
        return (
            self.is_unsaved
            and not self.read_only
            and not self._records
            and self.edit_number == 0
            and not list_runs(self._folder)
        )

    def save_as(self, path: str | Path) -> None:
        """Copy the whole project to another place and go on there.

        An unsaved project moves: its folder in the user's data is removed.

        Raises
        ------
        UserError
            When the place is taken or cannot be written, or a training is still running.
        """
        target = project_path(path)
        self._writable()
        running = held_runs(list_runs(self._folder))
        if running:
            raise UserError(
                f"A training ({running[0]}) is writing into this project: save it elsewhere when "
                "that is done or stopped."
            )
        if target.exists():
            raise UserError(f"There is already something at {target}: choose another name.")
        self.save()
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            ignore = shutil.ignore_patterns("lock", "*.tmp")
            shutil.copytree(self.path, temporary, ignore=ignore)
            temporary.rename(target)
        except (OSError, shutil.Error) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise UserError(
                f"The project could not be copied to {target}: {error}. It stays where it was."
            ) from error
        self._go_on_in(target)

    def _go_on_in(self, target: Path) -> None:
        """Leave the present folder for a copy of it."""
        lock = lock_folder(target)
        number, old, was_unsaved = self.edit_number, self.path, self.is_unsaved
        places = {i: sources.resolve(r, self._folder) for i, r in self._records.items()}
        assert self._writer is not None
        assert self._lock is not None
        self._writer.close()
        self._folder = Folder(target)
        self._writer = JournalWriter(
            self._folder.journal, self._folder.journal.stat().st_size, number
        )
        for source_id, place in places.items():
            if place is None:
                continue
            if place.is_relative_to(old):
                place = target / place.relative_to(old)
            record = self._records[source_id]
            self._records[source_id] = sources.located(record, place, self._folder)
        self._write_sources()
        self._lock.release()
        self._lock = lock
        if was_unsaved:
            shutil.rmtree(old, ignore_errors=True)

    @property
    def is_unsaved(self) -> bool:
        """Whether it lies in the user's data folder, without a place chosen by the user."""
        return is_unsaved(self.path)

    # ------------------------------------------------------------------ edits

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to undo."""
        return bool(self._history.done) and not self.read_only

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to redo."""
        return bool(self._history.undone) and not self.read_only

    @property
    def undo_title(self) -> str:
        """What *undo* would take back; empty when there is nothing."""
        return self._history.title(self._history.done)

    @property
    def redo_title(self) -> str:
        """What *redo* would do again; empty when there is nothing."""
        return self._history.title(self._history.undone)

    def apply(self, edit: Edit) -> None:
        """Make an edit: journal, state, then the signal `changed`.

        Raises
        ------
        UserError
            When it does not fit the project or the disk does not take it; nothing is changed then.
        """
        self._writable()
        compose.validate(self, edit)
        self._perform(edit, "edit", 0)

    def undo(self) -> bool:
        """Take the last edit back; False when there is none."""
        self._writable()
        if not self._history.done:
            return False
        number = self._history.done[-1]
        self._perform(self._history.edit(number), "undo", number)
        return True

    def redo(self) -> bool:
        """Make the last undone edit again; False when there is none."""
        self._writable()
        if not self._history.undone:
            return False
        number = self._history.undone[-1]
        self._perform(self._history.edit(number), "redo", number)
        return True

    def _perform(self, edit: Edit, op: str, of: int) -> None:
        assert self._writer is not None
        after: dict[Document, Value] = {
            d: outcome(edit, op, d, self._state.get(d)) for d in edit.documents()
        }
        text = edit.model_dump_json() if op == "edit" else ""
        entry = self._writer.append(op, edit=text, of=of)
        self._history.note(entry)
        self.effort.note(entry)
        self._reserve(edit)
        for document, value in after.items():
            self._state.put(document, value, entry.number)
            if document.kind == "calibration":
                self._follow_calibration(document.source_id)
        self._tell(tuple(after))
        self._autosave_when_due()

    def _tell(self, documents: tuple[Document, ...]) -> None:
        for document in documents:
            if document.kind == "removed":
                self._opened.pop(document.source_id, None)
                self.sources_changed.emit(document.source_id)
        told = (d for d in documents if d.kind != "removed" and not self.is_removed(d.source_id))
        self.changed.emit(tuple(told))

    def _reserve(self, edit: Edit) -> None:
        compose.reserve(self._records, edit)

    def _follow_calibration(self, source_id: str) -> None:
        """Let an opened image and the files of its labels take up the new pixel size."""
        self._state.unsaved.update(self._state.filled("atoms", source_id))
        if source_id in self._opened:
            self._opened[source_id].calibration = self.calibration(source_id)
