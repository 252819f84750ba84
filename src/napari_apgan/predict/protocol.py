"""The language of the prediction helper: one JSON object a line on stdin and on stdout.

A request carries an `op`, a reply an `event`. Lines are UTF-8 and end with a line feed; what a
line means never depends on another line, except that `cancel` names an earlier `id`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from napari_apgan.elements import Polarity
from napari_apgan.io.reference import SourceRef as SourceRef
from napari_apgan.serving import MAX_LINE_BYTES as MAX_LINE_BYTES
from napari_apgan.serving import CancelRequest as CancelRequest
from napari_apgan.serving import Failed as Failed
from napari_apgan.serving import Language, Message
from napari_apgan.serving import Progress as Progress
from napari_apgan.serving import QuitRequest as QuitRequest
from napari_apgan.serving import WasCancelled as WasCancelled
from napari_apgan.serving import encode as encode

from .prediction import Uncertainty


class PredictRequest(Message):
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
    uncertainty : {"none", "map", "symmetry"}
        Where the deviations of the maps' pixels come from, which are written beside the maps:
        ``00007.deviation.tif``.
    threshold : float, optional
        Probability above which a peak is an atom; the model's own by default.
    polarity, element : str
        For a model that knows atoms by their contrast alone: which ones are wanted, and what they
        are called.
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
    uncertainty: Uncertainty = "none"
    threshold: float | None = Field(default=None, gt=0, lt=1)
    polarity: Polarity = "bright"
    element: str = "unknown"
    device: str = "auto"


class DetectRequest(Message):
    """Find the atoms of one frame that nobody has labelled.

    Parameters
    ----------
    id : str
        Named in every reply that belongs to this request.
    model : str
        ``bundled``, or another model that knows bright from dark atoms.
    source : SourceRef
    frame : int
    polarity : {"bright", "dark"}
    box : (x0, y0, x1, y1), optional
        In px; only this part of the frame.
    out_dir : str
        Folder for the atom table, named by frame: ``00007.atoms.csv``.
    element : str
        Name that the atoms get.
    threshold : float, optional
        Probability above which a disc is an atom; by default as `detect_with` decides.
    device : str
        `auto`, `cpu`, `cuda` or `mps`.
    """

    op: Literal["detect"] = "detect"
    id: str
    model: str = "bundled"
    source: SourceRef
    frame: int = 0
    polarity: Polarity = "bright"
    box: tuple[float, float, float, float] | None = None
    out_dir: str
    element: str = "unknown"
    threshold: float | None = Field(default=None, gt=0, lt=1)
    device: str = "auto"


class WarmRequest(Message):
    """Load a model, so that the first prediction does not wait for it."""

    op: Literal["warm"] = "warm"
    id: str = ""
    model: str
    device: str = "auto"


Request = Annotated[
    PredictRequest | DetectRequest | WarmRequest | CancelRequest | QuitRequest,
    Field(discriminator="op"),
]


class Ready(Message):
    """The helper has loaded torch and listens."""

    event: Literal["ready"] = "ready"
    device: str
    torch: str
    version: str


class Result(Message):
    """One frame is predicted and its files are written.

    Parameters
    ----------
    id : str
    frame : int
    atoms : str
        Path of the atom table (CSV).
    maps : str, optional
        Path of the probability maps (C, Y, X TIFF).
    deviation : str, optional
        Path of the standard deviations of their pixels, where they were asked for.
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
    deviation: str | None = None
    box: tuple[int, int, int, int] | None
    elements: tuple[str, ...]
    n_atoms: int
    notes: tuple[str, ...]
    seconds: float


class Done(Message):
    """All frames of a request are predicted."""

    event: Literal["done"] = "done"
    id: str
    n_frames: int
    seconds: float


class Detected(Message):
    """The atoms of a frame were looked for and their table is written; ends a `detect`.

    Parameters
    ----------
    id : str
    frame : int
    atoms : str
        Path of the atom table (CSV), most probable first.
    n_atoms : int
    spacing_px : float, optional
        Median distance of nearest neighbours; None where too few atoms were found.
    radius_px : float
        Of the discs that the network drew.
    sentence : str
        What was found, for the user.
    notes : tuple of str
        Sentences for the user.
    seconds : float
    """

    event: Literal["detected"] = "detected"
    id: str
    frame: int
    atoms: str
    n_atoms: int
    spacing_px: float | None
    radius_px: float
    sentence: str
    notes: tuple[str, ...]
    seconds: float


class Warmed(Message):
    """A model is loaded."""

    event: Literal["warmed"] = "warmed"
    id: str
    model: str
    elements: tuple[str, ...]


Reply = Annotated[
    Ready | Progress | Result | Done | Detected | Warmed | Failed | WasCancelled,
    Field(discriminator="event"),
]

LANGUAGE: Language[Request, Reply] = Language(
    "napari_apgan.predict", TypeAdapter(Request), TypeAdapter(Reply)
)
