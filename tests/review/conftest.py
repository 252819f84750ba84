"""Predictions of a really trained small model on frames of very different quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from napari_apgan.frames import Frame
from napari_apgan.io import Pair
from napari_apgan.measure import score
from napari_apgan.predict.inference import predict_frame
from napari_apgan.predict.prediction import Prediction
from napari_apgan.review.ranking import ReviewInput
from napari_apgan.review.reference import Reference, make_reference
from napari_apgan.simulate import make_sample

from ..predict.trained import PIXEL_PM, trained_model, training_pairs  # noqa: TID252

SNRS = (4.0, 3.0, 2.0, 1.0, 0.5, 0.25, 0.12)


@dataclass
class Judged:
    """A predicted frame and how good its prediction really is."""

    pair: Pair
    item: ReviewInput
    f1: float

    @property
    def prediction(self) -> Prediction:
        return self.item.prediction


def f1_of(prediction: Prediction, pair: Pair) -> float:
    found = score(prediction.atoms, pair.atoms, tolerance_px=3).overall.f1
    return found.value if found is not None else 0.0


@pytest.fixture(scope="session")
def reference() -> Reference:
    return make_reference(
        training_pairs(), pixel_size_pm=PIXEL_PM, radius_px=trained_model().card.radius_px
    )


@pytest.fixture(scope="session")
def judged() -> list[Judged]:
    """Two frames at each of seven noise levels, from better than training to hopeless."""
    out: list[Judged] = []
    for level, snr in enumerate(SNRS):
        sample = make_sample(
            seed=50 + level, n_frames=2, pixel_size_pm=PIXEL_PM, snr=snr, shape=(192, 192)
        )
        for pair in sample:
            f = pair.frame
            frame = Frame(f.data, f.valid, f.calibration, f.name, len(out))
            prediction = predict_frame(trained_model(), frame, refine=False, device="cpu")
            item = ReviewInput("sample", frame, prediction)
            out.append(Judged(pair, item, f1_of(prediction, pair)))
    return out


@pytest.fixture(scope="session")
def good(judged: list[Judged]) -> Judged:
    return max(judged[2:6], key=lambda j: j.f1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
