"""``apgan bench precision``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from .common import AsJson, print_json

#: Options that say where things go and nothing of what is measured.
ELSEWHERE = ("work", "write", "as_json", "redo")


def register(bench: typer.Typer) -> None:
    """Add the verb to the group ``bench``."""

    @bench.command()
    def precision(
        ctx: typer.Context,
        cases: Annotated[str, typer.Option(help="Names of cases, or all.")] = "graphene-2.35",
        methods: Annotated[
            str, typer.Option(help="lattice, log, atomap, atomai, presets; all or none.")
        ] = "all",
        seeds: Annotated[str | None, typer.Option(help="By default 0,1,2.")] = None,
        minutes: Annotated[
            str, typer.Option(help="Budget of each training: 3, or fast=3,paper=60.")
        ] = "",
        steps: Annotated[
            str, typer.Option(help="Budget in steps: 500, or atomai=500,paper=900.")
        ] = "",
        engine: Annotated[
            str | None, typer.Option(help="fast or abtem, for HRTEM; by default the case's own.")
        ] = None,
        frames: Annotated[
            str | None, typer.Option(help="Training,validation,test frames; or of the test only.")
        ] = None,
        probes: Annotated[
            int | None, typer.Option(min=0, help="Structures that each gain is probed on.")
        ] = None,
        side: Annotated[int | None, typer.Option(help="Side of the frames in px.")] = None,
        init: Annotated[
            str, typer.Option(help="Where presets start: scratch, bundled or a model.")
        ] = "scratch",
        threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
        target: Annotated[
            bool,
            typer.Option("--target", help="Also: how long `fast` trains to the first line."),
        ] = False,
        quick: Annotated[
            bool, typer.Option("--quick", help="Smaller numbers, where none are given.")
        ] = False,
        work: Annotated[
            Path, typer.Option(help="Keeps images, trainings and answers: a second run goes on.")
        ] = Path("apgan-precision"),
        results: Annotated[
            Path | None, typer.Option(help="Keeps the figures; by default in --work.")
        ] = None,
        redo: Annotated[
            str, typer.Option(help="Make anew: nothing, columns, answers or training.")
        ] = "nothing",
        finished: Annotated[
            bool,
            typer.Option(
                "--finished", help="Measure nothing: tables of every result that is there."
            ),
        ] = False,
        write: Annotated[
            Path | None, typer.Option(help="Put the tables between this document's markers.")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Score networks, baselines and other programs on simulated frames of known truth."""
        from napari_apgan.bench.precision.order import carry_out, make_order
        from napari_apgan.bench.precision.report import write_between_markers

        order = make_order(
            cases=cases,
            methods=methods,
            seeds=seeds,
            minutes=minutes,
            steps=steps,
            engine=engine,
            frames=frames,
            probes=probes,
            side=side,
            init=init,
            threads=threads,
            target=target,
            quick=quick,
            redo=redo,
            finished_only=finished,
        )
        try:
            done = carry_out(order, work, results)
        except KeyboardInterrupt:
            typer.echo("Stopped. What was finished is kept: the same command goes on.", err=True)
            raise typer.Exit(1) from None
        text = f"    {command_line(ctx)}\n\n{done.report()}"
        if write is not None:
            write_between_markers(write, text)
        if as_json:
            print_json(done.as_json())
        else:
            typer.echo(text)


def command_line(ctx: typer.Context) -> str:
    """Return the command that measures the same, wherever its files are."""
    words = ["apgan", "bench", str(ctx.info_name)]
    finished = bool(ctx.params.get("finished"))
    for option in ctx.command.params:
        value: Any = ctx.params.get(str(option.name))
        # 0 equals False, and is worth saying.
        unsaid = value is None or value is False or value == option.default
        # Where results lie matters to those who want to see the same ones.
        elsewhere = option.name in ELSEWHERE or (option.name == "results" and not finished)
        if elsewhere or unsaid:
            continue
        words += [option.opts[0]] if value is True else [option.opts[0], str(value)]
    return shlex.join(words)
