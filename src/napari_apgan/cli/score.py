"""``apgan score``: predictions against the truth, element by element."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from scipy.spatial import cKDTree

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import Pair, read_atoms, read_pairs
from napari_apgan.measure import FrameToScore, score_frames
from napari_apgan.measure.sureness import judge
from napari_apgan.predict.files import ATOMS_SUFFIX

from .common import (
    AsJson,
    MissingPixels,
    PixelSize,
    console,
    given_calibration,
    missing_policy,
    print_json,
)


def default_tolerance_px(truth: list[pd.DataFrame]) -> float:
    """Return half the smallest usual spacing: farther away, another atom is as near.

    Half of the 5th percentile of the distance to the nearest neighbour, over all frames.
    """
    spacings = [
        np.asarray(cKDTree(positions(t)).query(positions(t), k=2)[0])[:, 1]
        for t in truth
        if len(t) > 1
    ]
    if not spacings:
        raise UserError("There are too few true atoms to choose a tolerance: give --tolerance-px.")
    return float(0.5 * np.percentile(np.concatenate(spacings), 5))


def read_truth(
    folder: Path, calibration: Calibration | None, missing: str
) -> dict[str, Pair | pd.DataFrame]:
    """Read the true atoms by name: a pairs folder, or a folder of CSV files alone."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: give the folder that holds the true atoms.")
    images = [
        p for p in folder.iterdir() if p.suffix.lower() != ".csv" and p.with_suffix(".csv").exists()
    ]
    if images:
        pairs = read_pairs(folder, calibration=calibration, missing=missing_policy(missing))
        return {pair.name: pair for pair in pairs}
    tables = {
        p.name.removesuffix(".csv").removesuffix(".atoms"): p for p in sorted(folder.glob("*.csv"))
    }
    if not tables:
        raise UserError(f"{folder} holds no table of atoms (NAME.csv).")
    return {name: read_atoms(path) for name, path in tables.items()}


def frames_of_folders(
    predicted: Path,
    truth: Path,
    *,
    calibration: Calibration | None = None,
    missing: str = "auto",
) -> list[FrameToScore]:
    """Read the predictions of a folder and their true atoms from another.

    Raises
    ------
    UserError
        When no name is in both folders.
    """
    known = read_truth(truth, calibration, missing)
    frames: list[FrameToScore] = []
    for path in sorted(predicted.glob(f"*{ATOMS_SUFFIX}")):
        true = known.pop(path.name.removesuffix(ATOMS_SUFFIX), None)
        if true is None:
            continue
        atoms = read_atoms(path)
        if isinstance(true, Pair):
            scale = calibration or true.frame.calibration
            regions, shape = true.regions or None, true.frame.shape
            frames.append(FrameToScore(atoms, true.atoms, regions, None, scale, shape))
            continue
        for number in sorted(set(true["frame"])):
            found, wanted = (t[t["frame"] == number].reset_index(drop=True) for t in (atoms, true))
            frames.append(FrameToScore(found, wanted, calibration=calibration or Calibration()))
    if not frames:
        raise UserError(
            f"No prediction in {predicted} (NAME{ATOMS_SUFFIX}) has the name of a truth in "
            f"{truth} (NAME.csv)."
        )
    if known:
        console.print(f"[yellow]Not predicted, so not scored: {', '.join(sorted(known))}.[/]")
    return frames


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def score(
        predicted: Annotated[Path, typer.Argument(help="Folder of predictions (NAME.atoms.csv).")],
        truth: Annotated[Path, typer.Argument(help="Pairs folder, or a folder of NAME.csv.")],
        tolerance_px: Annotated[
            float | None,
            typer.Option(
                min=0.01, help="Largest distance of a match; by default half the usual spacing."
            ),
        ] = None,
        reliability: Annotated[
            bool, typer.Option(help="Judge the confidence and the error bars too.")
        ] = False,
        pixel_size: PixelSize = None,
        missing: MissingPixels = "auto",
        as_json: AsJson = False,
    ) -> None:
        """Score predictions: precision, recall, F1, error, bias and gain, per element."""
        frames = frames_of_folders(
            predicted, truth, calibration=given_calibration(pixel_size), missing=missing
        )
        tolerance = tolerance_px or default_tolerance_px([f.truth for f in frames])
        result = score_frames(frames, tolerance_px=tolerance)
        sure = judge(frames, tolerance_px=tolerance) if reliability else None
        if as_json:
            found = result.model_dump(mode="json")
            if sure is not None:
                found["reliability"] = sure.model_dump(mode="json")
            print_json(found)
            return
        typer.echo(result.table())
        typer.echo(f"A match lies within {result.tolerance_px:.2f} px.")
        if any(f.shape is not None for f in frames):
            typer.echo(
                "Atoms on the outermost row of pixels do not count: on which side of a frame's "
                "edge their centres lie is chance."
            )
        if sure is not None:
            typer.echo(sure.table())
