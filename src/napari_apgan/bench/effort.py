"""What labelling costs a person: acts and seconds of a scripted user, assisted and unassisted.

The seconds are acts times an assumed time each, plus what the computer took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.spatial import cKDTree

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError

from .counting import inside
from .effort_user import (
    ACT_SECONDS,
    SEED,
    Box,
    Hand,
    Task,
    by_clicks,
    by_lattice,
    by_spots,
    corrected,
)
from .real_images import PTO_SRO, SRTIO3, read_image, read_ptnc
from .training import Machine, say, table, this_machine

Floats = NDArray[np.float64]

CELLS = 8
#: F1 to be reached for single atoms that others marked by hand, and how far off a label may be.
LONE_TARGET, LONE_TOLERANCE_PX = 0.9, 5.0
TIMES_FEWER = 10.0
SNR = 2.35


class Line(BaseModel):
    """One image, labelled both ways.

    Parameters
    ----------
    name : str
    atoms : int
        In the area.
    target, f1_before, f1_after, f1_unassisted : float
        F1 asked for, of the assistance alone, after the corrections, and of the clicks.
    acts, seconds : int, float
        Assisted.
    acts_unassisted, seconds_unassisted : int, float
    corrections : int
        Acts among the assisted ones that mended what the program got wrong.
    periodic : bool
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    atoms: int
    target: float
    f1_before: float
    f1_after: float
    f1_unassisted: float
    acts: int
    seconds: float
    corrections: int
    acts_unassisted: int
    seconds_unassisted: float
    periodic: bool

    @property
    def times_fewer(self) -> float:
        """Acts unassisted over acts assisted."""
        return self.acts_unassisted / self.acts


class EffortResult(BaseModel):
    """What :func:`bench_effort` counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    lines: tuple[Line, ...]

    def report(self) -> str:
        """Return the table with what it needs to be read."""
        heads = [
            *("image", "atoms", "asked F1", "F1 assistance alone", "F1 in the end"),
            *("acts", "of them corrections", "seconds", "F1 by clicks", "acts by clicks"),
            *("seconds by clicks", "times fewer acts"),
        ]
        rows = [
            [
                line.name,
                str(line.atoms),
                f"{line.target:.2f}",
                f"{line.f1_before:.3f}",
                f"{line.f1_after:.3f}",
                str(line.acts),
                str(line.corrections),
                f"{line.seconds:.0f}",
                f"{line.f1_unassisted:.3f}",
                str(line.acts_unassisted),
                f"{line.seconds_unassisted:.0f}",
                f"{line.times_fewer:.1f}" + (f" (asked {TIMES_FEWER:g})" if line.periodic else ""),
            ]
            for line in self.lines
        ]
        times = ", ".join(f"{kind} {s:g} s" for kind, s in ACT_SECONDS.items())
        return f"{table(heads, rows)}\n\nAssumed: {times}. {self.machine}."


def bench_effort(data: Path | None, *, cases: Sequence[str] = ()) -> EffortResult:
    """Let a scripted user label areas, assisted and unassisted.

    Parameters
    ----------
    data : Path, optional
        Folder of the real images; simulated graphene alone when left out.
    cases : sequence of str
        Some of the images by name; all by default.

    Raises
    ------
    UserError
        When a file or case is not there.
    """
    makers: dict[str, Callable[[], Task]] = {"graphene": graphene}
    if data is not None:
        if not data.is_dir():
            raise UserError(f"There is no folder {data} with the real images.")
        folder = data
        makers = {
            "pto_sro": lambda: perovskite(folder, "pto_sro", PTO_SRO),
            "srtio3_ser": lambda: perovskite(folder, "srtio3_ser", SRTIO3),
            "ptnc_haadf": lambda: lone_atoms(folder),
            **makers,
        }
    unknown = [name for name in cases if name not in makers]
    if unknown:
        raise UserError(f"There is no case {unknown[0]!r}: choose of {', '.join(makers)}.")
    lines = []
    for name in cases or list(makers):
        say(name)
        lines.append(label_both_ways(makers[name]()))
    return EffortResult(machine=this_machine(), lines=tuple(lines))


# --- what is to be labelled -----------------------------------------------------------------------


def graphene() -> Task:
    """Return simulated graphene with a hole and a line defect, as in the paper's first table."""
    from napari_apgan.simulate import EXAMPLES, simulate_pair
    from napari_apgan.simulate.settings import changed

    settings = changed(EXAMPLES["graphene"], {"degradation": {"snr": SNR}, "variety": 0.0})
    made = simulate_pair(settings, seed=SEED).pair
    # Away from the defects: the area of the cells that are most regular.
    xy = positions(made.atoms)
    side = CELLS * 246.0 / settings.pixel_size_pm
    box = _fullest(xy, made.frame.shape, side, side * 3**0.5 / 2)
    return Task("graphene, simulated, SNR 2.35", made.frame, made.atoms, box, "bright")


def _fullest(xy: Floats, shape: tuple[int, int], width: float, height: float) -> Box:
    """Return the box of a size that holds most atoms."""
    rows, columns = shape
    best: tuple[int, Box] | None = None
    for y in np.arange(8.0, rows - height - 8.0, 12.0).tolist():
        for x in np.arange(8.0, columns - width - 8.0, 12.0).tolist():
            box = (x, y, x + width, y + height)
            held = int(inside(xy, box).sum())
            if best is None or held > best[0]:
                best = (held, box)
    assert best is not None
    return best[1]


def perovskite(data: Path, name: str, image: Path) -> Task:
    """Return an area of 8x8 cells in the middle of what is labelled."""
    frame, truth = read_image(data, image)
    xy = positions(truth)
    first = xy[(truth["element"] == truth["element"].iloc[0]).to_numpy()]
    cell = float(np.median(np.asarray(cKDTree(first).query(first, k=2)[0])[:, 1]))
    half = CELLS * cell / 2
    x, y = (xy.min(axis=0) + xy.max(axis=0)) / 2
    return Task(name, frame, truth, (x - half, y - half, x + half, y + half))


def lone_atoms(data: Path) -> Task:
    """Return an image of single atoms; what was marked by hand is the truth."""
    frame, truth = read_ptnc(data, "021")
    rows, columns = frame.shape
    return Task(
        "ptnc_haadf 021",
        frame,
        truth,
        (-0.5, -0.5, columns, rows),
        target=LONE_TARGET,
        tolerance_px=LONE_TOLERANCE_PX,
        periodic=False,
    )


def label_both_ways(task: Task) -> Line:
    """Label an area with and without assistance."""
    hand, alone = Hand(), Hand()
    labels = by_lattice(task, hand) if task.periodic else by_spots(task, hand)
    before, so_far = task.verdict(labels).f1, hand.total
    labels = corrected(task, labels, hand)
    clicked = by_clicks(task, alone)
    return Line(
        name=task.name,
        atoms=len(task.wanted),
        target=task.target,
        f1_before=before,
        f1_after=task.verdict(labels).f1,
        f1_unassisted=task.verdict(clicked).f1,
        acts=hand.total,
        seconds=hand.seconds,
        corrections=hand.total - so_far,
        acts_unassisted=alone.total,
        seconds_unassisted=alone.seconds,
        periodic=task.periodic,
    )
