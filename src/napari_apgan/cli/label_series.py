"""``apgan label register`` and ``transfer``: label the average, train on the singles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError

from .common import AsJson, Output, console, one_of, print_json, progress_bar
from .label_common import AS_IT_IS, Looks, Reading, TableFile, reads_images

if TYPE_CHECKING:
    from napari_apgan.frames import Source
    from napari_apgan.label.carry_series import Carried
    from napari_apgan.regions import Region

Series = Annotated[Path, typer.Argument(metavar="SERIES", help="A series of frames.")]


def register(group: typer.Typer) -> None:
    """Add the verbs."""

    @group.command("register")
    @reads_images
    def register_series(
        series: Series,
        output: Output,
        first: Annotated[int, typer.Option(min=0, help="First frame, from 0.")] = 0,
        stop: Annotated[
            int | None, typer.Option(min=1, help="The frame before which to stop; all by default.")
        ] = None,
        follow_distortions: Annotated[
            bool,
            typer.Option("--follow-distortions", help="Also bend each frame onto the others."),
        ] = False,
        read: Reading = AS_IT_IS,
        as_json: AsJson = False,
    ) -> None:
        """Put the frames of a series onto each other: their mean (to be labelled) and how they lie.

        Writes NAME.mean.tif, NAME.registration.npz and NAME.frames.csv into the folder.
        """
        from napari_apgan.io.tables import save_file
        from napari_apgan.io.tiffs import tiff_bytes
        from napari_apgan.label.register import RegisterSettings
        from napari_apgan.label.register import register as find
        from napari_apgan.label.register_file import (
            frames_table,
            registration_sentence,
            save_registration,
        )
        from napari_apgan.label.register_task import mean_pixels
        from napari_apgan.label.series import FramesOf, average

        source = read.source(series)
        frames = FramesOf(source, first, stop)
        with progress_bar("registering") as progress:
            found = find(frames, RegisterSettings(nonrigid=follow_distortions), progress=progress)
            mean = average(frames, found, progress=progress)
        output.mkdir(parents=True, exist_ok=True)
        image = output / f"{series.stem}.mean.tif"
        save_file(image, tiff_bytes(mean_pixels(mean), mean.frame.calibration, "YX"))
        path = output / f"{series.stem}.registration.npz"
        save_registration(path, found, first=first, noise=mean.noise)
        table = frames_table(found, first)
        save_file(output / f"{series.stem}.frames.csv", table.to_csv(index=False))
        sentence = registration_sentence(found)
        if as_json:
            rows = table.to_dict("records")
            print_json({"mean": image, "registration": path, "said": sentence, "frames": rows})
            return
        console.print(sentence)
        typer.echo(str(image))
        typer.echo(str(path))

    @group.command()
    @reads_images
    def transfer(
        series: Series,
        registration: Annotated[
            Path, typer.Argument(metavar="REGISTRATION", help="What `apgan label register` wrote.")
        ],
        labels: Annotated[Path, typer.Argument(metavar="LABELS.csv", help="Labels of the mean.")],
        output: TableFile,
        left_out: Annotated[
            Path | None,
            typer.Option(metavar="ATOMS.csv", help="Write what was left out, and why, there."),
        ] = None,
        box: Annotated[
            list[str] | None,
            typer.Option(
                metavar="X0,Y0,X1,Y1", help="Where all atoms of the mean are labelled, in px."
            ),
        ] = None,
        pairs: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="Write frames and labels there, to train on."),
        ] = None,
        polarity: Looks = "bright",
        drop_doubtful: Annotated[
            bool,
            typer.Option("--drop-doubtful", help="Leave out what one noisy frame cannot tell of."),
        ] = False,
        read: Reading = AS_IT_IS,
        as_json: AsJson = False,
    ) -> None:
        """Carry labels of a mean to the frames that show the atoms."""
        from napari_apgan.io import read_atoms, write_atoms
        from napari_apgan.io.tables import save_file
        from napari_apgan.label.carry_series import carry
        from napari_apgan.label.register_file import load_registration
        from napari_apgan.label.series import FramesOf, average
        from napari_apgan.label.verdict import TransferSettings

        looks: Polarity = one_of("--polarity", polarity, Polarity)
        regions = _boxes(box or [])
        if pairs is not None and not regions:
            raise UserError("--pairs needs --box: training learns only where all is labelled.")
        source = read.source(series)
        found, first, _ = load_registration(registration)
        atoms = read_atoms(labels)
        frames = FramesOf(source, first, first + len(found))
        with progress_bar("carrying labels") as progress:
            mean = average(frames, found, progress=progress)
            result = carry(
                frames,
                found,
                mean,
                atoms,
                regions,
                polarities=dict.fromkeys(atoms["element"].tolist(), looks),
                settings=TransferSettings(keep_doubtful=not drop_doubtful),
                progress=progress,
            )
        write_atoms(result.transfer.atoms, output)
        if left_out is not None:
            save_file(left_out, result.transfer.left_out.to_csv(index=False))
        if pairs is not None:
            _write_pairs(source, result, pairs)
        if as_json:
            counts = result.transfer.counts()
            print_json(
                {
                    "output": output,
                    "carried": counts.pop(""),
                    "left_out": counts,
                    "stray_px": round(result.transfer.moving_px, 3),
                    "said": result.sentence(),
                    "frames": result.frames().to_dict("records"),
                }
            )
            return
        console.print(result.sentence())
        typer.echo(str(output))


def _boxes(given: list[str]) -> list[Region]:
    from napari_apgan.regions import Region

    from .label import numbers_of

    made = []
    for number, text in enumerate(given):
        x0, y0, x1, y1 = numbers_of("--box", text, 4)
        made.append(Region.rectangle(x0, y0, x1, y1, id=number))
    return made


def _write_pairs(source: Source, result: Carried, folder: Path) -> None:
    """Write the frames that have a complete region, with their labels."""
    from napari_apgan.atoms import by_frame
    from napari_apgan.io import Pair, write_pairs
    from napari_apgan.names import frame_name

    tables = by_frame(result.transfer.atoms)
    none = result.transfer.atoms[:0]
    made = []
    for number, regions in result.regions.items():
        atoms = tables.get(number, none).reset_index(drop=True)
        made.append(
            Pair(
                name=f"{source.name}_{frame_name(number)}",
                frame=source.frame(number),
                atoms=atoms.assign(id=np.arange(len(atoms))),
                regions=regions,
                origin="detected",
                source=str(source.path or source.name),
            )
        )
    write_pairs(made, folder)
