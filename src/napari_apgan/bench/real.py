"""The benchmarks on real images that lie beside the project."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from napari_apgan.errors import UserError
from napari_apgan.train import RunSettings

from .graphene import GrapheneResult, bench_graphene
from .ptnc import PtncResult, bench_ptnc

__all__ = ["CASES", "GrapheneResult", "PtncResult", "bench_graphene", "bench_ptnc", "run"]

CASES = ("graphene", "ptnc")


def run(
    case: str,
    data: Path,
    *,
    settings: RunSettings | None = None,
    seeds: Sequence[int] | None = None,
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
    return result
