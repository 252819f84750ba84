"""A preset of this package, trained and asked as a user does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from napari_apgan.bench.precision.cases import Case, elements_of
from napari_apgan.bench.precision.tasks import Budget
from napari_apgan.bench.training import train
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.simulate.pairs import SimulatedPair
from napari_apgan.train import RunSettings

from .method import MAP, OFFERED, SECONDS, Answers, Lesson, set_threads, timed

if TYPE_CHECKING:
    from napari_apgan.models.modelfile import Model


@dataclass(slots=True)
class PresetMethod:
    """A preset of this package, trained in the trainer's own process.

    Parameters
    ----------
    case : Case
    preset : str
    budget : Budget
    """

    case: Case
    preset: str
    budget: Budget
    steps: int = 0
    _model: Model | None = None

    @property
    def name(self) -> str:
        """The preset, and where it starts."""
        init = self.budget.init
        start = {"scratch": "", "bundled": " from the bundled start"}
        return self.preset + start.get(init, f" from {Path(init).name}")

    def fit(self, lesson: Lesson) -> float:
        """Train; a finished run on the same pairs with the same settings is used again."""
        settings = RunSettings(
            preset=self.preset,
            minutes=self.budget.minutes,
            steps=self.budget.steps,
            threads=self.budget.threads,
            init=self.budget.init,
            seed=lesson.seed,
        )
        name = f"{self.preset}-{lesson.seed}-{lesson.digest(settings.model_dump_json())}"
        trained = train(
            [p.pair for p in lesson.train],
            lesson.folder / name,
            settings,
            elements_of(self.case),
            validation=[p.pair for p in lesson.validation],
        )
        self._model, self.steps = trained.model, trained.steps
        return trained.seconds

    def predict(self, frame: Frame, truth: SimulatedPair | None = None) -> Answers:
        """Return positions read from the map, and those offered to the user.

        The network is asked once; the time of the offered positions is that of the maps too.
        """
        from napari_apgan.predict.answer import finish, refined
        from napari_apgan.predict.inference import predict_frame

        model = self._model
        if model is None:
            raise UserError(f"{self.name} has not been trained: fit it first.")
        set_threads(self.budget.threads)
        label, read = timed(MAP, lambda: predict_frame(model, frame, refine=False).atoms)

        def offer() -> pd.DataFrame:
            if not len(read):
                return read.copy()
            whole = (0, 0, frame.shape[1], frame.shape[0])
            return finish(refined(frame, read, whole, model.card), frame, None)

        offered = timed(OFFERED, offer)
        offered[1].attrs[SECONDS] += read.attrs[SECONDS]
        return [(label, read), offered]
