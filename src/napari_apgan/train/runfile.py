"""`run.json`: everything a training needs, fixed before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.models.card import BEST
from napari_apgan.models.recipe import Preset
from napari_apgan.settings import write_atomically

from .settings import RunSettings

SCHEMA_VERSION = 1

RUN_FILE = "run.json"
EVENTS_FILE = "events.jsonl"
LOCK_FILE = "run.lock"
STOP_FILE = "stop"
LOG_FILE = "trainer.log"
BEST_FILE = BEST
CHECKPOINT_FILE = "checkpoint.safetensors"
PREVIEW_FILE = "preview.npy"
INIT_FILE = "init.safetensors"
PAIRS_FOLDER = "pairs"
VALIDATION_FOLDER = "validation"


class PairRecord(BaseModel):
    """One pair of the training set, as it was when the run was made.

    Parameters
    ----------
    name, source, origin : str
        Where it came from.
    shape : (int, int)
        (rows, columns) after resampling.
    atoms : int
        Labelled atoms inside complete regions.
    scale : float
        Pixels of the snapshot per pixel of the original.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str = ""
    origin: str = ""
    shape: tuple[int, int]
    atoms: int = Field(ge=0)
    scale: float = 1.0


class RunFile(BaseModel):
    """The content of `run.json`.

    Parameters
    ----------
    schema_version : int
    run_id : str
        Name of the run's folder.
    created : str
        ISO 8601, UTC.
    package_version : str
    settings : RunSettings
        What the user chose.
    preset : Preset
        The preset with the user's changes, whole.
    elements : tuple of Element
        Output channels in this order.
    pixel_size_pm : float, optional
        Pixel size trained at.
    radius_px : mapping
        Radius of each element's discs in px.
    pairs, validation_pairs : tuple of PairRecord
        What lies in `pairs/` and `validation/`.
    dataset_hash : str
        SHA-256 over the files of both.
    notes : tuple of str
        What the user should know about the preparation, in sentences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    run_id: str
    created: str
    package_version: str
    settings: RunSettings
    preset: Preset
    elements: tuple[Element, ...] = Field(min_length=1)
    pixel_size_pm: float | None = None
    radius_px: dict[str, float]
    pairs: tuple[PairRecord, ...]
    validation_pairs: tuple[PairRecord, ...] = ()
    dataset_hash: str = ""
    notes: tuple[str, ...] = ()

    @property
    def element_names(self) -> list[str]:
        """Names in the order of the output channels."""
        return [e.name for e in self.elements]

    def write(self, run_dir: Path) -> None:
        """Write `run.json` into a run folder."""
        write_atomically(run_dir / RUN_FILE, self.model_dump_json(indent=2))

    @classmethod
    def read(cls, run_dir: Path) -> Self:
        """Read `run.json` of a run folder.

        Raises
        ------
        UserError
            When there is none, or it is damaged or of a newer version.
        """
        path = run_dir / RUN_FILE
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{run_dir} is not a run folder: it has no {RUN_FILE}.") from error
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise UserError(
                f"{path} is damaged or from another version of napari-apgan: start a new run."
            ) from error
