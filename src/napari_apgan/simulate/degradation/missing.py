"""Pixels without a measurement: dead ones and lines, random loss, and all off a scan trajectory."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError

from .settings import Loss

Bools = NDArray[np.bool_]
Ints = NDArray[np.int_]

#: Length of a step of the scan trajectory in px: short enough to visit neighbouring pixels.
STEP_PX = 0.7
#: Path length (px) over which the trajectory forgets its direction.
STRAIGHT_PX = 40.0


def lost_count(shape: tuple[int, int], fraction: float) -> int:
    """Return how many pixels a fraction means, to the nearest whole one."""
    return round(fraction * shape[0] * shape[1])


def draw_loss(
    shape: tuple[int, int], loss: Loss, fraction: float, rng: np.random.Generator
) -> Bools:
    """Draw which pixels are lost; their number is exact.

    Parameters
    ----------
    shape : (int, int)
        (rows, columns).
    loss : {"none", "random", "trajectory"}
    fraction : float
        Of all pixels.
    rng : numpy Generator

    Returns
    -------
    (Y, X) bool array
        True where a pixel is lost.

    Raises
    ------
    UserError
        When no pixel would be left.
    """
    lost = np.zeros(shape[0] * shape[1], dtype=np.bool_)
    count = lost_count(shape, fraction) if loss != "none" else 0
    if count >= lost.size:
        raise UserError(
            f"A loss of {fraction:.4%} leaves none of the frame's {lost.size} pixels: lose fewer."
        )
    if count:
        if loss == "random":
            lost[rng.choice(lost.size, count, replace=False)] = True
        else:
            lost[:] = True
            lost[scan_trajectory(shape, lost.size - count, rng)] = False
    return lost.reshape(shape)


def scan_trajectory(shape: tuple[int, int], n_pixels: int, rng: np.random.Generator) -> Ints:
    """Draw a smooth random path and return the pixels it visits, in the order of first visits.

    The direction of the path is a random walk, so that it bends gently; at the borders it is
    reflected. It goes on until exactly `n_pixels` different pixels were visited.

    Parameters
    ----------
    shape : (int, int)
        (rows, columns).
    n_pixels : int
        At most the number of pixels.
    rng : numpy Generator

    Returns
    -------
    (n_pixels,) int array
        Flat indices.
    """
    rows, columns = shape
    size = np.array([columns, rows], dtype=np.float64)
    position = rng.uniform(0.0, size)
    direction = rng.uniform(0.0, 2 * math.pi)
    turn = math.sqrt(2 * STEP_PX / STRAIGHT_PX)
    visited = np.zeros(0, dtype=np.int_)
    chunk = max(2 * n_pixels, 256)
    while len(visited) < n_pixels:
        angle = direction + np.cumsum(rng.normal(0.0, turn, chunk))
        steps = STEP_PX * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        path = position + np.cumsum(steps, axis=0)
        # Unfolded reflections: the path runs straight on through mirror images of the frame.
        position, direction = path[-1] % (2 * size), float(angle[-1])
        folded = np.abs((path + size) % (2 * size) - size)
        x, y = np.minimum(folded, np.nextafter(size, 0.0)).astype(np.int_).T
        visited = _first_visits(np.concatenate([visited, y * columns + x]))
    return visited[:n_pixels]


def _first_visits(pixels: Ints) -> Ints:
    """Return each value once, in the order of first appearance."""
    _, first = np.unique(pixels, return_index=True)
    kept: Ints = pixels[np.sort(first)]
    return kept


def draw_dead(
    shape: tuple[int, int], fraction: float, lines: int, rng: np.random.Generator
) -> tuple[Bools, int, tuple[int, ...]]:
    """Draw dead pixels and dead rows.

    Parameters
    ----------
    shape : (int, int)
    fraction : float
        Single dead pixels, of all pixels.
    lines : int
        Dead rows.
    rng : numpy Generator

    Returns
    -------
    dead : (Y, X) bool array
    n_pixels : int
        Single dead pixels.
    rows : tuple of int
        Dead rows, from the top.

    Raises
    ------
    UserError
        When there are no more rows than dead ones.
    """
    dead = np.zeros(shape, dtype=np.bool_)
    if lines >= shape[0] and lines:
        raise UserError(
            f"A frame of {shape[0]} rows cannot have {lines} dead ones: give fewer dead lines."
        )
    count = lost_count(shape, fraction)
    if count:
        dead.flat[rng.choice(dead.size, count, replace=False)] = True
    rows = tuple(sorted(int(r) for r in rng.choice(shape[0], lines, replace=False)))
    dead[list(rows)] = True
    return dead, count, rows
