"""Labels and regions of a mean, carried to the frames: what each frame may be trained on.

A region that is complete on the mean is complete in a frame where every atom in it was carried
over or is known to be gone. It goes along by the frame's displacement, cut to the frame. Of the
atoms that were left out,

* one that *vanished* is background: the frame shows no peak there, and that is what a network is
  to learn. Where something of its height is left it may be a column that has become thinner, and is
  ignored;
* one that moved, was not measured, or cannot be told from noise is neither atom nor background: a
  disc around its place, and around the peak that was found, is ignored;
* one that lies just outside the frame, its disc reaching in, is ignored likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import by_frame, concat, positions
from napari_apgan.elements import Polarity
from napari_apgan.frames import Frame, Progress
from napari_apgan.maps import default_radius_px
from napari_apgan.regions import Region

from .register import Registration
from .series import Average
from .transfer import transfer
from .verdict import VANISHED, Transfer, TransferSettings

Floats = NDArray[np.float64]
Corners = tuple[tuple[float, float], ...]

#: Radius of what is ignored around an atom that was left out, in units of a label's disc.
IGNORED_RADII = 1.5
#: What is left of a vanished atom's height, over the usual, up to which it is background. Of atoms
#: that are truly gone hardly any shows more, of thin columns at the edge of a particle most do.
BACKGROUND = 0.15
#: Corners of what stands for a disc.
CORNERS = 8
#: What is left of a region must be this long and wide (px).
SMALLEST_PX = 2.0


@dataclass(frozen=True, slots=True)
class Carried:
    """What reached the frames.

    Parameters
    ----------
    transfer : Transfer
    regions : mapping
        Number of the frame in its source -> its regions, ids from 0; frames without are absent.
    numbers : tuple of int
        The frames that were looked at.
    labels : int
        How many labels the mean has.
    """

    transfer: Transfer
    regions: dict[int, tuple[Region, ...]]
    numbers: tuple[int, ...]
    labels: int

    def frames(self) -> pd.DataFrame:
        """Return a row for each frame: `frame`, `carried`, `left_out`, `why`."""
        rows = []
        kept = self.transfer.atoms["frame"].value_counts()
        lost = by_frame(self.transfer.left_out)
        for number in self.numbers:
            gone = lost.get(number, self.transfer.left_out[:0])
            reasons = gone["reason"].str.split(":").str[0]
            why = ", ".join(f"{n} {kind}" for kind, n in reasons.value_counts().items())
            rows.append((number, int(kept.get(number, 0)), len(reasons), why))
        return pd.DataFrame(rows, columns=["frame", "carried", "left_out", "why"])

    def sentence(self) -> str:
        """Say which part was carried over, which was not and why, and how far atoms stray."""
        counts = self.transfer.counts()
        carried = counts.pop("")
        total = carried + sum(counts.values())
        parts = [
            f"{carried:,} of {total:,} labels ({_percent(carried, total)}) carried to "
            f"{len(self.numbers)} frames."
        ]
        if counts:
            lost = (f"{_percent(n, total)} {kind}" for kind, n in counts.items())
            parts.append(f"Left out: {', '.join(lost)}.")
        moving = self.transfer.moving_px
        if self.transfer.snapped:
            parts.append(
                f"Atoms stray by {moving:.2f} px about their places: each frame has its own."
            )
        return " ".join(parts)


def _percent(part: int, whole: int) -> str:
    share = 100 * part / max(whole, 1)
    return f"{share:.1f} %" if share >= 0.05 or part == 0 else "< 0.1 %"


def carry(
    frames: Sequence[Frame],
    registration: Registration,
    mean: Average,
    atoms: pd.DataFrame,
    regions: Sequence[Region] = (),
    *,
    polarities: Mapping[str, Polarity] | None = None,
    settings: TransferSettings | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Carried:
    """Carry labels and regions of a mean to the frames that it was made of.

    Parameters
    ----------
    frames, registration, mean, atoms
        See :func:`~.transfer.transfer`.
    regions : sequence of Region
        Of the mean; held-out ones stay held out, so that no atom is trained on in one frame and
        checked in another.
    polarities : mapping, optional
        Element -> whether its atoms are bright or dark; bright where left out.
    settings : TransferSettings, optional
    progress, cancelled : callable, optional

    Raises
    ------
    UserError
        As :func:`~.transfer.transfer` does.
    Cancelled
        When `cancelled` says so.
    """
    known = polarities or {}
    dark = np.array([known.get(str(e), "bright") == "dark" for e in atoms["element"]], dtype=bool)
    parts: list[Transfer] = []
    kinds: tuple[Polarity, ...] = ("bright", "dark")
    groups = [(kind, rows) for kind, rows in zip(kinds, (~dark, dark), strict=True) if rows.any()]
    for kind, rows in groups or [("bright", dark)]:
        part = transfer(
            frames,
            registration,
            mean,
            atoms[rows],
            polarity=kind,
            settings=settings,
            progress=progress,
            cancelled=cancelled,
        )
        numbered = part.left_out.assign(row=np.flatnonzero(rows)[part.left_out["row"]])
        parts.append(Transfer(part.atoms, numbered, part.snapped, part.moving_px))
    result = parts[0] if len(parts) == 1 else _together(parts)
    radius = IGNORED_RADII * default_radius_px(atoms)
    numbers = _numbers(frames)
    carried: dict[int, tuple[Region, ...]] = {}
    lost = by_frame(result.left_out)
    for t, number in enumerate(numbers):
        if regions and registration.matched[t]:
            gone = lost.get(number, result.left_out[:0])
            usual = registration.moved(positions(atoms), t)[gone["row"].to_numpy(dtype=int)]
            found = carried_regions(regions, registration, t, gone, usual, radius)
            if found:
                carried[number] = found
    return Carried(result, carried, numbers, len(atoms))


def _numbers(frames: Sequence[Frame]) -> tuple[int, ...]:
    """Return the frames' numbers, as :func:`~.transfer.transfer` gives them."""
    numbers = [frames[t].index for t in range(len(frames))]
    return tuple(numbers if len(set(numbers)) == len(numbers) else range(len(frames)))


def _together(parts: Sequence[Transfer]) -> Transfer:
    atoms = concat([part.atoms for part in parts])
    order = np.argsort(atoms["frame"].to_numpy(), kind="stable")
    atoms = atoms.iloc[order].reset_index(drop=True)
    atoms["id"] = np.arange(len(atoms))
    left_out = pd.concat([part.left_out for part in parts], ignore_index=True)
    return Transfer(
        atoms,
        left_out.sort_values(["frame", "row"], ignore_index=True),
        any(part.snapped for part in parts),
        max(part.moving_px for part in parts),
    )


def carried_regions(
    regions: Sequence[Region],
    registration: Registration,
    frame: int,
    left_out: pd.DataFrame,
    usual_px: Floats,
    radius_px: float,
) -> tuple[Region, ...]:
    """Bring regions of the mean into a frame, with what is to be ignored in them.

    Parameters
    ----------
    regions : sequence of Region
    registration : Registration
    frame : int
        Which of the registered frames.
    left_out : DataFrame
        The rows of :attr:`~.transfer.Transfer.left_out` of this frame.
    usual_px : (N, 2) array
        x, y in the frame of where each of them was expected.
    radius_px : float
        Of what is ignored around each.

    Returns
    -------
    tuple of Region
        Ids from 0; empty when nothing is left of any complete region.
    """
    moved: list[Region] = []
    for region in regions:
        corners = registration.moved(np.asarray(region.polygon), frame)
        inside = clipped(corners, registration.shape)
        if inside is not None:
            moved.append(region.model_copy(update={"polygon": inside}))
    complete = [region for region in moved if region.kind == "complete"]
    if not complete:
        return ()
    doubtful = ~is_background(left_out)
    found_px = left_out[["x_px", "y_px"]].to_numpy(np.float64)
    places = np.concatenate([usual_px[doubtful], found_px[doubtful]])
    ignored: list[Region] = []
    for place in np.unique(places.round(2), axis=0):
        ring = disc(place, radius_px)
        if any(region.contains(np.vstack([ring, place])).any() for region in complete):
            inside = clipped(ring, registration.shape)
            if inside is not None:
                ignored.append(Region(id=0, kind="ignore", polygon=inside))
    return tuple(
        region.model_copy(update={"id": number}) for number, region in enumerate([*moved, *ignored])
    )


def is_background(left_out: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell for each label that was left out whether its place is to be learned as background."""
    vanished = (left_out["reason"] == VANISHED).to_numpy(dtype=bool)
    return vanished & (left_out["height"].to_numpy(dtype=np.float64) <= BACKGROUND)


def disc(centre_px: Floats, radius_px: float) -> Floats:
    """Return (CORNERS, 2) corners around a disc, which lies inside them."""
    angle = 2 * np.pi * np.arange(CORNERS) / CORNERS
    reach = radius_px / np.cos(np.pi / CORNERS)
    corners: Floats = np.asarray(centre_px) + reach * np.column_stack(
        [np.cos(angle), np.sin(angle)]
    )
    return corners


def clipped(corners_px: Floats, shape: tuple[int, int]) -> Corners | None:
    """Cut a polygon to a frame; None when next to nothing is left.

    I. E. Sutherland and G. W. Hodgman, Commun. ACM 17 (1974) 32-42: along one border after the
    other.

    Parameters
    ----------
    corners_px : (N, 2) array
        x, y in px.
    shape : (int, int)
        (rows, columns).
    """
    polygon = [tuple(map(float, corner)) for corner in corners_px]
    for axis, length in ((0, shape[1]), (1, shape[0])):
        for border, sign in ((-0.5, 1.0), (length - 0.5, -1.0)):
            polygon = _cut(polygon, axis, border, sign)
    if len(polygon) < 3 or (np.ptp(np.asarray(polygon), axis=0) < SMALLEST_PX).any():
        return None
    return tuple((corner[0], corner[1]) for corner in polygon)


def _cut(
    polygon: list[tuple[float, ...]], axis: int, border: float, sign: float
) -> list[tuple[float, ...]]:
    """Keep what lies on one side of a border: above it where `sign` is positive."""
    kept: list[tuple[float, ...]] = []
    for start, end in zip([*polygon[-1:], *polygon[:-1]], polygon, strict=True):
        from_inside = sign * (start[axis] - border) >= 0
        to_inside = sign * (end[axis] - border) >= 0
        if from_inside != to_inside:
            part = (border - start[axis]) / (end[axis] - start[axis])
            kept.append(tuple(a + part * (b - a) for a, b in zip(start, end, strict=True)))
        if to_inside:
            kept.append(end)
    return kept
