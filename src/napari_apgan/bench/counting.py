"""Counting matches, and intervals of what follows from the counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apgan.measure import match

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Resamples of every bootstrap here.
RESAMPLES = 10_000
#: How many candidates of an image give the unit of a relative threshold.
STRONGEST = 40


@dataclass(frozen=True, slots=True)
class Counts:
    """Matched, false and missed atoms."""

    matched: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.matched + other.matched, self.false + other.false, self.missed + other.missed
        )

    @property
    def there(self) -> int:
        """How many atoms there are."""
        return self.matched + self.missed

    @property
    def found(self) -> int:
        """How many atoms were found, rightly or not."""
        return self.matched + self.false

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where nothing was found or there."""
        return 2 * self.matched / max(2 * self.matched + self.false + self.missed, 1)

    @property
    def precision(self) -> float:
        """Fraction of the found atoms that are there."""
        return self.matched / max(self.found, 1)

    @property
    def recall(self) -> float:
        """Fraction of the atoms there that were found."""
        return self.matched / max(self.there, 1)


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates of one image.

    Parameters
    ----------
    xy : (N, 2) array
        x, y in px.
    strength : (N,) array
        How sure the finder is of each: a probability, or the height of a peak.
    """

    xy: Floats
    strength: Floats

    def above(self, level: float, *, relative: bool = False) -> Floats:
        """Return the positions of candidates at least this strong.

        A relative level is a fraction of the mean strength of the image's strongest candidates.
        """
        if not len(self.xy):
            return self.xy
        unit = float(np.sort(self.strength)[-STRONGEST:].mean()) if relative else 1.0
        return self.xy[self.strength >= level * unit]


def count(
    found: Floats,
    truth: Floats,
    tolerance_px: float,
    box: tuple[float, float, float, float] | None = None,
) -> Counts:
    """Match over the whole frame, then count inside a box.

    A true atom just inside, found just outside, is a match; a found atom inside whose true atom
    lies outside counts neither way.

    Parameters
    ----------
    found, truth : (N, 2) arrays
        x, y in px.
    tolerance_px : float
    box : (x0, y0, x1, y1), optional
        In px; everywhere by default.
    """
    i, j = match(found, truth, tolerance_px)
    there, said = inside(truth, box), inside(found, box)
    matched = int(there[j].sum())
    said[i] = False
    return Counts(matched, int(said.sum()), int(there.sum()) - matched)


def inside(xy: Floats, box: tuple[float, float, float, float] | None) -> Bools:
    """Tell for (N, 2) positions which lie in (x0, y0, x1, y1); all without a box."""
    if box is None:
        return np.ones(len(xy), dtype=bool)
    x, y = xy[:, 0], xy[:, 1]
    inner: Bools = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    return inner


def pooled_f1(counts: Sequence[Counts]) -> float:
    """Return the F1 of all counts added up."""
    return sum(counts, Counts()).f1


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_gain(
    ours: Sequence[Sequence[Counts]], theirs: Sequence[Sequence[Counts]], *, seed: int = 0
) -> Interval:
    """Return the gain in pooled F1 with its 95 % interval, resampling groups.

    Parameters
    ----------
    ours, theirs : sequence of groups of Counts
        The same groups in the same order: fields with their images, or single images. A group is
        drawn as a whole, since its images are not independent, and for both methods alike.
    seed : int
        Of the resampling.
    """
    a, b = (
        np.array([[(t := sum(g, Counts())).matched, t.false, t.missed] for g in side], np.float64)
        for side in (ours, theirs)
    )

    def f1(totals: Floats) -> Floats:
        matched, false, missed = np.moveaxis(totals, -1, 0)
        value: Floats = 2 * matched / np.maximum(2 * matched + false + missed, 1)
        return value

    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(a), np.full(len(a), 1 / len(a)), RESAMPLES)
    gains = f1(weights @ a) - f1(weights @ b)
    low, high = np.percentile(gains, [2.5, 97.5])
    return Interval(float(f1(a.sum(0)) - f1(b.sum(0))), float(low), float(high))
