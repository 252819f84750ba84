"""How much of a training is done, what that means for the rate, and the curve of its losses."""

from __future__ import annotations

import math
import time

from napari_apgan.models.recipe import Recipe

from .events import Step

#: Seconds between two points of the curve.
CURVE_EVERY_S = 0.25


class Budget:
    """Steps, epochs and minutes of a training, whichever end comes first.

    Parameters
    ----------
    recipe : Recipe
    steps_per_epoch : int
    spent_s : float
        Seconds used before a resume.
    """

    def __init__(self, recipe: Recipe, steps_per_epoch: int, spent_s: float = 0.0) -> None:
        limits = [recipe.steps, recipe.epochs and recipe.epochs * steps_per_epoch]
        self._recipe = recipe
        self._steps = min((n for n in limits if n), default=None)
        self._seconds = recipe.minutes and 60 * recipe.minutes
        self._begun = time.monotonic() - spent_s

    @property
    def elapsed_s(self) -> float:
        """Seconds spent, over all resumes."""
        return time.monotonic() - self._begun

    def fraction(self, step: int) -> float:
        """Return how much is used after `step` steps, 0..1 and at its end 1 or more."""
        used = [0.0]
        if self._steps:
            used.append(step / self._steps)
        if self._seconds:
            used.append(self.elapsed_s / self._seconds)
        return max(used)

    def rate_factor(self, step: int) -> float:
        """Return the learning rate of the step after `step`, as a fraction of the recipe's."""
        factor = 1.0
        if self._recipe.warmup_steps:
            factor = min(1.0, (step + 1) / self._recipe.warmup_steps)
        start, used = self._recipe.decay_from, min(self.fraction(step), 1.0)
        if used > start:
            left = (1 - used) / (1 - start)
            if self._recipe.decay == "cosine":
                left = 0.5 - 0.5 * math.cos(math.pi * left)
            factor *= max(left, 0.01)
        return factor

    def remaining_s(self, step: int) -> float | None:
        """Estimate the seconds to the end; None in the first steps."""
        used = self.fraction(step)
        if used >= 1:
            return 0.0
        return None if step < 3 or used <= 0 else self.elapsed_s * (1 - used) / used


class Curve:
    """Averages the losses between two points of the curve."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0
        self._next = 0.0

    def add(
        self,
        losses: dict[str, float],
        *,
        step: int,
        epoch: int,
        rate: float,
        budget: Budget,
        last: bool,
    ) -> Step | None:
        """Add one step's losses; return the event when it is time for a point, or the last."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        now = time.monotonic()
        if now < self._next and not last:
            return None
        self._next = now + CURVE_EVERY_S
        means = {name: total / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return Step(
            step=step,
            epoch=epoch,
            loss=means.pop("loss"),
            parts=means,
            rate=rate,
            progress=min(budget.fraction(step), 1.0),
            elapsed_s=budget.elapsed_s,
            remaining_s=budget.remaining_s(step),
        )
