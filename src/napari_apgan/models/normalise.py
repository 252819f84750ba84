"""Grey values on one scale for every network: once for the whole image, never per tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

#: Values beyond this many units are hot pixels, not atoms.
CLIP = 8.0
#: Wider than an atom, narrower than the support's thickness varies (px).
BACKGROUND_PX = 10.0
#: About an atom's own width (px).
PEAK_PX = 1.5
#: A background is bent to stay within this many units.
BACKGROUND_UNITS = 4.0


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


def contrast(data: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Scale by the height of the image's own peaks, and hold a strong background in bounds.

    The image is parted into what is smoother than 10 px and the rest. The rest, smoothed over
    1.5 px, gives the unit: a quarter of the distance between its 0.5 and 99.5 percentiles. So atoms
    are as high on a thick support as without one, whatever the dose; and the threshold of one image
    holds for the next. The smooth part, centred on its median, is bent (tanh) to stay within ±4
    units; a weak one passes unchanged.

    Parameters
    ----------
    data : (Y, X) array
        Intensities in any unit.
    valid : (Y, X) bool array

    Returns
    -------
    (Y, X) float32 array
        Without unit; 0 where a pixel is missing.
    """
    if not valid.any():
        return np.zeros(data.shape, dtype=np.float32)
    values = np.where(valid, data, 0).astype(np.float64)
    weight = valid.astype(np.float64)
    smooth = _masked_blur(values, weight, BACKGROUND_PX)
    fine = np.where(valid, values - smooth, 0.0)
    low, high = np.percentile(_masked_blur(fine, weight, PEAK_PX)[valid], [0.5, 99.5])
    scale = float(high - low) / 4 or float(fine[valid].std()) or 1.0
    background = (smooth - np.median(smooth[valid])) / scale
    bent = BACKGROUND_UNITS * np.tanh(background / BACKGROUND_UNITS)
    out = np.clip(fine / scale, -CLIP, CLIP) + bent
    return np.where(valid, out, 0.0).astype(np.float32)


def _masked_blur(
    values: NDArray[np.float64], weight: NDArray[np.float64], sigma_px: float
) -> NDArray[np.float64]:
    """Blur what is measured; `values` are 0 elsewhere."""
    from scipy.ndimage import gaussian_filter  # 0.2 s that opening the window need not wait for

    blurred: NDArray[np.float64] = gaussian_filter(values, sigma_px)
    return blurred / np.maximum(gaussian_filter(weight, sigma_px), 1e-6)


#: Name on the model card -> function of (data, valid).
NORMALISERS: dict[str, Callable[[NDArray[np.floating], NDArray[np.bool_]], NDArray[np.float32]]] = {
    "robust": robust,
    "contrast": contrast,
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
