"""Grey values on one scale for every network: once for the whole image, never per tile."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

#: Values beyond this many units are hot pixels, not atoms.
CLIP = 8.0
#: Wider than an atom, narrower than the support's thickness varies (px).
BACKGROUND_PX = 10.0
#: About an atom's own width (px).
PEAK_PX = 1.5
#: Side in px of the cells whose means the background is blurred from.
CELL = 4
#: Pixels from which the percentiles of larger images are taken.
SAMPLE = 2**21
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
    values = data[valid].astype(np.float32)
    if values.size == 0:
        return np.zeros(data.shape, dtype=np.float32)
    low, middle, high = _percentiles(values, [0.5, 50.0, 99.5])
    # Fewer than one pixel in 200 differs from the rest: only the standard deviation sees it.
    scale = (high - low) / 4 or float(values.std(dtype=np.float64)) or 1.0
    out = np.where(valid, data, middle).astype(np.float32)
    out -= np.float32(middle)
    out /= np.float32(scale)
    return np.clip(out, -CLIP, CLIP, out=out)


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
    mask = None if valid.all() else valid
    # About zero, where float32 is finest.
    mean = float(np.mean(data, dtype=np.float64, where=True if mask is None else mask))
    fine: Floats = np.subtract(data, mean, dtype=np.float32, casting="unsafe")
    if mask is not None:
        fine[~mask] = 0.0
    smooth, middle = _background(fine, mask)
    fine -= smooth
    if mask is not None:
        fine[~mask] = 0.0
    low, high = _percentiles(_peaks(fine, mask), [0.5, 99.5])
    scale = (high - low) / 4 or float(fine.std(dtype=np.float64, where=valid)) or 1.0
    fine /= np.float32(scale)
    np.clip(fine, -CLIP, CLIP, out=fine)
    smooth -= np.float32(middle)
    smooth /= np.float32(scale * BACKGROUND_UNITS)
    np.tanh(smooth, out=smooth)
    smooth *= np.float32(BACKGROUND_UNITS)
    fine += smooth
    if mask is not None:
        fine[~mask] = 0.0
    return fine


def _percentiles(values: Floats, wanted: Sequence[float]) -> list[float]:
    """Return percentiles of (N,) values; of very many, those of a large random sample."""
    if values.size > SAMPLE:
        values = values[np.random.default_rng(0).integers(values.size, size=SAMPLE)]
    found: list[float] = np.percentile(values, wanted).astype(np.float64).tolist()
    return found


def _background(image: Floats, valid: Bools | None) -> tuple[Floats, float]:
    """Blur what is measured over :data:`BACKGROUND_PX`, and find the median of that.

    The blur works on means of 4x4 px, between which it interpolates linearly: cells and
    interpolation widen by 4 px² what the Gaussian between them is narrower by.

    Parameters
    ----------
    image : (Y, X) float32 array
        0 where a pixel is missing.
    valid : (Y, X) bool array, optional
        None when no pixel is missing.

    Returns
    -------
    (Y, X) float32 array, float
    """
    from scipy.ndimage import gaussian_filter  # 0.2 s that opening the window need not wait for

    sums = _cell_sums(image)
    counts = _cell_sums(np.ones_like(image) if valid is None else valid.astype(np.float32))
    sigma = math.sqrt(BACKGROUND_PX**2 - 4.0) / CELL
    if valid is None:
        cells = gaussian_filter(sums / counts, sigma)
    else:
        weight = gaussian_filter(counts, sigma)
        cells = gaussian_filter(sums, sigma) / np.maximum(weight, 1e-6)
    middle = float(np.median(cells[counts > 0]))
    rows = _between_cells(cells, image.shape[0])
    return np.ascontiguousarray(_between_cells(rows.T, image.shape[1]).T), middle


def _cell_sums(image: Floats) -> Floats:
    """Sum over cells of 4x4 px; the last ones may hold fewer."""
    down, right = -image.shape[0] % CELL, -image.shape[1] % CELL
    if down or right:
        image = np.pad(image, ((0, down), (0, right)))
    rows = image.reshape(-1, CELL, image.shape[1]).sum(axis=1)
    sums: Floats = np.add.reduce([rows[:, k::CELL] for k in range(CELL)])
    return sums


def _between_cells(cells: Floats, length: int) -> Floats:
    """Interpolate linearly along the first axis from the centres of cells to `length` px."""
    before = np.concatenate([cells[:1], cells[:-1]])
    after = np.concatenate([cells[1:], cells[-1:]])
    out = np.empty((len(cells), CELL, cells.shape[1]), dtype=np.float32)
    for k in range(CELL):
        away = (k + 0.5) / CELL - 0.5
        other = before if away < 0 else after
        np.multiply(other - cells, np.float32(abs(away)), out=out[:, k])
        out[:, k] += cells
    return out.reshape(-1, cells.shape[1])[:length]


def _peaks(fine: Floats, valid: Bools | None) -> Floats:
    """Return what is measured blurred over :data:`PEAK_PX`; of large images, rows of it.

    Parameters
    ----------
    fine : (Y, X) float32 array
        0 where a pixel is missing.
    valid : (Y, X) bool array, optional

    Returns
    -------
    (N,) float32 array
    """
    from scipy.ndimage import gaussian_filter1d

    rows = np.arange(fine.shape[0])
    every = min(fine.size // SAMPLE, len(rows))
    if every > 1:
        # One of each few rows, at random, so that no period of a lattice is favoured.
        groups = rows[: len(rows) // every * every : every]
        rows = groups + np.random.default_rng(0).integers(every, size=len(groups))
    across = _rows_blurred(fine, rows)
    blurred: Floats = gaussian_filter1d(across, PEAK_PX, axis=1)
    if valid is None:
        return blurred.ravel()
    weight = gaussian_filter1d(_rows_blurred(valid.astype(np.float32), rows), PEAK_PX, axis=1)
    blurred /= np.maximum(weight, 1e-6)
    peaks: Floats = blurred[valid[rows]]
    # The rows of a large image may hold no measured pixel at all.
    return peaks if peaks.size else fine[valid]


def _rows_blurred(image: Floats, rows: NDArray[np.integer]) -> Floats:
    """Blur along the first axis over :data:`PEAK_PX`, at some rows only; mirrored at the edges."""
    reach = math.ceil(4 * PEAK_PX)
    away = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (away / PEAK_PX) ** 2)
    kernel /= kernel.sum()
    last = 2 * len(image)
    out: Floats = np.zeros((len(rows), image.shape[1]), dtype=np.float32)
    for k, share in zip(away, kernel.astype(np.float32), strict=True):
        at = (rows + k) % last
        out += share * image[np.where(at < len(image), at, last - 1 - at)]
    return out


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
