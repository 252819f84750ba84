"""``apgan label doctor`` and ``apgan label survey``: doubtful labels, and what a folder holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, print_json, progress_bar

if TYPE_CHECKING:
    from napari_apgan.label.survey_row import SurveyRow

Labelled = Annotated[
    Path, typer.Argument(metavar="PROJECT|PAIRS", help="Project (NAME.apgan) or folder of pairs.")
]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of images.")]


def doctor(
    labelled: Labelled,
    sensitivity: Annotated[
        float, typer.Option(min=0.3, max=3.0, help="Above 1 smaller deviations are doubtful.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """List labels that are probably wrong, each with a reason and what would put it right."""
    from napari_apgan.label.doctor_batch import examine_all
    from napari_apgan.label.doctor_types import DoctorSettings
    from napari_apgan.label.doctor_wish import report_values

    settings = DoctorSettings(sensitivity=sensitivity)
    with progress_bar("examining labels") as progress:
        found = list(examine_all(labelled, settings=settings, progress=progress))
    if as_json:
        print_json([{"name": e.name, "frame": e.frame, **report_values(e.report)} for e in found])
        return
    for one in found:
        where = one.name if one.frame == 0 else f"{one.name}, frame {one.frame}"
        typer.echo(f"{where}: {one.report.sentence()} {one.report.note}".rstrip())
        for s in one.report.suspects:
            typer.echo(f"  x {s.x:.1f}, y {s.y:.1f}  {s.kind}: {s.reason} [{s.fix.words}]")


def survey(
    folder: Folder,
    model: Annotated[
        str, typer.Option(help="Model file or run folder that the images are to fit.")
    ] = "",
    like: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Image whose lattice they are compared to.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="TABLE.csv", help="Write it there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what every image of a folder is: detector, pixel size, lattice, copies, blanks, fit."""
    from napari_apgan.io.reference import SourceRef
    from napari_apgan.io.tables import save_file
    from napari_apgan.label.survey import survey_folder
    from napari_apgan.label.survey_row import SurveyWish, row_values, summary
    from napari_apgan.label.survey_task import files_of, reference_of

    wish = SurveyWish(
        paths=[str(folder)],
        model=model,
        example=None if like is None else SourceRef(path=str(like)),
    )
    files = files_of(wish.paths)
    reference = reference_of(wish)
    with progress_bar("looking at images") as progress:
        rows = list(survey_folder(files, reference=reference, progress=progress))
    if output is not None:
        save_file(output, _table(rows).encode("utf-8"))
    if as_json:
        print_json([row_values(row) for row in rows])
    elif output is None:
        typer.echo(_table(rows), nl=False)
    typer.echo(summary(rows), err=True)


def _table(rows: Sequence[SurveyRow]) -> str:
    """Return the rows as CSV."""
    out = io.StringIO()
    columns = list(_cells(rows[0])) if rows else []
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_cells(row) for row in rows)
    return out.getvalue()


def _cells(row: SurveyRow) -> dict[str, Any]:
    y_pm, x_pm = row.pixel_size_pm or (None, None)
    return {
        "file": str(row.path),
        "frames": row.n_frames,
        "rows": row.shape[0],
        "columns": row.shape[1],
        "pixel_y_pm": y_pm,
        "pixel_x_pm": x_pm,
        "detector": row.detector,
        "magnification": row.magnification,
        "lattice": row.lattice,
        "spacing_px": row.spacing_px,
        "spacing_pm": row.spacing_pm,
        "finest_px": row.finest_px,
        "finest_pm": row.finest_pm,
        "agrees": row.material,
        "fits": row.fits,
        "duplicate_of": "" if row.duplicate_of is None else str(row.duplicate_of),
        "looks_like": "" if row.looks_like is None else str(row.looks_like),
        "blank": row.blank,
        "why": row.error or row.why or row.pixel_note,
    }


def register(group: typer.Typer) -> None:
    """Add both verbs."""
    group.command()(doctor)
    group.command()(survey)
