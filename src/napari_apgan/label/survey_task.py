"""The survey of a folder in the helper process: rows are written as they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari_apgan.errors import UserError
from napari_apgan.io.reference import open_reference
from napari_apgan.models.card import read_card

from .process import Job
from .survey import (
    SurveyReference,
    find_images,
    reference_from_frame,
    reference_from_model,
    survey_folder,
)
from .survey_row import SurveyRow, SurveyWish, row_line, summary


def reference_of(wish: SurveyWish) -> SurveyReference | None:
    """Return what the files are to fit.

    Raises
    ------
    UserError
        When model or image cannot be read, or lattices cannot be compared without a pixel size.
    """
    example, name = None, ""
    if wish.example is not None:
        source = open_reference(wish.example)
        example, name = source.frame(wish.example_frame), source.name
    if wish.model:
        known = example if example is not None and example.calibration.known else None
        return reference_from_model(read_card(Path(wish.model)), "the model", known)
    return None if example is None else reference_from_frame(example, name)


def files_of(paths: list[str]) -> list[Path]:
    """Return the images of folders and files, each once.

    Raises
    ------
    UserError
        When there is none.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        found += find_images(path) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def run(job: Job) -> None:
    """Look at one file after another."""
    wish = SurveyWish.model_validate(job.options)
    job.progress(0, 0, "Looking for images")
    files = files_of(wish.paths)
    reference = reference_of(wish)
    rows = list(_written(wish, job, files, reference))
    job.values = {"n": len(rows)}
    job.sentence = summary(rows)


def _written(
    wish: SurveyWish, job: Job, files: list[Path], reference: SurveyReference | None
) -> Iterator[SurveyRow]:
    try:
        with open(wish.rows, "w", encoding="utf-8") as out:
            for row in survey_folder(files, reference=reference, progress=job.progress):
                out.write(row_line(row))
                out.flush()
                yield row
    except OSError as error:
        raise UserError(f"The table could not be kept: {error.strerror or error}.") from error
