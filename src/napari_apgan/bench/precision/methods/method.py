"""What a method of ``apgan bench precision`` is: what it learns from, and how it answers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from napari_apgan.atoms import positions
from napari_apgan.frames import Frame
from napari_apgan.simulate.pairs import SimulatedPair

#: What an answer is called: read from the map, refined on the raw frame, or neither.
MAP, OFFERED, ONLY = "map", "offered", "positions"
#: The same map of another program, with atoms read from it as from ours.
READ = "map, read by ours"
#: Key of `DataFrame.attrs` under which an answer holds what it took, in seconds.
SECONDS = "seconds"

Answers = list[tuple[str, pd.DataFrame]]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a method learns from.

    Parameters
    ----------
    train, validation : sequence of SimulatedPair
    seed : int
    folder : Path
        Where it may keep what it learned.
    """

    train: Sequence[SimulatedPair]
    validation: Sequence[SimulatedPair]
    seed: int
    folder: Path

    def digest(self, settings: str) -> str:
        """Return a name for what is learned from and how, so no other run is taken for it."""
        total = hashlib.sha256(settings.encode())
        for part in (self.train, self.validation):
            total.update(str(len(part)).encode())
            for made in part:
                frame, atoms = made.pair.frame, made.pair.atoms
                total.update(np.ascontiguousarray(frame.data).tobytes())
                total.update(np.ascontiguousarray(frame.valid).tobytes())
                total.update(positions(atoms).tobytes())
                total.update(",".join(atoms["element"].tolist()).encode())
        return total.hexdigest()[:12]


class Method(Protocol):
    """Something that finds atoms.

    Methods without training take no time to fit. Each table of an answer tells in
    ``attrs["seconds"]`` what it took.
    """

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        ...

    def fit(self, lesson: Lesson) -> float:
        """Learn or tune, and return the seconds that it took; may be called again."""
        ...

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Find the atoms of a frame; only rows without information look at the truth."""
        ...


def timed(label: str, find: Callable[[], pd.DataFrame]) -> tuple[str, pd.DataFrame]:
    """Return an answer that knows what it took."""
    begun = time.perf_counter()
    table = find()
    table.attrs[SECONDS] = time.perf_counter() - begun
    return label, table


def set_threads(threads: int | None) -> None:
    """Let torch use so many threads of this process; None changes nothing."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
