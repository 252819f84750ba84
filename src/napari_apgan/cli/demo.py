"""``apgan demo``: the main job on the embedded sample, scored against its known truth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from .common import AsJson, Seed, console, print_json


def open_in_napari(project: Path) -> int:
    """Open napari with the workbench on a project; a process of its own, which brings in Qt."""
    command = [sys.executable, "-m", "napari_apgan.ui", str(project)]
    return subprocess.call(command, env=dict(os.environ))


def say(sentence: str) -> None:
    """Print a sentence or a table on stderr, as it is."""
    console.print(sentence, soft_wrap=True, markup=False)


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def demo(
        output: Annotated[
            Path, typer.Option("-o", "--output", help="Folder for everything it makes.")
        ] = Path("apgan-demo"),
        gui: Annotated[
            bool, typer.Option("--gui", help="Then open napari with the same project loaded.")
        ] = False,
        minutes: Annotated[
            float, typer.Option(min=0.02, help="Budget of the first training.")
        ] = 0.6,
        seed: Seed = 0,
        as_json: AsJson = False,
    ) -> None:
        """Label, train, predict, score, correct, train again: all on a sample with known atoms."""
        from napari_apgan.demo import run_demo

        done = output / "result.json"
        if gui and done.is_file() and (output / "demo.apgan").is_dir():
            console.print(
                f"Opening the demonstration made before in {output} (delete it to make it anew)."
            )
            raise typer.Exit(open_in_napari(output / "demo.apgan"))
        result = run_demo(output.resolve(), seed=seed, minutes=minutes, say=say)
        console.print(f"Took {result.seconds:.0f} s. Figures and tables: {output}")
        if as_json:
            print_json(result.summary())
        else:
            typer.echo(result.second.table())
        if gui:
            raise typer.Exit(open_in_napari(result.project))
