"""The language of the labelling helper: one JSON object a line, see :mod:`napari_apgan.serving`.

What takes longer than a blink (lattices, doctors, registrations, filters of series, folders) is a
*task* with a name; all tasks are asked for and answered in the same two messages. Free of anything
heavy, so that the window may import it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from napari_apgan.io.reference import SourceRef as SourceRef
from napari_apgan.serving import CancelRequest as CancelRequest
from napari_apgan.serving import Failed as Failed
from napari_apgan.serving import Language, Message
from napari_apgan.serving import Progress as Progress
from napari_apgan.serving import QuitRequest as QuitRequest
from napari_apgan.serving import WasCancelled as WasCancelled
from napari_apgan.serving import encode as encode


class TaskRequest(Message):
    """Do a task; a later one of the same name ends one that still waits or runs.

    Parameters
    ----------
    id : str
        Named in every reply that belongs to this request.
    task : str
        One of `napari_apgan.label.process.TASKS`.
    source : SourceRef, optional
        The image that it is about.
    frame : int
        Which frame of it.
    atoms : str, optional
        Path of an atom table (CSV): the labels of the frame.
    options : mapping
        What this task alone needs; it checks them itself.
    out_dir : str
        Folder for the files of the answer.
    """

    op: Literal["task"] = "task"
    id: str
    task: str
    source: SourceRef | None = None
    frame: int = Field(default=0, ge=0)
    atoms: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    out_dir: str


Request = Annotated[TaskRequest | CancelRequest | QuitRequest, Field(discriminator="op")]


class Ready(Message):
    """The helper listens.

    Parameters
    ----------
    version : str
    """

    event: Literal["ready"] = "ready"
    version: str


class TaskDone(Message):
    """A task is done and its files are written.

    Parameters
    ----------
    id, task : str
        Of the request.
    sentence : str
        What came of it, for the user.
    files : mapping
        Paths by name: tables as CSV, images as ``.npy``.
    values : mapping
        Everything else, as plain values.
    seconds : float
    """

    event: Literal["task_done"] = "task_done"
    id: str
    task: str
    sentence: str
    files: dict[str, str]
    values: dict[str, Any]
    seconds: float


Reply = Annotated[Ready | Progress | TaskDone | Failed | WasCancelled, Field(discriminator="event")]

LANGUAGE: Language[Request, Reply] = Language(
    "napari_apgan.label", TypeAdapter(Request), TypeAdapter(Reply)
)
