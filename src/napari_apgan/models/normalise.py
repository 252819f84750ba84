"""Grey values on one scale for every network: once for the whole image, never per tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

#: Values beyond this many units are hot pixels, not atoms.
CLIP = 8.0


def robust(data: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Centre on the median and scale by the spread of all but the most extreme pixels.

    ``(I - median) / ((P99.5 - P0.5) / 4)`` over valid pixels, so that both a lattice and sparse
    atoms on a wide background span a few units; clipped to ±8; 0 where a pixel is missing.

    Parameters
    ----------
    data : (Y, X) array
        Intensities in any unit.
    valid : (Y, X) bool array

    Returns
    -------
    (Y, X) float32 array
        Without unit.
    """
    values = data[valid].astype(np.float64)
    if values.size == 0:
        return np.zeros(data.shape, dtype=np.float32)
    low, middle, high = np.percentile(values, [0.5, 50.0, 99.5])
    # Fewer than one pixel in 200 differs from the rest: only the standard deviation sees it.
    scale = (high - low) / 4 or float(values.std()) or 1.0
    out = np.clip((np.where(valid, data, middle).astype(np.float64) - middle) / scale, -CLIP, CLIP)
    result: NDArray[np.float32] = out.astype(np.float32)
    return result


#: Name on the model card -> function of (data, valid).
NORMALISERS: dict[str, Callable[[NDArray[np.floating], NDArray[np.bool_]], NDArray[np.float32]]] = {
    "robust": robust
}


def normalise(frame: Frame, kind: str = "robust") -> NDArray[np.float32]:
    """Bring a frame's grey values to the scale its network was trained on.

    Parameters
    ----------
    frame : Frame
    kind : str
        What the model card calls it.

    Returns
    -------
    (Y, X) float32 array
        Without unit, 0 at missing pixels.

    Raises
    ------
    UserError
        When this version does not know `kind`.
    """
    if kind not in NORMALISERS:
        raise UserError(
            f"The model wants images normalised by {kind!r}, which this version does not know: "
            "update napari-apgan."
        )
    return NORMALISERS[kind](frame.data, frame.valid)
