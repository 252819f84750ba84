"""What one frame of a folder shows: blank or not, its lattice, how fine its detail is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_apgan.frames import Frame
from napari_apgan.simulate.match.lattice import spectrum_peaks

from .spacing import ROUNDING, flattened

Floats = NDArray[np.float64]

#: Part of a frame that is looked at, in px.
LARGEST = 512
#: As many of the strongest peaks of the power spectrum count.
MOST_PEAKS = 24
#: White noise smoothed over this many px keeps 1 / (4 pi s²) of its variance.
SMOOTHING = 1.5
#: With less than this many times that, an image shows nothing but noise.
BLANK = 1.35
#: Part of the peaks' weight that a lattice explains at least.
LATTICE_SHARE = 0.35
#: Side of the small picture that tells images apart.
THUMB = 32


@dataclass(frozen=True, slots=True)
class Shown:
    """What a frame shows.

    Parameters
    ----------
    blank : str
        Why there is nothing on it; empty otherwise.
    peaks : (P, 3) array
        Frequencies along x and y in cycles per px, and weight; strongest first.
    basis : (2, 2) array or None
        Two reciprocal translations (x, y) in cycles per px that index the peaks.
    finest_px : float or None
        Finest period in px that stands out of the noise.
    skewness : float
        Of the image without background: positive where bright peaks stand on dark ground.
    thumb : (32, 32) float16 array
        The image in little, mean 0 and length 1.
    """

    blank: str
    peaks: Floats
    basis: Floats | None
    finest_px: float | None
    skewness: float
    thumb: NDArray[np.float16]


def show(frame: Frame) -> Shown:
    """Measure a frame; its middle stands for it."""
    rows, columns = frame.shape
    side = min(LARGEST, rows, columns)
    top, left = (rows - side) // 2, (columns - side) // 2
    window = np.s_[top : top + side, left : left + side]
    part = Frame(frame.data[window], frame.valid[window])
    thumb = thumbnail(frame)
    nothing = np.empty((0, 3))
    if not part.valid.any() or side < 16:
        return Shown("too small or without data in its middle", nothing, None, None, 0.0, thumb)
    flat = flattened(part, min(max(side / 12, 6.0), 30.0))
    spread = float(flat[part.valid].std())
    if spread <= ROUNDING * max(float(np.abs(part.data).max()), 1e-30):
        return Shown("every pixel has the same value", nothing, None, None, 0.0, thumb)
    peaks, rings = spectrum_peaks(flat, most=MOST_PEAKS, below=0.48)
    finest = _finest(rings, side, peaks)
    smooth = gaussian_filter(flat, SMOOTHING)
    structure = float(smooth.var()) / spread**2 * 4 * math.pi * SMOOTHING**2
    blank = ""
    if structure < BLANK and len(peaks) < 2:
        blank = "nothing but noise"
    skewness = float(np.mean((smooth / max(float(smooth.std()), 1e-30)) ** 3))
    return Shown(blank, peaks, find_basis(peaks, 2.0 / side), finest, skewness, thumb)


def thumbnail(frame: Frame) -> NDArray[np.float16]:
    """Return the frame in little: means over 32 x 32 blocks, mean 0 and length 1."""
    weight = frame.valid.astype(np.float64)
    edges = [np.linspace(0, n, THUMB + 1).astype(int)[:-1] for n in frame.shape]
    if min(frame.shape) < THUMB:
        return np.zeros((THUMB, THUMB), dtype=np.float16)

    def blocks(a: Floats) -> Floats:
        summed: Floats = np.add.reduceat(np.add.reduceat(a, edges[0], axis=0), edges[1], axis=1)
        return summed

    little = blocks(frame.data * weight) / np.maximum(blocks(weight), 1.0)
    little -= little.mean()
    length = float(np.linalg.norm(little))
    return (little / length if length > 0 else little * 0).astype(np.float16)


def likeness(one: NDArray[np.float16], other: NDArray[np.float16]) -> float:
    """Return the correlation of two small pictures, -1..1."""
    return float((one.astype(np.float64) * other.astype(np.float64)).sum())


def _finest(rings: Floats, side: int, peaks: Floats) -> float | None:
    """Return the finest period: of the finest peak, or where the rings sink into their floor."""
    k = np.arange(len(rings)) / side
    floor = float(np.median(rings[(k > 0.4) & (k < 0.5)]))
    above = np.flatnonzero((rings > 2.0 * floor) & (k > 0.02) & (k < 0.4))
    # The last ring of an unbroken run from low frequencies on.
    run = (
        above[: int(np.argmax(np.diff(above, append=len(rings) * 2) > 3)) + 1]
        if len(above)
        else above
    )
    limits = [float(k[run[-1]])] if len(run) > 3 else []
    if len(peaks):
        limits.append(float(np.hypot(peaks[:, 0], peaks[:, 1]).max()))
    return 1 / max(limits) if limits else None


def find_basis(peaks: Floats, tolerance: float = 0.004) -> Floats | None:
    """Return the two reciprocal translations that index most of the peaks; None without a lattice.

    A fine lattice indexes anything: of the weight that a pair of peaks indexes, what it would index
    of peaks at random places, ``pi tolerance² / area``, is taken off.

    Parameters
    ----------
    peaks : (P, 3) array
        Frequencies x, y in cycles per px, and weight.
    tolerance : float
        In cycles per px.
    """
    if len(peaks) < 2:
        return None
    k, weight = peaks[:, :2], peaks[:, 2]
    total = float(weight.sum())
    best, most = None, 0.0
    for i in range(min(len(k), 12)):
        for j in range(i + 1, min(len(k), 12)):
            pair = k[[i, j]]
            area = abs(float(np.linalg.det(pair)))
            if area < 0.3 * float(np.linalg.norm(pair, axis=1).prod()):
                continue
            index = np.rint(k @ np.linalg.inv(pair))
            far = np.hypot(*(k - index @ pair).T)
            score = float(weight[far < tolerance].sum())
            score -= min(math.pi * tolerance**2 / area, 1.0) * total
            if score > most * 1.001:
                best, most = pair, score
    if best is None or most < LATTICE_SHARE * total:
        return None
    return _reduced(best)


def _reduced(basis: Floats) -> Floats:
    """Return the two shortest translations (Lagrange and Gauss), with no acute angle left open."""
    a, b = basis
    for _ in range(50):
        if b @ b < a @ a:
            a, b = b, a
        times = round(float(a @ b / (a @ a)))
        if times == 0:
            break
        b = b - times * a
    return np.array([a, b if a @ b >= 0 else -b])


def symmetry(basis: Floats) -> str:
    """Name the lattice of two reduced translations, whose angle is 60 to 90 degrees."""
    one, other = np.linalg.norm(basis, axis=1)
    angle = math.degrees(math.acos(float(np.clip(basis[0] @ basis[1] / (one * other), -1, 1))))
    alike = abs(math.log(other / one)) < 0.06
    if abs(angle - 90) < 4:
        return "square" if alike else "rectangular"
    if alike:
        return "hexagonal" if abs(angle - 60) < 4 else "rhombic"
    return "oblique"
