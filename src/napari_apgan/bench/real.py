"""The benchmarks on real images that lie beside the project."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from napari_apgan.errors import UserError
from napari_apgan.train import RunSettings

from .graphene import GrapheneResult, bench_graphene
from .ptnc import PtncResult, bench_ptnc

__all__ = ["CASES", "GrapheneResult", "PtncResult", "bench_graphene", "bench_ptnc", "main", "run"]

CASES = ("graphene", "ptnc")


def run(
    case: str,
    data: Path,
    *,
    settings: RunSettings | None = None,
    seeds: Sequence[int] | None = None,
    json: Path | None = None,
    keep: Path | None = None,
) -> GrapheneResult | PtncResult:
    """Run one case with the product's own training and prediction.

    Parameters
    ----------
    case : {"graphene", "ptnc"}
    data : Path
        Folder of the real images.
    settings : RunSettings, optional
        By default those of the preset `fast`.
    seeds : sequence of int, optional
        By default 0, 1, 2 for graphene and 0 for ptnc (seven trainings).
    json : Path, optional
        Where the numbers go.
    keep : Path, optional
        Folder for the runs; a temporary one otherwise.

    Raises
    ------
    UserError
        When there is no such case, or its images are not in the folder.
    """
    if case not in CASES:
        raise UserError(f"There is no benchmark {case!r}: choose one of {', '.join(CASES)}.")
    chosen = settings or RunSettings()
    with ExitStack() as stack:
        work = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        result: GrapheneResult | PtncResult
        if case == "graphene":
            result = bench_graphene(data, work, settings=chosen, seeds=tuple(seeds or (0, 1, 2)))
        else:
            result = bench_ptnc(data, work, settings=chosen, seeds=tuple(seeds or (0,)))
    if json is not None:
        json.write_text(result.model_dump_json(indent=2), encoding="utf-8")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run one case and print its tables; ``python -m napari_apgan.bench.real --help``."""
    parser = argparse.ArgumentParser(prog="apgan bench real", description=__doc__)
    parser.add_argument("--case", choices=CASES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real images")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--minutes", type=float, help="budget of each training")
    parser.add_argument("--steps", type=int, help="budget of each training")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--keep", type=Path, help="keep the run folders here")
    chosen = parser.parse_args(argv)
    settings = RunSettings(
        preset=chosen.preset,
        minutes=chosen.minutes,
        steps=chosen.steps,
        threads=chosen.threads,
        device="cpu",
    )
    try:
        result = run(
            chosen.case,
            chosen.data,
            settings=settings,
            seeds=chosen.seeds,
            json=chosen.json,
            keep=chosen.keep,
        )
    except UserError as error:
        parser.exit(2, f"{error}\n")
    print(result.report())  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
