"""How fast presets train and predict, and with how much memory, beside AtomAI's default U-Net.

Every measurement is a process of its own (`speed_worker`), and their turns are interleaved, so that
a busy machine hurts all alike; the best turn of each counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_apgan.errors import UserError
from napari_apgan.io.pairs import Pair, write_pairs
from napari_apgan.models.presets import PRESETS, get_preset
from napari_apgan.simulate import EXAMPLES, simulate_pairs
from napari_apgan.simulate.settings import changed

from .network_size import NetworkSize, network_size, sizes_table
from .speed_target import Target, time_to_target
from .speed_worker import WARM_UP_PX, Job, Measured, Work, atomai_installed
from .training import Machine, say, table, this_machine

SIZES = (256, 1024, 4096)
#: What is simulated: a case of :data:`napari_apgan.simulate.EXAMPLES`, and the pairs of it that are
#: trained on and validated.
EXAMPLE = "graphene"
TRAINING_PAIRS, VALIDATION_PAIRS = 12, 3
#: A size that would take longer than this (s), judged by the smallest size, is left out.
SLOW_S = 60.0
_PEER: tuple[Work, ...] = ("atomai", "atomai forward")
_NAMES = {"atomai": "AtomAI, its predictor", "atomai forward": "AtomAI, network alone"}


class Row(BaseModel):
    """A job and the best of its turns; `why` says why there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    work: Work
    preset: str = ""
    size: int = 0
    device: str
    found: Measured | None = None
    why: str = ""

    @property
    def name(self) -> str:
        """Who did it."""
        return _NAMES.get(self.work, self.preset)


class SpeedResult(BaseModel):
    """What :func:`measure` found.

    Parameters
    ----------
    machine : Machine
    threads, repeats : int
    rows : tuple of Row
    targets : tuple of Target
    sizes : tuple of NetworkSize
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    threads: int
    repeats: int
    rows: tuple[Row, ...]
    targets: tuple[Target, ...] = ()
    sizes: tuple[NetworkSize, ...] = ()

    def report(self) -> str:
        """Return the tables with what they need to be read."""
        parts = [sizes_table(self.sizes), self._predictions(), self._atoms(), self._trainings()]
        if self.targets:
            parts.append(self._targets())
        parts.append(
            f"{self.threads} thread(s); best of {self.repeats} processes; CPU seconds are those of "
            f"all cores together. {self.machine}."
        )
        return "\n\n".join(part for part in parts if part)

    def _of(self, *works: Work) -> list[Row]:
        return [row for row in self.rows if row.work in works]

    def ratio(self, row: Row, other: Work) -> tuple[float, float] | None:
        """Return how many times faster than AtomAI a row is: on the clock, in processor time."""
        for peer in self._of(other):
            if (peer.size, peer.device) == (row.size, row.device) and peer.found and row.found:
                ours, theirs = row.found, peer.found
                return theirs.wall_s / ours.wall_s, theirs.cpu_s / ours.cpu_s
        return None

    def _predictions(self) -> str:
        lines = []
        for row in self._of("maps", *_PEER):
            start = [row.name, row.device, f"{row.size}²"]
            if row.found is None:
                lines.append([*start, row.why, *[""] * 6])
                continue
            found = row.found
            ratios = [
                "–" if r is None or row.work in _PEER else f"{r[0]:.2f} ({r[1]:.2f})"
                for r in (self.ratio(row, "atomai"), self.ratio(row, "atomai forward"))
            ]
            lines.append(
                [
                    *start,
                    f"{found.wall_s:.3f} s",
                    f"{found.cpu_s:.3f} s",
                    f"{found.count / 1e6 / found.wall_s:.2f}",
                    *ratios,
                    _mb(found.peak_mb),
                    _mb(found.device_mb),
                ]
            )
        heads = ["prediction", "device", "image", "wall", "CPU", "Mpx/s"]
        heads += ["× AtomAI, its predictor: wall (CPU)", "× its network alone: wall (CPU)"]
        return table([*heads, "peak memory", "on the device"], lines) if lines else ""

    def _atoms(self) -> str:
        lines = []
        for row in self._of("read", "refine"):
            what = "read from the map" if row.work == "read" else "refined on the image"
            if row.found is None:
                lines.append([what, f"{row.size}²", "", row.why, "", "", ""])
                continue
            found = row.found
            rate = found.count / found.wall_s
            numbers = [f"{found.count}", f"{found.wall_s:.3f} s", f"{found.cpu_s:.3f} s"]
            lines.append([what, f"{row.size}²", *numbers, f"{rate:.0f}", _mb(found.peak_mb)])
        heads = ["atoms", "image", "how many", "wall", "CPU", "atoms/s", "peak memory"]
        return table(heads, lines) if lines else ""

    def _trainings(self) -> str:
        lines = []
        for row in self._of("train"):
            recipe = get_preset(row.preset).recipe
            start = [row.preset, row.device, f"{recipe.batch} x {recipe.crop_px}²"]
            if row.found is None:
                lines.append([*start, row.why, "", "", ""])
                continue
            found = row.found
            rates = [f"{1 / found.wall_s:.2f}", f"{1 / found.cpu_s:.2f}"]
            lines.append([*start, *rates, _mb(found.peak_mb), _mb(found.device_mb)])
        heads = ["training", "device", "crops a step", "steps/s", "steps per CPU s"]
        return table([*heads, "peak memory", "on the device"], lines) if lines else ""

    def _targets(self) -> str:
        lines = [
            [
                t.preset,
                f"F1 ≥ {t.wanted_f1:g}",
                "not reached" if t.seconds is None else f"{t.seconds:.0f} s",
                "" if t.step is None else f"{t.step}",
                f"{t.f1:.4f}",
                "" if t.error_pm is None else f"{t.error_pm:.1f} pm",
                f"{t.budget_s:.0f} s",
            ]
            for t in self.targets
        ]
        heads = ["training from scratch", "target", "reached after", "steps", "F1 there or best"]
        return table([*heads, "rms error", "budget"], lines)


def _mb(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} MB"


def measure(
    *,
    presets: Sequence[str] = (),
    sizes: Sequence[int] = SIZES,
    device: str = "cpu",
    threads: int | None = None,
    repeats: int = 3,
    target_f1: float = 0.99,
    minutes: float = 3.0,
    target_presets: Sequence[str] = ("fast",),
    seed: int = 0,
) -> SpeedResult:
    """Measure presets, the reading of atoms, and AtomAI where it is installed.

    Parameters
    ----------
    presets : sequence of str
        All when empty.
    sizes : sequence of int
        Sides in px of the images that are predicted.
    device : str
        See :func:`napari_apgan.predict.inference.choose_device`.
    threads : int, optional
        CPU threads; by default as many as there are cores.
    repeats : int
        Processes of each measurement.
    target_f1, minutes : float
        How well a training must do on held-out frames, and the minutes it is given; with 0 minutes
        none is made.
    target_presets : sequence of str
        Which presets are trained so.
    seed : int

    Raises
    ------
    UserError
        When a preset or the device is unknown, or a measurement fails.
    """
    from napari_apgan.predict.inference import choose_device

    for name in (*presets, *target_presets):
        get_preset(name)
    if not sizes or min(sizes) < 32:
        raise UserError("Images are measured from 32 px on: give --sizes such as 256,1024.")
    names, where = list(presets) or list(PRESETS), str(choose_device(device))
    cores = threads or os.cpu_count() or 1
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        pairs = _pairs(seed)
        kept = Path(folder) / "pairs"
        write_pairs(pairs[:4], kept)
        rows = _measure_all(_jobs(names, sizes, where, cores, kept), repeats)
        targets = tuple(
            time_to_target(
                pairs[:TRAINING_PAIRS],
                pairs[TRAINING_PAIRS:],
                Path(folder) / f"run-{name}",
                preset=name,
                wanted_f1=target_f1,
                minutes=minutes,
                device=where,
                threads=cores,
                seed=seed,
            )
            for name in (target_presets if minutes > 0 else ())
        )
    return SpeedResult(
        machine=_machine(),
        threads=cores,
        repeats=repeats,
        rows=tuple(rows),
        targets=targets,
        sizes=tuple(network_size(name) for name in names),
    )


def _pairs(seed: int) -> list[Pair]:
    settings = changed(EXAMPLES[EXAMPLE], {"shape": (WARM_UP_PX, WARM_UP_PX)})
    made = simulate_pairs(settings, TRAINING_PAIRS + VALIDATION_PAIRS, seed=seed)
    return [simulated.pair for simulated in made]


def _jobs(
    presets: Sequence[str], sizes: Sequence[int], device: str, threads: int, pairs: Path
) -> list[Job]:
    """Return every measurement, each size's together, so that those compared follow each other."""
    common = {"pairs": pairs, "device": device, "threads": threads}
    jobs = []
    for size in sorted(sizes):
        jobs += [Job(work="maps", preset=name, size=size, **common) for name in presets]
        jobs += [Job(work=work, size=size, **common) for work in _PEER]
    for work in ("read", "refine"):
        jobs += [Job(work=work, size=size, pairs=pairs, threads=threads) for size in sorted(sizes)]
    return jobs + [Job(work="train", preset=name, **common) for name in presets]


def _measure_all(jobs: Sequence[Job], repeats: int) -> list[Row]:
    """Measure all jobs in turns, and keep the best of each."""
    rows: dict[Job, Row] = {}
    for turn in range(repeats):
        for job in jobs:
            row = rows.get(job) or _row(job, why=_hopeless(job, list(rows.values())))
            rows[job] = row
            if row.why:
                continue
            say(f"{turn + 1}/{repeats}: {row.name} {job.work} {job.size}² on {job.device}")
            rows[job] = _better(row, _in_own_process(job))
    return [rows[job] for job in jobs]


def _row(job: Job, *, why: str = "") -> Row:
    size = 0 if job.work == "train" else job.size
    return Row(work=job.work, preset=job.preset, size=size, device=job.device, why=why)


def _hopeless(job: Job, rows: Sequence[Row]) -> str:
    """Say why a job is not worth beginning; empty when it is."""
    if job.work in _PEER and not atomai_installed():
        return "not installed"
    if job.work == "train":
        return ""
    for row in rows:
        same = (row.work, row.preset, row.device) == (job.work, job.preset, job.device)
        if same and row.found and row.found.wall_s * (job.size / row.size) ** 2 > SLOW_S:
            return "left out: too slow"
        if same and row.why:
            return row.why
    return ""


def _better(row: Row, found: Measured) -> Row:
    """Keep the least of both times, and the largest memory."""
    before = row.found
    if before is not None:
        found = Measured(
            wall_s=min(before.wall_s, found.wall_s),
            cpu_s=min(before.cpu_s, found.cpu_s),
            count=found.count,
            peak_mb=_largest(before.peak_mb, found.peak_mb),
            device_mb=_largest(before.device_mb, found.device_mb),
        )
    return row.model_copy(update={"found": found})


def _largest(*values: float | None) -> float | None:
    return max((v for v in values if v is not None), default=None)


def _in_own_process(job: Job) -> Measured:
    done = subprocess.run(
        [sys.executable, "-m", "napari_apgan.bench.speed_worker", job.model_dump_json()],
        # Threads that spin while they wait would count as work on a busy machine.
        env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return Measured.model_validate(json.loads(done.stdout.strip().splitlines()[-1]))
    except (IndexError, ValueError, ValidationError) as error:
        said = done.stderr.strip().splitlines()
        raise UserError(
            f"The measurement of {_row(job).name or 'atoms'} ({job.work}, {job.size} px) failed: "
            f"{said[-1] if said else 'it said nothing'}."
        ) from error


def _machine() -> Machine:
    machine = this_machine()
    if not atomai_installed():
        return machine
    return machine.model_copy(update={"versions": machine.versions | {"atomai": version("atomai")}})
