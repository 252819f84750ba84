"""How one process tells another where to find an image."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from napari_apgan.frames import Calibration, Missing, Source

from .images import open_source


class SourceRef(BaseModel):
    """Where a helper process finds an image.

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

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    dataset: str = ""
    missing: Missing = "auto"
    calibration: Calibration | None = None
    name: str = ""


def open_reference(reference: SourceRef) -> Source:
    """Open the source that a request names.

    Raises
    ------
    UserError
        When it cannot be read.
    """
    source = open_source(
        reference.path,
        dataset=reference.dataset or None,
        missing=reference.missing,
        calibration=reference.calibration,
    )
    source.name = reference.name or source.name
    return source
