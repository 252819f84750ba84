"""The window's end of the labelling helper, and tasks asked of it by the sections of the tab."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_apgan.io import write_atoms
from napari_apgan.label.protocol import (
    LANGUAGE,
    Failed,
    Progress,
    TaskDone,
    TaskRequest,
    WasCancelled,
)

from .helper_process import HelperProcess
from .predict_files import Place, reference_to

if TYPE_CHECKING:
    from napari_apgan.project import Session


class LabelHelper(HelperProcess):
    """Sends tasks to `python -m napari_apgan.label --serve` and hands its replies on.

    Parameters
    ----------
    parent : QObject, optional
    command : list of str, optional
        The process to start.
    """

    done = Signal(object)  # TaskDone

    def __init__(self, parent: QObject | None = None, command: list[str] | None = None) -> None:
        super().__init__(
            "labelling", command or LANGUAGE.command(sys.executable), LANGUAGE.replies, parent
        )

    def take(self, reply: Any) -> None:
        """Hand on the end of a task."""
        self._close(reply.id)
        self.done.emit(reply)


class LabelTask(QObject):
    """One kind of task, asked for one frame at a time; a later wish replaces an earlier one.

    Files of the answer live until the next wish.

    Parameters
    ----------
    helper : LabelHelper
    session : Session
    task : str
        Its name in `label.process.TASKS`.
    """

    #: TaskDone, while the user is still on the frame that was asked for, or wherever they are when
    #: that was wished.
    done = Signal(object)
    failed = Signal(str, str)  # sentence, details
    cancelled = Signal()
    progressed = Signal(int, int, str)
    busy_changed = Signal(bool)

    def __init__(self, helper: LabelHelper, session: Session, task: str) -> None:
        super().__init__(helper)
        self._helper, self._session, self.task = helper, session, task
        self._id = ""
        self._folder: Any = None
        self._anywhere = False
        self.place: Place = ("", 0)
        helper.done.connect(self._on_done)
        helper.progress.connect(self._on_progress)
        helper.failed.connect(self._on_failed)
        helper.cancelled.connect(self._on_cancelled)

    @property
    def busy(self) -> bool:
        """Whether an answer is waited for."""
        return bool(self._id)

    @property
    def folder(self) -> Path:
        """Where files of this task lie; made when first asked for."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix=f"apgan-{self.task}-")
        return Path(self._folder.name)

    def ask(
        self,
        options: dict[str, Any] | None = None,
        *,
        labels: bool = False,
        anywhere: bool = False,
        image: bool = True,
    ) -> None:
        """Ask for the task on the current frame; one of the signals follows.

        Parameters
        ----------
        options : dict, optional
            Plain values.
        labels : bool
            Whether the labels of the frame go along.
        anywhere : bool
            Whether the answer counts although the user went on to another frame.
        image : bool
            Whether it is about the image at all.

        Raises
        ------
        UserError
            When no file holds the image.
        """
        session = self._session
        project = session.ensure_project()
        place = (session.source_id, session.frame_index)
        source = reference_to(project, place[0]) if place[0] and image else None
        table = None
        if labels:
            table = self.folder / "labels.csv"
            write_atoms(session.atoms(), table)
        if self._id:
            self._helper.cancel(self._id)
        self.place, self._id, self._anywhere = place, self._helper.new_id(), anywhere
        self._helper.ask(
            TaskRequest(
                id=self._id,
                task=self.task,
                source=source,
                frame=place[1],
                atoms=None if table is None else str(table),
                options=options or {},
                out_dir=str(self.folder),
            )
        )
        self.busy_changed.emit(True)

    def cancel(self) -> None:
        """End the task; `cancelled` follows, or `done` if that was faster."""
        if self._id:
            self._helper.cancel(self._id)

    def close(self) -> None:
        """Let go of the files."""
        self.cancel()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _end(self, then: Callable[[], None]) -> None:
        self._id = ""
        self.busy_changed.emit(False)
        then()

    def _on_done(self, reply: TaskDone) -> None:
        if reply.id != self._id:
            return
        here = self._anywhere or self.place == (self._session.source_id, self._session.frame_index)
        self._end(lambda: self.done.emit(reply) if here else self.cancelled.emit())

    def _on_progress(self, progress: Progress) -> None:
        if progress.id == self._id:
            self.progressed.emit(progress.done, progress.total, progress.what)

    def _on_failed(self, failed: Failed) -> None:
        if failed.id == self._id:
            self._end(lambda: self.failed.emit(failed.sentence, failed.details))

    def _on_cancelled(self, cancelled: WasCancelled) -> None:
        if cancelled.id == self._id:
            self._end(self.cancelled.emit)
