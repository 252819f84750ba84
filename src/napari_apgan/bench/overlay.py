"""The first useful overlay: one labelled region of a real image, some seconds of training."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_apgan.atoms import positions
from napari_apgan.elements import Element
from napari_apgan.io.pairs import Pair
from napari_apgan.regions import Region, learn_mask
from napari_apgan.train import RunSettings

from .counting import count
from .real_images import PTO_SRO, read_image
from .training import Machine, find, table, this_machine, train

#: Corner x, y of the labelled region, and its side, in px: 8x8 cells of 25 px.
REGION = (10.0, 10.0, 210.0, 210.0)
#: From here on (px along x) the overlay is judged; labels end 10 px before the border.
JUDGED = (220.0, 10.0, 646.5, 213.5)
TOLERANCE_PX = 2.0


class Overlay(BaseModel):
    """One training: where it began, how long it took, and how well its map is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    init: str
    budget_s: float
    seconds: float
    steps: int
    labelled: int
    recall: float
    precision: float
    f1: float


class OverlayResult(BaseModel):
    """What :func:`bench_overlay` measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    lines: tuple[Overlay, ...]

    def report(self) -> str:
        """Return the table with what it needs to be read."""
        heads = ["start", "budget (s)", "labels to model (s)", "steps", "recall", "precision", "F1"]
        rows = [
            [
                line.init,
                f"{line.budget_s:g}",
                f"{line.seconds:.0f}",
                str(line.steps),
                f"{line.recall:.3f}",
                f"{line.precision:.3f}",
                f"{line.f1:.3f}",
            ]
            for line in self.lines
        ]
        labelled = self.lines[0].labelled if self.lines else 0
        return (
            f"{table(heads, rows)}\n\npto_sro, {labelled} A-sites labelled in one region of 8x8 "
            f"cells; judged on the rest of the image. {self.machine}."
        )


def bench_overlay(
    data: Path,
    work: Path,
    *,
    budgets_s: tuple[float, ...] = (10.0, 20.0),
    inits: tuple[str, ...] = ("bundled", "scratch"),
    threads: int | None = None,
    seed: int = 0,
) -> OverlayResult:
    """Train on one labelled region of `pto_sro` for some seconds, and judge the rest.

    The time includes the start of the trainer and the preparation of the run.

    Parameters
    ----------
    data : Path
        Folder of the real images.
    work : Path
        Where the run folders are made.
    budgets_s : tuple of float
        Seconds of training.
    inits : tuple of str
        What the trainings begin with.
    threads : int, optional
        CPU threads; by default all.
    seed : int
    """
    frame, labels = read_image(data, PTO_SRO)
    region = Region.rectangle(*REGION, id=0)
    inside = learn_mask([region], frame.shape)
    xy = positions(labels)
    within = inside[np.rint(xy[:, 1]).astype(int), np.rint(xy[:, 0]).astype(int)]
    labelled = labels.iloc[np.flatnonzero(within)].reset_index(drop=True)
    pair = Pair("pto_sro", frame, labelled, (region,), source=PTO_SRO.name)
    lines = []
    for init in inits:
        for budget in budgets_s:
            settings = RunSettings(
                minutes=budget / 60, init=init, threads=threads, seed=seed, device="cpu"
            )
            began = time.perf_counter()
            done = train(
                [pair],
                work / f"overlay_{Path(init).name}_{budget:g}",
                settings,
                [Element(name="A", color="#E69F00", polarity="bright")],
            )
            seconds = time.perf_counter() - began
            found, _ = find(done.model, frame)
            counts = count(found.xy, xy, TOLERANCE_PX, JUDGED)
            lines.append(
                Overlay(
                    init=init,
                    budget_s=budget,
                    seconds=seconds,
                    steps=done.steps,
                    labelled=len(labelled),
                    recall=counts.recall,
                    precision=counts.precision,
                    f1=counts.f1,
                )
            )
    return OverlayResult(machine=this_machine(), lines=tuple(lines))
