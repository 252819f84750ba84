"""Programs of others on the same frames, where they are installed; this package needs none of them.

AtomAI: M. Ziatdinov, A. Ghosh, C. Y. Wong and S. V. Kalinin, Nat. Mach. Intell. 4 (2022) 1101.
Atomap: M. Nord, P. E. Vullum, I. MacLaren, T. Tybell and R. Holmestad, Adv. Struct. Chem. Imaging 3
(2017) 9.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import empty_atoms, make_atoms, positions, with_calibration
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.maps import default_radius_px, output_map
from napari_apgan.simulate.pairs import SimulatedPair

from .answers import MAP, ONLY, Answers, Method, digest, timed
from .bumps import filled
from .cases import Case
from .classical import LogGaussianMethod

#: How long AtomAI's networks learn here: batches, and frames in each.
CYCLES, BATCH = 500, 4


def peer_versions() -> dict[str, str | None]:
    """Return the installed version of each program; None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in ("atomai", "atomap"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def peer_methods(case: Case, *, cycles: int = CYCLES, threads: int | None = None) -> list[Method]:
    """Return the methods of the programs that are installed."""
    versions = peer_versions()
    methods: list[Method] = []
    if versions["atomai"] is not None:
        methods.append(AtomAIMethod(case, cycles, threads=threads))
    if versions["atomap"] is not None:
        methods.append(AtomapMethod(case))
    return methods


@dataclass(slots=True)
class AtomAIMethod:
    """AtomAI's U-Net, trained on the same pairs, with its own locator.

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

    def fit(
        self,
        train: Sequence[SimulatedPair],
        validation: Sequence[SimulatedPair],
        seed: int,
        workdir: Path,
    ) -> float:
        """Train as its documentation does; weights that were kept in the folder are used again."""
        atomai = _import("atomai")
        self._set_threads()
        n_classes = 1 if len(self.case.elements) == 1 else len(self.case.elements) + 1
        with quiet():
            network = atomai.models.Segmentor("Unet", nb_classes=n_classes, seed=seed)
        words = f"{atomai.__version__} {self.cycles} {self.batch} {seed} {self.case.map_radius_px}"
        kept = workdir / f"atomai-{digest(train, validation, words)}.safetensors"
        seconds = _load_weights(network.net, kept)
        if seconds is None:
            seconds = self._learn(network, train, validation, seed, workdir)
            _save_weights(network.net, kept, seconds)
        self._network = network
        return seconds

    def _learn(
        self,
        network: Any,
        train: Sequence[SimulatedPair],
        validation: Sequence[SimulatedPair],
        seed: int,
        workdir: Path,
    ) -> float:
        radius = self._radius(train)
        workdir.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter()
        with quiet():
            network.fit(
                inputs([p.pair.frame for p in train]),
                masks(train, self.case.elements, radius),
                inputs([p.pair.frame for p in validation]),
                masks(validation, self.case.elements, radius),
                training_cycles=self.cycles,
                batch_size=min(self.batch, len(train), len(validation)),
                batch_seed=seed,
                filename=str(workdir / f"atomai-{seed}"),
                plot_training_history=False,
            )
        return time.perf_counter() - begun

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Return the centres of mass of its blobs."""
        if self._network is None:
            raise UserError(f"{self.name} has not been trained: fit it first.")
        self._set_threads()
        return [timed(MAP, lambda: self._find(frame))]

    def _find(self, frame: Frame) -> pd.DataFrame:
        locator = _import("atomai.predictors").Locator(0.5, dist_edge=0)
        with quiet():
            image = inputs([frame])[0]
            output = self._network.predict(image, compute_coords=False, verbose=False)
            output = output[:, : frame.shape[0], : frame.shape[1]]
            found = locator.run(output)[0]
        return located(found, self.case.elements, frame)

    def _radius(self, pairs: Sequence[SimulatedPair]) -> float:
        if self.case.map_radius_px is not None:
            return self.case.map_radius_px
        return float(np.mean([default_radius_px(p.pair.atoms) for p in pairs]))

    def _set_threads(self) -> None:
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)


@dataclass(slots=True)
class AtomapMethod:
    """Atomap's refinement of tuned peaks: centre of mass, then two-dimensional Gaussians.

    It has no way to tell what is an atom in such frames, so the peaks (and elements) are those of
    the tuned Laplacian of Gaussian. Missing pixels are filled from their surroundings first. Its
    Gaussians take about 0.1 s an atom.

    Parameters
    ----------
    case : Case
    gaussians : bool
        Whether the Gaussians follow the centres of mass.
    """

    case: Case
    gaussians: bool = True
    name: str = "atomap"
    _finder: LogGaussianMethod | None = field(default=None)

    def fit(
        self,
        train: Sequence[SimulatedPair],
        validation: Sequence[SimulatedPair],
        seed: int,
        workdir: Path,
    ) -> float:
        """Tune the peak finder."""
        self._finder = LogGaussianMethod(self.case)
        return self._finder.fit(train, validation, seed, workdir)

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Return the refined peaks."""
        finder = self._finder
        if finder is None:
            raise UserError(f"{self.name} has not been tuned: fit it first.")

        def find() -> pd.DataFrame:
            peaks = finder.find_peaks(frame)
            return atomap_refined(peaks, frame, self.case.polarity, gaussians=self.gaussians)

        return [timed(ONLY, find)]


def atomap_refined(
    peaks: pd.DataFrame, frame: Frame, polarity: str, *, gaussians: bool = True
) -> pd.DataFrame:
    """Return a table whose positions atomap refined; those it throws off the frame stay."""
    if len(peaks) < 10:  # it looks for nine neighbours
        return peaks
    atomap = _import("atomap.api")
    before = positions(peaks)
    with quiet():
        sublattice = atomap.Sublattice(before, image=filled(frame, polarity))
        sublattice.find_nearest_neighbors()
        sublattice.refine_atom_positions_using_center_of_mass(show_progressbar=False)
        if gaussians:
            sublattice.refine_atom_positions_using_2d_gaussian(show_progressbar=False)
    after = np.asarray(sublattice.atom_positions, dtype=np.float64)
    high = np.array([frame.shape[1], frame.shape[0]]) - 0.5
    good = (np.isfinite(after) & (after >= -0.5) & (after < high)).all(axis=1, keepdims=True)
    moved = np.where(good, after, before)
    refined = peaks.assign(x_px=moved[:, 0], y_px=moved[:, 1])
    return with_calibration(refined, frame.calibration)


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
    return seconds


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what others print, and their warnings, out of the table."""
    import logging
    import warnings

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _import(name: str) -> Any:
    import importlib

    try:
        with quiet():
            return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name.partition('.')[0]} is not installed ({error}): leave its rows out, or install "
            "it beside this package."
        ) from error
