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
    x0, y0 = (edge // stride * stride for edge in box[:2])
    down, right_by = _step(box[3] - y0, tile_px, stride), _step(box[2] - x0, tile_px, stride)
    for top in range(y0, box[3], down):
        bottom = min(top + down, _up(box[3], stride))
        for left in range(x0, box[2], right_by):
            right = min(left + right_by, _up(box[2], stride))
            keep = (left, top, right, bottom)
            read = (
                max(left - halo, 0),
                max(top - halo, 0),
                min(right + halo, shape[1]),
                min(bottom + halo, shape[0]),
            )
            yield Tile(read, keep)


def _step(length: int, tile_px: int, stride: int) -> int:
    """Share `length` out evenly among as few tiles as there must be."""
    largest = max(tile_px // stride, 1) * stride
    return min(_up(math.ceil(length / math.ceil(length / largest)), stride), largest)


def _up(value: int, stride: int) -> int:
    return -(-value // stride) * stride


def tile_side(operations_per_px: float, halo: int, *, gpu: bool) -> int:
    """Choose the side of a tile in px.

    As large as time and memory allow, since every tile computes its halo too: 2.5e11
    multiply-adds on a CPU (some seconds), twelve times that on a GPU.
    """
    budget, largest = (3e12, 2048) if gpu else (2.5e11, 2048)
    side = math.sqrt(budget / max(operations_per_px, 1.0)) - 2 * halo
    return int(min(max(side, 2 * halo, 128), largest)) // 32 * 32
