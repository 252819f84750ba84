"""TIFF files as we write them: readable by ImageJ, napari and ourselves, with their pixel size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_apgan.frames import Calibration


def tiff_bytes(
    image: NDArray[np.float32],
    calibration: Calibration,
    axes: str,
    labels: Sequence[str] = (),
) -> bytes:
    """Return a TIFF of float32 values in ImageJ's form, with the pixel size in nm.

    Parameters
    ----------
    image : (Y, X) or (C, Y, X) float32 array
    calibration : Calibration
        Pixel sizes along y and x are kept to a part in 10^9; a shear is not.
    axes : str
        ``YX`` or ``CYX``.
    labels : sequence of str
        Names of the channels.
    """
    metadata: dict[str, Any] = {"axes": axes}
    options: dict[str, Any] = {}
    if labels:
        metadata["Labels"] = list(labels)
    if calibration.x_pm is not None and calibration.y_pm is not None:
        metadata["unit"] = "nm"
        options["resolution"] = (1e3 / calibration.x_pm, 1e3 / calibration.y_pm)
        options["resolutionunit"] = "none"
    out = io.BytesIO()
    tifffile.imwrite(
        out,
        np.ascontiguousarray(image, dtype=np.float32),
        imagej=True,
        metadata=metadata,
        **options,
    )
    return out.getvalue()
