"""Cut an image into tiles whose answers fit together without a seam."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .prediction import Box

#: Tiles are never halved below this (px): a smaller one is mostly halo.
SMALLEST_TILE = 64


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece: what the network reads and what is kept of its answer, as boxes in px."""

    read: Box
    keep: Box


def halo_px(receptive_field_px: int, stride: int) -> int:
    """Return how far beyond a tile the network must see, a multiple of its stride.

    An output pixel depends on input pixels at most half the receptive field away.
    """
    return math.ceil(receptive_field_px / 2 / stride) * stride


def cut(box: Box, shape: tuple[int, int], tile_px: int, halo: int, stride: int) -> Iterator[Tile]:
    """Cut `box` of an image of (rows, columns) into tiles, row by row.

    Every tile begins and ends at a multiple of the stride (`shape` is one itself), so that the
    network groups pixels as it does for the whole image.
    """
    step = max(tile_px // stride, 1) * stride
    x0, y0 = (edge // stride * stride for edge in box[:2])
    for top in range(y0, box[3], step):
        bottom = min(top + step, _up(box[3], stride))
        for left in range(x0, box[2], step):
            right = min(left + step, _up(box[2], stride))
            keep = (left, top, right, bottom)
            read = (
                max(left - halo, 0),
                max(top - halo, 0),
                min(right + halo, shape[1]),
                min(bottom + halo, shape[0]),
            )
            yield Tile(read, keep)


def _up(value: int, stride: int) -> int:
    return -(-value // stride) * stride


def tile_side(operations_per_px: float, halo: int, *, gpu: bool) -> int:
    """Choose the side of a tile in px.

    Large enough that the halo costs less than the tile where it can be, small enough that a tile
    takes about a second (cancelling waits for it) and fits in memory: 1e11 multiply-adds on a CPU,
    thirty times that on a GPU.
    """
    budget, largest = (3e12, 2048) if gpu else (1e11, 1024)
    side = math.sqrt(budget / max(operations_per_px, 1.0)) - 2 * halo
    return int(min(max(side, 2 * halo, 128), largest)) // 32 * 32
