"""``apgan bench paper``: search what the paper leaves open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_apgan.errors import UserError

from .common import AsJson, print_json, whole_numbers


def register(bench: typer.Typer) -> None:
    """Add the verb to the group."""

    @bench.command()
    def paper(
        keep: Annotated[Path, typer.Option(help="Runs and frames; finished ones count again.")],
        crops: Annotated[int, typer.Option(min=8, help="Crops shown in each training.")] = 600,
        seeds: Annotated[str, typer.Option(help="Two or more, such as 0,1.")] = "0,1",
        threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Search what the paper leaves to its supplement, on a reduced twin of `paper`."""
        from napari_apgan.bench.paper_search import search

        chosen = whole_numbers(seeds)
        if len(chosen) < 2:
            raise UserError("One seed cannot tell gain from chance: give two or more.")
        result = search(keep, crops=crops, seeds=chosen, threads=threads)
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.report())
