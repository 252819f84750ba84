"""How long a training takes until it does well on frames it has not seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.io.pairs import Pair
from napari_apgan.train import RunFolder, RunSettings, launch, prepare_run
from napari_apgan.train.events import Failed, Started, Validated

#: Steps between two looks at the held-out frames.
VALIDATE_EVERY = 25
#: A trainer that has not ended so long after its budget is asked to stop (s).
_GRACE_S = 60.0


class Target(BaseModel):
    """How a training came to its target.

    Parameters
    ----------
    preset : str
    wanted_f1 : float
        The target: F1 on held-out frames.
    seconds : float, optional
        From the trainer's first event to the first validation at or above the target, validations
        included; None when it was not reached.
    step : int, optional
        Of that validation.
    f1 : float
        There; the best one when the target was not reached.
    error_pm : float, optional
        Root mean square error of the positions there.
    budget_s : float
        What the training was given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str
    wanted_f1: float
    seconds: float | None = None
    step: int | None = None
    f1: float = 0.0
    error_pm: float | None = None
    budget_s: float


def time_to_target(
    pairs: Sequence[Pair],
    validation: Sequence[Pair],
    run_dir: Path,
    *,
    preset: str,
    wanted_f1: float,
    minutes: float,
    device: str = "cpu",
    threads: int | None = None,
    seed: int = 0,
) -> Target:
    """Train from scratch in the trainer's own process until the target or the end of the budget.

    Raises
    ------
    UserError
        When the training fails, with the trainer's own sentence.
    """
    settings = RunSettings(
        preset=preset,
        minutes=minutes,
        device=device,
        threads=threads,
        seed=seed,
        recipe={"validate_every": VALIDATE_EVERY, "patience": 0},
    )
    names = sorted({name for pair in pairs for name in pair.atoms["element"].unique()})
    prepare_run(pairs, run_dir, settings, make_elements(names), validation=validation)
    trainer = launch(run_dir)
    end = time.monotonic() + 60 * minutes + _GRACE_S
    try:
        while trainer.alive and time.monotonic() < end:
            if _reached(trainer.folder, wanted_f1) is not None:
                break
            time.sleep(0.1)
    finally:
        trainer.stop()
        trainer.wait(_GRACE_S)
    return judge(trainer.folder, preset=preset, wanted_f1=wanted_f1, budget_s=60 * minutes)


def _reached(folder: RunFolder, wanted_f1: float) -> Validated | None:
    looks = [e for e in folder.events() if isinstance(e, Validated)]
    return next((look for look in looks if look.score.f1 >= wanted_f1), None)


def judge(folder: RunFolder, *, preset: str, wanted_f1: float, budget_s: float) -> Target:
    """Read from a run when it came to its target.

    Raises
    ------
    UserError
        When the training failed.
    """
    failed = folder.last(Failed)
    if isinstance(failed, Failed):
        raise UserError(f"The training of {preset} did not end well: {failed.message}")
    events = folder.events()
    looks = [e for e in events if isinstance(e, Validated)]
    begun = next((e.time for e in events if isinstance(e, Started)), None)
    if not looks or begun is None:
        return Target(preset=preset, wanted_f1=wanted_f1, budget_s=budget_s)
    there = _reached(folder, wanted_f1)
    shown = there or max(looks, key=lambda look: look.score.f1)
    return Target(
        preset=preset,
        wanted_f1=wanted_f1,
        seconds=there.time - begun if there else None,
        step=there.step if there else None,
        f1=shown.score.f1,
        error_pm=shown.score.error_pm,
        budget_s=budget_s,
    )
