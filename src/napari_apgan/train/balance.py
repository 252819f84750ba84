"""Whether generator and discriminator keep their balance: what goes wrong, in words. Free of torch.

An adversarial training has no single loss whose fall says that all is well. What is watched:

* *collapse*: the generator's maps lose their contrast, or are the same whatever the input;
* *divergence*: the generator's loss rises while the discriminator tells every map apart;
* *an idle adversary*: the discriminator has never learned to tell anything apart, or the generator
  has broken it and it takes every map for a drawn one.

A discriminator that comes to chance later is no fault: this is the equilibrium that is sought.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from napari_apgan.models.recipe import JudgeLoss

#: The discriminator's loss when it answers one half to everything, and so the unit below.
CHANCE: Mapping[JudgeLoss, float] = {"mse": 0.5, "cross_entropy": 2 * math.log(2)}

#: Steps that the running means remember: single steps of small batches scatter by half their value.
MEMORY = 50
#: Steps for which something must last before it is said: twice the memory, so that the beginning
#: of a mean is forgotten.
LASTING = 100
#: Steps in which a training may still draw nothing: networks start with faint, even maps, and
#: leave them within some dozens to two hundred steps.
GRACE = 200
#: Contrast of the maps, as a fraction of that of the drawn ones, below which they count as flat.
#: Noisy images are answered with faint maps, but those of a trained network have a third or more.
FLAT = 0.1
#: Correlation of the maps of two crops above which they count as the same. Crops of a lattice
#: correlate too, as far as their places happen to agree: so only while the drawn maps stay below
#: half of it.
SAME = 0.9
#: Loss of the discriminator, in units of that at chance, below which it tells nearly all apart: a
#: mean squared error of 0.025 is a probability of about 0.9 for the right answer everywhere.
WINS = 0.05
#: And above which it has not learned a thing.
IDLE = 0.95
#: Above this it is worse than a guess: it takes generated maps for drawn ones. To take everything
#: for drawn costs 2 as a mean squared error; equilibrium is at 1.
FOOLED = 1.5
#: Steps after which an adversary should have learned something.
IDLE_STEPS = 300
#: Rise of the generator's loss above the lowest running mean that is more than scatter.
RISE = 1.5


@dataclass(frozen=True, slots=True)
class Seen:
    """What the maps of one step look like.

    Parameters
    ----------
    spread, drawn_spread : float
        Standard deviation over the pixels of the generator's maps, and of the drawn ones.
    likeness, drawn_likeness : float, optional
        Mean correlation of neighbouring maps of the batch, -1..1; None where a batch has one crop.
    """

    spread: float
    drawn_spread: float
    likeness: float | None = None
    drawn_likeness: float | None = None


class _Mean:
    """A running mean with a memory of :data:`MEMORY` steps, plain at first."""

    def __init__(self) -> None:
        self.value, self._n = 0.0, 0

    def add(self, value: float) -> float:
        self._n = min(self._n + 1, MEMORY)
        self.value += (value - self.value) / self._n
        return self.value


class _Episode:
    """Something that lasts or not, and is said once each time."""

    def __init__(self) -> None:
        self._since, self._said = 0, False

    def begins(self, now: bool) -> bool:
        """Count a step; True once, when it has lasted for :data:`LASTING` steps."""
        self._since = self._since + 1 if now else 0
        if not now:
            self._said = False
        if self._since < LASTING or self._said:
            return False
        self._said = True
        return True


class Balance:
    """Watches the losses and maps of an adversarial training, step by step.

    Parameters
    ----------
    form : {"mse", "cross_entropy"}
        The discriminator's loss, which decides what chance is.
    first_step : int
        Steps taken before; what is said of a beginning is not said after a resume.
    """

    def __init__(self, form: JudgeLoss, first_step: int = 0) -> None:
        self._unit = CHANCE[form]
        self._step = first_step
        self._grace_ends = first_step + GRACE
        self._never_learned = first_step == 0
        self._judge, self._loss = _Mean(), _Mean()
        self._spread, self._drawn_spread = _Mean(), _Mean()
        self._likeness, self._drawn_likeness = _Mean(), _Mean()
        self._lowest = math.inf
        self._had_contrast = False
        self._flat, self._same = _Episode(), _Episode()
        self._diverging, self._fooled = _Episode(), _Episode()

    def add(self, losses: Mapping[str, float], seen: Seen) -> list[str]:
        """Take in one step; return what is to be said, usually nothing.

        Parameters
        ----------
        losses : mapping
            ``loss`` of the generator and the ``discriminator``'s.
        seen : Seen
        """
        self._step += 1
        judge = self._judge.add(losses["discriminator"] / self._unit)
        loss = self._loss.add(losses["loss"])
        said = [self._contrast(seen), self._sameness(seen)]
        said += [self._divergence(judge, loss), self._idleness(judge)]
        return [words for words in said if words]

    def _contrast(self, seen: Seen) -> str:
        drawn = self._drawn_spread.add(seen.drawn_spread)
        share = self._spread.add(seen.spread) / drawn if drawn > 0 else 1.0
        self._had_contrast = self._had_contrast or share > 3 * FLAT
        if not self._flat.begins(share < FLAT and self._step > self._grace_ends):
            return ""
        what = "lost their contrast" if self._had_contrast else "shown no contrast so far"
        return (
            f"The maps have {what} (noticed in step {self._step}): the training has collapsed. "
            "The best model so far is kept; stop, and train with a smaller adversarial weight or a "
            "lower learning rate."
        )

    def _sameness(self, seen: Seen) -> str:
        if seen.likeness is None or seen.drawn_likeness is None:
            return ""
        ours, theirs = (
            self._likeness.add(seen.likeness),
            self._drawn_likeness.add(seen.drawn_likeness),
        )
        same = ours > SAME and theirs < SAME / 2 and self._step > self._grace_ends
        if not self._same.begins(same):
            return ""
        return (
            f"The maps are nearly the same whatever the image (noticed in step {self._step}): the "
            "training has collapsed. The best model so far is kept; stop, and train with a smaller "
            "adversarial weight or more pairs."
        )

    def _divergence(self, judge: float, loss: float) -> str:
        if self._step > self._grace_ends:
            self._lowest = min(self._lowest, loss)
        rising = loss > RISE * self._lowest
        if not self._diverging.begins(judge < WINS and rising):
            return ""
        return (
            f"The discriminator tells every map apart and the generator's loss rises (noticed in "
            f"step {self._step}): the two are out of balance. Lower the rate of the discriminator "
            "or the adversarial weight if the held-out score falls too."
        )

    def _idleness(self, judge: float) -> str:
        # The first steps of a running mean scatter as single steps do.
        learned = judge < IDLE and self._step > MEMORY
        self._never_learned = self._never_learned and not learned
        if self._fooled.begins(judge > FOOLED):
            self._never_learned = False  # this says more
            return (
                "The discriminator takes every map for a drawn one (noticed in step "
                f"{self._step}): the generator has broken it, and the adversarial loss teaches "
                "nothing. Lower the rates or the adversarial weight, or train without an adversary."
            )
        if not self._never_learned or self._step < IDLE_STEPS:
            return ""
        self._never_learned = False  # said once
        return (
            f"After {self._step} steps the discriminator still guesses, so the adversarial loss "
            "teaches nothing: raise the rate of the discriminator, or train without an adversary."
        )
