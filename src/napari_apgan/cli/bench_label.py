"""``apgan bench fits`` and ``effort``: how precise fits are, and what labelling costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import AsJson, listed, print_json


def register(bench: typer.Typer) -> None:
    """Add the verbs to the group."""

    @bench.command()
    def fits(
        frames: Annotated[int, typer.Option(min=1, help="Frames of each case.")] = 16,
        side: Annotated[int, typer.Option(min=96, help="Side of a frame in px.")] = 224,
        cases: Annotated[str, typer.Option(help="Such as single,tailed; by default all.")] = "",
        atomap: Annotated[
            bool, typer.Option("--atomap", help="Let atomap refine the first frame of each too.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Measure refined positions against their bound, and atomap where it is installed."""
        from napari_apgan.bench.fits import bench_fits

        result = bench_fits(frames=frames, side=side, atomap=atomap, cases=listed(cases))
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.report())

    @bench.command()
    def effort(
        data: Annotated[
            Path | None, typer.Option(help="Folder of the real images; graphene alone without.")
        ] = None,
        cases: Annotated[str, typer.Option(help="Such as pto_sro,graphene.")] = "",
        as_json: AsJson = False,
    ) -> None:
        """Count the acts and seconds of a scripted user, assisted and unassisted."""
        from napari_apgan.bench.effort import bench_effort

        result = bench_effort(data, cases=listed(cases))
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.report())
