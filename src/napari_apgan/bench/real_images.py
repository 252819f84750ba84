"""The real images that lie beside the project, each with the labels that others made of it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame
from napari_apgan.io import open_source, read_atoms

#: Inside the folder of the real images; labels lie beside each image.
PTO_SRO = Path("pto_sro", "pto_sro_left.hspy")
GRAPHENE = Path("graphene_flower", "graphene_flower.tif")
SRTIO3 = Path("srtio3_ser", "16_STOimage_1.ser")
PTNC = Path("ptnc_haadf")


def read_image(data: Path, image: Path) -> tuple[Frame, pd.DataFrame]:
    """Return an image with its labels.

    Parameters
    ----------
    data : Path
        Folder of the real images.
    image : Path
        :data:`PTO_SRO`, :data:`GRAPHENE` or :data:`SRTIO3`.
    """
    path = data / image
    return open_source(path).frame(0), read_atoms(path.with_suffix(".csv"))


def read_ptnc(
    data: Path, name: str, *, calibration: Calibration | None = None
) -> tuple[Frame, pd.DataFrame]:
    """Return one of the images of single Pt atoms, such as ``021``, with its labels.

    Raises
    ------
    UserError
        When it is not in the folder.
    """
    folder = data / PTNC
    files = sorted(folder.glob(f"{name}_*.tif"))
    if not files:
        raise UserError(f"{folder} holds no image {name}_*.tif.")
    frame = open_source(files[0], calibration=calibration, missing="none").frame(0)
    return frame, read_atoms(files[0].with_suffix(".csv"))
