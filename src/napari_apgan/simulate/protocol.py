"""The language of the simulation helper: one JSON object a line, see :mod:`napari_apgan.serving`.

Free of anything heavy, so that the window may import it.
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

from .imaging.settings import ImagingSettings, Mode
from .settings import SimulationSettings
from .structures import Structure


class PreviewRequest(Message):
    """Simulate one frame to look at; a later preview ends one that still waits or runs.

    Parameters
    ----------
    id : str
        Named in every reply that belongs to this request.
    settings : SimulationSettings
    seed, number : int
        Which frame of which set: it is the one that `make` would write under this number.
    out_dir : str
        Folder for the files of the frame, which replace those of an earlier preview.
    """

    op: Literal["preview"] = "preview"
    id: str
    settings: SimulationSettings
    seed: int = Field(default=0, ge=0)
    number: int = Field(default=0, ge=0)
    out_dir: str


class MakeRequest(Message):
    """Simulate pairs and write them as a pairs folder.

    Parameters
    ----------
    id : str
    settings : SimulationSettings
    seed : int
    first, count : int
        Numbers of the frames.
    out_dir : str
        The pairs folder, made when it does not exist.
    """

    op: Literal["make"] = "make"
    id: str
    settings: SimulationSettings
    seed: int = Field(default=0, ge=0)
    first: int = Field(default=0, ge=0)
    count: int = Field(ge=1, le=100_000)
    out_dir: str


class MatchRequest(Message):
    """Propose settings that make simulated frames look like an experimental one.

    Parameters
    ----------
    id : str
    source : SourceRef
    frame : int
        Which frame of it.
    structure : Structure, optional
        What it shows, where the user knows.
    mode : {"hrtem", "haadf", "adf", "abf"}, optional
        How it was taken.
    imaging : ImagingSettings, optional
        What is known of the microscope.
    atoms : str, optional
        Path of an atom table of the frame.
    out_dir : str
        Folder for a simulated frame to look at beside the experimental one.
    """

    op: Literal["match"] = "match"
    id: str
    source: SourceRef
    frame: int = Field(default=0, ge=0)
    structure: Structure | None = None
    mode: Mode | None = None
    imaging: ImagingSettings | None = None
    atoms: str | None = None
    out_dir: str


Request = Annotated[
    PreviewRequest | MakeRequest | MatchRequest | CancelRequest | QuitRequest,
    Field(discriminator="op"),
]


class Ready(Message):
    """The helper listens.

    Parameters
    ----------
    version : str
    abtem : bool
        Whether the multislice engine is installed.
    """

    event: Literal["ready"] = "ready"
    version: str
    abtem: bool


class Previewed(Message):
    """One frame is simulated and its files are written.

    Parameters
    ----------
    id : str
    image : str
        ``.npy``, (Y, X) float32; NaN where a pixel was lost.
    expected : str
        ``.npy``, (Y, X) float32: the ideal image on the frame's pixels.
    atoms : str
        Atom table (CSV), one row a labelled column.
    vacancies : str
        Atom table of the empty sites.
    pixel_size_pm : float
    elements : tuple of str
        Of the atoms, sorted.
    record : mapping
        What was drawn and measured; the same as `simulation` in the JSON of a pair.
    seconds : float
    """

    event: Literal["previewed"] = "previewed"
    id: str
    image: str
    expected: str
    atoms: str
    vacancies: str
    pixel_size_pm: float
    elements: tuple[str, ...]
    record: dict[str, Any]
    seconds: float


class Made(Message):
    """All pairs of a request are written.

    Parameters
    ----------
    id : str
    folder : str
    names : tuple of str
        Of the pairs, in order.
    seconds : float
    """

    event: Literal["made"] = "made"
    id: str
    folder: str
    names: tuple[str, ...]
    seconds: float


class Matched(Message):
    """Settings are proposed for an experimental frame.

    Parameters
    ----------
    id : str
    settings : SimulationSettings
        Whole settings, ready for `preview` and `make`.
    match : mapping
        What was estimated, with the similarity and sentences for the user.
    preview : Previewed
        A frame simulated with these settings.
    seconds : float
    """

    event: Literal["matched"] = "matched"
    id: str
    settings: SimulationSettings
    match: dict[str, Any]
    preview: Previewed
    seconds: float


Reply = Annotated[
    Ready | Progress | Previewed | Made | Matched | Failed | WasCancelled,
    Field(discriminator="event"),
]

LANGUAGE: Language[Request, Reply] = Language(
    "napari_apgan.simulate", TypeAdapter(Request), TypeAdapter(Reply)
)
