"""How long one simulated frame takes, and how the `fast` engine compares with multislice."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
from pydantic import BaseModel, ConfigDict

from napari_apgan.simulate.examples import EXAMPLES
from napari_apgan.simulate.imaging import image
from napari_apgan.simulate.scene import Scene, draw_view, place, reach_pm
from napari_apgan.simulate.settings import SimulationSettings, changed
from napari_apgan.simulate.structures import build

from .training import Machine, this_machine

#: Name, example, changes to it, and the seconds that one 256 x 256 px image may take.
CASES: tuple[tuple[str, str, dict[str, object], float], ...] = (
    ("HRTEM of graphene, fast", "graphene", {}, 0.05),
    ("HRTEM of graphene, abtem", "graphene", {"imaging": {"engine": "abtem"}}, 5.0),
    ("HAADF of PbTiO3/SrTiO3, fast", "pto-sto", {}, 0.2),
)
SHAPE = (256, 256)


class Timing(BaseModel):
    """One case.

    Parameters
    ----------
    name : str
    build_s : float
        Building the specimen and placing it under the frame.
    image_s : float
        The ideal image of one frame, median over the repeats after a first one.
    first_s : float
        The first image, which also fills caches.
    limit_s : float
        What an image is held to on two quiet cores.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    build_s: float
    image_s: float
    first_s: float
    limit_s: float


class TimingResult(BaseModel):
    """Timings, case by case.

    Parameters
    ----------
    timings : tuple of Timing
    pixel_size_pm : mapping
        Of each case.
    machine : Machine
    """

    model_config = ConfigDict(frozen=True)

    timings: tuple[Timing, ...]
    pixel_size_pm: dict[str, float]
    machine: Machine

    def table(self) -> str:
        """Return the rows of a Markdown table."""
        lines = [
            "| 256 x 256 px | pixel size | structure | first image | image | asked |",
            "|---|---|---|---|---|---|",
        ]
        for t in self.timings:
            lines.append(
                f"| {t.name} | {self.pixel_size_pm[t.name]:g} pm | {t.build_s:.2f} s "
                f"| {t.first_s:.3f} s | {t.image_s:.3f} s | {t.limit_s:g} s |"
            )
        return "\n".join(lines)

    def report(self) -> str:
        """Return the table, how many times faster `fast` is, and where it was measured."""
        ratio = self.speedup()
        faster = "" if ratio is None else f"`fast` : `abtem` on graphene, 1 : {ratio:.0f}. "
        return f"{self.table()}\n\n{faster}{self.machine}."

    def speedup(self) -> float | None:
        """Return the time of graphene's multislice over that of the fast engine, where both ran."""
        seconds = {t.name: t.image_s for t in self.timings}
        fast, slow = seconds.get(CASES[0][0]), seconds.get(CASES[1][0])
        return slow / fast if fast and slow else None


def measure(repeats: int = 5) -> TimingResult:
    """Time one frame of each case; cases whose engine is not installed are left out.

    Parameters
    ----------
    repeats : int
        Images of each case after the first; other views of the same specimen.
    """
    timings: list[Timing] = []
    sizes: dict[str, float] = {}
    for name, example, changes, limit in CASES:
        settings = changed(EXAMPLES[example], {**changes, "shape": SHAPE})
        if settings.imaging.engine == "abtem" and find_spec("abtem") is None:
            continue
        sizes[name] = settings.pixel_size_pm
        timings.append(_time(name, settings, repeats, limit))
    return TimingResult(timings=tuple(timings), pixel_size_pm=sizes, machine=machine_with_abtem())


def machine_with_abtem() -> Machine:
    """Describe the machine, with the versions of what images are made by."""
    machine = this_machine()
    names = [name for name in ("abtem", "ase") if find_spec(name) is not None]
    found = {name: machine.versions[name] for name in ("napari-apgan", "numpy", "scipy")}
    return machine.model_copy(update={"versions": found | {name: version(name) for name in names}})


def _time(name: str, settings: SimulationSettings, repeats: int, limit: float) -> Timing:
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    specimen = build(settings.structure, rng, reach_pm(settings.shape, settings.pixel_size_pm))
    built = time.perf_counter() - start

    def scene() -> Scene:
        view = draw_view(settings.view, rng)
        return place(specimen, view, settings.shape, settings.pixel_size_pm)

    scenes = [scene() for _ in range(repeats + 1)]
    seconds = [_seconds(lambda s=s: image(s, settings.imaging, rng)) for s in scenes]  # type: ignore[misc]
    return Timing(
        name=name,
        build_s=built,
        image_s=statistics.median(seconds[1:] or seconds),
        first_s=seconds[0],
        limit_s=limit,
    )


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start
