"""The command `apgan`: each verb calls the function that the docks call."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from napari_apgan.errors import UserError

from . import bench, demo, export, info, label, predict, review, score, simulate, train

app = typer.Typer(
    name="apgan",
    help="Find every atom, by element, on noisy HRTEM and STEM images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (demo, info, simulate, label, train, predict, score, review, export, bench):
    verb.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 bad input (with one sentence)."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    try:
        app(arguments)  # exits by itself: 2 for a wrong call, 1 for Ctrl+C
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except UserError as error:
        typer.echo(f"apgan: {error}", err=True)
        return 2
    except Exception as error:
        if os.environ.get("APGAN_DEBUG"):
            traceback.print_exc()
        typer.echo(
            f"apgan: this should not have happened: {type(error).__name__}: {error}. "
            "Set APGAN_DEBUG=1 and run again to see where; please report it.",
            err=True,
        )
        return 1
    return 0
