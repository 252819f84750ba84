"""The model card: what a model file says about itself. Readable without torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_apgan.elements import Element
from napari_apgan.errors import UserError

from .bundled import BUNDLED, bundled_path
from .recipe import NetworkSpec

#: Key of the card in the header of the `.safetensors` file.
CARD_KEY = "apgan_card"
SCHEMA_VERSION = 1
BEST = "best.safetensors"

#: A header longer than this is no header of ours; it bounds what a broken file makes us read.
_HEADER_LIMIT = 16 * 2**20


class HeldOutScore(BaseModel):
    """How well the model did on atoms it was not trained on.

    Parameters
    ----------
    f1, precision, recall : float
        0..1, all elements together, a predicted atom counting when it lies within `tolerance_px`
        of a labelled one of its element.
    error_px, error_pm : float, optional
        Root mean square distance of the matched atoms.
    tolerance_px : float
    n_atoms : int
        Labelled atoms scored.
    element_f1 : mapping
        F1 of each element that has a labelled atom among them.
    split : str
        How they were held out: ``regions``, ``frames``, ``blocks``, ``folder``; ``simulated`` when
        only simulated frames were scored; or ``none`` when there were too few labels and the
        training labels themselves were scored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    f1: float
    precision: float
    recall: float
    error_px: float | None = None
    error_pm: float | None = None
    tolerance_px: float
    n_atoms: int
    element_f1: dict[str, float] = Field(default_factory=dict)
    split: Literal["regions", "frames", "blocks", "folder", "simulated", "none"]


class HeldOutCalibration(BaseModel):
    """What makes probabilities and error bars right, found on atoms it was not trained on.

    Parameters
    ----------
    floor_px, factor : float
        Error bars of map positions: see :meth:`napari_apgan.measure.spread.Spread.variance_px2`.
    by_element : mapping
        What that variance is multiplied with for each element; 1 for those that are not there.
    slope, offset : float
        Confidence from probability: see :func:`napari_apgan.measure.calibration.calibrated`.
    n_atoms : int
        Atoms found, true and false, that this rests on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    floor_px: float = Field(gt=0)
    factor: float = Field(gt=0)
    by_element: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    slope: float = Field(default=1.0, gt=0)
    offset: float = 0.0
    n_atoms: int = 0


class UsualKernel(BaseModel):
    """What single atoms look like in the training frames; drawn on where a frame leaves it open.

    Parameters
    ----------
    step_px, reach_px
        Of the radial splines, in px of the training pixel size: see
        :class:`napari_apgan.measure.kernels.Profile`.
    weights : tuple of float
        Of the splines.
    blur_px2 : mapping
        Variance by which each element is blurred.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    step_px: float = Field(gt=0)
    reach_px: int = Field(gt=0)
    weights: tuple[float, ...] = Field(min_length=1)
    blur_px2: dict[str, float]


class ModelCard(BaseModel):
    """What is needed to use a model, and where it came from.

    Parameters
    ----------
    schema_version : int
    preset : str
        Name of the preset it was trained with.
    network : NetworkSpec
        How to build it; kept whole, so a later change of the preset breaks no old model.
    elements : tuple of Element
        One output channel each, in this order.
    radius_px : mapping
        Radius of each element's discs, in px of the training pixel size.
    threshold : float
        Probability above which a disc is an atom, chosen on the held-out labels.
    pixel_size_pm : float, optional
        Pixel size trained at; None when the images had none.
    contrast : {"bright", "dark", "mixed"}
        Whether the atoms were bright or dark.
    normalisation : str
        Key of :data:`napari_apgan.models.normalise.NORMALISERS`.
    input_channels : tuple of str
        What the network reads.
    run_id, dataset_hash : str
        The run it came from and the SHA-256 of its training pairs.
    score : HeldOutScore, optional
    calibration : HeldOutCalibration, optional
        None on models of versions that did not know it.
    kernel : UsualKernel, optional
        None where the training frames had too few atoms to tell, and on models of versions that
        did not know it.
    step, epoch : int
        When in the run the weights were taken.
    package_version, created : str
        Version of napari-apgan and time (ISO 8601, UTC).
    weights_sha256 : str
        Filled in on saving.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    preset: str
    network: NetworkSpec
    elements: tuple[Element, ...] = Field(min_length=1)
    radius_px: dict[str, float]
    threshold: float = Field(default=0.5, gt=0, lt=1)
    pixel_size_pm: float | None = Field(default=None, gt=0)
    contrast: Literal["bright", "dark", "mixed"] = "bright"
    normalisation: str = "robust"
    input_channels: tuple[str, ...] = ("image", "valid")
    run_id: str = ""
    dataset_hash: str = ""
    score: HeldOutScore | None = None
    calibration: HeldOutCalibration | None = None
    kernel: UsualKernel | None = None
    step: int = 0
    epoch: int = 0
    package_version: str = ""
    created: str = ""
    weights_sha256: str = ""

    @model_validator(mode="after")
    def _every_element_has_a_radius(self) -> Self:
        lacking = [e.name for e in self.elements if e.name not in self.radius_px]
        if lacking:
            raise ValueError(f"no disc radius for {', '.join(lacking)}")
        return self

    @property
    def element_names(self) -> list[str]:
        """Names in the order of the output channels."""
        return [e.name for e in self.elements]

    @property
    def by_contrast(self) -> bool:
        """Whether it knows atoms by their contrast alone, as the bundled model does."""
        return all(e.name == e.polarity for e in self.elements)


def contrast_of(elements: tuple[Element, ...]) -> Literal["bright", "dark", "mixed"]:
    """Say whether all of these are bright, all dark, or some of each."""
    kinds = {e.polarity for e in elements}
    return kinds.pop() if len(kinds) == 1 else "mixed"


def parse_card(metadata: dict[str, str] | None, name: str) -> ModelCard:
    """Make the card from a file's metadata; `name` stands in the sentence when it fails."""
    text = (metadata or {}).get(CARD_KEY)
    if text is None:
        raise UserError(f"{name} is not a model of napari-apgan: it carries no model card.")
    try:
        version = json.loads(text)["schema_version"]
        if version > SCHEMA_VERSION:
            raise UserError(
                f"{name} was made by a newer version of napari-apgan: update to use it."
            )
        return ModelCard.model_validate_json(text)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"The model card of {name} is damaged: take another copy of it or train again."
        ) from error


def read_card(path: Path | str) -> ModelCard:
    """Read the card of a model file, a run folder or ``bundled``, without loading weights.

    Raises
    ------
    UserError
        When there is no such model, or it is not one.
    """
    path = resolve_model(path)
    try:
        with path.open("rb") as file:
            head = file.read(8)
            size = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
            if not 2 <= size <= _HEADER_LIMIT:
                raise ValueError("no header")
            header = json.loads(file.read(size))
            metadata = header.get("__metadata__")
    except OSError as error:
        raise UserError(f"The model {path.name} could not be read: {error.strerror}.") from error
    except (ValueError, AttributeError) as error:
        raise UserError(
            f"{path.name} is not a model file (.safetensors), or it is damaged."
        ) from error
    return parse_card(metadata, path.name)


def resolve_model(model: Path | str) -> Path:
    """Find the file of a MODEL argument: a model file, a run folder (its best), or ``bundled``.

    Raises
    ------
    UserError
        When there is none.
    """
    if str(model) == BUNDLED:
        return bundled_path()
    path = Path(model)
    if path.is_dir():
        path = path / BEST
        if not path.is_file():
            raise UserError(
                f"The run {path.parent.name} has no model yet: wait for its first validation."
            )
    if not path.is_file():
        raise UserError(f"There is no model at {path}.")
    return path
