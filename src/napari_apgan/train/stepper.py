"""Steps that go on where memory runs out or numbers are none. Imports torch."""

from __future__ import annotations

import torch

from napari_apgan.errors import UserError
from napari_apgan.models.modelfile import first_non_finite
from napari_apgan.predict.running import is_out_of_memory

from .checkpoint import Progress, restore, snapshot
from .dataset import Batch, Dataset
from .events import EventLog, Note
from .steps import Learner, NotFiniteError

#: Steps between two copies in memory to roll back to.
SNAPSHOT_EVERY = 50
#: Roll-backs after which the training gives up.
MOST_ROLLBACKS = 5


class Stepper:
    """Takes the steps of one training, and says in its log what it had to do about them.

    Parameters
    ----------
    learner : Learner
    dataset : Dataset
    progress : Progress
        Kept up to date: steps, crops a step, and what roll-backs make of the rate.
    log : EventLog
    """

    def __init__(
        self, learner: Learner, dataset: Dataset, progress: Progress, log: EventLog
    ) -> None:
        self._learner = learner
        self._dataset = dataset
        self._progress = progress
        self._log = log
        self._rollbacks = 0
        self._good = snapshot(learner)

    def step(self, used: float) -> dict[str, float] | None:
        """Draw a batch and take a step on it.

        Parameters
        ----------
        used : float
            Part of the training's budget that is used up, 0..1.

        Returns
        -------
        dict or None
            The losses; None where the step was undone.

        Raises
        ------
        UserError
            When memory does not suffice at all, or numbers stay none.
        """
        try:
            losses = self._descend(self._dataset.draw(used))
        except NotFiniteError as trouble:
            self.roll_back(str(trouble))
            return None
        self._progress.step += 1
        if self._progress.step % SNAPSHOT_EVERY == 0:
            self._remember()
        return losses

    def roll_back(self, what: str) -> None:
        """Go back to the last good weights and on at half the rate; give up after some tries."""
        self._rollbacks += 1
        if self._rollbacks > MOST_ROLLBACKS:
            raise UserError(
                f"The training did not converge: {what} is not a finite number, even at a much "
                "lower rate; check the labels and the images, or choose another preset."
            )
        restore(self._learner, self._good)
        self._progress.rate_factor /= 2
        self._log.write(
            Note(
                message=f"In step {self._progress.step + 1} {what} was not a finite number: went "
                "back to earlier weights and on at half the rate."
            )
        )

    def _remember(self) -> None:
        state = snapshot(self._learner)
        if first_non_finite(state) is None:
            self._good = state

    def _descend(self, batch: Batch) -> dict[str, float]:
        """Take a step; when memory ends, with half the crops, in the end on the CPU."""
        while True:
            losses = self._try_step(batch)
            if losses is not None:
                return losses
            # Only here, outside the except block, is what the failed step held free again.
            self._learner.forget_gradients()
            if self._learner.device.type == "cuda":
                torch.cuda.empty_cache()
            if len(batch.x) > 1:
                self._dataset.batch = self._progress.batch = len(batch.x) // 2
                batch = batch.first(self._dataset.batch)
                message = f"Memory ran out: going on with {self._dataset.batch} crops a step."
            elif self._learner.device.type != "cpu":
                message = "The device's memory does not suffice: going on on the CPU, more slowly."
                self._learner.move(torch.device("cpu"))
            else:
                raise UserError(
                    "There is not enough memory to train this network: close other programs, or "
                    "choose the preset “fast” or smaller crops."
                )
            self._log.write(Note(message=message))

    def _try_step(self, batch: Batch) -> dict[str, float] | None:
        try:
            return self._learner.step(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        return None
