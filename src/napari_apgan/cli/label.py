"""``apgan label``: what helps with labelling, without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError

from . import label_check, label_fit, label_series
from .common import AsJson, one_of, progress_bar, whole_numbers
from .label_common import (
    AS_IT_IS,
    FrameNumber,
    Image,
    Looks,
    Reading,
    TableFile,
    labels_of,
    reads_images,
    report,
)
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
@reads_images
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
    several_sizes: Annotated[
        bool, typer.Option("--several-sizes", help="Look for small and large spots at once.")
    ] = False,
    frame: FrameNumber = 0,
    read: Reading = AS_IT_IS,
    as_json: AsJson = False,
) -> None:
    """Find atoms by contrast alone; `apgan predict bundled` asks the network instead."""
    from napari_apgan.label import detect as find

    ground = read.frame(image, frame)
    found = find(
        ground,
        polarity=one_of("--polarity", polarity, Polarity),
        spacing_px=spacing,
        threshold=threshold,
        mode="dual" if between_rings else "peaks",
        several_sizes=several_sizes,
    )
    table = write(found.assign(element=element), output, ground, frame)
    report(output, table, f"{len(table):,} candidates.", as_json=as_json)


@group.command()
@reads_images
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
    read: Reading = AS_IT_IS,
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
    ground = read.frame(image, frame)
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


@group.command()
@reads_images
def elements(
    image: Image,
    labels: Annotated[Path, typer.Argument(metavar="LABELS.csv", help="The atoms to name.")],
    output: TableFile,
    polarity: Looks = "bright",
    element: Annotated[
        list[str] | None,
        typer.Option(metavar="A1=Pb", help="What a class becomes; those not given keep its name."),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(metavar="A=2", help="How many kinds a sublattice has, where it is known."),
    ] = None,
    by_size: Annotated[
        bool, typer.Option("--by-size", help="Widths count too, where they are known.")
    ] = False,
    chart: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="Pb=IMAGE", help="Counts of an element: these maps decide instead."
        ),
    ] = None,
    align: Annotated[
        bool, typer.Option("--align", help="Find the shift of the maps by atoms named already.")
    ] = False,
    between: Annotated[
        str,
        typer.Option(metavar="Ti", help="Name nothing, but add the atoms between as this element."),
    ] = "",
    first: Annotated[
        str, typer.Option(metavar="Sr", help="With --between: between atoms of this element only.")
    ] = "",
    frame: FrameNumber = 0,
    read: Reading = AS_IT_IS,
    as_json: AsJson = False,
) -> None:
    """Name labels by sublattice and intensity, or by maps, or add those that stand between."""
    from napari_apgan.atoms import concat
    from napari_apgan.io.reference import SourceRef, open_reference
    from napari_apgan.label.name_atoms import (
        BetweenOptions,
        ElementOptions,
        atoms_between,
        name_atoms,
    )

    names = pairs_of("--element", element or [])
    counts = {
        name: whole_numbers(text)[0] for name, text in pairs_of("--kinds", kinds or []).items()
    }
    sources = {name: SourceRef(path=path) for name, path in pairs_of("--map", chart or []).items()}
    look = one_of("--polarity", polarity, Polarity)
    ground = read.frame(image, frame)
    table = labels_of(labels, frame)
    if between:
        options = BetweenOptions(polarity=look, first=first, element=between)
        found = atoms_between(ground, table, options)
        made = write(concat([table, found.assign(id=-1)]), output, ground, frame)
        report(output, made, f"{len(found):,} atoms added between.", as_json=as_json)
        return
    wanted = ElementOptions(
        polarity=look, counts=counts, by_size=by_size, maps=sources, align=align
    )
    maps = {name: open_reference(ref).frame(0) for name, ref in sources.items()}
    with progress_bar("naming atoms") as progress:
        named = name_atoms(ground, table, wanted, maps=maps, progress=progress)
    classes = named.atoms["element"].map(lambda c: names.get(c, c))
    rest = table[~table["id"].isin(named.atoms["id"])]
    made = write(concat([named.atoms.assign(element=classes), rest]), output, ground, frame)
    told = {c: int((named.atoms["element"] == c).sum()) for c in named.classes}
    sentence = " · ".join(f"{n:,} {c}" for c, n in told.items())
    sentence += f"; {named.n_doubtful:,} to check."
    report(
        output,
        made,
        sentence,
        named.notes,
        as_json=as_json,
        classes=told,
        to_check=named.n_doubtful,
    )


def register(app: typer.Typer) -> None:
    """Add the group."""
    label_fit.register(group)
    label_series.register(group)
    label_check.register(group)
    app.add_typer(group)
