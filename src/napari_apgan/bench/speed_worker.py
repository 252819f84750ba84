"""One measurement of speed in a process of its own, whose peak of memory is its own too.

``python -m napari_apgan.bench.speed_worker JOB`` with a :class:`Job` as JSON; the last line of its
output is a :class:`Measured`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from napari_apgan.frames import Frame
from napari_apgan.io.pairs import Pair, read_pairs

#: What one process measures.
Work = Literal["train", "maps", "read", "refine", "atomai", "atomai forward"]
#: A process goes on measuring until so much time is used (s), or so many turns.
ENOUGH_S, MOST_TURNS = 1.0, 8
#: Side of the image on which everything is done once before the clock runs.
WARM_UP_PX = 256
#: Training steps timed together, after the first ones.
STEPS, FIRST_STEPS = 10, 2


class Job(BaseModel):
    """One measurement.

    Parameters
    ----------
    work : str
        ``train``: steps of a preset on crops of the pairs; ``maps``: `predict_maps` with a preset;
        ``read``, ``refine``: atoms from drawn maps, and on the image; ``atomai``, ``atomai
        forward``: AtomAI's default U-Net through its own predictor, and the network alone.
    pairs : Path
        Folder of pairs; the images are mirrored to the size that is asked for.
    preset, device : str
    size : int
        Side of the image in px; for training that of the preset's own crops is taken.
    threads : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    work: Work
    pairs: Path
    preset: str = ""
    size: int = WARM_UP_PX
    device: str = "cpu"
    threads: int = 1


class Measured(BaseModel):
    """What one process found.

    Parameters
    ----------
    wall_s, cpu_s : float
        Of one image (or training step), the best turn; on the clock, and of all processor cores
        together.
    count : int
        Pixels, crops' pixels or atoms dealt with.
    peak_mb : float, optional
        Largest memory of the process (resident set).
    device_mb : float, optional
        Largest memory taken on a CUDA device.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wall_s: float
    cpu_s: float
    count: int
    peak_mb: float | None = None
    device_mb: float | None = None


def atomai_installed() -> bool:
    """Whether the peer can be measured."""
    return find_spec("atomai") is not None


def run(job: Job) -> Measured:
    """Do what a job says, in this process."""
    pairs = read_pairs(job.pairs)
    import torch

    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    if job.work == "train":
        turn, count, share = _training(job, pairs)
    elif job.work in ("read", "refine"):
        turn, count, share = _atoms(job, pairs[0])
    elif job.work == "maps":
        turn, count, share = _maps(job, pairs[0])
    else:
        turn, count, share = _peer(job, pairs[0])
    wall, cpu = _best(turn)
    on_cuda = job.device.startswith("cuda")
    return Measured(
        wall_s=wall / share,
        cpu_s=cpu / share,
        count=count,
        peak_mb=peak_mb(),
        device_mb=torch.cuda.max_memory_allocated() / 1e6 if on_cuda else None,
    )


def _best(turn: Callable[[], object]) -> tuple[float, float]:
    """Return the least wall and processor seconds of a few turns."""
    walls: list[float] = []
    cpus: list[float] = []
    begun = time.perf_counter()
    while not walls or (len(walls) < MOST_TURNS and time.perf_counter() - begun < ENOUGH_S):
        wall, cpu = time.perf_counter(), time.process_time()
        turn()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


#: What is timed, the pixels or atoms of one turn, and how many images or steps one turn is.
_Timed = tuple[Callable[[], object], int, int]


def _training(job: Job, pairs: list[Pair]) -> _Timed:
    import torch

    from napari_apgan.maps import default_radius_px
    from napari_apgan.models.presets import get_preset
    from napari_apgan.train.dataset import Dataset
    from napari_apgan.train.split import split_folder
    from napari_apgan.train.steps import Learner

    preset = get_preset(job.preset)
    elements = _elements(pairs[0])
    radius = dict.fromkeys(elements, default_radius_px(pairs[0].atoms))
    split = split_folder(pairs[1:], pairs[:1], radius_px=max(radius.values()))
    data = Dataset(
        [*pairs[1:], pairs[0]], split, elements, radius, preset.recipe, preset.normalisation, 0
    )
    learner = Learner(preset, len(elements), torch.device(job.device))

    def steps(count: int) -> None:
        for _ in range(count):
            learner.step(data.draw())
        _finish(job.device)

    steps(FIRST_STEPS)
    return lambda: steps(STEPS), preset.recipe.batch * data.side**2, STEPS


def _maps(job: Job, pair: Pair) -> _Timed:
    from napari_apgan.elements import make_elements
    from napari_apgan.maps import default_radius_px
    from napari_apgan.models.card import ModelCard
    from napari_apgan.models.modelfile import Model
    from napari_apgan.models.networks import build_network
    from napari_apgan.models.presets import get_preset
    from napari_apgan.predict.inference import predict_maps

    preset = get_preset(job.preset)
    elements = _elements(pair)
    card = ModelCard(
        preset=preset.name,
        network=preset.network,
        elements=tuple(make_elements(elements)),
        radius_px=dict.fromkeys(elements, default_radius_px(pair.atoms)),
        pixel_size_pm=pair.frame.calibration.mean_pm,
        normalisation=preset.normalisation,
    )
    # What the weights are makes no difference to the time.
    model = Model(card, build_network(card).eval())
    frame = mirrored_frame(pair.frame, job.size)
    predict_maps(model, mirrored_frame(pair.frame, WARM_UP_PX), device=job.device)
    return lambda: predict_maps(model, frame, device=job.device), job.size**2, 1


def _atoms(job: Job, pair: Pair) -> _Timed:
    from napari_apgan.maps import default_radius_px, output_map
    from napari_apgan.measure import find_atoms, refine

    elements = _elements(pair)
    radius = default_radius_px(pair.atoms)
    frame = mirrored_frame(pair.frame, job.size)
    truth = mirrored_atoms(pair.atoms, pair.frame.shape, job.size)
    maps = output_map(truth, elements, frame.shape, radius)

    def read() -> pd.DataFrame:
        return find_atoms(maps, elements, radius_px=radius)

    atoms = read()
    if job.work == "read":
        return read, len(atoms), 1
    return lambda: refine(frame, atoms), len(atoms), 1


def _peer(job: Job, pair: Pair) -> _Timed:
    import torch
    from atomai.nets import Unet  # type: ignore[import-not-found,unused-ignore]
    from atomai.predictors import SegPredictor  # type: ignore[import-not-found,unused-ignore]

    network = Unet(nb_classes=len(_elements(pair)))
    image = mirrored_frame(pair.frame, job.size).data
    if job.work == "atomai":
        use_gpu = job.device.startswith("cuda")
        predictor = SegPredictor(network, use_gpu=use_gpu, verbose=False)
        predictor.predict(image[:WARM_UP_PX, :WARM_UP_PX])
        return lambda: predictor.predict(image), job.size**2, 1
    network = network.to(job.device).eval()
    seen = torch.from_numpy((image - image.min()) / np.ptp(image))[None, None].to(job.device)

    def forward(x: Any) -> None:
        with torch.inference_mode():
            network(x)
        _finish(job.device)

    forward(seen[..., :WARM_UP_PX, :WARM_UP_PX])
    return lambda: forward(seen), job.size**2, 1


def _finish(device: str) -> None:
    """Wait until a CUDA device has done what it was told."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _elements(pair: Pair) -> list[str]:
    return sorted(pair.atoms["element"].unique())


def mirrored_frame(frame: Frame, size: int) -> Frame:
    """Cut a frame, or continue it by mirror images of itself, to `size` x `size` px."""
    rows, cols = (_mirrored(size, n) for n in frame.shape)
    at = np.ix_(rows, cols)
    return Frame(frame.data[at], frame.valid[at], frame.calibration, frame.name)


def _mirrored(size: int, length: int) -> NDArray[np.intp]:
    """Return which pixel of `length` each of `size` shows."""
    at = np.arange(size) % (2 * length)
    return np.where(at < length, at, 2 * length - 1 - at)


def mirrored_atoms(atoms: pd.DataFrame, shape: tuple[int, int], size: int) -> pd.DataFrame:
    """Return the atoms of :func:`mirrored_frame`."""
    parts = []
    for row in range(-(-size // shape[0])):
        for col in range(-(-size // shape[1])):
            x, y = atoms["x_px"], atoms["y_px"]
            x = col * shape[1] + (x if col % 2 == 0 else shape[1] - 1 - x)
            y = row * shape[0] + (y if row % 2 == 0 else shape[0] - 1 - y)
            part = atoms.assign(x_px=x, y_px=y)
            parts.append(part[(x < size - 0.5) & (y < size - 0.5)])
    return pd.concat(parts, ignore_index=True)


def peak_mb() -> float | None:
    """Return the largest resident set of this process so far; None where it cannot be known."""
    status = Path("/proc/self/status")
    if status.is_file():
        # The system's usual counter would begin with what the parent held.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    if os.name == "posix":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
    return None


if __name__ == "__main__":
    print(run(Job.model_validate_json(sys.argv[1])).model_dump_json(), flush=True)  # noqa: T201
