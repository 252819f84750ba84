"""The rate over a training: a warm-up, a plateau and a fall along a line or a cosine."""

from __future__ import annotations

import math

import pytest

from napari_apgan.models.recipe import Recipe
from napari_apgan.train.budget import Budget


def factors(*steps: int, **recipe: object) -> list[float]:
    budget = Budget(Recipe.model_validate({"steps": 100} | recipe), steps_per_epoch=10)
    return [budget.rate_factor(step) for step in steps]


def test_the_rate_rises_over_the_first_steps() -> None:
    assert factors(0, 4, 9, 50, warmup_steps=10) == [0.1, 0.5, 1.0, 1.0]


def test_a_linear_fall_is_half_way_in_its_middle() -> None:
    assert factors(49, 50, 75, decay_from=0.5) == [1.0, 1.0, 0.5]


def test_a_cosine_falls_slowly_first_and_last() -> None:
    fall = factors(0, 25, 50, 75, decay_from=0.0, decay="cosine")
    assert fall == pytest.approx([1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)])
    assert factors(60, decay_from=0.6, decay="cosine") == [1.0]


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_the_rate_never_ends_at_nothing(decay: str) -> None:
    assert factors(100, 120, decay_from=0.2, decay=decay) == [0.01, 0.01]
