"""The language of the prediction helper: one JSON object a line on stdin and on stdout.

A request carries an `op`, a reply an `event`. Lines are UTF-8 and end with a line feed; what a
line means never depends on another line, except that `cancel` names an earlier `id`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from napari_apgan.frames import Calibration, Missing

#: A line longer than this is refused: no request or reply comes near it.
MAX_LINE_BYTES = 1 << 20


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRef(_Message):
    """Where the helper finds an image.

    Parameters
    ----------
    path : str
        A file that :func:`napari_apgan.io.open_source` reads; a layer that lives in memory is
        written to a `.npy` or `.tif` first.
    dataset : str
        Which image of the file, where a file holds several.
    missing : Missing
        Policy for missing pixels.
    calibration : Calibration, optional
        Takes the place of what the file says.
    name : str
        What the user calls it, for messages; the file's own name by default.
    """

    path: str
    dataset: str = ""
    missing: Missing = "auto"
    calibration: Calibration | None = None
    name: str = ""


class PredictRequest(_Message):
    """Predict some frames of a source, one after another.

    Parameters
    ----------
    id : str
        Named in every reply that belongs to this request.
    model : str
        A model file, or a run folder (its best model).
    source : SourceRef
    frames : tuple of int, optional
        Which frames, in this order; all when left out.
    box : (x0, y0, x1, y1), optional
        In px; only this part of each frame.
    out_dir : str
        Folder for the result files, named by frame: ``00007.atoms.csv``, ``00007.maps.tif``.
    maps, refine, tta : bool
        Whether to write the probability maps, to refine the positions on the raw image, and to
        average the answers over the eight flips and turns.
    threshold : float, optional
        Probability above which a peak is an atom; the model's own by default.
    device : str
        `auto`, `cpu`, `cuda` or `mps`.
    """

    op: Literal["predict"] = "predict"
    id: str
    model: str
    source: SourceRef
    frames: tuple[int, ...] | None = None
    box: tuple[float, float, float, float] | None = None
    out_dir: str
    maps: bool = True
    refine: bool = True
    tta: bool = False
    threshold: float | None = Field(default=None, gt=0, lt=1)
    device: str = "auto"


class WarmRequest(_Message):
    """Load a model, so that the first prediction does not wait for it."""

    op: Literal["warm"] = "warm"
    id: str = ""
    model: str
    device: str = "auto"


class CancelRequest(_Message):
    """End the request `id`, running or waiting, at the next tile."""

    op: Literal["cancel"] = "cancel"
    id: str


class QuitRequest(_Message):
    """End the helper after what it is doing has been cancelled."""

    op: Literal["quit"] = "quit"


Request = Annotated[
    PredictRequest | WarmRequest | CancelRequest | QuitRequest, Field(discriminator="op")
]


class Ready(_Message):
    """The helper has loaded torch and listens."""

    event: Literal["ready"] = "ready"
    device: str
    torch: str
    version: str


class Progress(_Message):
    """How far a request is: `done` of `total` steps (tiles of all its frames, about)."""

    event: Literal["progress"] = "progress"
    id: str
    done: int
    total: int
    what: str


class Result(_Message):
    """One frame is predicted and its files are written.

    Parameters
    ----------
    id : str
    frame : int
    atoms : str
        Path of the atom table (CSV).
    maps : str, optional
        Path of the probability maps (C, Y, X TIFF).
    box : (x0, y0, x1, y1), optional
        Whole px; the part of the frame that the maps cover, None for all of it.
    elements : tuple of str
        Names of the channels.
    n_atoms : int
    notes : tuple of str
        Sentences for the user.
    seconds : float
    """

    event: Literal["result"] = "result"
    id: str
    frame: int
    atoms: str
    maps: str | None
    box: tuple[int, int, int, int] | None
    elements: tuple[str, ...]
    n_atoms: int
    notes: tuple[str, ...]
    seconds: float


class Done(_Message):
    """All frames of a request are predicted."""

    event: Literal["done"] = "done"
    id: str
    n_frames: int
    seconds: float


class Warmed(_Message):
    """A model is loaded."""

    event: Literal["warmed"] = "warmed"
    id: str
    model: str
    elements: tuple[str, ...]


class Failed(_Message):
    """A request failed.

    Parameters
    ----------
    id : str
        Empty when the request was unreadable.
    sentence : str
        What happened and what to do, for the user.
    details : str
        A traceback to copy into a report; empty when the user's own input was at fault.
    """

    event: Literal["failed"] = "failed"
    id: str
    sentence: str
    details: str = ""


class WasCancelled(_Message):
    """A request was ended as asked; files of its finished frames stay."""

    event: Literal["cancelled"] = "cancelled"
    id: str


Reply = Annotated[
    Ready | Progress | Result | Done | Warmed | Failed | WasCancelled,
    Field(discriminator="event"),
]

_REQUEST: TypeAdapter[Request] = TypeAdapter(Request)
_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)


def encode(message: Request | Reply) -> bytes:
    """Turn a message into its line, line feed included."""
    return message.model_dump_json().encode("utf-8") + b"\n"


def decode_request(line: bytes) -> Request:
    """Read a request.

    Raises
    ------
    ValueError
        With one sentence, when the line is no request.
    """
    try:
        return _REQUEST.validate_json(line)
    except ValidationError as error:
        raise ValueError(_first_fault("request", error)) from error


def decode_reply(line: bytes) -> Reply:
    """Read a reply; `ValueError` with one sentence when the line is none."""
    try:
        return _REPLY.validate_json(line)
    except ValidationError as error:
        raise ValueError(_first_fault("reply", error)) from error


def _first_fault(what: str, error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    return f"This is no {what} ({where + ': ' if where else ''}{fault['msg']})."


class LineDecoder:
    """Puts replies together from chunks of bytes as they arrive from a pipe.

    Bytes that are no reply do not stop the stream: they are kept in `strays` for a log.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.strays: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Reply]:
        """Return the replies that `chunk` completes, in order."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            self.strays.append(self._rest[:200])
            self._rest = b""
        replies: list[Reply] = []
        for line in lines:
            if not line.strip():
                continue
            try:
                replies.append(decode_reply(line))
            except ValueError:
                self.strays.append(line[:200])
        return replies


def helper_command(python: str | Path) -> list[str]:
    """Return the command that starts the helper with this Python.

    `-P` keeps the working folder, where a user's `types.py` may lie, off the import path.
    """
    return [str(python), "-P", "-m", "napari_apgan.predict", "--serve"]
