"""Where to complete the labelling next: a box of some cells, around a place or the best one.

A box is worth the more, the more of its atoms are unsure (a model doubts them) or untouched (seen,
but without a label): those teach most. What is in a region already counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.regions import Region

from .spacing import estimate_scale

Floats = NDArray[np.float64]
XY = tuple[float, float]

#: What an atom of each kind is worth.
UNSURE, UNTOUCHED, LABELLED = 3.0, 1.0, 0.3
#: A box shares at most this part with regions that are there.
MOST_SHARED = 0.05
#: A box has at least this part of its pixels measured.
LEAST_MEASURED = 0.5
#: Boxes are tried at so many places along their side.
PLACES = 12
#: Atoms nearer to the border of a box than this part of the spacing are cut by it.
CUT = 0.25


class Seen(NamedTuple):
    """The atoms of a frame.

    Parameters
    ----------
    labelled, untouched, unsure : (N, 2) arrays
        x, y in px: labels; atoms that were found, or predicted surely, and have no label; atoms
        that a model doubts.
    """

    labelled: Floats
    untouched: Floats
    unsure: Floats

    @property
    def all(self) -> Floats:
        """(N, 2) positions of all of them."""
        everything: Floats = np.concatenate([self.labelled, self.untouched, self.unsure])
        return everything


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A box to complete next.

    Parameters
    ----------
    box : (float, float, float, float)
        x0, y0, x1, y1 in px, inside the frame.
    labelled, untouched, unsure : int
        How many atoms of each kind stand inside.
    size : str
        In words: ``8x8 cells`` or ``about 64 atoms``.
    """

    box: tuple[float, float, float, float]
    labelled: int
    untouched: int
    unsure: int
    size: str

    @property
    def corners(self) -> list[XY]:
        """The corners in order."""
        x0, y0, x1, y1 = self.box
        return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]

    @property
    def centre(self) -> XY:
        """Its middle."""
        x0, y0, x1, y1 = self.box
        return ((x0 + x1) / 2, (y0 + y1) / 2)

    def sentence(self) -> str:
        """Say what is inside."""
        parts = [
            f"{count} {words}"
            for count, words in (
                (self.unsure, "unsure"),
                (self.untouched, "without a label"),
                (self.labelled, "labelled"),
            )
            if count
        ]
        return f"{self.size}: {', '.join(parts) or 'no atoms'}"


def side_of(frame: Frame, atoms_px: Floats, cells: int) -> tuple[float, str]:
    """Return the side of a box of `cells` by `cells` cells in px, and its size in words.

    The side of a cell is what the image repeats by. Where it does not repeat, the box is made for
    as many atoms as it would have cells, from how densely they stand.

    Raises
    ------
    UserError
        When there is neither a lattice nor a pair of atoms to go by.
    """
    spacing = estimate_scale(frame).spacing_px
    if spacing is not None:
        return cells * spacing, f"{cells}x{cells} cells"
    if len(atoms_px) < 2:
        raise UserError(
            "The image repeats nowhere and no atoms are known, so no box can be sized: drag one."
        )
    # The area of an atom from its neighbours: the frame may be mostly empty.
    near = np.asarray(cKDTree(atoms_px).query(atoms_px, k=min(5, len(atoms_px)))[0])[:, -1]
    area = float(np.median(near)) ** 2 * np.pi / min(4, len(atoms_px) - 1)
    return float(cells * np.sqrt(area)), f"about {cells * cells} atoms"


def suggest(
    frame: Frame,
    seen: Seen,
    regions: Sequence[Region] = (),
    *,
    cells: int = 8,
    around: XY | None = None,
    offered: Sequence[XY] = (),
) -> Suggestion:
    """Suggest where to complete the labelling next.

    Parameters
    ----------
    frame : Frame
    seen : Seen
    regions : sequence of Region
        What is there already.
    cells : int
        Cells along a side.
    around : (float, float), optional
        The place x, y that the user wants; by default the best one.
    offered : sequence of (float, float)
        Middles of boxes that were offered already: others are wanted.

    Raises
    ------
    UserError
        When the size cannot be told, or no place is left.
    """
    side, size = side_of(frame, seen.all, cells)
    rows, columns = frame.shape
    width, height = min(side, float(columns)), min(side, float(rows))
    corner = (
        (around[0] - width / 2, around[1] - height / 2)
        if around is not None
        else _best(frame, seen, regions, width, height, offered)
    )
    x0, y0 = _between_atoms(seen.all, corner, width, height, side / cells)
    x0 = float(np.clip(x0, -0.5, columns - 0.5 - width))
    y0 = float(np.clip(y0, -0.5, rows - 0.5 - height))
    box = (x0, y0, x0 + width, y0 + height)
    counts = [int(_inside(xy, box).sum()) for xy in seen]
    return Suggestion(box, counts[0], counts[1], counts[2], size)


def _inside(xy: Floats, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    x0, y0, x1, y1 = box
    within = (xy >= (x0, y0)) & (xy <= (x1, y1))
    inside: NDArray[np.bool_] = np.asarray(within.all(axis=1))
    return inside


def _best(
    frame: Frame,
    seen: Seen,
    regions: Sequence[Region],
    width: float,
    height: float,
    offered: Sequence[XY],
) -> XY:
    """Return the upper left corner of the box that is worth most."""
    rows, columns = frame.shape
    taken = np.zeros(frame.shape, dtype=bool)
    for region in regions:
        taken |= region.mask(frame.shape)
    value = np.zeros(frame.shape)
    kinds = ((seen.labelled, LABELLED), (seen.untouched, UNTOUCHED), (seen.unsure, UNSURE))
    for xy, worth in kinds:
        at = np.clip(np.rint(xy).astype(int), 0, (columns - 1, rows - 1))
        np.add.at(value, (at[:, 1], at[:, 0]), worth)
    value[taken] = 0.0
    high, wide = min(max(round(height), 1), rows), min(max(round(width), 1), columns)
    ys = np.unique(np.linspace(0, rows - high, _count(rows, high)).round().astype(int))
    xs = np.unique(np.linspace(0, columns - wide, _count(columns, wide)).round().astype(int))

    def total(image: Floats) -> Floats:
        """Sum over the box at every place."""
        sums = np.pad(image.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        low, left = np.ix_(ys, xs)
        inside: Floats = (
            sums[low + high, left + wide]
            - sums[low, left + wide]
            - sums[low + high, left]
            + sums[low, left]
        )
        return inside

    area = high * wide
    free = total(taken.astype(np.float64)) <= MOST_SHARED * area
    free &= total(frame.valid.astype(np.float64)) >= LEAST_MEASURED * area
    middle_y, middle_x = np.meshgrid(ys + high / 2 - 0.5, xs + wide / 2 - 0.5, indexing="ij")
    for x, y in offered:
        free &= (np.abs(middle_x - x) > 0.5 * wide) | (np.abs(middle_y - y) > 0.5 * high)
    if not free.any():
        raise UserError(
            "No place is left for another box of this size: choose fewer cells, or draw one."
        )
    # Of equals the one in the middle: the border of an image is blurred more often.
    off = np.hypot((middle_y - rows / 2) / rows, (middle_x - columns / 2) / columns)
    worths = np.where(free, total(value) * (1 - 0.1 * off) - 1e-3 * off, -np.inf)
    row, column = np.unravel_index(int(worths.argmax()), worths.shape)
    return (float(xs[column]) - 0.5, float(ys[row]) - 0.5)


def _count(length: int, side: int) -> int:
    """At how many places a box is tried along an axis."""
    return max(1, round(PLACES * (length - side) / side)) + 1


def _between_atoms(atoms_px: Floats, corner: XY, width: float, height: float, cell_px: float) -> XY:
    """Move a box by up to half a cell, so that its border runs between the atoms."""
    if not len(atoms_px):
        return corner
    shifts = np.linspace(-0.5, 0.5, 9) * cell_px
    order = np.argsort(np.abs(shifts), kind="stable")
    found: list[float] = []
    for axis, length in ((0, width), (1, height)):
        other, across = 1 - axis, height if axis == 0 else width
        beside = (atoms_px[:, other] > corner[other] - cell_px) & (
            atoms_px[:, other] < corner[other] + across + cell_px
        )
        along = atoms_px[beside, axis]
        cut = [
            int((np.abs(along - start) < CUT * cell_px).sum())
            + int((np.abs(along - start - length) < CUT * cell_px).sum())
            for start in (corner[axis] + shifts).tolist()
        ]
        best = min(order.tolist(), key=lambda n: cut[n])
        found.append(float(corner[axis] + shifts[best]))
    return (found[0], found[1])
