"""By how much one image lies beside another: correlation over what both measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import gaussian_filter, maximum_filter

from napari_apgan.frames import Frame

from .spacing import estimate_scale, flattened
from .vertex import paraboloid_vertex

Floats = NDArray[np.float64]
Image = NDArray[np.float32]

#: Images are correlated at no more than this many px along a side.
LARGEST = 512
#: Shifts that leave less than this part of the pixels in common are not looked at.
LEAST_OVERLAP = 0.3
#: Differences between correlations below this come from thickness and illumination, not from noise.
LEAST_DIFFERENCE = 0.01
#: Maxima this many standard errors below the highest cannot be meant.
HOPELESS = 8.0
#: By how much one cell of a lattice in common would leave a correlation uncertain.
OF_A_CELL = 0.15
MOST_CANDIDATES = 400
#: However unlikely a jump is, this much of log likelihood outweighs it: stages do jump.
MOST_PENALTY = 12.0
#: Log likelihood by which the second best shift must lie behind for the first to be sure.
SURE = 4.5


@dataclass(frozen=True, slots=True)
class Prepared:
    """A frame made ready to be compared.

    Parameters
    ----------
    band : (Y, X) array
        The frame band-passed: without what varies slowly, smoothed by less than a peak; 0 where
        nothing was measured, and of unit variance.
    weight : (Y, X) array
        How much of the neighbourhood was measured, 0 to 1.
    """

    band: Image
    weight: Image


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes a series is compared with, in px of its frames.

    Parameters
    ----------
    width_px : float
        Standard deviation of a peak.
    spacing_px : float or None
        Of the lattice, where there is one.
    """

    width_px: float
    spacing_px: float | None

    @classmethod
    def of(cls, frame: Frame) -> Sizes:
        """Estimate them from one frame."""
        scale = estimate_scale(frame)
        return cls(scale.width_px, scale.spacing_px)

    @property
    def smooth_px(self) -> float:
        """Smoothing that loses nothing of a peak's place."""
        return float(np.clip(0.7 * self.width_px, 0.8, 6.0))

    @property
    def flatten_px(self) -> float:
        """What varies slower than this is background.

        Much slower than the lattice, since an edge of the specimen and its defects tell which of
        the lattice's copies is meant.
        """
        wide = 2.0 * self.spacing_px if self.spacing_px else 0.0
        return float(max(wide, 6.0 * self.width_px, 8.0))


def prepare(frame: Frame, sizes: Sizes) -> Prepared:
    """Band-pass a frame over its measured pixels."""
    flat = flattened(frame, sizes.flatten_px).astype(np.float32)
    weight = frame.valid.astype(np.float32)
    near = gaussian_filter(weight, sizes.smooth_px, mode="reflect", truncate=3.0)
    band = gaussian_filter(flat, sizes.smooth_px, mode="reflect", truncate=3.0)
    measured = near > 0.1
    band = np.where(measured, band / np.maximum(near, 0.1), 0.0)
    spread = float(band[measured].std()) if measured.any() else 0.0
    near = np.where(measured, np.minimum(near, 1.0), 0.0)
    # What the filters make of a border stands still while the specimen drifts.
    border = max(1, round(sizes.smooth_px))
    near[:border] = near[-border:] = near[:, :border] = near[:, -border:] = 0.0
    if spread > 0:
        band = band / spread
    return Prepared(band.astype(np.float32), near.astype(np.float32))


def reduced(image: Image, by: int) -> Image:
    """Average blocks of `by` x `by` px; what is left over at the far borders is cut off."""
    if by == 1:
        return image
    rows, columns = (length // by for length in image.shape)
    blocks = image[: rows * by, : columns * by].reshape(rows, by, columns, by)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def reduction(shape: tuple[int, int], sizes: Sizes) -> int:
    """Return by how many px images are reduced before they are correlated."""
    by_size = -(-max(shape) // LARGEST)
    by_width = int(sizes.width_px / 2.0)
    return max(1, by_size, by_width)


class Reference:
    """What frames are compared with.

    Its transforms are made once, for all frames that meet it.

    Parameters
    ----------
    prepared : Prepared
    by : int
        Reduction, see :func:`reduction`.
    reach_px : float
        Largest shift that will be asked for, in px of the frames.
    """

    def __init__(self, prepared: Prepared, by: int, reach_px: float) -> None:
        self.by = by
        weight = reduced(prepared.weight, by)
        band = reduced(prepared.band, by) * weight
        rows, columns = band.shape
        self.reach = (
            min(int(np.ceil(reach_px / by)), int(0.7 * rows)),
            min(int(np.ceil(reach_px / by)), int(0.7 * columns)),
        )
        self.size = tuple(
            next_fast_len(n + r, real=True) for n, r in zip(band.shape, self.reach, strict=True)
        )
        self._band = np.conj(rfft2(band, s=self.size))
        self._square = np.conj(rfft2(band * band, s=self.size))
        self._weight = np.conj(rfft2(weight, s=self.size))
        self.full = float(weight.sum())

    def correlation(self, frame: Prepared) -> tuple[Floats, Floats]:
        """Correlate with a frame at every shift within reach.

        D. Padfield, IEEE Trans. Image Process. 21 (2012) 2706-2718: sums over the pixels that both
        measured, by Fourier transforms of image, square and mask. The band-passed images have no
        mean to take away.

        Parameters
        ----------
        frame : Prepared

        Returns
        -------
        correlation : (2 R + 1, 2 C + 1) array
            Normalised, -1 to 1; shift zero in the middle.
        overlap : array of the same shape
            Number of common pixels of the reduced images.
        """
        weight = reduced(frame.weight, self.by)
        band = reduced(frame.band, self.by) * weight
        weight_there = rfft2(weight, s=self.size)
        product = self._cut(rfft2(band, s=self.size) * self._band)
        mine = self._cut(weight_there * self._square)
        theirs = self._cut(rfft2(band * band, s=self.size) * self._weight)
        overlap = self._cut(weight_there * self._weight)
        scale = np.sqrt(np.maximum(mine, 0) * np.maximum(theirs, 0))
        usable = (overlap > LEAST_OVERLAP * self.full) & (scale > 1e-6 * max(scale.max(), 1e-12))
        correlation = np.where(usable, product / np.where(usable, scale, 1.0), 0.0)
        return np.clip(correlation, -1, 1), overlap

    def _cut(self, product: NDArray[np.complexfloating]) -> Floats:
        full = irfft2(product, s=self.size)
        (up, across) = self.reach
        rolled = np.roll(full, (up, across), axis=(0, 1))
        return np.asarray(rolled[: 2 * up + 1, : 2 * across + 1], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Shifts that may be the right one, highest correlation first.

    Parameters
    ----------
    shift_px : (N, 2) array
        x and y, in px of the frames: what is at p in the reference is at p + shift in the frame.
    correlation : (N,) array
    error : (N,) array
        Standard error of the difference to the highest correlation, by noise, thickness and light.
    chance : float
        Correlations below this appear where the images have nothing in common.
    """

    shift_px: Floats
    correlation: Floats
    error: Floats
    chance: float

    @property
    def any(self) -> bool:
        """Whether the images have something in common."""
        return bool(len(self.correlation) and self.correlation[0] >= self.chance)


def choose(found: Candidates, expected: Floats, sizes: Sizes) -> tuple[int, bool]:
    """Choose among the shifts that fit the one that is likely and near to what is expected.

    Returns
    -------
    best : int
        Its row.
    rival : bool
        Whether another one fits as well, so that only the expectation tells.
    """
    off = (found.correlation - found.correlation[0]) / found.error
    likely = -0.5 * off**2
    away = np.hypot(*(found.shift_px - expected).T)
    spread = max(0.25 * (sizes.spacing_px or 4 * sizes.width_px), 1.0)
    score = likely - np.minimum(0.5 * (away / spread) ** 2, MOST_PENALTY)
    best = int(score.argmax())
    apart = np.hypot(*(found.shift_px - found.shift_px[best]).T) > 1.5 * sizes.width_px
    return best, bool((apart & (likely > likely[best] - SURE)).any())


def candidates(reference: Reference, frame: Prepared, sizes: Sizes) -> Candidates:
    """Find the maxima of the correlation.

    Smoothing by s leaves one independent value in 4 pi s² px; with N of them in common the
    correlation scatters by ``(1 - c²) / sqrt(N)``.
    """
    correlation, overlap = reference.correlation(frame)
    by = reference.by
    smooth = max(sizes.width_px / by, 0.8)
    window = max(3, 2 * round(1.2 * smooth) + 1)
    peak = (correlation == maximum_filter(correlation, size=window)) & (correlation > 0.02)
    rows, columns = np.nonzero(peak)
    patch = max(4 * np.pi * (sizes.smooth_px / by) ** 2, 1.0)
    number = max(float(overlap.max()) / patch, 2.0)
    chance = float(np.sqrt(2 * (np.log(max(correlation.size / patch, 2.0)) + 4.0) / number))
    if not len(rows):
        return Candidates(np.empty((0, 2)), np.empty(0), np.empty(0), chance)
    value, common = correlation[rows, columns], overlap[rows, columns]
    highest = float(value.max())
    error = np.sqrt(2 * patch / np.maximum(common, patch)) * (1 - highest**2) + LEAST_DIFFERENCE
    if sizes.spacing_px is not None:
        # Atoms that come and go scatter it too: the fewer cells in common, the more.
        error += OF_A_CELL / np.sqrt(np.maximum(common * (by / sizes.spacing_px) ** 2, 1.0))
    order = np.argsort(-value, kind="stable")[:MOST_CANDIDATES]
    order = order[value[order] >= highest - HOPELESS * error[order]]
    rows, columns, value, error = rows[order], columns[order], value[order], error[order]
    half = max(1, round(0.7 * smooth))
    middle = np.array([reference.reach[1], reference.reach[0]])
    vertices = [
        paraboloid_vertex(correlation, int(c), int(r), half)
        for r, c in zip(rows, columns, strict=True)
    ]
    shift = (np.array(vertices) - middle) * by
    return Candidates(shift, value, error, chance)
