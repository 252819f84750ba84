"""The stacked filter for series: a Wiener filter over the block of many frames.

S. Huang et al., Ultramicroscopy 240 (2022) 113560, stack the frames of a series into a cube and
apply the Wiener filter to its three-dimensional spectrum: what stays the same from frame to frame
gathers in few frequencies and stands far above the noise, which is spread over all of them. The
published abstract is the source; how the background is estimated is our own choice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct, irfft2, rfft2

from .fourier import Rings, band, gain_of

Cube = NDArray[np.float32]
Place = tuple[slice, slice, slice]


def filter_cube(cube: Cube, strength: float, smallest_px: float) -> Cube:
    """Filter a block of frames.

    Along time the transform is a cosine transform, so that the last frame is no neighbour of the
    first. Noise is white in time, and a specimen is not: in every ring of spatial frequencies the
    background is the median over the frequencies in time.

    Parameters
    ----------
    cube : (T, Y, X) array
        Without missing pixels, T at least 2.
    strength : float
        The background is multiplied by this.
    smallest_px : float
        Periods below this are taken away; 0 keeps all.

    Returns
    -------
    (T, Y, X) float32 array
    """
    frames, rows, columns = cube.shape
    in_time = dct(cube.astype(np.float32), axis=0, norm="ortho")
    rings = Rings.of((rows, columns))
    edge = band(rings, smallest_px, 0.0, 0.2) if smallest_px > 0 else None
    # One plane at a time: the whole spectrum would hold twice the cube again.
    profiles = np.stack([rings.background(_power(in_time[k])) for k in range(frames)])
    background = np.median(profiles[1:], axis=0).astype(np.float32)[rings.number]
    for k in range(frames):
        spectrum = rfft2(in_time[k])
        gain = gain_of((np.abs(spectrum) ** 2).astype(np.float32), background, "wiener", strength)
        gain[0, 0] = 1.0
        if edge is not None:
            gain *= edge
        in_time[k] = irfft2(spectrum * gain, s=(rows, columns))
    return np.asarray(idct(in_time, axis=0, norm="ortho"), dtype=np.float32)


def _power(plane: Cube) -> NDArray[np.float32]:
    return np.asarray(np.abs(rfft2(plane)) ** 2, dtype=np.float32)


def plan_cubes(shape: tuple[int, int, int], frames: int, largest: int) -> list[Place]:
    """Cut a series into blocks that overlap.

    Parameters
    ----------
    shape : (int, int, int)
        (frames, rows, columns).
    frames : int
        Most frames of a block.
    largest : int
        Most values of a block; frames are cut into tiles where it would hold more.

    Returns
    -------
    list of (slice, slice, slice)
    """
    depth = min(frames, shape[0])
    side = max(64, int((largest / depth) ** 0.5))
    spans = [overlapping(shape[0], depth, depth // 2)]
    spans += [overlapping(length, side, side // 8) for length in shape[1:]]
    return [(when, rows, columns) for when in spans[0] for rows in spans[1] for columns in spans[2]]


def overlapping(length: int, largest: int, overlap: int) -> list[slice]:
    """Cut a length into parts of at most `largest` that overlap by at least `overlap`."""
    if length <= largest:
        return [slice(0, length)]
    number = -(-(length - overlap) // (largest - overlap))
    starts = np.linspace(0, length - largest, number).round().astype(int).tolist()
    return [slice(start, start + largest) for start in starts]
