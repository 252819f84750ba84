"""The training itself: steps, validation, previews, checkpoints, and what goes wrong."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from napari_apgan.frames import Frame
from napari_apgan.io.pairs import Pair
from napari_apgan.models.card import read_card
from napari_apgan.models.modelfile import load_model, save_model
from napari_apgan.predict.inference import choose_device, predict_frame

from .balance import Balance
from .begin import count_atoms, first_card, open_dataset, read_split, usable_cores
from .budget import Budget, Curve
from .checkpoint import Progress, load_checkpoint, save_checkpoint
from .events import Checkpoint, Done, EventLog, Note, Started, Stopped, Validated
from .preview import Previewer
from .runfile import BEST_FILE, CHECKPOINT_FILE, INIT_FILE, RunFile
from .stepper import Stepper
from .steps import Learner
from .usual import usual_of
from .validate import validate
from .warmstart import copy_weights

#: Seconds between two checkpoints.
CHECKPOINT_EVERY_S = 30.0
#: Said once the steps are done.
LEARNS_KERNEL = "Looking at what single atoms are like in the training frames: some seconds more."


class Training:
    """One training of one run folder, from its first or last step to its end.

    Parameters
    ----------
    run_dir : Path
    log : EventLog
    stop_requested : callable
        Asked before every step.
    resume : bool
        Go on from the checkpoint.

    Raises
    ------
    UserError
        When the run cannot be trained; the message says why.
    """

    def __init__(
        self,
        run_dir: Path,
        log: EventLog,
        stop_requested: Callable[[], bool],
        *,
        resume: bool = False,
    ) -> None:
        self.run_dir = run_dir
        self.log = log
        self.stop_requested = stop_requested
        self.run_file = run = RunFile.read(run_dir)
        self.recipe = run.preset.recipe
        self.device = choose_device(run.settings.device)
        threads = run.settings.threads or usable_cores()
        torch.set_num_threads(threads)
        torch.manual_seed(run.settings.seed)
        self.pairs, self.split = read_split(run_dir, run)
        self.dataset = open_dataset(run, self.pairs, self.split)
        self.learner = Learner(run.preset, len(run.elements), self.device)
        self.progress = Progress(batch=self.recipe.batch)
        self.card = first_card(run)
        # A run that died before its first checkpoint begins again.
        resumed = resume and (run_dir / CHECKPOINT_FILE).is_file()
        self.warm = run.settings.init != "scratch" and not resumed
        if self.warm:
            self._warm_start()
        self.rate = 1.0 if self._learns_anew() else self.recipe.warm_rate
        if resumed:
            self.progress = load_checkpoint(run_dir / CHECKPOINT_FILE, self.learner, self.dataset)
            self.dataset.batch = self.progress.batch
            self._recall_best()
        self.budget = Budget(self.recipe, self.dataset.steps_per_epoch, self.progress.elapsed_s)
        self.curve = Curve()
        self.balance = Balance(self.recipe.discriminator_loss, self.progress.step)
        self.preview = Previewer(run_dir, self._preview_pair(), self.card)
        self._checkpoint_at = time.monotonic() + CHECKPOINT_EVERY_S
        self.stepper = Stepper(self.learner, self.dataset, self.progress, self.log)
        self._announce(threads, resumed=resumed)

    def run(self) -> Done | Stopped:
        """Train to the end of the budget or until stopped.

        Returns
        -------
        Done or Stopped
            The final event, not yet written.
        """
        try:
            return self._run()
        finally:
            self.dataset.close()

    def _run(self) -> Done | Stopped:
        if self.warm and self.progress.step == 0:
            # What we start from counts too: a retraining must not end below it.
            self._validate()
        while not self._finished():
            if self.stop_requested():
                return self._stopped()
            self._step()
            if self._validation_due():
                self._validate()
            if time.monotonic() >= self._checkpoint_at:
                self._checkpoint()
            drawn = self.preview.draw(
                self.learner.validated, self.progress.step, str(self.learner.device)
            )
            if drawn is not None:
                self.log.write(drawn)
        return self._done()

    # -- beginning ---------------------------------------------------------------------------

    def _warm_start(self) -> None:
        earlier = load_model(self.run_dir / INIT_FILE)
        new = copy_weights(self.learner.network, self.run_file.elements, earlier)
        self.learner.restart_average()
        if new:
            self.log.write(Note(message=f"New to the model it continues from: {', '.join(new)}."))

    def _learns_anew(self) -> bool:
        """Whether nothing is lost when it moves far: the bundled model has not seen these atoms."""
        if self.run_file.settings.init == "scratch":
            return True
        return read_card(self.run_dir / INIT_FILE).by_contrast and not self.card.by_contrast

    def _recall_best(self) -> None:
        """Take score and threshold of the best model so far onto the card."""
        if self.progress.best is not None and (self.run_dir / BEST_FILE).is_file():
            self.card = read_card(self.run_dir / BEST_FILE)

    def _preview_pair(self) -> Pair:
        wanted = self.run_file.settings.preview
        return next((p for p in self.pairs if p.name == wanted), self.pairs[0])

    def _announce(self, threads: int, *, resumed: bool) -> None:
        for note in () if resumed else self.run_file.notes:
            self.log.write(Note(message=note))
        self.log.write(
            Started(
                host=socket.gethostname(),
                device=str(self.device),
                threads=threads,
                resumed=resumed,
                step=self.progress.step,
                preset=self.run_file.preset.name,
                pairs=len(self.run_file.pairs),
                split=self.split.kind,
                training_atoms=count_atoms(self.pairs, self.split, held_out=False),
                validation_atoms=count_atoms(self.pairs, self.split, held_out=True),
                gap_px=self.split.gap_px,
                message=self.split.message,
            )
        )

    # -- one step ----------------------------------------------------------------------------

    def _step(self) -> None:
        factor = self.budget.rate_factor(self.progress.step) * self.progress.rate_factor
        self.learner.set_rates(factor * self.rate)
        losses = self.stepper.step(self.budget.fraction(self.progress.step))
        if losses is None:
            return
        self.progress.elapsed_s = self.budget.elapsed_s
        if self.learner.seen is not None:
            for message in self.balance.add(losses, self.learner.seen):
                self.log.write(Note(message=message))
        event = self.curve.add(
            losses,
            step=self.progress.step,
            epoch=self.progress.step // self.dataset.steps_per_epoch,
            rate=self.recipe.rate * factor,
            budget=self.budget,
            last=self._finished(),
        )
        if event is not None:
            self.log.write(event)

    # -- validation, checkpoints, ends -------------------------------------------------------

    def _validation_due(self) -> bool:
        every = self.recipe.validate_every or self.dataset.steps_per_epoch
        step = self.progress.step
        due = step > 0 and (step % every == 0 or self._finished())
        return due and step != self.progress.validated_step

    def _validate(self) -> None:
        network = self.learner.validated
        if not self.learner.answers_numbers(self.dataset.probe()):
            self.stepper.roll_back("the answer of the network")
            return
        found = validate(network, self.card, self.pairs, self.split, str(self.learner.device))
        progress = self.progress
        progress.validated_step = progress.step
        better = progress.best is None or found.value > progress.best
        if better:
            progress.best, progress.best_step, progress.stale = found.value, progress.step, 0
        else:
            progress.stale += 1
        epoch = progress.step // self.dataset.steps_per_epoch
        if better:
            self.card = self.card.model_copy(
                update={
                    "threshold": found.threshold,
                    "score": found.score,
                    "calibration": found.calibration,
                    "step": progress.step,
                    "epoch": epoch,
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            )
            save_model(self.run_dir / BEST_FILE, network, self.card)
        self.log.write(
            Validated(
                step=progress.step,
                epoch=epoch,
                loss=found.loss,
                score=found.score,
                threshold=found.threshold,
                best=better,
            )
        )

    def _checkpoint(self) -> None:
        self.progress.elapsed_s = self.budget.elapsed_s
        save_checkpoint(self.run_dir / CHECKPOINT_FILE, self.learner, self.dataset, self.progress)
        self._checkpoint_at = time.monotonic() + CHECKPOINT_EVERY_S
        self.log.write(Checkpoint(step=self.progress.step, path=CHECKPOINT_FILE))

    def _add_kernel(self) -> None:
        """Tell the best model what single atoms look like: some seconds, for the last one alone."""
        best = self.run_dir / BEST_FILE
        # Where elements are mere contrasts, frames of many materials have nothing in common.
        if not best.is_file() or self.card.by_contrast:
            return
        self.log.write(Note(message=LEARNS_KERNEL))
        model = load_model(best)

        def find(frame: Frame) -> pd.DataFrame:
            device = str(self.learner.device)  # where memory let the training end
            return predict_frame(model, frame, refine=False, device=device).atoms

        kernel = usual_of(self.pairs, self.run_file.elements, find)
        if kernel is not None:
            self.card = self.card.model_copy(update={"kernel": kernel})
            save_model(best, model.network, self.card)

    def _finished(self) -> bool:
        patience = self.recipe.patience
        tired = bool(patience) and self.progress.stale >= patience
        return tired or self.budget.fraction(self.progress.step) >= 1

    def _stopped(self) -> Stopped:
        self._checkpoint()
        if self.progress.best is None:
            self._validate()
        self._add_kernel()
        return Stopped(
            step=self.progress.step,
            elapsed_s=self.budget.elapsed_s,
            best=BEST_FILE if (self.run_dir / BEST_FILE).is_file() else None,
            message=f"Stopped after {self.progress.step} steps; it can be resumed.",
        )

    def _done(self) -> Done:
        # Once more where the last weights were no numbers and those before them came back.
        while self.progress.best is None or self.progress.validated_step != self.progress.step:
            self._validate()
        self._checkpoint()
        self._add_kernel()
        tired = self.budget.fraction(self.progress.step) < 1
        return Done(
            step=self.progress.step,
            epoch=self.progress.step // self.dataset.steps_per_epoch,
            elapsed_s=self.budget.elapsed_s,
            best=BEST_FILE,
            score=self.card.score,
            message="Ended early: no more gain on the held-out labels."
            if tired
            else "Trained for its whole budget.",
        )
