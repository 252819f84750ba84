"""AtomAI's U-Net on the same frames, where it is installed.

M. Ziatdinov, A. Ghosh, C. Y. Wong and S. V. Kalinin, Nat. Mach. Intell. 4 (2022) 1101.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import empty_atoms, make_atoms, with_calibration
from napari_apgan.bench.precision.cases import Case
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.maps import default_radius_px, output_map
from napari_apgan.measure import find_atoms
from napari_apgan.simulate.pairs import SimulatedPair

from .method import MAP, READ, Answers, Lesson, set_threads, timed
from .others import import_program, quiet

#: How long AtomAI's networks learn here: batches, and frames in each.
CYCLES, BATCH = 500, 4


@dataclass(slots=True)
class AtomAIMethod:
    """AtomAI's U-Net, trained on the same pairs; atoms by its own locator and by our reader.

    Inputs are scaled to 0..1 over the valid pixels, lost pixels are 0. Masks are the discs that our
    networks learn, cut at one half; background is the last class, as its locator wants it. Its
    locator leaves out 5 px at the border by default; here it keeps them.

    Parameters
    ----------
    case : Case
    cycles, batch : int
        Batches, and frames in each.
    threads : int, optional
    """

    case: Case
    cycles: int = CYCLES
    batch: int = BATCH
    threads: int | None = None
    name: str = "AtomAI U-Net"
    _network: Any = None
    _radius_px: float = 0.0

    def fit(self, lesson: Lesson) -> float:
        """Train as its documentation does; weights that were kept in the folder are used again."""
        atomai = import_program("atomai")
        set_threads(self.threads)
        n_classes = 1 if len(self.case.elements) == 1 else len(self.case.elements) + 1
        with quiet():
            network = atomai.models.Segmentor("Unet", nb_classes=n_classes, seed=lesson.seed)
        learning = (self.cycles, self.batch, lesson.seed, self.case.map_radius_px)
        words = " ".join(map(str, (atomai.__version__, *learning)))
        kept = lesson.folder / f"atomai-{lesson.digest(words)}.safetensors"
        self._radius_px = self._radius(lesson.train)
        seconds = _load_weights(network.net, kept)
        if seconds is None:
            seconds = self._learn(network, lesson)
            _save_weights(network.net, kept, seconds)
        self._network = network
        return seconds

    def _learn(self, network: Any, lesson: Lesson) -> float:
        train, validation = lesson.train, lesson.validation
        lesson.folder.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        with quiet():
            network.fit(
                inputs([p.pair.frame for p in train]),
                masks(train, self.case.elements, self._radius_px),
                inputs([p.pair.frame for p in validation]),
                masks(validation, self.case.elements, self._radius_px),
                training_cycles=self.cycles,
                batch_size=min(self.batch, len(train), len(validation)),
                batch_seed=lesson.seed,
                filename=str(lesson.folder / f"atomai-{lesson.seed}"),
                plot_training_history=False,
            )
        return time.perf_counter() - begun

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Return the centres of mass of its blobs, and the discs that our reader finds."""
        if self._network is None:
            raise UserError(f"{self.name} has not been trained: fit it first.")
        set_threads(self.threads)
        return [timed(MAP, lambda: self._find(frame)), timed(READ, lambda: self._read(frame))]

    def maps(self, frame: Frame) -> NDArray[Any]:
        """Return its (1, Y, X, classes) probabilities."""
        with quiet():
            image = inputs([frame])[0]
            output = self._network.predict(image, compute_coords=False, verbose=False)
        return np.asarray(output)[:, : frame.shape[0], : frame.shape[1]]

    def _find(self, frame: Frame) -> pd.DataFrame:
        locator = import_program("atomai.predictors").Locator(0.5, dist_edge=0)
        output = self.maps(frame)
        with quiet():
            found = locator.run(output)[0]
        return located(found, self.case.elements, frame)

    def _read(self, frame: Frame) -> pd.DataFrame:
        names = self.case.elements
        maps = np.moveaxis(self.maps(frame)[0, ..., : len(names)], -1, 0)
        found = find_atoms(maps, names, radius_px=self._radius_px, valid=frame.valid)
        return with_calibration(found, frame.calibration)

    def _radius(self, pairs: Sequence[SimulatedPair]) -> float:
        if self.case.map_radius_px is not None:
            return self.case.map_radius_px
        return float(np.mean([default_radius_px(p.pair.atoms) for p in pairs]))


def inputs(frames: Sequence[Frame]) -> NDArray[np.float32]:
    """Return (N, Y, X) images, each scaled to 0..1 over its valid pixels, 0 elsewhere."""
    scaled = []
    for frame in frames:
        values = frame.data[frame.valid]
        low, high = float(values.min()), float(values.max())
        image = (frame.data - low) / max(high - low, 1e-12)
        scaled.append(np.where(frame.valid, image, 0.0).astype(np.float32))
    return np.stack(scaled)


def masks(
    pairs: Sequence[SimulatedPair], elements: Sequence[str], radius_px: float
) -> NDArray[np.float32] | NDArray[np.int64]:
    """Return (N, 1, Y, X) masks of one element, or (N, Y, X) classes, background the last."""
    drawn = np.stack(
        [output_map(p.pair.atoms, elements, p.pair.frame.shape, radius_px) for p in pairs]
    )
    if len(elements) == 1:
        return (drawn > 0.5).astype(np.float32)
    classes = np.where(drawn.max(axis=1) > 0.5, drawn.argmax(axis=1), len(elements))
    return classes.astype(np.int64)


def located(found: NDArray[Any], elements: Sequence[str], frame: Frame) -> pd.DataFrame:
    """Return the atom table of (N, 3) rows, columns and classes."""
    if not len(found):
        return empty_atoms()
    rows = np.asarray(found, dtype=np.float64)
    names = [elements[int(k)] for k in rows[:, 2].tolist()]
    table = make_atoms(rows[:, [1, 0]], names, origin="predicted")
    return with_calibration(table, frame.calibration)


def _save_weights(network: Any, path: Path, seconds: float) -> None:
    from safetensors.torch import save_file

    weights = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    save_file(weights, path, metadata={"seconds": f"{seconds:.3f}"})


def _load_weights(network: Any, path: Path) -> float | None:
    """Load kept weights and return the seconds that they took to learn; None without them."""
    if not path.is_file():
        return None
    from safetensors import safe_open

    with safe_open(path, "pt") as held:
        weights = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118
        seconds = float(held.metadata()["seconds"])
    network.load_state_dict(weights)
    # AtomAI looks at its layers with random input before it predicts, which would move the averages
    # of batch normalisation in a network that still learns.
    network.eval()
    return seconds
