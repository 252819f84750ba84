"""What the Review tab needs to know of frames and regions; nothing here touches a widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_apgan.atoms import positions
from napari_apgan.frames import Source
from napari_apgan.predict.files import read_prediction
from napari_apgan.predict.prediction import Box
from napari_apgan.project import AddAtoms, Batch, Project, compose
from napari_apgan.project.folder import PredictionFiles
from napari_apgan.regions import Region

if TYPE_CHECKING:  # the judges need half of scipy, which opening the workbench must not wait for
    from napari_apgan.review.ranking import ReviewItem
    from napari_apgan.review.reference import Reference

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One predicted frame to be judged, with all that its judge needs.

    Parameters
    ----------
    run_id : str
    place : (source id, frame)
    source : Source
    files : PredictionFiles
    model : Path
        The model file or run folder, whose training labels are the yardstick.
    """

    run_id: str
    place: Place
    source: Source
    files: PredictionFiles
    model: Path

    def judge(self) -> list[ReviewItem]:
        """Read image and prediction and judge the frame's regions."""
        from napari_apgan.review.ranking import ReviewInput, rank

        prediction = read_prediction(self.files.folder, self.files.name)
        one = ReviewInput(self.place[0], self.source.frame(self.place[1]), prediction)
        return rank([one], _reference(self.model))


_references: dict[tuple[str, float], Reference | None] = {}


def _reference(model: Path) -> Reference | None:
    """Return what the training labels look like, made once for each model."""
    from napari_apgan.review.batch import reference_of

    weights = model / "best.safetensors" if model.is_dir() else model
    key = (str(model), weights.stat().st_mtime)
    if key not in _references:
        _references.clear()
        _references[key] = reference_of(model)
    return _references[key]


def is_covered(box: Box, regions: Sequence[Region]) -> bool:
    """Whether a region's labels are complete already: its middle and four points around it."""
    x0, y0, x1, y1 = box
    x, y = np.meshgrid(
        [x0 + (x1 - x0) * f for f in (0.25, 0.5, 0.75)],
        [y0 + (y1 - y0) * f for f in (0.25, 0.5, 0.75)],
    )
    points = np.column_stack([x.ravel(), y.ravel()])
    inside = np.zeros(len(points), dtype=bool)
    for region in regions:
        if region.kind == "complete":
            inside |= region.contains(points)
    return bool(inside.all())


def in_box(table: pd.DataFrame, box: Box) -> pd.DataFrame:
    """Return the atoms inside a box of whole px."""
    x, y = table["x_px"] + 0.5, table["y_px"] + 0.5
    return table[(x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])]


def outside_regions(table: pd.DataFrame, regions: Sequence[Region]) -> pd.DataFrame:
    """Return the atoms that lie in no region.

    Where labels are complete, a further predicted atom is one that the user has said is not
    there; where the image is to be ignored, none is wanted.
    """
    keep = np.ones(len(table), dtype=bool)
    for region in regions:
        keep &= ~region.contains(positions(table))
    return table[keep]


def free_of_labels(table: pd.DataFrame, labels: pd.DataFrame, reach_px: float) -> pd.DataFrame:
    """Return the predicted atoms with no label nearer than `reach_px`."""
    if not len(table) or not len(labels):
        return table
    a, b = positions(table), positions(labels)
    nearest = np.min(np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1)), axis=1)
    return table[nearest > reach_px]


def sending(
    project: Project, place: Place, box: Box, predicted: pd.DataFrame, round_number: int
) -> Batch | None:
    """Make the one edit that sends a region to the training set.

    Parameters
    ----------
    project : Project
    place : (source id, frame)
    box : Box
        The region becomes complete.
    predicted : DataFrame
        Predicted atoms that become labels with it.
    round_number : int
        The round whose model predicted them.

    Returns
    -------
    Batch or None
        None when it is in the training set as it is.
    """
    source_id, frame = place
    edits: list = []
    if len(predicted):
        table = predicted.assign(origin="predicted", round=round_number)
        added, _ = compose.new_atoms(project, source_id, frame, table)
        edits += list(added.edits) if isinstance(added, Batch) else [added]
    if not is_covered(box, project.regions(source_id, frame)):
        region = Region.rectangle(*(edge - 0.5 for edge in box))
        edits.append(compose.added_region(project, source_id, frame, region))
    pairs = compose.joined_pairs(project, [place], project.next_round)
    if pairs is not None:
        edits.append(pairs)
    if not edits:
        return None
    n = sum(len(e.ids) for e in edits if isinstance(e, AddAtoms))
    name = "send a region to the training set" + (f" with {n} predicted atoms" if n else "")
    return Batch(name=name, edits=tuple(edits))


def where_words(project: Project, item: ReviewItem) -> str:
    """Say which part of which frame an item is: ``STO_PTO_0042, frame 3 · top right``."""
    record = project.record(item.source_id)
    text = record.name + (f", frame {item.frame + 1}" if record.n_frames > 1 else "")
    rows, columns = record.shape
    x0, y0, x1, y1 = item.box
    if (x1 - x0) >= 0.99 * columns and (y1 - y0) >= 0.99 * rows:
        return text
    x, y = (x0 + x1) / 2 / columns, (y0 + y1) / 2 / rows
    vertical = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else ""
    horizontal = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    return f"{text} · {f'{vertical} {horizontal}'.strip() or 'middle'}"


def ordered(items: Sequence[ReviewItem], done: Sequence[bool]) -> list[int]:
    """Return the order of the list: worst first, what is in the training set last."""
    keys = [(d, -i.score, i.source_id, i.frame, i.box) for i, d in zip(items, done, strict=True)]
    return sorted(range(len(items)), key=lambda n: keys[n])
