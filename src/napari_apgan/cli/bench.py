"""``apgan bench``: the tables of docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_apgan.errors import UserError
from napari_apgan.train import RunSettings

from . import bench_ablation, bench_label, bench_paper, bench_precision
from .common import AsJson, Device, Seed, console, listed, print_json, whole_numbers


def register(app: typer.Typer) -> None:
    """Add the group of verbs."""
    bench = typer.Typer(help="Print the tables of docs/benchmarks.md.", no_args_is_help=True)
    app.add_typer(bench, name="bench")
    bench_ablation.register(bench)
    bench_label.register(bench)
    bench_paper.register(bench)
    bench_precision.register(bench)

    @bench.command()
    def real(
        case: Annotated[str, typer.Option(help="graphene or ptnc.")],
        data: Annotated[Path, typer.Option(help="Folder of the real images.")],
        preset: Annotated[str, typer.Option(help="The preset to train.")] = "fast",
        minutes: Annotated[
            float | None, typer.Option(min=0.01, help="Budget of each training.")
        ] = None,
        steps: Annotated[int | None, typer.Option(min=1, help="Budget of each training.")] = None,
        seeds: Annotated[str, typer.Option(help="Such as 0,1,2; by default the case's own.")] = "",
        threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
        keep: Annotated[Path | None, typer.Option(help="Keep the run folders here.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Train and score on held-out parts of real images, beside tuned classical finders."""
        from napari_apgan.bench.real import run

        result = run(
            case,
            data,
            settings=RunSettings(preset=preset, minutes=minutes, steps=steps, threads=threads),
            seeds=[int(s) for s in seeds.split(",") if s.strip()] or None,
            keep=keep,
        )
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.report())

    @bench.command()
    def eventloop(
        seconds: Annotated[float, typer.Option(min=1, help="How long to measure.")] = 25.0,
        size: Annotated[int, typer.Option(min=64, help="Side of the image in px.")] = 1024,
        as_json: AsJson = False,
    ) -> None:
        """Measure the gaps between turns of the window's event loop while a training runs."""
        from napari_apgan.bench.eventloop import measure

        result = measure(seconds, image_px=size)
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.table())

    @bench.command()
    def edits(
        atoms: Annotated[int, typer.Option(min=1000, help="Labels on the screen.")] = 20_000,
        repeats: Annotated[int, typer.Option(min=1, help="How often each act is timed.")] = 15,
        as_json: AsJson = False,
    ) -> None:
        """Measure how long an edit takes with very many labels, the whole turn and a pan."""
        from napari_apgan.bench.edits import measure

        result = measure(atoms, repeats)
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.table())

    @bench.command()
    def opening(
        runs: Annotated[int, typer.Option(min=1, help="How many fresh processes.")] = 5,
        as_json: AsJson = False,
    ) -> None:
        """Measure how long the workbench takes to open once napari is up."""
        from napari_apgan.bench.opening import measure

        result = measure(runs)
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.table())

    @bench.command()
    def speed(
        presets: Annotated[str, typer.Option(help="Such as fast,paper; by default all.")] = "",
        sizes: Annotated[str, typer.Option(help="Sides of the images in px.")] = "256,1024,4096",
        device: Device = "cpu",
        threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
        repeats: Annotated[int, typer.Option(min=1, help="Processes of each measurement.")] = 3,
        target: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="F1 that a training is to reach.")
        ] = 0.99,
        minutes: Annotated[
            float, typer.Option(min=0.0, help="Given to each such training; 0 makes none.")
        ] = 3.0,
        train: Annotated[str, typer.Option(help="Presets that are trained so.")] = "fast",
        seed: Seed = 0,
        as_json: AsJson = False,
    ) -> None:
        """Measure training and prediction, time and memory, beside AtomAI where installed."""
        from napari_apgan.bench.speed import measure

        result = measure(
            presets=listed(presets),
            sizes=whole_numbers(sizes),
            device=device,
            threads=threads,
            repeats=repeats,
            target_f1=target,
            minutes=minutes,
            target_presets=listed(train),
            seed=seed,
        )
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.report())

    @bench.command()
    def detect(
        data: Annotated[
            Path | None, typer.Option(help="Folder of the real images; simulated ones without.")
        ] = None,
        model: Annotated[
            str, typer.Option(help="bundled, or another model of contrasts.")
        ] = "bundled",
        frames: Annotated[int, typer.Option(min=1, help="Simulated frames.")] = 96,
        overlay: Annotated[
            Path | None,
            typer.Option(
                help="Instead: time the first overlay from one labelled region; runs go here."
            ),
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Detect atoms without any label, on real images and on simulated frames."""
        from napari_apgan.bench.detecting import bench_detect
        from napari_apgan.bench.overlay import bench_overlay

        if overlay is not None:
            if data is None:
                raise UserError("The first overlay is measured on a real image: give --data.")
            timed = bench_overlay(data, overlay, inits=(model, "scratch"))
            typer.echo(timed.model_dump_json(indent=2) if as_json else timed.report())
            return
        result = bench_detect(data, model=model, frames=frames)
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.report())

    @bench.command()
    def transfer(
        data: Annotated[
            Path | None, typer.Option(help="Folder of the real images; simulated ones without.")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Carry labels of a mean to the frames of series whose truth is known."""
        from napari_apgan.bench.transfer import bench_transfer

        with console.status("registering") as status:
            result = bench_transfer(data, progress=status.update)
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.report())

    @bench.command()
    def simulate(
        repeats: Annotated[int, typer.Option(min=1, help="Images of each case.")] = 5,
        compare: Annotated[
            bool, typer.Option("--compare", help="Hold `fast` against abTEM (minutes to hours).")
        ] = False,
        passes: Annotated[
            int, typer.Option(min=1, help="Frozen-phonon passes of the HAADF reference.")
        ] = 2,
        cells: Annotated[
            Path | None, typer.Option(help="Keep the images of the HAADF reference here.")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Measure how long a simulated frame takes, or how far `fast` is from multislice."""
        if compare:
            from napari_apgan.bench.engines import compare as compare_engines

            held = compare_engines(passes=passes, cells=cells)
            if as_json:
                print_json(held.model_dump(mode="json"))
            else:
                typer.echo(held.report())
            return
        from napari_apgan.bench.simulation import measure

        result = measure(repeats)
        if as_json:
            print_json(result.model_dump(mode="json"))
        else:
            typer.echo(result.report())
