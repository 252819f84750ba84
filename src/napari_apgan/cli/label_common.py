"""What the verbs of ``apgan label`` share: how images are read, and the table they write."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from napari_apgan.atoms import with_calibration
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Source
from napari_apgan.io import open_source, read_atoms, write_atoms

from .common import (
    MissingPixels,
    PixelSize,
    console,
    given_calibration,
    missing_policy,
    print_json,
)

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="Image or series.")]
TableFile = Annotated[
    Path, typer.Option("-o", "--output", metavar="ATOMS.csv", help="Table to write.")
]
FrameNumber = Annotated[int, typer.Option("--frame", min=0, help="Frame of a series, from 0.")]
Dataset = Annotated[
    str, typer.Option("--dataset", help="Which image of a file that holds several.")
]
Looks = Annotated[str, typer.Option("--polarity", help="bright or dark: how the atoms look.")]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a verb reads the images it is given, as the options of :func:`reads_images` say."""

    dataset: Dataset = ""
    pixel_size: PixelSize = None
    missing: MissingPixels = "auto"

    def source(self, path: Path) -> Source:
        """Open an image or a series.

        Raises
        ------
        UserError
            When it cannot be read.
        """
        return open_source(
            path,
            dataset=self.dataset or None,
            missing=missing_policy(self.missing),
            calibration=given_calibration(self.pixel_size),
        )

    def frame(self, path: Path, number: int) -> Frame:
        """Open one frame.

        Raises
        ------
        UserError
            When it cannot be read, or the series is shorter.
        """
        source = self.source(path)
        if number >= source.n_frames:
            frames = f"{source.n_frames} frame{'s' * (source.n_frames != 1)}"
            raise UserError(f"{path.name} has {frames}: --frame counts from 0.")
        return source.frame(number)


#: Where no option says otherwise.
AS_IT_IS = Reading()


def reads_images(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb an option for each field of its argument ``read``, a :class:`Reading`."""
    signature = inspect.signature(verb, eval_str=True)
    options = list(inspect.signature(Reading, eval_str=True).parameters.values())
    asked: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        asked += options if parameter.name == "read" else [parameter]

    @wraps(verb)
    def called(**given: Any) -> None:
        read = Reading(**{option.name: given.pop(option.name) for option in options})
        verb(read=read, **given)

    called.__signature__ = signature.replace(parameters=asked)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in asked}
    return called


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
