"""What several verbs share: their options, progress on stderr, results on stdout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Missing, Progress
from napari_apgan.io import parse_pixel_size

#: Everything for people goes to stderr; stdout stays for machines.
console = Console(stderr=True, highlight=False)

PixelSize = Annotated[
    str | None,
    typer.Option(
        "--pixel-size",
        metavar="PM|PM_Y,PM_X",
        help="Pixel size in pm, for files that carry none or a false one.",
    ),
]
MissingPixels = Annotated[
    str,
    typer.Option("--missing", help="Which pixels carry no measurement: auto, zero, nan or none."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Where the results go.")]
Seed = Annotated[int, typer.Option(min=0, help="Makes everything random reproducible.")]


def listed(text: str) -> list[str]:
    """Part an option such as ``fast,paper`` into its words."""
    return [word.strip() for word in text.split(",") if word.strip()]


def whole_numbers(text: str) -> list[int]:
    """Part an option such as ``256,1024`` into its numbers."""
    words = listed(text)
    if not all(word.isdecimal() for word in words):
        raise UserError(f"{text!r} is no list of whole numbers such as 256,1024.")
    return [int(word) for word in words]


def one_of(option: str, text: str, choices: Any) -> Any:
    """Return what an option was given, if it is among the values of a ``Literal``.

    Raises
    ------
    UserError
        When it is not.
    """
    values = get_args(choices)
    if text not in values:
        known = f"{', '.join(values[:-1])} or {values[-1]}"
        raise UserError(f"{option} takes {known}, not {text!r}.")
    return text


def missing_policy(text: str) -> Missing:
    """Turn the option ``--missing`` into a policy."""
    policy: Missing = one_of("--missing", text, Missing)
    return policy


def given_calibration(text: str | None) -> Calibration | None:
    """Turn the option ``--pixel-size`` into a calibration, None when it was not given."""
    return None if text is None else parse_pixel_size(text)


def print_json(value: Any) -> None:
    """Print a result on stdout as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """Show a bar on stderr; yields the function that moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=None)

        def move(done: int, total: int, message: str) -> None:
            bars.update(task, completed=done, total=total, description=message or what)

        yield move
