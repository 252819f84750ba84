"""Row jitter of a scan: how far rows are shifted against each other, and for how long."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Slower changes of the shifts (cycles per row) are drift and structure.
SLOWEST = 0.15
#: What is expected of the memory, which short series leave open: mean and standard deviation.
USUAL_MEMORY = (0.5, 0.3)
#: Log-likelihood that jitter must gain over none: two more numbers gain 1 by chance.
GAIN = 6.0
#: Rows that carry less than this part of the median row's slope say little.
WEAKEST = 0.2


def row_series(flat: Floats, valid: Bools, noise: float) -> tuple[Floats, float]:
    """Return how far each row lies beside the mean of its neighbours, in px.

    The difference between a row and the mean of the rows above and below is projected on the
    image's slope along x. A row shifted by j shows ``j - (j above + j below) / 2``; symmetric atoms
    have no part in it, since their curvature along y is even in x and their slope odd.

    Parameters
    ----------
    flat : (Y, X) array
        Without background; any value where `valid` is False.
    valid : (Y, X) bool array
    noise : float
        Standard deviation of the white noise.

    Returns
    -------
    shift : (R,) array
        Of consecutive rows; weak ones show 0.
    white : float
        Variance that the noise of the pixels gives to the shift of a single row.
    """
    slope = np.gradient(gaussian_filter(flat, (1.5, 1.0)), axis=1)[1:-1]
    used = valid[1:-1] & valid[:-2] & valid[2:]
    difference = flat[1:-1] - (flat[:-2] + flat[2:]) / 2
    weight = np.where(used, slope**2, 0.0).sum(axis=1)
    median = float(np.median(weight))
    if median <= 0:
        return np.zeros(0), 0.0
    moved = np.where(used, difference * slope, 0.0).sum(axis=1)
    shift: Floats = np.where(weight > WEAKEST * median, moved / np.maximum(weight, 1e-300), 0.0)
    return shift, noise**2 / median


def row_jitter(flat: Floats, valid: Bools, noise: float) -> tuple[float, float]:
    """Return standard deviation (px) and memory of the row jitter; zeros where there is none.

    The spectrum of :func:`row_series` is ``(1 - cos 2πf)²`` times that of a first-order
    autoregressive series over white noise of known strength. Both numbers are the most probable
    ones on a grid (Whittle's likelihood, a wide prior of the memory), from the frequencies above
    :data:`SLOWEST`.
    """
    shift, white = row_series(flat, valid, noise)
    if len(shift) < 24:
        return 0.0, 0.0
    f = np.fft.rfftfreq(len(shift))
    band = f > SLOWEST
    power = (np.abs(np.fft.rfft(shift - shift.mean())) ** 2 / len(shift))[band]
    f = f[band]
    passed = (1 - np.cos(2 * np.pi * f)) ** 2
    memory = np.linspace(0.0, 0.9, 19)[:, None, None]
    rms = np.concatenate([[0.0], np.geomspace(0.01, 3.0, 80)])[None, :, None]
    series = (1 - memory**2) / (1 - 2 * memory * np.cos(2 * np.pi * f) + memory**2)
    model = passed * (rms**2 * series + white) + 1e-9
    loss = (np.log(model) + power / model).sum(axis=-1)
    middle, spread = USUAL_MEMORY
    loss += 0.5 * ((memory[..., 0] - middle) / spread) ** 2
    none = float(loss[:, 0].min())
    i, j = np.unravel_index(int(loss.argmin()), loss.shape)
    if none - float(loss[i, j]) < GAIN:
        return 0.0, 0.0
    return float(rms[0, j, 0]), float(memory[i, 0, 0])
