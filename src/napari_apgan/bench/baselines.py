"""Finders without learning, tuned by search, to compare with. numpy and scipy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import Delaunay, QhullError

from .counting import Counts, Found

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DogSettings:
    """A difference-of-Gaussians peak finder.

    Parameters
    ----------
    inner_px, outer_px : float
        Standard deviations of the two Gaussians.
    distance_px : float
        A peak is the largest value within this distance.
    scale : {"global", "root", "local"}
        What the difference is measured in: its own spread over the frame (median absolute
        deviation); the same after a square root, which makes counting noise even; its local root
        mean square.
    """

    inner_px: float
    outer_px: float
    distance_px: float
    scale: str = "global"


def dog_peaks(image: NDArray[np.floating], settings: DogSettings) -> tuple[Floats, Floats]:
    """Find bright peaks.

    Returns
    -------
    xy : (N, 2) array
        x, y in px, refined with a parabola per axis.
    height : (N,) array
        Height of the difference in units of `scale`, always positive.
    """
    source = np.asarray(image, dtype=np.float64)
    if settings.scale == "root":
        source = np.sqrt(np.maximum(source, 0.0))
    blurred = gaussian_filter(source, settings.inner_px)
    difference = blurred - gaussian_filter(source, settings.outer_px)
    if settings.scale == "local":
        power = gaussian_filter(difference**2, 3 * settings.outer_px)
        difference = difference / np.sqrt(np.maximum(power, 1e-30))
    else:
        middle = np.median(difference)
        difference = difference / max(1.4826 * np.median(np.abs(difference - middle)), 1e-30)
    reach = int(settings.distance_px)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    near = np.hypot(dx, dy) <= settings.distance_px
    rows, columns = np.nonzero(
        (difference == maximum_filter(difference, footprint=near)) & (difference > 0)
    )
    height = difference[rows, columns]
    padded = np.pad(difference, 1, mode="edge")
    y, x = rows + 1, columns + 1
    xy = np.column_stack(
        [
            columns + _vertex(padded[y, x - 1], height, padded[y, x + 1]),
            rows + _vertex(padded[y - 1, x], height, padded[y + 1, x]),
        ]
    )
    return xy, height


def _vertex(before: Floats, at: Floats, after: Floats) -> Floats:
    """Return where the parabola through three neighbours has its vertex, -1/2..1/2."""
    bend = 2 * at - before - after
    shift: Floats = np.where(bend > 0, 0.5 * (after - before) / np.where(bend > 0, bend, 1), 0)
    return np.clip(shift, -0.5, 0.5)


def dual(centres: Floats, longest_px: float) -> Floats:
    """Return the middles of the Delaunay triangles of ring centres: the atoms of graphene.

    Parameters
    ----------
    centres : (N, 2) array
        Bright ring centres x, y in px.
    longest_px : float
        Triangles with a longer edge (at the border, across a gap) hold no atom.

    Returns
    -------
    (M, 2) array
    """
    try:
        corners = centres[Delaunay(centres).simplices]
    except (QhullError, ValueError):  # fewer than three centres, or all on a line
        return np.empty((0, 2))
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    middles: Floats = corners[edges < longest_px].mean(axis=1)
    return middles


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best of a search: its finder, what it counted on the frames searched, and its words."""

    find: Callable[[NDArray[np.floating]], Floats]
    counts: Counts
    description: str


Counter = Callable[[int, Floats], Counts]
"""Counts the positions found on the frame of that number."""


class DogSearch:
    """Every setting and threshold of the peak finder, counted once on every image.

    Choosing for one set of images and counting on another is then a matter of sums.

    Parameters
    ----------
    images : sequence of (Y, X) arrays
    count : callable
        Counts the positions found on the image of that number.
    relative : bool
        Whether thresholds are relative to the strongest peaks of each image.
    """

    def __init__(
        self,
        images: Sequence[NDArray[np.floating]],
        count: Counter,
        *,
        relative: bool = False,
    ) -> None:
        grid = product(("global", "root", "local"), (1.5, 2.0, 2.5, 3.0), (4.0, 6.0, 8.0, 12.0))
        self._settings = [DogSettings(inner, outer, 6.0, scale) for scale, inner, outer in grid]
        self._relative = relative
        self._levels = np.arange(0.4, 1.2, 0.03) if relative else np.arange(1.5, 9.0, 0.25)
        self._counts: list[list[list[Counts]]] = []  # by setting, level, image
        for settings in self._settings:
            found = [Found(*dog_peaks(image, settings)) for image in images]
            self._counts.append(
                [
                    [count(k, f.above(level, relative=relative)) for k, f in enumerate(found)]
                    for level in self._levels.tolist()
                ]
            )

    def best(self, numbers: Sequence[int]) -> Tuned:
        """Return the setting and threshold with the best F1 over the images of these numbers."""
        totals = [
            (sum((images[n] for n in numbers), Counts()), s, k)
            for s, levels in enumerate(self._counts)
            for k, images in enumerate(levels)
        ]
        counts, s, k = max(totals, key=lambda t: t[0].f1)
        chosen, level, relative = self._settings[s], float(self._levels[k]), self._relative

        def find(image: NDArray[np.floating]) -> Floats:
            return Found(*dog_peaks(image, chosen)).above(level, relative=relative)

        words = (
            f"DoG {chosen.inner_px:g}/{chosen.outer_px:g} px, {chosen.scale} scale, above {level:g}"
        )
        return Tuned(find, counts, words)


def tune_dual(image: NDArray[np.floating], count: Counter) -> Tuned:
    """Search the ring finder and the longest edge whose dual gives the best F1."""
    best: tuple[float, DogSettings, float, float, Counts] | None = None
    grid = product((1.0, 1.5, 2.0, 2.5, 3.0), (1.6, 2.5, 4.0), (4.0, 5.0, 6.0, 7.0))
    for inner, ratio, distance in grid:
        settings = DogSettings(inner, ratio * inner, distance)
        xy, height = dog_peaks(image, settings)
        for level, longest in product((0.0, 0.1, 0.3), (14.0, 16.0, 18.0, 22.0)):
            counts = count(0, dual(xy[height > level], longest))
            if best is None or counts.f1 > best[0]:
                best = (counts.f1, settings, level, longest, counts)
    assert best is not None
    _, chosen, level, longest, counts = best

    def find(frame: NDArray[np.floating]) -> Floats:
        xy, height = dog_peaks(frame, chosen)
        return dual(xy[height > level], longest)

    words = (
        f"ring centres by DoG {chosen.inner_px:g}/{chosen.outer_px:g} px, {chosen.distance_px:g} px"
        f" apart, above {level:g}; triangles with edges below {longest:g} px"
    )
    return Tuned(find, counts, words)
