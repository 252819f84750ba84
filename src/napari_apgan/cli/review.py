"""``apgan review``: frames and regions, worst first, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import (
    AsJson,
    Device,
    MissingPixels,
    PixelSize,
    given_calibration,
    missing_policy,
    print_json,
    progress_bar,
)

SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def review(
        model: Annotated[str, typer.Argument(help="Model file or run folder.")],
        inputs: Annotated[list[Path], typer.Argument(metavar="INPUT…", help="Images and series.")],
        output: Annotated[Path, typer.Option("-o", "--output", help="FILE.csv or FILE.json.")],
        whole_frames: Annotated[
            bool, typer.Option("--whole-frames", help="Rank frames instead of their regions.")
        ] = False,
        device: Device = "auto",
        pixel_size: PixelSize = None,
        missing: MissingPixels = "auto",
        as_json: AsJson = False,
    ) -> None:
        """Predict and rank, worst first: what to correct and send back to training."""
        from napari_apgan.review.batch import review_files

        with progress_bar("reviewing") as progress:
            items = review_files(
                model,
                inputs,
                output,
                whole_frames=whole_frames,
                device=device,
                calibration=given_calibration(pixel_size),
                missing=missing_policy(missing),
                progress=progress,
            )
        if as_json:
            print_json([item.as_dict() for item in items])
            return
        for item in items[:SHOWN]:
            box = ",".join(map(str, item.box))
            name = Path(item.source_id).name
            why = "; ".join(item.reasons) or "nothing conspicuous"
            typer.echo(f"{item.score:.3f}  {name}  frame {item.frame}  box {box}  {why}")
        if len(items) > SHOWN:
            typer.echo(f"… and {len(items) - SHOWN} more in {output}")
