"""Large frames in pieces: the kernel learned where most atoms are, the rest tile by tile.

Tiles overlap by the reach of the kernel and a few neighbours, so that every atom is fitted with all
that reaches it, and memory follows the tile and not the frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.frames import Frame

from .fits import Fits, join
from .jointly import Begin, fits_of, kernel_of, run, spacing_px
from .kernels import Kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

#: Frames with more pixels or atoms than this are cut.
LARGEST_PX = 1300 * 1300
LARGEST_ATOMS = 8000
#: Atoms from which a kernel is learned, and about how many a tile holds.
LEARN_FROM = 2000
TILE_ATOMS = 8000
TILE_PX = 1024
#: Tiles or frames fitted at the same time; each takes about 150 MB.
THREADS = 2
#: Neighbours in nearest distances that a tile takes along beyond the kernel's reach.
NEIGHBOURS_ALONG = 3.0


def is_large(shape: tuple[int, int], n_atoms: int) -> bool:
    """Whether a frame is better fitted in pieces."""
    return shape[0] * shape[1] > LARGEST_PX or n_atoms > LARGEST_ATOMS


def fit_in_pieces(
    frame: Frame,
    start: Floats,
    elements: pd.Series,
    sign: Floats,
    kernel: Kernel | None,
    prior: Kernel | None,
) -> Fits:
    """Fit a large frame tile by tile; arguments as those of a fit of the whole."""
    spacing = spacing_px(start)
    if kernel is None:
        kernel = learn_from_part(frame, start, elements, sign, spacing, prior)
    halo = kernel.profile.reach_px + NEIGHBOURS_ALONG * spacing
    side = float(np.clip(spacing * np.sqrt(TILE_ATOMS), 4 * halo, TILE_PX))

    def fit(corners: tuple[Floats, Floats]) -> tuple[Ints, Fits] | None:
        low, high = corners
        inside = ((start >= low - halo) & (start < high + halo)).all(axis=1)
        which = np.flatnonzero(inside)
        own = ((start[which] >= low) & (start[which] < high)).all(axis=1)
        if not own.any():
            return None
        fits = _fit_part(frame, low - halo, high + halo, start, elements, sign, which, kernel)
        return which[own], fits.of(np.flatnonzero(own))

    # Transforms and sparse products let other threads run.
    with ThreadPoolExecutor(THREADS) as pool:
        done = [d for d in pool.map(fit, _tiles(frame.shape, side)) if d is not None]
    numbers, parts = [d[0] for d in done], [d[1] for d in done]
    return join(parts, np.argsort(np.concatenate(numbers)))


def _tiles(shape: tuple[int, int], side: float) -> Iterator[tuple[Floats, Floats]]:
    """Yield corners (x, y) of tiles; the outermost ones hold what lies beyond the frame too."""
    cuts = [
        np.linspace(-0.5, n - 0.5, max(int(np.ceil(n / side)), 1) + 1) for n in (shape[1], shape[0])
    ]
    for cut in cuts:
        cut[0], cut[-1] = -np.inf, np.inf
    for i in range(len(cuts[0]) - 1):
        for j in range(len(cuts[1]) - 1):
            yield np.array([cuts[0][i], cuts[1][j]]), np.array([cuts[0][i + 1], cuts[1][j + 1]])


def _cut(frame: Frame, low: Floats, high: Floats) -> tuple[Frame, Floats]:
    """Cut a rectangle out of a frame, and return where (x, y) it begins."""
    size = np.array(frame.shape[::-1])
    x0, y0 = np.clip(np.floor(np.nan_to_num(low, neginf=0.0)), 0, size - 1).astype(int)
    x1, y1 = np.clip(np.ceil(np.minimum(high, size)), 1, size).astype(int)
    part = replace(frame, data=frame.data[y0:y1, x0:x1], valid=frame.valid[y0:y1, x0:x1])
    return part, np.array([x0, y0], dtype=np.float64)


def _fit_part(
    frame: Frame,
    low: Floats,
    high: Floats,
    start: Floats,
    elements: pd.Series,
    sign: Floats,
    which: Ints,
    kernel: Kernel,
) -> Fits:
    part, origin = _cut(frame, low, high)
    begin = Begin.of(part, elements.iloc[which], start[which] - origin, sign[which])
    fits = fits_of(run(begin, part.valid, kernel, held=False), begin, sign[which])
    return replace(fits, xy=fits.xy + origin, start=fits.start + origin)


def learn_from_part(
    frame: Frame,
    start: Floats,
    elements: pd.Series,
    sign: Floats,
    spacing: float,
    prior: Kernel | None = None,
) -> Kernel:
    """Learn the kernel from the part with most kinds of atoms and most atoms."""
    side = spacing * np.sqrt(LEARN_FROM)
    names = elements.to_numpy(str)
    best: tuple[tuple[int, int], Floats, Floats] | None = None
    for low, high in _tiles(frame.shape, side):
        low, high = _bounded(low, high, frame.shape)
        inside = ((start >= low) & (start < high)).all(axis=1)
        rank = (len(np.unique(names[inside])), int(inside.sum()))
        if best is None or rank > best[0]:
            best = rank, low, high
    assert best is not None
    part, origin = _cut(frame, best[1], best[2])
    which = np.flatnonzero(((start >= best[1]) & (start < best[2])).all(axis=1))
    begin = Begin.of(part, elements.iloc[which], start[which] - origin, sign[which])
    kernel = kernel_of(run(begin, part.valid, None, held=False, prior=prior), begin)
    # What that part does not show is taken to look like the sharpest of what it does.
    blur = {str(n): min(kernel.blur_px2.values()) for n in np.unique(names)}
    return replace(kernel, blur_px2=blur | dict(kernel.blur_px2))


def _bounded(low: Floats, high: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    size = np.array(shape[::-1], dtype=np.float64)
    return np.maximum(low, -0.5), np.minimum(high, size - 0.5)
