"""``apgan label contrast`` and ``refine``: what the pattern is, and fits on the raw frame."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_apgan.elements import Polarity
from napari_apgan.measure import Shape

from .common import AsJson, listed, one_of, print_json
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
    write_table,
)


def register(group: typer.Typer) -> None:
    """Add the verbs to the group."""

    @group.command()
    @reads_images
    def contrast(
        image: Image,
        elements: Annotated[
            str, typer.Option(help="What is in it, such as C or B,N: light ones make honeycombs.")
        ] = "",
        frame: FrameNumber = 0,
        read: Reading = AS_IT_IS,
        as_json: AsJson = False,
    ) -> None:
        """Say whether atoms are bright, dark or between clearer rings, and where that changes."""
        from napari_apgan.label.contrast import assess_contrast

        ground = read.frame(image, frame)
        told = assess_contrast(ground, elements=listed(elements))
        if not as_json:
            typer.echo(told.sentence)
            return
        print_json(
            {
                "pattern": told.pattern,
                "polarity": told.polarity,
                "rings": told.rings,
                "sureness": told.sureness,
                "sentence": told.sentence,
                "boundaries_px": [line.tolist() for line in told.boundaries],
            }
        )

    @group.command()
    @reads_images
    def refine(
        image: Image,
        atoms: Annotated[Path, typer.Argument(metavar="ATOMS.csv", help="The labels.")],
        output: TableFile,
        polarity: Looks = "bright",
        shape: Annotated[
            str,
            typer.Option(
                help="profile (one for all, learned), gaussian (one each, fast) or ellipse (each)."
            ),
        ] = "profile",
        frame: FrameNumber = 0,
        read: Reading = AS_IT_IS,
        as_json: AsJson = False,
    ) -> None:
        """Fit labels on the raw frame: positions below the pixel, with standard errors."""
        from napari_apgan.label.refining import refine_labels

        labels = labels_of(atoms, frame)
        ground = read.frame(image, frame)
        done = refine_labels(
            ground,
            labels,
            polarity=one_of("--polarity", polarity, Polarity),
            shape=one_of("--shape", shape, Shape),
        )
        table = write_table(done.table, output, ground, frame)
        report(output, table, done.sentence, as_json=as_json, failed=done.failed)
