"""Simulated series that drift, with atoms that come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_apgan.frames import Frame
from napari_apgan.simulate.linear import PeakShape, render

Floats = np.ndarray


@dataclass(frozen=True)
class Drifting:
    """A series: frames, the drift, where each atom is in each frame, and whether it is there."""

    frames: list[Frame]
    drift: Floats
    sites: Floats
    places: Floats
    there: Floats


def drifting(
    seed: int,
    *,
    kind: Literal["particle", "crystal"] = "particle",
    n_frames: int = 10,
    size: int = 96,
    spacing: float = 11.0,
    snr: float = 1.0,
    vanishing: float = 0.05,
    moving: float = 0.0,
    missing: float = 0.0,
    bend: float = 0.0,
    step: float = 1.2,
) -> Drifting:
    """Simulate it; the frame in the middle stands still, noise is white, positions are in px."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 1.5)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    cells = np.array(np.meshgrid(np.arange(-20, 21), np.arange(-20, 21))).reshape(2, -1).T
    sites = spacing * cells @ turn.T + size / 2 + rng.uniform(0, spacing, 2)
    if kind == "particle":
        near = np.hypot(*(sites - size / 2).T) < 0.36 * size
    else:
        near = (np.abs(sites - size / 2) < size).all(axis=1)
    sites, cells = sites[near], cells[near]
    height = np.where((cells.sum(axis=1) % 2 == 0) | (kind == "crystal"), 1.0, 0.7)
    drift = np.cumsum(rng.normal(0.3, step, (n_frames, 2)), axis=0)
    drift -= drift[n_frames // 2]
    places, there, images = [], [], []
    for t in range(n_frames):
        wave = np.column_stack(
            [
                np.sin(2 * np.pi * sites[:, 1] / size + t),
                np.cos(2 * np.pi * sites[:, 0] / size + 2 * t),
            ]
        )
        place = sites + drift[t] + bend * wave + rng.normal(0, moving, sites.shape)
        here = rng.random(len(sites)) >= vanishing
        peak = PeakShape((2.2,), (1.0,))
        images.append(render(place[here], height[here], peak, 1.0, (size, size)))
        places.append(place)
        there.append(here)
    noise = float(np.mean([image.std() for image in images])) / np.sqrt(snr)
    frames = []
    for t, image in enumerate(images):
        valid = rng.random(image.shape) >= missing
        noisy = image + rng.normal(0, noise, image.shape)
        frames.append(Frame(np.where(valid, noisy, 0).astype(np.float32), valid, index=t))
    return Drifting(frames, drift, sites, np.array(places), np.array(there))
