"""``apgan predict``: atoms and maps of images and series."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.predict.prediction import Uncertainty

from .common import (
    AsJson,
    Device,
    MissingPixels,
    Output,
    PixelSize,
    given_calibration,
    missing_policy,
    one_of,
    print_json,
    progress_bar,
)


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """Turn ``I/N`` (from 1) into (index from 0, count).

    Raises
    ------
    UserError
        When it is not two numbers with 1 ≤ I ≤ N.
    """
    if text is None:
        return None
    first, slash, second = text.partition("/")
    if not (slash and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
        raise UserError(f"--shard takes I/N with I from 1 to N, such as 2/8, not {text!r}.")
    return int(first) - 1, int(second)


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def predict(
        model: Annotated[str, typer.Argument(help="Model file, run folder, or bundled.")],
        inputs: Annotated[list[Path], typer.Argument(metavar="INPUT…", help="Images and series.")],
        output: Output,
        maps: Annotated[bool, typer.Option(help="Write the probability maps too.")] = False,
        tta: Annotated[
            bool, typer.Option(help="Average over the eight symmetries: slower, a little better.")
        ] = False,
        uncertainty: Annotated[
            str,
            typer.Option(
                metavar="none|map|symmetry",
                help="Write the maps and the deviation of each pixel: from the maps themselves, "
                "or over the eight symmetries, which takes eight times as long.",
            ),
        ] = "none",
        device: Device = "auto",
        polarity: Annotated[
            str, typer.Option(help="bright or dark: how the atoms look, for the bundled model.")
        ] = "bright",
        shard: Annotated[
            str | None,
            typer.Option(metavar="I/N", help="Do only the I-th of N parts of the inputs."),
        ] = None,
        pixel_size: PixelSize = None,
        missing: MissingPixels = "auto",
        as_json: AsJson = False,
    ) -> None:
        """Find the atoms: OUTPUT/NAME.atoms.csv for each INPUT, NAME.maps.tif with --maps."""
        from napari_apgan.predict.batch import predict_files

        part = parse_shard(shard)
        with progress_bar("predicting") as progress:
            written = predict_files(
                model,
                inputs,
                output,
                maps=maps,
                tta=tta,
                uncertainty=one_of("--uncertainty", uncertainty, Uncertainty),
                device=device,
                shard=part,
                polarity=one_of("--polarity", polarity, Polarity),
                calibration=given_calibration(pixel_size),
                missing=missing_policy(missing),
                progress=progress,
            )
        if as_json:
            print_json([str(path) for path in written])
        else:
            typer.echo("\n".join(str(path) for path in written))
