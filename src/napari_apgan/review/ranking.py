"""Rank predicted frames and regions, worst first, by a score that needs no labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.frames import Frame
from napari_apgan.predict.prediction import Box, Prediction

from .evidence import LOW_PROBABILITY, Evidence, answered_positions, gather
from .features import blocks
from .reference import Reference

Floats = NDArray[np.float64]

#: Side in px of the regions that a frame is cut into.
REGION_PX = 256
#: Contributions below this are no reason worth a sentence; what can be counted is always said.
WORTH_SAYING = 0.02
COUNTED = ("close", "holes", "faint", "alone", "doubtful", "brightness")


@dataclass(frozen=True, slots=True)
class ReviewInput:
    """One predicted frame to be judged.

    Parameters
    ----------
    source_id : str
    frame : Frame
    prediction : Prediction
        Of this frame.
    boxes : tuple of Box, optional
        Regions to judge instead of the regular ones.
    """

    source_id: str
    frame: Frame
    prediction: Prediction
    boxes: tuple[Box, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One region, how bad it looks, and why.

    Parameters
    ----------
    source_id : str
    frame : int
    box : (x0, y0, x1, y1)
        Whole px.
    score : float
        0 (nothing conspicuous) to 1: roughly the share of the answer that wants correction.
    reasons : tuple of str
        Sentences, the weightiest first.
    suspects : DataFrame
        The predicted atoms to look at, `flag` saying why.
    holes : (H, 2) array
        x, y in px of lattice sites without an atom.
    faint : (F, 2) array
        x, y in px of discs on the maps too faint to have given an atom.
    n_atoms : int
        Predicted atoms in the box.
    parts : mapping
        Contribution of each kind of evidence, 0..1.
    """

    source_id: str
    frame: int
    box: Box
    score: float
    reasons: tuple[str, ...]
    suspects: pd.DataFrame
    holes: Floats
    faint: Floats
    n_atoms: int
    parts: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Return the item as plain numbers, texts and lists, for JSON."""
        columns = ["id", "element", "x_px", "y_px", "probability", "flag"]
        table = self.suspects[columns].astype(object)
        return {
            "source": self.source_id,
            "frame": self.frame,
            "box_px": list(self.box),
            "score": round(self.score, 4),
            "reasons": list(self.reasons),
            "n_atoms": self.n_atoms,
            "parts": {k: round(v, 4) for k, v in self.parts.items()},
            "suspects": table.where(table.notna(), None).to_dict("records"),
            "holes_px": np.round(self.holes, 2).tolist(),
            "faint_px": np.round(self.faint, 2).tolist(),
        }


def rank(
    items: Iterable[ReviewInput],
    reference: Reference | None = None,
    *,
    region_px: int | None = REGION_PX,
) -> list[ReviewItem]:
    """Judge regions of predicted frames and put the worst first.

    Parameters
    ----------
    items : iterable of ReviewInput
        Taken one at a time.
    reference : Reference, optional
        What the training labels look like (:func:`napari_apgan.review.reference.make_reference`).
    region_px : int, optional
        Side of the regions; None judges whole frames.

    Returns
    -------
    list of ReviewItem
        Worst first; equal ones by source, frame and place.
    """
    ranked: list[ReviewItem] = []
    for item in items:
        evidence = gather(item.frame, item.prediction, reference)
        boxes = item.boxes or _regions(evidence.box, region_px)
        ranked += [_judge(item, evidence, box, reference) for box in boxes]
    return sorted(ranked, key=lambda r: (-r.score, r.source_id, r.frame, r.box))


def _regions(box: Box, region_px: int | None) -> Sequence[Box]:
    if region_px is None:
        return [box]
    x0, y0, x1, y1 = box
    return [
        (x0 + cols.start, y0 + rows.start, x0 + cols.stop, y0 + rows.stop)
        for rows, cols in blocks((y1 - y0, x1 - x0), region_px)
    ]


def _judge(
    item: ReviewInput, evidence: Evidence, box: Box, reference: Reference | None
) -> ReviewItem:
    """Weigh the evidence inside one region."""
    view = _View(evidence, box)
    parts = _contributions(view, reference)
    # Independent causes: the score is the share that at least one of them spoils.
    score = 1.0 - float(np.prod([1.0 - p for p in parts.values()]))
    said = _sentences(view, reference)
    order = sorted(parts, key=lambda k: -parts[k])
    reasons = tuple(
        said[k] for k in order if k in said and (k in COUNTED or parts[k] >= WORTH_SAYING)
    )
    suspect = view.too_close | view.alone | view.doubtful | view.wrong
    return ReviewItem(
        source_id=item.source_id,
        frame=item.frame.index,
        box=box,
        score=score,
        reasons=reasons or ("nothing conspicuous",),
        suspects=view.atoms[suspect].reset_index(drop=True),
        holes=view.holes,
        faint=view.faint,
        n_atoms=view.n,
        parts=parts,
    )


class _View:
    """The part of a frame's evidence that lies in one region."""

    def __init__(self, evidence: Evidence, box: Box) -> None:
        xy = answered_positions(evidence.atoms)
        inside = _inside(xy, box)
        self.box = box
        self.atoms = evidence.atoms[inside].reset_index(drop=True)
        self.xy = xy[inside]
        self.n = int(inside.sum())
        self.too_close = evidence.too_close[inside]
        self.alone = evidence.alone[inside]
        self.doubtful = evidence.doubtful[inside]
        self.wrong = evidence.wrong_brightness[inside]
        self.probability = self.atoms["probability"].to_numpy(np.float64)
        self.holes = evidence.holes[_inside(evidence.holes, box)]
        self.faint = evidence.faint[_inside(evidence.faint, box)]
        left, top = evidence.box[:2]
        rows = slice(max(box[1] - top, 0), max(box[3] - top, 0))
        cols = slice(max(box[0] - left, 0), max(box[2] - left, 0))
        valid = evidence.valid[rows, cols]
        self.area = float(valid.size)
        self.enlarged = evidence.enlarged
        drawn = float(evidence.drawn[:, rows, cols].sum())
        differing = float(evidence.mismatch[:, rows, cols].sum())
        self.mismatch = differing / drawn if drawn > 1.0 else 0.0
        self.undecided = _mean(evidence.undecided[rows, cols])
        self.unfamiliar = _mean(evidence.unfamiliar[rows, cols])
        self.contrast = _mean(evidence.contrast[rows, cols])


def _mean(array: NDArray[Any]) -> float:
    return float(array.mean()) if array.size else 0.0


def _inside(xy: Floats, box: Box) -> NDArray[np.bool_]:
    x, y = xy[:, 0] + 0.5, xy[:, 1] + 0.5
    inside: NDArray[np.bool_] = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    return inside


def _contributions(view: _View, reference: Reference | None) -> dict[str, float]:
    """Estimate, for each kind of evidence, the share of the answer that is wrong for it."""
    n = max(view.n, 4)
    n_holes, n_faint = len(view.holes), len(view.faint)
    doubt = np.clip((0.85 - np.nan_to_num(view.probability, nan=1.0)) / 0.5, 0.0, 1.0)
    return {
        "close": float(view.too_close.sum()) / 2 / n,
        "holes": n_holes / (n + n_holes),
        "faint": 0.7 * n_faint / (n + n_faint),
        "alone": 0.5 * float(view.alone.sum()) / n,
        "doubtful": 0.5 * float(doubt.sum()) / n,
        "brightness": float(view.wrong.sum()) / n,
        "half-bright": float(np.clip((view.mismatch - 0.25) / 0.75, 0.0, 0.9)),
        "empty": 0.5 * _emptiness(view, reference),
        "unfamiliar": 0.5 * float(np.clip((view.unfamiliar - 1.5) / 3.0, 0.0, 1.0)),
    }


def _emptiness(view: _View, reference: Reference | None) -> float:
    """Share of the atoms that are lacking, where the image has as much contrast as training had.

    Vacuum has no atoms and little contrast, and is no fault of the model.
    """
    if reference is None or reference.density_per_px2 <= 0 or not view.area:
        return 0.0
    expected = _expected_atoms(view, reference)
    lacking = np.clip(1.0 - view.n / max(expected, 1e-9), 0.0, 1.0)
    return float(lacking * np.clip(view.contrast, 0.0, 1.0) ** 2)


def _expected_atoms(view: _View, reference: Reference) -> float:
    return reference.density_per_px2 * view.area * view.enlarged**2


def _sentences(view: _View, reference: Reference | None) -> dict[str, str]:
    """Say each kind of evidence in words; empty where there is none."""
    n_close, n_alone = int(view.too_close.sum()), int(view.alone.sum())
    n_low, n_wrong = int(view.doubtful.sum()), int(view.wrong.sum())
    n_holes, n_faint = len(view.holes), len(view.faint)
    said = {
        "close": f"{_count(n_close, 'atom')} too close{_place(view.xy[view.too_close], view.box)}",
        "holes": f"{_count(n_holes, 'hole')} in the lattice{_place(view.holes, view.box)}",
        "faint": f"{_count(n_faint, 'disc')} on the map too faint to count"
        f"{_place(view.faint, view.box)}",
        "alone": f"{_count(n_alone, 'atom')} far from any other"
        f"{_place(view.xy[view.alone], view.box)}",
        "doubtful": f"low confidence: {_count(n_low, 'atom')} below p {LOW_PROBABILITY:g}",
        "brightness": f"element disagrees with intensity: {_count(n_wrong, 'atom')}",
    }
    counts = {
        "close": n_close,
        "holes": n_holes,
        "faint": n_faint,
        "alone": n_alone,
        "doubtful": n_low,
        "brightness": n_wrong,
    }
    said = {k: text for k, text in said.items() if counts[k]}
    if view.undecided >= 0.002:
        said["half-bright"] = f"map is half-bright: undecided pixels {view.undecided:.1%}"
    else:
        said["half-bright"] = "the map is not made of clear discs"
    if reference is not None:
        said["empty"] = (
            f"few atoms: {view.n} where training had about {_expected_atoms(view, reference):.0f}"
        )
        said["unfamiliar"] = "pattern not seen in training"
    return said


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _place(xy: Floats, box: Box) -> str:
    """Name the third of the region that holds most of the points, if one does."""
    if not len(xy):
        return ""
    x0, y0, x1, y1 = box
    column = np.clip(((xy[:, 0] - x0) / (x1 - x0) * 3).astype(int), 0, 2)
    row = np.clip(((xy[:, 1] - y0) / (y1 - y0) * 3).astype(int), 0, 2)
    cell = row * 3 + column
    fullest = int(np.bincount(cell, minlength=9).argmax())
    if (cell == fullest).mean() < 0.6:
        return ""
    vertical, horizontal = ("top", "", "bottom")[fullest // 3], ("left", "", "right")[fullest % 3]
    return f", {f'{vertical} {horizontal}'.strip() or 'centre'}"
