"""Review many files with a model: predict, judge, write the ranking."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Missing, Progress, Source
from napari_apgan.io import read_pairs
from napari_apgan.io.tables import save_file
from napari_apgan.models.card import ModelCard, read_card, resolve_model
from napari_apgan.predict.batch import predict_files
from napari_apgan.predict.prediction import IsCancelled, Prediction

from .ranking import REGION_PX, ReviewInput, ReviewItem, rank
from .reference import Reference, load_reference, make_reference

#: Subfolders of a run folder: the pairs it was trained on, and those that validate it, which are
#: all there are where it was trained on frames simulated on the way.
PAIRS_FOLDERS = ("pairs", "validation")


def reference_of(model: str | Path, card: ModelCard | None = None) -> Reference | None:
    """Return what the training labels of a model look like.

    Read from `reference.json` beside the model; made from the run's pairs, and kept there, when
    it is not there yet; None for a model file without its run folder.

    Raises
    ------
    UserError
        When there is no such model, or its run's pairs are damaged.
    """
    folder = resolve_model(model).parent
    known = load_reference(folder)
    if known is not None:
        return known
    found = [folder / name for name in PAIRS_FOLDERS if (folder / name).is_dir()]
    if not found:
        return None
    card = card or read_card(model)
    reference = make_reference(
        read_pairs(found[0]), pixel_size_pm=card.pixel_size_pm, radius_px=card.radius_px
    )
    try:
        reference.save(folder)
    except OSError:
        return reference  # a read-only run folder: it is made again next time
    return reference


def review_files(
    model: str | Path,
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    predictions_dir: str | Path | None = None,
    whole_frames: bool = False,
    device: str = "auto",
    calibration: Calibration | None = None,
    missing: Missing = "auto",
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> list[ReviewItem]:
    """Predict files and write their regions, worst first, and why.

    Parameters
    ----------
    model : path or str
        A model file or a run folder; with the run folder the training labels are the yardstick.
    inputs : sequence of path
    output : path
        ``.json`` gets everything, suspect atoms included; ``.csv`` one line a region.
    predictions_dir : path, optional
        Where the predictions are kept; beside `output` as ``NAME_predictions`` by default.
    whole_frames : bool
        Rank frames instead of regions of about 256 px.
    device, calibration, missing, progress, cancelled
        See :func:`napari_apgan.predict.batch.predict_files`.

    Raises
    ------
    UserError
        When `output` has another ending, or see :func:`predict_files`.
    """
    target = Path(output)
    if target.suffix.lower() not in (".json", ".csv"):
        raise UserError(f"A review is written as .json or .csv, not as {target.name}.")
    reference = reference_of(model)
    items: list[ReviewItem] = []

    def judge(source: Source, index: int, prediction: Prediction) -> None:
        one = ReviewInput(str(source.path or source.name), source.frame(index), prediction)
        items.extend(rank([one], reference, region_px=None if whole_frames else REGION_PX))

    predict_files(
        model,
        inputs,
        predictions_dir or target.with_name(f"{target.stem}_predictions"),
        device=device,
        calibration=calibration,
        missing=missing,
        refine=False,
        progress=progress,
        cancelled=cancelled,
        on_prediction=judge,
    )
    ranked = sorted(items, key=lambda r: (-r.score, r.source_id, r.frame, r.box))
    write_review(target, ranked)
    return ranked


def write_review(path: Path, items: Sequence[ReviewItem]) -> None:
    """Write a ranking as JSON or CSV, by the ending of `path`.

    Raises
    ------
    UserError
        When the file cannot be written.
    """
    content = _as_csv(items) if path.suffix.lower() == ".csv" else _as_json(items)
    save_file(path, content)


def _as_json(items: Sequence[ReviewItem]) -> str:
    return json.dumps([item.as_dict() for item in items], indent=2, ensure_ascii=False)


def _as_csv(items: Sequence[ReviewItem]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["source", "frame", "x0_px", "y0_px", "x1_px", "y1_px", "score", "n_atoms", "reasons"]
    )
    for item in items:
        writer.writerow(
            [
                item.source_id,
                item.frame,
                *item.box,
                f"{item.score:.4f}",
                item.n_atoms,
                "; ".join(item.reasons),
            ]
        )
    return text.getvalue()
