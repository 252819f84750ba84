"""Labels that were carried from the mean of a series to its frames, as one edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import by_frame, conform, positions
from napari_apgan.maps import default_radius_px
from napari_apgan.regions import Region

from . import compose
from .documents import PairEntry
from .edits import AddAtoms, Batch, Edit, SetPairs, SetRegions

if TYPE_CHECKING:
    from .labelling import WithLabels


@dataclass(frozen=True, slots=True)
class CarryReport:
    """What an edit made of carried labels does.

    Parameters
    ----------
    edit : Batch or None
        None when there is nothing to do.
    atoms : int
        Labels that are new.
    there_already : int
        Carried atoms left out since a label stands there.
    trained_on : int
        Frames that join the training set.
    mean_left : bool
        Whether the mean leaves the training set for its frames.
    """

    edit: Batch | None
    atoms: int
    there_already: int
    trained_on: int
    mean_left: bool

    def sentence(self) -> str:
        """Say it to the user."""
        parts = []
        if self.there_already:
            n = self.there_already
            parts.append(f"{n:,} stood where the frame has a label already, which stays.")
        if self.trained_on:
            n = self.trained_on
            parts.append(f"{n} frame{'s' * (n != 1)} joined the training set.")
        if self.mean_left:
            parts.append("The mean left it: a network is to learn from frames as noisy as yours.")
        return " ".join(parts)


def carry_labels(
    project: WithLabels,
    mean_id: str,
    series_id: str,
    atoms: pd.DataFrame,
    regions: Mapping[int, Sequence[Region]],
) -> CarryReport:
    """Make the edit that gives frames of a series the labels and regions of its mean.

    Labels that a frame has stay, and so do its regions; what is carried comes beside them, but
    never where a label stands or a region is the same.

    Parameters
    ----------
    project : Project
    mean_id, series_id : str
    atoms : DataFrame
        Atom table of all frames, by `frame`.
    regions : mapping
        By number of the frame.
    """
    record = project.record(series_id)
    edits: list[Edit] = []
    names = list(dict.fromkeys(atoms["element"].tolist()))
    more = compose.with_elements(project, names)
    if more is not None:
        edits.append(more)
    next_id, next_region_id = record.next_id, record.next_region_id
    added = there_already = 0
    complete: list[int] = []
    tables = by_frame(atoms)
    for frame in sorted({*tables, *regions}):
        table = tables.get(frame, atoms[:0])
        free = _free(positions(project.atoms(series_id, frame)), table)
        there_already += len(table) - len(free)
        if len(free):
            ids = next_id + np.arange(len(free))
            numbered = compose.tidy_elements(conform(free.assign(id=ids)))
            edits.append(AddAtoms.of(series_id, frame, numbered))
            next_id, added = next_id + len(free), added + len(free)
        before = tuple(project.regions(series_id, frame))
        known = {_shape(region) for region in before}
        new = [region for region in regions.get(frame, ()) if _shape(region) not in known]
        if new:
            numbers = range(next_region_id, next_region_id + len(new))
            after = (
                *before,
                *(r.model_copy(update={"id": i}) for r, i in zip(new, numbers, strict=True)),
            )
            edits.append(SetRegions(source_id=series_id, frame=frame, before=before, after=after))
            next_region_id += len(new)
        if any(region.kind == "complete" for region in regions.get(frame, ())):
            complete.append(frame)
    pairs, joined, left = _pairs(project, mean_id, series_id, complete)
    if pairs is not None:
        edits.append(pairs)
    number = len({*tables, *regions})
    edit = Batch(name=f"carry labels to {number} frames", edits=tuple(edits)) if edits else None
    return CarryReport(edit, added, there_already, joined, left)


def _free(labelled_px: NDArray[np.float64], table: pd.DataFrame) -> pd.DataFrame:
    """Return the atoms of a table that stand on no label."""
    if not len(labelled_px) or not len(table):
        return table
    from scipy.spatial import cKDTree  # 0.2 s that opening the window need not wait for

    distance = np.asarray(cKDTree(labelled_px).query(positions(table))[0])
    return table[distance > default_radius_px(table)]


def _shape(region: Region) -> tuple[object, ...]:
    corners = tuple((round(x, 1), round(y, 1)) for x, y in region.polygon)
    return (region.kind, region.held_out, corners)


def _pairs(
    project: WithLabels, mean_id: str, series_id: str, frames: Sequence[int]
) -> tuple[SetPairs | None, int, bool]:
    """Let frames take the place of their mean in the training set."""
    before = tuple(project.pairs)
    if not frames:
        return None, 0, False
    known = {(p.source_id, p.frame) for p in before}
    new = [
        PairEntry(source_id=series_id, frame=frame, round=project.next_round)
        for frame in frames
        if (series_id, frame) not in known
    ]
    kept = [p for p in before if p.source_id != mean_id]
    edit = compose.changed_pairs(project, [*kept, *new])
    if edit is None:
        return None, 0, False
    return edit, len(new), len(kept) < len(before)
