"""``apgan label``: what helps with labelling, without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError

from . import label_check, label_series
from .common import AsJson, MissingPixels, PixelSize, one_of, progress_bar
from .label_common import Dataset, FrameNumber, Image, Looks, TableFile, open_frame, report
from .label_common import write_table as write

group = typer.Typer(
    name="label",
    help="Help with labelling: find atoms, lay lattices, name elements.",
    no_args_is_help=True,
)


def pairs_of(option: str, given: list[str]) -> dict[str, str]:
    """Turn ``A=Pb`` and ``B=Ti`` into a mapping.

    Raises
    ------
    UserError
        When one of them is no NAME=VALUE.
    """
    made = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise UserError(f"{option} takes NAME=VALUE, not {text!r}.")
        made[name.strip()] = value.strip()
    return made


def numbers_of(option: str, text: str, count: int) -> tuple[float, ...]:
    """Turn ``12.5,40`` into so many numbers.

    Raises
    ------
    UserError
        When it is not.
    """
    try:
        made = tuple(float(word) for word in text.split(","))
    except ValueError:
        made = ()
    if len(made) != count:
        raise UserError(f"{option} takes {count} numbers with commas between, not {text!r}.")
    return made


def area_of(text: str) -> tuple[tuple[float, float], ...]:
    """Turn two corners of a box, or three and more of a polygon, into a polygon.

    Raises
    ------
    UserError
        When they are none.
    """
    from napari_apgan.regions import Region

    count = text.count(",") + 1
    numbers = numbers_of("--area", text, count)
    if count == 4:
        return Region.rectangle(*numbers).polygon
    if count < 6 or count % 2:
        raise UserError(f"--area takes the x and y of two or more corners, not {text!r}.")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


@group.command()
def detect(
    image: Image,
    output: TableFile,
    polarity: Looks = "bright",
    element: Annotated[str, typer.Option(help="What the atoms are called.")] = "unknown",
    spacing: Annotated[
        float | None, typer.Option(help="Distance of neighbours in px; measured by default.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Leave out what is weaker than so many deviations.")
    ] = 0.0,
    between_rings: Annotated[
        bool, typer.Option("--between-rings", help="Atoms stand between rings, as in graphene.")
    ] = False,
    frame: FrameNumber = 0,
    dataset: Dataset = "",
    pixel_size: PixelSize = None,
    missing: MissingPixels = "auto",
    as_json: AsJson = False,
) -> None:
    """Find atoms by contrast alone; `apgan predict bundled` asks the network instead."""
    from napari_apgan.label import detect as find

    ground = open_frame(image, frame, dataset=dataset, pixel_size=pixel_size, missing=missing)
    found = find(
        ground,
        polarity=one_of("--polarity", polarity, Polarity),
        spacing_px=spacing,
        threshold=threshold,
        mode="dual" if between_rings else "peaks",
    )
    table = write(found.assign(element=element), output, ground, frame)
    report(output, table, f"{len(table):,} candidates.", as_json=as_json)


@group.command()
def lattice(
    image: Image,
    output: TableFile,
    polarity: Looks = "bright",
    pick: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="An atom and two neighbours in px: give it three times."),
    ] = None,
    structure: Annotated[
        Path | None, typer.Option(help="Structure file (.cif) that says what stands where.")
    ] = None,
    zone: Annotated[str, typer.Option(metavar="U,V,W", help="Beam direction in it.")] = "0,0,1",
    area: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y,X,Y…",
            help="Only inside, in px: two corners of a box, or all of a polygon; may be repeated.",
        ),
    ] = None,
    one_grain: Annotated[bool, typer.Option("--one-grain", help="Lay one lattice only.")] = False,
    presence: Annotated[
        float, typer.Option(min=0, help="Sites with less of their usual height are empty.")
    ] = 0.5,
    element: Annotated[
        list[str] | None,
        typer.Option(metavar="A=Pb", help="What a sublattice is; A is the strongest."),
    ] = None,
    missing_to: Annotated[
        Path | None, typer.Option(metavar="SITES.csv", help="Write the empty sites there.")
    ] = None,
    extra_to: Annotated[
        Path | None, typer.Option(metavar="ATOMS.csv", help="Write atoms beside the sites there.")
    ] = None,
    frame: FrameNumber = 0,
    dataset: Dataset = "",
    pixel_size: PixelSize = None,
    missing: MissingPixels = "auto",
    as_json: AsJson = False,
) -> None:
    """Lay lattices: the atoms on their sites, which are missing, and which are too much."""
    from napari_apgan.label.lay import LatticeOptions, lay_lattice
    from napari_apgan.label.sites import counted

    names = pairs_of("--element", element or [])
    picks = [numbers_of("--pick", text, 2) for text in pick or []]
    if len(picks) not in (0, 3):
        raise UserError("--pick is given three times: an atom and two of its neighbours.")
    direction = numbers_of("--zone", zone, 3)
    if not any(direction) or any(v != int(v) for v in direction):
        raise UserError(f"--zone takes three whole numbers, not all 0, not {zone!r}.")
    areas = [area_of(text) for text in area or []]
    ground = open_frame(image, frame, dataset=dataset, pixel_size=pixel_size, missing=missing)
    options = LatticeOptions.model_validate(
        {
            "polarity": one_of("--polarity", polarity, Polarity),
            "picks": picks or None,
            "structure": structure,
            "zone": [int(v) for v in direction],
            "areas": areas,
            "grains": not one_grain,
        }
    )
    with progress_bar("laying lattices") as progress:
        proposal = lay_lattice(ground, options, progress=progress)
    made = proposal.tables(presence=presence, elements=names)
    table = write(made.atoms, output, ground, frame)
    for path, other in ((missing_to, made.missing), (extra_to, made.extra)):
        if path is not None:
            write(other, path, ground, frame)
    grains = len(proposal.lattices)
    report(
        output,
        table,
        counted(len(table), len(made.missing), len(made.extra), grains),
        proposal.notes,
        as_json=as_json,
        missing=len(made.missing),
        extra=len(made.extra),
        grains=grains,
        sublattices={
            str(k): int(n) for k, n in table["sublattice"].value_counts().sort_index().items()
        },
    )


def register(app: typer.Typer) -> None:
    """Add the group."""
    label_series.register(group)
    label_check.register(group)
    app.add_typer(group)
