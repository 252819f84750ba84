"""The weights that come with the package. Free of torch."""

from __future__ import annotations

from pathlib import Path

from napari_apgan.errors import UserError

#: The word that stands for them wherever a model is taken.
BUNDLED = "bundled"
FOLDER = Path(__file__).with_name("bundled")
WEIGHTS = FOLDER / "fast.safetensors"


def bundled_path() -> Path:
    """Return the model file that comes with the package.

    Raises
    ------
    UserError
        When this installation lacks it.
    """
    if not WEIGHTS.is_file():
        raise UserError(
            "This installation lacks the bundled weights: install napari-apgan again, train from "
            "scratch, or give a model file."
        )
    return WEIGHTS
