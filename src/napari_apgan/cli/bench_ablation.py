"""``apgan bench ablation``: twins of `fast` that differ in one thing each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import AsJson, listed, print_json, whole_numbers


def register(bench: typer.Typer) -> None:
    """Add the verb to the group."""

    @bench.command()
    def ablation(
        keep: Annotated[Path, typer.Option(help="Runs and frames; finished ones count again.")],
        cases: Annotated[
            str, typer.Option(help="Cases of `bench precision`, such as graphene-2.35.")
        ] = "graphene-2.35",
        twins: Annotated[str, typer.Option(help="Such as ssim,psnr; by default all.")] = "",
        seeds: Annotated[str, typer.Option(help="Such as 0,1,2.")] = "0,1,2",
        steps: Annotated[
            int | None, typer.Option(min=1, help="Of each training; by default 1500.")
        ] = None,
        minutes: Annotated[
            float | None, typer.Option(min=0.01, help="Budget of each training.")
        ] = None,
        pairs: Annotated[
            int | None, typer.Option(min=2, help="Pairs, those for validation among them.")
        ] = None,
        tests: Annotated[int, typer.Option(min=1, help="Test frames.")] = 6,
        threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
        as_json: AsJson = False,
    ) -> None:
        """Train twins of `fast` that differ in one thing each, and score them.

        All seventeen with three seeds take some hours on one core. Interrupted, the same command
        goes on; with fewer seeds it prints the table of what is there.
        """
        from napari_apgan.bench.ablation import ablate
        from napari_apgan.bench.twins import Budget

        result = ablate(
            keep,
            cases=listed(cases),
            twins=listed(twins),
            seeds=whole_numbers(seeds),
            pairs=pairs,
            tests=tests,
            budget=Budget(steps, minutes, threads),
        )
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.report())
