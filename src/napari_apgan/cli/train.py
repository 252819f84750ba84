"""``apgan train``: a run from a pairs folder or a project, followed until it ends."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from napari_apgan.elements import Element, make_elements
from napari_apgan.errors import UserError
from napari_apgan.io import Pair, read_pairs
from napari_apgan.models.presets import PRESETS
from napari_apgan.models.recipe import Coding
from napari_apgan.project import Project
from napari_apgan.simulate.examples import find_settings
from napari_apgan.simulate.settings import SimulationSettings
from napari_apgan.simulate.stream import elements_of
from napari_apgan.simulate.zoo_settings import KEY as EVERYTHING
from napari_apgan.simulate.zoo_settings import ZooSettings, channel_elements
from napari_apgan.train import RunSettings, Trainer, attach, launch, prepare_run
from napari_apgan.train.events import Done, Note, Step, Validated
from napari_apgan.train.words import outcome_sentence, score_words

from .common import (
    AsJson,
    Device,
    MissingPixels,
    PixelSize,
    Seed,
    console,
    given_calibration,
    missing_policy,
    one_of,
    print_json,
)

POLL_S = 0.2
DEFAULT_VALIDATION = 0.2
#: A long training: few validations, none of which ends it, and long averages of the weights. The
#: frames of the stream bring their own noise, scan, background and lost pixels.
RECIPE_OF_EVERYTHING = {
    "crop_px": 96,
    "validate_every": 1000,
    "patience": 0,
    "ema": 0.998,
    "batch": 4,
    "rate": 3e-3,
    "decay": "linear",
    "decay_from": 0.15,
    # Where a frame shows nothing but noise, the answer is to stay below the threshold.
    "weights": {"peak_weight": 0.5},
    "augmentation": {"noise": 0.2, "background": 0.1, "gradient": 0.1, "dropout_chance": 0.05},
}


def load_training(
    path: Path, *, pixel_size: str | None = None, missing: str = "auto"
) -> tuple[list[Pair], list[Element]]:
    """Read the training set of a project or of a pairs folder, with its elements.

    Raises
    ------
    UserError
        When there is nothing to train on.
    """
    if (path / "project.json").is_file():
        with Project.open(path, read_only=True) as project:
            return project.training_pairs(), list(project.elements)
    pairs = read_pairs(
        path, missing=missing_policy(missing), calibration=given_calibration(pixel_size)
    )
    names = sorted({name for pair in pairs for name in pair.atoms["element"]})
    return pairs, make_elements(names)


def split_validation(validation: str) -> tuple[list[Pair], float]:
    """Turn the option ``--val`` into validation pairs and a fraction for where there are none."""
    if Path(validation).is_dir():
        return read_pairs(validation), DEFAULT_VALIDATION
    try:
        fraction = float(validation)
    except ValueError:
        fraction = -1.0
    if not 0 < fraction < 1:
        raise UserError(
            f"--val takes a fraction between 0 and 1 or a pairs folder, not {validation!r}."
        )
    return [], fraction


def load_sources(
    training_set: Path | None, simulate: str | None, *, pixel_size: str | None, missing: str
) -> tuple[list[Pair], list[Element], SimulationSettings | ZooSettings | None]:
    """Read what is trained on: labelled pairs, a simulation, or both.

    With pairs the elements are theirs, else those that the simulation shows.

    Raises
    ------
    UserError
        When there is neither, or one cannot be read.
    """
    if simulate == EVERYTHING:
        if training_set is not None:
            raise UserError(
                "“everything” names atoms by their contrast alone: train on it without a training "
                "set, and continue from its model with --init."
            )
        return [], channel_elements(), ZooSettings()
    stream = None if simulate is None else find_settings(simulate)
    if training_set is not None:
        pairs, elements = load_training(training_set, pixel_size=pixel_size, missing=missing)
        return pairs, elements, stream
    if stream is None:
        raise UserError(
            "Say what to train on: a pairs folder, a project, or --simulate with an example."
        )
    return [], make_elements(elements_of(stream)), stream


def follow(trainer: Trainer) -> str:
    """Show a run until it ends, stop it on Ctrl+C, and return its last sentence."""
    folder = trainer.folder
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    seen = len(folder.events()) if folder.status() != "running" else 0
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("starting", total=1.0)
        while True:
            ended = not trainer.alive
            for event in folder.events(after=seen):
                seen += 1
                if isinstance(event, Step):
                    bars.update(
                        task,
                        completed=event.progress,
                        description=f"step {event.step}, loss {event.loss:.4g}",
                    )
                elif isinstance(event, Validated) and event.best:
                    console.print(f"step {event.step}: {score_words(event.score)}")
                elif isinstance(event, Note):
                    console.print(event.message)
            if ended:
                break
            try:
                time.sleep(POLL_S)
            except KeyboardInterrupt:
                console.print("Stopping after this step; the best model so far is kept.")
                trainer.stop()
    return outcome_sentence(folder)


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def train(
        output: Annotated[Path, typer.Option("-o", "--output", help="The run folder to make.")],
        training_set: Annotated[
            Path | None, typer.Argument(help="Pairs folder or project (NAME.apgan).")
        ] = None,
        preset: Annotated[str, typer.Option(help=f"One of: {', '.join(PRESETS)}.")] = "fast",
        minutes: Annotated[float | None, typer.Option(min=0.01, help="Budget in minutes.")] = None,
        epochs: Annotated[int | None, typer.Option(min=1, help="Budget in epochs.")] = None,
        steps: Annotated[int | None, typer.Option(min=1, help="Budget in steps.")] = None,
        val: Annotated[
            str, typer.Option(help="Fraction kept for validation, or a pairs folder.")
        ] = "0.2",
        init: Annotated[
            str, typer.Option(help="scratch, bundled, a model file or a run folder.")
        ] = "scratch",
        simulate: Annotated[
            str | None,
            typer.Option(
                help="Train also on fresh simulated frames: an example, settings.json, everything."
            ),
        ] = None,
        simulated_share: Annotated[
            float | None,
            typer.Option(help="Their part of every batch: 0.5, or 1 without a training set."),
        ] = None,
        coding: Annotated[
            str,
            typer.Option(
                help="elements: one map each; rgb: colours of one picture, three elements at most."
            ),
        ] = "elements",
        device: Device = "auto",
        seed: Seed = 0,
        resume: Annotated[bool, typer.Option(help="Go on with the run at OUTPUT.")] = False,
        pixel_size: PixelSize = None,
        missing: MissingPixels = "auto",
        as_json: AsJson = False,
    ) -> None:
        """Train a network; OUTPUT/best.safetensors is its best model."""
        if resume:
            trainer = launch(output, resume=True)
        else:
            pairs, elements, stream = load_sources(
                training_set, simulate, pixel_size=pixel_size, missing=missing
            )
            if simulated_share is not None and not 0 < simulated_share <= 1:
                raise UserError(
                    f"--simulated-share takes a part between 0 and 1, not {simulated_share:g}."
                )
            held_out, fraction = split_validation(val)
            settings = RunSettings(
                preset=preset,
                minutes=minutes,
                epochs=epochs,
                steps=steps,
                device=device,
                seed=seed,
                init=init,
                validation=fraction,
                coding=one_of("--coding", coding, Coding),
                stream=stream,
                stream_share=simulated_share or (0.5 if pairs else 1.0),
                recipe=RECIPE_OF_EVERYTHING if isinstance(stream, ZooSettings) else {},
            )
            prepare_run(pairs, output, settings, elements, validation=held_out)
            trainer = launch(output)
        message = follow(trainer)
        done = attach(output).folder.last(Done)
        console.print(message)
        if as_json:
            result = done.model_dump(mode="json") if done else {"event": trainer.status()}
            print_json({"run": str(output), "message": message, **result})
        if trainer.status() not in ("done", "stopped"):
            raise typer.Exit(1)
