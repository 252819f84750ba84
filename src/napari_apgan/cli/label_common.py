"""What the verbs of ``apgan label`` share: the image, its frame, and the table they write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from napari_apgan.atoms import with_calibration
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.io import open_source, read_atoms, write_atoms

from .common import console, given_calibration, missing_policy, print_json

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="Image or series.")]
TableFile = Annotated[
    Path, typer.Option("-o", "--output", metavar="ATOMS.csv", help="Table to write.")
]
FrameNumber = Annotated[int, typer.Option("--frame", min=0, help="Frame of a series, from 0.")]
Dataset = Annotated[
    str, typer.Option("--dataset", help="Which image of a file that holds several.")
]
Looks = Annotated[str, typer.Option("--polarity", help="bright or dark: how the atoms look.")]


def open_frame(
    image: Path,
    number: int = 0,
    *,
    dataset: str = "",
    pixel_size: str | None = None,
    missing: str = "auto",
) -> Frame:
    """Open one frame.

    Raises
    ------
    UserError
        When it cannot be read, or the series is shorter.
    """
    source = open_source(
        image,
        dataset=dataset or None,
        missing=missing_policy(missing),
        calibration=given_calibration(pixel_size),
    )
    if number >= source.n_frames:
        frames = f"{source.n_frames} frame{'s' * (source.n_frames != 1)}"
        raise UserError(f"{image.name} has {frames}: --frame counts from 0.")
    return source.frame(number)


def labels_of(path: Path, number: int) -> pd.DataFrame:
    """Read the labels of one frame from a table.

    Raises
    ------
    UserError
        When the table cannot be read, or has no labels of that frame.
    """
    table = read_atoms(path)
    here = table[table["frame"] == number].reset_index(drop=True)
    if here.empty:
        raise UserError(f"{path.name} has no atoms of frame {number}.")
    return here


def write_table(table: pd.DataFrame, output: Path, frame: Frame, number: int) -> pd.DataFrame:
    """Write atoms of one frame, in pm too where the pixel size is known, and return them."""
    made = table.assign(frame=number)
    if frame.calibration.known:
        made = with_calibration(made, frame.calibration)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atoms(made, output)
    return made


def report(
    output: Path,
    table: pd.DataFrame,
    sentence: str,
    notes: Sequence[str] = (),
    *,
    as_json: bool = False,
    **values: object,
) -> None:
    """Say what was written: a path on stdout and sentences on stderr, or all of it as JSON."""
    if as_json:
        counts = {str(k): int(n) for k, n in table["element"].value_counts().items()}
        print_json(
            {
                "output": str(output),
                "atoms": len(table),
                "elements": counts,
                **values,
                "notes": list(notes),
            }
        )
        return
    for line in (sentence, *notes):
        console.print(line)
    typer.echo(str(output))
