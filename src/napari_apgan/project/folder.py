"""The project folder: where each file is, and how documents become files and come back."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_apgan.atoms import with_calibration
from napari_apgan.elements import Element, PaletteName
from napari_apgan.errors import UserError, fault_of
from napari_apgan.frames import Calibration
from napari_apgan.names import frame_name
from napari_apgan.regions import Region
from napari_apgan.settings import write_atomically

from . import tables
from .documents import Document, PairEntry, Value

SUFFIX = ".apgan"
SCHEMA = 1

M = TypeVar("M", bound=BaseModel)

_LABELS = re.compile(r"(\d+)\.csv")
_REGIONS = re.compile(r"(\d+)\.regions\.json")


class ProjectSettings(BaseModel):
    """What a project remembers beside its data.

    Parameters
    ----------
    palette : {"safe", "paper"}
        Colours for new elements.
    preset : str
        The network last trained.
    model : str
        The model in use: a path, relative to the project where it lies inside; empty for none.
    source_id, frame, element : str, int, str
        Where the user was.
    ignored : dict of str to list of str
        Suspects that the user told the label doctor to leave, by ``SOURCE:FRAME``.
    """

    model_config = ConfigDict(extra="ignore")

    palette: PaletteName = "safe"
    preset: str = "fast"
    model: str = ""
    source_id: str = ""
    frame: int = 0
    element: str = ""
    ignored: dict[str, list[str]] = Field(default_factory=dict)


class ProjectFile(BaseModel):
    """``project.json``.

    Parameters
    ----------
    schema_version : int
    created : str
        ISO 8601.
    edit : int
        Every file of the project holds at least the edits up to this number.
    elements : list of Element
    settings : ProjectSettings
    """

    model_config = ConfigDict(extra="ignore")

    schema_version: int = SCHEMA
    created: str = ""
    edit: int = 0
    elements: tuple[Element, ...] = ()
    settings: ProjectSettings = Field(default_factory=ProjectSettings)


class PairsFile(BaseModel):
    """``pairs.json``: the training set."""

    model_config = ConfigDict(extra="ignore")

    edit: int = 0
    pairs: tuple[PairEntry, ...] = ()


class RegionsFile(BaseModel):
    """``labels/<source>/<frame>.regions.json``."""

    model_config = ConfigDict(extra="ignore")

    edit: int = 0
    regions: tuple[Region, ...] = ()


class PredictionFiles(NamedTuple):
    """Where the prediction of one frame lies: ``folder/name.atoms.csv`` and maps beside it."""

    folder: Path
    name: str

    @property
    def atoms(self) -> Path:
        """The table of predicted atoms."""
        return self.folder / f"{self.name}.atoms.csv"

    @property
    def maps(self) -> Path:
        """The probability maps, (C, Y, X) float32."""
        return self.folder / f"{self.name}.maps.tif"

    @property
    def deviation(self) -> Path:
        """The standard deviations of their pixels, where they were asked for."""
        return self.folder / f"{self.name}.deviation.tif"


def read_model(kind: type[M], path: Path) -> M:
    """Read a JSON file of the project; defaults where it is absent.

    Raises
    ------
    UserError
        When it cannot be read, is damaged, or comes from a newer program.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return kind()
    except OSError as error:
        raise UserError(f"{path} could not be read: {error.strerror}.") from error
    except ValidationError as error:
        raise UserError(
            f"{path} is damaged ({fault_of(error)}): put back a copy of this file and open the "
            "project again."
        ) from error


class Folder:
    """The files of one project.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.project_file = path / "project.json"
        self.sources_file = path / "sources.json"
        self.pairs_file = path / "pairs.json"
        self.rounds_file = path / "rounds.json"
        self.journal = path / "journal.jsonl"
        self.images = path / "images"
        self.runs = path / "runs"
        self.predictions = path / "predictions"
        self.labels = path / "labels"

    def file_of(self, document: Document) -> Path:
        """Return the file of a frame's atoms or regions."""
        ending = ".csv" if document.kind == "atoms" else ".regions.json"
        return self.labels / document.source_id / f"{frame_name(document.frame)}{ending}"

    def label_stamps(self) -> dict[Document, tuple[int, int]]:
        """Return for each file of labels the last edit it holds, and how many atoms or regions."""
        stamps: dict[Document, tuple[int, int]] = {}
        for path in sorted(self.labels.glob("*/*")):
            kind: Literal["atoms", "regions"]
            if match := _LABELS.fullmatch(path.name):
                kind = "atoms"
                with open(path, encoding="utf-8", errors="replace") as file:
                    stamp = tables.read_stamp(file.read(400))
            elif match := _REGIONS.fullmatch(path.name):
                kind = "regions"
                regions = read_model(RegionsFile, path)
                stamp = regions.edit, len(regions.regions)
            else:
                continue
            stamps[Document(kind, path.parent.name, int(match[1]))] = stamp
        return stamps

    def read_labels(self, document: Document) -> Value | None:
        """Read the atoms or regions of a frame; None where there is no file.

        Raises
        ------
        UserError
            When the file is damaged.
        """
        path = self.file_of(document)
        if not path.exists():
            return None
        if document.kind == "regions":
            return read_model(RegionsFile, path).regions
        try:
            return tables.from_csv(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, UserError) as error:
            raise UserError(
                f"The labels in {path} cannot be read: {error} Put back a copy of this file."
            ) from error

    def write_labels(
        self, document: Document, value: Value, number: int, calibration: Calibration
    ) -> None:
        """Write the atoms or regions of a frame as edit `number` left them."""
        path = self.file_of(document)
        if document.kind == "regions":
            text = RegionsFile(edit=number, regions=value).model_dump_json(indent=1)
        else:
            text = tables.to_csv(
                with_calibration(value, calibration),
                [
                    "napari-apgan labels: x is the column, y the row, 0 the centre of the first "
                    "pixel; lengths in px or pm as the names say",
                    tables.stamp(number, len(value)),
                ],
            )
        write_atomically(path, text)


def write_json(path: Path, model: BaseModel) -> None:
    """Write a model as a JSON file that a crash cannot tear."""
    write_atomically(path, model.model_dump_json(indent=1))


def lock_folder(path: Path) -> FileLock:
    """Take the lock of a project folder.

    Raises
    ------
    UserError
        When another window or program holds it, or the folder takes no lock.
    """
    lock = FileLock(path / "lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"{path.name} is open in another window: close it there, or open it read-only."
        ) from error
    except (OSError, NotImplementedError) as error:
        raise UserError(
            f"{path} cannot be locked ({error}): open the project read-only, or copy it to a "
            "folder where you may write."
        ) from error
    return lock


def held_runs(runs: Iterable[Path]) -> list[str]:
    """Return the names of the runs whose trainer is alive, by their locks."""
    held: list[str] = []
    for run in runs:
        if not (run / "run.lock").exists():
            continue
        probe = FileLock(run / "run.lock", thread_local=False)
        try:
            with probe.acquire(timeout=0):
                pass
        except Timeout:
            held.append(run.name)
    return held


def model_pixel_size(run: Path) -> float | None:
    """Return the pixel size in pm that a run trained at, from its model's card or its settings.

    Reads the header of the model file alone: eight bytes of length, then JSON (the safetensors
    format), whose metadata hold the card.
    """
    found: list[Any] = []
    with contextlib.suppress(OSError, ValueError, AttributeError):
        with open(run / "best.safetensors", "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, 1 << 24)))
        for text in header.get("__metadata__", {}).values():
            if text.startswith("{"):
                found.append(json.loads(text))
    with contextlib.suppress(OSError, ValueError):
        found.append(json.loads((run / "run.json").read_bytes()))
    sizes = (c.get("pixel_size_pm") for c in found if isinstance(c, dict))
    return next((float(s) for s in sizes if isinstance(s, int | float) and s > 0), None)


def now() -> str:
    """Return the local time as ISO 8601 with its zone."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
