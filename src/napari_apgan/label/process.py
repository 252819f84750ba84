"""The labelling helper: tasks in on stdin, replies out on stdout, until stdin closes."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from napari_apgan import __version__
from napari_apgan.atoms import empty_atoms
from napari_apgan.errors import UserError, fault_of
from napari_apgan.frames import Frame, Source
from napari_apgan.io.reference import open_reference
from napari_apgan.io.tables import atoms_to_csv, read_atoms, save_file
from napari_apgan.serving import PROGRESS_INTERVAL, LineServer

from .protocol import LANGUAGE, Progress, Ready, Request, SourceRef, TaskDone, TaskRequest

#: Name of each task -> module that has it, as `run(job) -> None`. Imported when first asked for.
TASKS: dict[str, str] = {
    "lattice": ".lattice_task",
    "elements": ".elements_task",
    "between": ".elements_task",
    "clean_view": ".clean_view",
    "doctor": ".doctor_task",
    "refine": ".refine_task",
    "doctor_set": ".doctor_set_task",
    "survey": ".survey_task",
    "register_series": ".register_task",
    "transfer_labels": ".transfer_task",
}

_M = TypeVar("_M", bound=BaseModel)


@dataclass
class Job:
    """What a task is given, and where it puts its answer.

    Parameters
    ----------
    request : TaskRequest
    server : Server
    sentence : str
        Set by the task: what came of it.
    files, values : dict
        Filled by the task.
    """

    request: TaskRequest
    server: Server
    sentence: str = ""
    files: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    _last: float = -PROGRESS_INTERVAL

    @property
    def options(self) -> Mapping[str, Any]:
        """What this task alone needs."""
        return self.request.options

    def checked(self, model: type[_M]) -> _M:
        """Return the options as the model that describes them.

        Raises
        ------
        UserError
            When they do not fit it.
        """
        try:
            return model.model_validate(dict(self.options))
        except ValidationError as error:
            raise UserError(f"That cannot be asked for ({fault_of(error)}).") from error

    @property
    def out_dir(self) -> Path:
        """Folder for the files of the answer; made when it is not there."""
        folder = Path(self.request.out_dir)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def kept(self) -> dict[str, Any]:
        """What this task keeps between requests, such as an answer that a slider asks again."""
        return self.server.kept.setdefault(self.request.task, {})

    def source(self) -> Source:
        """Open the image; the last one stays open.

        Raises
        ------
        UserError
            When there is none, or it cannot be read.
        """
        if self.request.source is None:
            raise UserError("Open an image first.")
        return self.server.open(self.request.source)

    def frame(self) -> Frame:
        """Read the frame."""
        return self.source().frame(self.request.frame)

    def atoms(self) -> pd.DataFrame:
        """Read the labels; an empty table where none were given."""
        return empty_atoms() if self.request.atoms is None else read_atoms(self.request.atoms)

    def check(self) -> None:
        """Raise :class:`napari_apgan.serving.Cancelled` when the task is to end."""
        self.server.check(self.request.id)

    def cancelled(self) -> bool:
        """Tell whether the task is to end."""
        return self.server.is_cancelled(self.request.id)

    def progress(self, done: int, total: int, what: str) -> None:
        """Say how far the task is; hears a cancellation too."""
        self.check()
        if time.monotonic() - self._last >= PROGRESS_INTERVAL:
            self._last = time.monotonic()
            self.server.send(Progress(id=self.request.id, done=done, total=total, what=what))

    def give_table(self, name: str, table: pd.DataFrame) -> None:
        """Add an atom table to the answer."""
        path = self.out_dir / f"{name}.csv"
        save_file(path, atoms_to_csv(table))
        self.files[name] = str(path)

    def give_image(self, name: str, image: NDArray[Any]) -> None:
        """Add an array to the answer, as ``.npy``."""
        buffer = io.BytesIO()
        np.save(buffer, image, allow_pickle=False)
        path = self.out_dir / f"{name}.npy"
        save_file(path, buffer.getvalue())
        self.files[name] = str(path)


class Server(LineServer):
    """Does tasks on request; see :class:`napari_apgan.serving.LineServer`."""

    def __init__(
        self,
        requests: BinaryIO,
        replies: BinaryIO,
        abandon: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(requests, replies, abandon)
        self.kept: dict[str, dict[str, Any]] = {}
        self._opened: tuple[SourceRef, Source] | None = None
        self._latest: dict[str, str] = {}

    def ready(self) -> Ready:
        """Return the first reply."""
        return Ready(version=__version__)

    def decode(self, line: bytes) -> Request:
        """Read a request."""
        return LANGUAGE.request(line)

    def replaces(self, request: Request) -> set[str]:
        """Return the earlier request of the same task: only the last is waited for."""
        if not isinstance(request, TaskRequest):
            return set()
        earlier = self._latest.get(request.task)
        self._latest[request.task] = request.id
        return {earlier} if earlier is not None else set()

    def trouble(self, error: Exception) -> str:
        """Return the sentence for a fault of the program."""
        return f"That failed ({type(error).__name__}: {error}). Copy the details into a report."

    def open(self, reference: SourceRef) -> Source:
        """Open an image, or return the one that is open; `UserError` as `open_reference`."""
        if self._opened is None or self._opened[0] != reference:
            self._opened = (reference, open_reference(reference))
        return self._opened[1]

    def work(self, request: TaskRequest) -> None:
        """Do one task."""
        self.check(request.id)
        module = TASKS.get(request.task)
        if module is None:
            raise UserError(f"There is no task called {request.task!r}.")
        began = time.perf_counter()
        job = Job(request, self)
        import_module(module, __package__).run(job)
        self.check(request.id)
        self.send(
            TaskDone(
                id=request.id,
                task=request.task,
                sentence=job.sentence,
                files=job.files,
                values=job.values,
                seconds=time.perf_counter() - began,
            )
        )
