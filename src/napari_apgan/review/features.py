"""Simple statistics of image blocks, by which an unfamiliar pattern is recognised."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from napari_apgan.frames import Frame
from napari_apgan.models.normalise import normalise

Floats = NDArray[np.float64]

#: Side of a block in px of the training pixel size, and the rings of its power spectrum.
BLOCK_PX = 128
RINGS = 10

#: Names of the features, in order.
FEATURES: tuple[str, ...] = (
    *(f"spectrum_{k}" for k in range(RINGS)),
    "contrast",
    "skewness",
    "kurtosis",
    "grain_x",
    "grain_y",
)

#: Differences smaller than this are never unfamiliar: a handful of training blocks shows too
#: little spread. Spectra in natural logarithms, the rest without unit.
FLOOR = np.array([0.35] * RINGS + [0.2, 0.35, 0.5, 0.08, 0.08])

#: A z-score counts no further than this, so that one odd feature cannot speak alone.
LARGEST_Z = 8.0


def blocks(shape: tuple[int, int], side: int = BLOCK_PX) -> Iterator[tuple[slice, slice]]:
    """Cut an image of (rows, columns) into blocks of about `side`, none smaller than half of it."""
    for rows in _spans(shape[0], side):
        for cols in _spans(shape[1], side):
            yield rows, cols


def _spans(length: int, side: int) -> list[slice]:
    n = max(1, round(length / side))
    edges = np.linspace(0, length, n + 1).round().astype(int).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def block_features(image: NDArray[np.floating], valid: NDArray[np.bool_]) -> Floats | None:
    """Describe one block of a normalised image.

    Parameters
    ----------
    image : (Y, X) array
        From :func:`napari_apgan.models.normalise.normalise`.
    valid : (Y, X) bool array

    Returns
    -------
    (len(FEATURES),) array or None
        Logarithm of the share of the power in each ring of spatial frequency (up to Nyquist),
        standard deviation, skewness, logarithm of the kurtosis, and
        the correlation of neighbours along x and y. None when fewer than a fifth of the pixels
        are measured, or the block is too small.
    """
    if min(image.shape) < 24 or valid.mean() < 0.2:
        return None
    values = image[valid].astype(np.float64)
    mean, std = float(values.mean()), float(values.std())
    if std < 1e-9:
        return None
    centred = np.where(valid, image - mean, 0.0)
    window = np.outer(np.hanning(image.shape[0]), np.hanning(image.shape[1]))
    power = np.abs(np.fft.rfft2(centred * window)) ** 2
    frequency = np.hypot(
        np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])[None, :]
    )
    ring = np.minimum((frequency / 0.5 * RINGS).astype(int), RINGS)
    share = np.bincount(ring.ravel(), power.ravel(), minlength=RINGS + 1)[:RINGS]
    share = np.log(share / share.sum() + 1e-4)
    z = (values - mean) / std
    skewness = float(np.mean(z**3))
    kurtosis = float(np.log(np.mean(z**4)))
    return np.array(
        [
            *share,
            std,
            skewness,
            kurtosis,
            _neighbour_correlation(centred, valid, 1, std),
            _neighbour_correlation(centred, valid, 0, std),
        ]
    )


def _neighbour_correlation(
    centred: Floats, valid: NDArray[np.bool_], axis: int, std: float
) -> float:
    first = [slice(None), slice(None)]
    second = [slice(None), slice(None)]
    first[axis], second[axis] = slice(None, -1), slice(1, None)
    both = valid[tuple(first)] & valid[tuple(second)]
    if not both.any():
        return 0.0
    product = centred[tuple(first)] * centred[tuple(second)]
    return float(product[both].mean()) / std**2


def frame_features(frame: Frame) -> tuple[Floats, list[tuple[slice, slice]]]:
    """Describe every block of a frame that is at the training pixel size.

    Returns
    -------
    features : (N, len(FEATURES)) array
    where : list of (rows, columns)
        The blocks described; those without enough data are left out.
    """
    image = normalise(frame)
    found: list[Floats] = []
    where: list[tuple[slice, slice]] = []
    for rows, cols in blocks(frame.shape):
        features = block_features(image[rows, cols], frame.valid[rows, cols])
        if features is not None:
            found.append(features)
            where.append((rows, cols))
    return np.array(found).reshape(-1, len(FEATURES)), where


def unfamiliarity(features: Floats, mean: Floats, std: Floats) -> Floats:
    """Tell how far blocks lie from the training blocks.

    Parameters
    ----------
    features : (N, F) array
    mean, std : (F,) array
        Of the training blocks.

    Returns
    -------
    (N,) array
        Root mean square of the z-scores (clipped at 8); about 1 for a familiar block.
    """
    z = np.abs(features - mean) / np.hypot(std, FLOOR)
    distance: Floats = np.sqrt(np.mean(np.minimum(z, LARGEST_Z) ** 2, axis=-1))
    return distance


def structured_contrast(features: Floats) -> Floats:
    """Return the standard deviation of each block less what white noise adds to it.

    Neighbouring pixels share structure but not white noise, so their correlation is the share of
    the variance that is structure.
    """
    column = {name: k for k, name in enumerate(FEATURES)}
    shared = 0.5 * (features[:, column["grain_x"]] + features[:, column["grain_y"]])
    contrast: Floats = features[:, column["contrast"]] * np.sqrt(np.maximum(shared, 0.0))
    return contrast
