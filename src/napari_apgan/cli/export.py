"""``apgan export``: atoms of a project or a table, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import EXPORT_SUFFIXES, export_atoms, read_atoms
from napari_apgan.project import Project

from .common import PixelSize, given_calibration


def export_table(
    table: pd.DataFrame,
    output: Path,
    kind: str,
    *,
    calibration: Calibration | None,
    elements: list[Element] | None = None,
    shape: tuple[int, int] | None = None,
) -> Path:
    """Write one table and return its path; `output` is a file, or a folder that gets one."""
    suffix = EXPORT_SUFFIXES[kind]
    path = output if output.suffix else output / f"atoms{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    export_atoms(table, path, kind, calibration=calibration, elements=elements, frame_shape=shape)
    return path


def export_project(
    path: Path, output: Path, kind: str, calibration: Calibration | None
) -> list[Path]:
    """Write the labels of a project, one file a source (series keep their frame column)."""
    written: list[Path] = []
    with Project.open(path, read_only=True) as project:
        labelled: dict[str, list[int]] = {}
        for source_id, frame in project.frames_with_labels():
            labelled.setdefault(source_id, []).append(frame)
        if not labelled:
            raise UserError(f"{path.name} has no labelled atoms to export yet.")
        if len(labelled) > 1 and output.suffix:
            raise UserError(
                f"{path.name} has labels on {len(labelled)} images: give a folder with -o, "
                "which gets a file for each."
            )
        for source_id, frames in labelled.items():
            record = project.record(source_id)
            tables = [project.atoms(source_id, f).assign(frame=f) for f in frames]
            target = (
                output if output.suffix else output / f"{record.file_name}{EXPORT_SUFFIXES[kind]}"
            )
            written.append(
                export_table(
                    pd.concat(tables, ignore_index=True),
                    target,
                    kind,
                    calibration=calibration or project.calibration(source_id),
                    elements=list(project.elements),
                    shape=(record.shape[0], record.shape[1]),
                )
            )
    return written


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def export(
        source: Annotated[Path, typer.Argument(help="Project (NAME.apgan) or atom table (CSV).")],
        to: Annotated[str, typer.Option(help=f"One of: {', '.join(EXPORT_SUFFIXES)}.")],
        output: Annotated[Path, typer.Option("-o", "--output", help="File, or folder.")],
        pixel_size: PixelSize = None,
    ) -> None:
        """Write atoms in a form that other programs read."""
        if to not in EXPORT_SUFFIXES:
            raise UserError(f"--to takes one of {', '.join(EXPORT_SUFFIXES)}, not {to!r}.")
        calibration = given_calibration(pixel_size)
        if (source / "project.json").is_file():
            written = export_project(source, output, to, calibration)
        else:
            written = [export_table(read_atoms(source), output, to, calibration=calibration)]
        typer.echo("\n".join(str(path) for path in written))
