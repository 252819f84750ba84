"""The methods of ``apgan bench precision``: what each is trained on and what it answers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from napari_apgan.atoms import positions
from napari_apgan.bench.training import train
from napari_apgan.elements import Element, make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.models.presets import PRESETS
from napari_apgan.simulate.pairs import SimulatedPair
from napari_apgan.train import RunSettings

from .cases import Case

if TYPE_CHECKING:
    from napari_apgan.models.modelfile import Model

#: What an answer is called: read from the map, refined on the raw frame, or neither.
MAP, OFFERED, ONLY = "map", "offered", "positions"
#: Key of `DataFrame.attrs` under which an answer holds what it took, in seconds.
SECONDS = "seconds"

Answers = list[tuple[str, pd.DataFrame]]


class Method(Protocol):
    """Something that finds atoms.

    Methods without training take no time to fit. Each table of an answer tells in
    ``attrs["seconds"]`` what it took.
    """

    @property
    def name(self) -> str:
        """What its rows are called."""
        ...

    def fit(
        self,
        train: Sequence[SimulatedPair],
        validation: Sequence[SimulatedPair],
        seed: int,
        workdir: Path,
    ) -> float:
        """Learn or tune, and return the seconds that it took; may be called again."""
        ...

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Find the atoms of a frame; only rows without information look at the truth."""
        ...


def timed(label: str, find: Callable[[], pd.DataFrame]) -> tuple[str, pd.DataFrame]:
    """Return an answer that knows what it took."""
    begun = time.perf_counter()
    table = find()
    table.attrs[SECONDS] = time.perf_counter() - begun
    return label, table


@dataclass(frozen=True, slots=True)
class Budget:
    """How long networks may learn, and on what.

    Parameters
    ----------
    minutes, steps, epochs : optional
        As in :class:`~napari_apgan.train.RunSettings`; the preset's own when none is given.
    threads : int, optional
        CPU threads of training and prediction.
    device : str
    """

    minutes: float | None = None
    steps: int | None = None
    epochs: int | None = None
    threads: int | None = None
    device: str = "auto"


@dataclass(slots=True)
class PresetMethod:
    """A preset of this package, trained in the trainer's own process.

    Parameters
    ----------
    case : Case
    preset : str
    budget : Budget
    init : str
        ``scratch``, ``bundled`` or a model.
    recipe : mapping
        Changes of the preset's recipe.
    title : str
        What its rows are called; from preset and start when empty.
    """

    case: Case
    preset: str = "fast"
    budget: Budget = Budget()
    init: str = "scratch"
    recipe: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    steps: int = 0
    _model: Model | None = None

    @property
    def name(self) -> str:
        """What its rows are called."""
        start = {"scratch": "", "bundled": " from the bundled start"}
        return self.title or self.preset + start.get(self.init, f" from {Path(self.init).name}")

    def fit(
        self,
        train: Sequence[SimulatedPair],
        validation: Sequence[SimulatedPair],
        seed: int,
        workdir: Path,
    ) -> float:
        """Train; a finished run on the same pairs with the same settings is used again."""
        settings = RunSettings(
            preset=self.preset,
            minutes=self.budget.minutes,
            steps=self.budget.steps,
            epochs=self.budget.epochs,
            threads=self.budget.threads,
            device=self.budget.device,
            init=self.init,
            seed=seed,
            recipe=self.recipe,
        )
        name = f"{self.preset}-{seed}-{digest(train, validation, settings.model_dump_json())}"
        trained = _train(
            [p.pair for p in train],
            workdir / name,
            settings,
            elements_of(self.case),
            validation=[p.pair for p in validation],
        )
        self._model, self.steps = trained.model, trained.steps
        return trained.seconds

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Return positions read from the map, and those offered to the user."""
        from napari_apgan.predict.inference import predict_frame

        model, device = self._model, self.budget.device
        if model is None:
            raise UserError(f"{self.name} has not been trained: fit it first.")
        self._set_threads()

        def find(refine: bool) -> pd.DataFrame:
            return predict_frame(model, frame, refine=refine, device=device).atoms

        return [timed(MAP, lambda: find(False)), timed(OFFERED, lambda: find(True))]

    def _set_threads(self) -> None:
        if self.budget.threads is not None:
            import torch

            torch.set_num_threads(self.budget.threads)


_train = train  # `fit` has an argument of that name


@dataclass(frozen=True, slots=True)
class LatticeMethod:
    """The undisplaced sites of the very atoms that are there: what knows no displacement."""

    name: str = "undisplaced lattice"

    def fit(
        self,
        train: Sequence[SimulatedPair],
        validation: Sequence[SimulatedPair],
        seed: int,
        workdir: Path,
    ) -> float:
        """Learn nothing."""
        return 0.0

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Return the truth's undisplaced sites that lie on the frame.

        Raises
        ------
        UserError
            Without the truth.
        """
        if truth is None:
            raise UserError("The undisplaced lattice is read from the truth: give it.")
        sites = truth.undisplaced
        high = np.array([frame.shape[1], frame.shape[0]]) - 0.5
        xy = positions(sites)
        on = ((xy >= -0.5) & (xy < high)).all(axis=1)
        return [timed(ONLY, lambda: sites.iloc[np.flatnonzero(on)].reset_index(drop=True))]


def elements_of(case: Case) -> list[Element]:
    """Return the output channels of a case."""
    radius = case.map_radius_px
    size_pm = case.settings.pixel_size_pm
    return [
        e.model_copy(
            update={
                "polarity": case.polarity,
                "radius_pm": None if radius is None else radius * size_pm,
            }
        )
        for e in make_elements(case.elements)
    ]


def digest(
    train: Sequence[SimulatedPair], validation: Sequence[SimulatedPair], settings: str
) -> str:
    """Return a name for what is learned from and how, so that no other run is taken for it."""
    total = hashlib.sha256(settings.encode())
    for part in (train, validation):
        total.update(str(len(part)).encode())
        for made in part:
            frame, atoms = made.pair.frame, made.pair.atoms
            total.update(np.ascontiguousarray(frame.data).tobytes())
            total.update(np.ascontiguousarray(frame.valid).tobytes())
            total.update(positions(atoms).tobytes())
            total.update(",".join(atoms["element"].tolist()).encode())
    return total.hexdigest()[:12]


def preset_methods(
    case: Case, budget: Budget, *, presets: Sequence[str] = (), bundled: bool = False
) -> list[Method]:
    """Return the presets of this package, `fast` also from the bundled start where asked for.

    Parameters
    ----------
    case : Case
    budget : Budget
    presets : sequence of str
        All of them when empty.
    bundled : bool
    """
    names = list(presets) or list(PRESETS)
    unknown = [n for n in names if n not in PRESETS]
    if unknown:
        raise UserError(f"There is no preset {unknown[0]!r}: choose from {', '.join(PRESETS)}.")
    methods: list[Method] = [PresetMethod(case, name, budget) for name in names]
    if bundled:
        methods.append(PresetMethod(case, "fast", budget, init="bundled"))
    return methods


def classical_methods(case: Case) -> list[Method]:
    """Return what learns nothing or little: the lattice, and tuned peaks with Gaussians."""
    from .classical import LogGaussianMethod

    return [LatticeMethod(), LogGaussianMethod(case)]
