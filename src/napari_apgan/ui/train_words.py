"""What the Train tab says: how long it will take, how it went, what is lacking."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

from napari_apgan.models.recipe import Preset
from napari_apgan.project import Project
from napari_apgan.train.events import Event, Step
from napari_apgan.train.runfolder import RunFolder

#: Seconds a training step takes on two cores of a laptop, until a run here has told better.
USUAL_STEP_S = {"fast": 0.04, "paper": 8.0, "fcn1": 0.8, "fcn2": 0.25}
#: A graphics card is taken to be so many times faster than two cores, until it was measured.
GPU_FACTOR = 25.0

#: The settings that end a training.
BUDGET = ("minutes", "epochs", "steps")

NOTHING_LABELLED = (
    "Nothing to learn from yet. In Label: mark the atoms of an area of about 8 x 8 cells, then "
    "press R and drag a box around it, which says that every atom inside is labelled."
)
NO_REGION = (
    "No area is marked complete yet, so nothing says where the background is. In Label: press R "
    "and drag a box around an area in which every atom is labelled."
)
NOTHING_CHOSEN = "No frame is chosen: tick at least one in the list."


def usual_step_s(preset: str, device: str) -> float:
    """Guess the seconds of a step on this computer from its number of cores."""
    seconds = USUAL_STEP_S.get(preset, 1.0)
    if device.startswith(("cuda", "mps")):
        return seconds / GPU_FACTOR
    return seconds * (2.0 / max(os.cpu_count() or 2, 1)) ** 0.7


def measured_step_s(runs: Sequence[RunFolder], preset: str) -> float | None:
    """Return the seconds of a step of the newest run with this preset, if one got going."""
    for run in reversed(runs):
        step = run.last(Step)
        if isinstance(step, Step) and step.step >= 10 and run.run_file.preset.name == preset:
            return step.elapsed_s / step.step
    return None


def budget(preset: Preset) -> dict[str, Any]:
    """Return what ends a training with this preset."""
    return {name: getattr(preset.recipe, name) for name in BUDGET}


def half_budget(preset: Preset) -> dict[str, Any]:
    """Return half of a preset's budget: to go on takes less than to begin."""
    recipe = preset.recipe
    return {
        "minutes": recipe.minutes and recipe.minutes / 2,
        "epochs": recipe.epochs and math.ceil(recipe.epochs / 2),
        "steps": recipe.steps and math.ceil(recipe.steps / 2),
    }


def estimate(preset: Preset, step_s: float, labelled_px: float) -> tuple[float, float]:
    """Estimate how long a training takes.

    Parameters
    ----------
    preset : Preset
    step_s : float
        Seconds of a step.
    labelled_px : float
        Area of the complete regions; one epoch covers it once.

    Returns
    -------
    first, whole : float
        Seconds to the first overlay, and to the end at the latest.
    """
    recipe = preset.recipe
    per_epoch = max(1, math.ceil(labelled_px / (recipe.crop_px**2 * recipe.batch)))
    steps = [n for n in (recipe.steps, recipe.epochs and recipe.epochs * per_epoch) if n]
    spans = [min(steps) * step_s] if steps else []
    if recipe.minutes:
        spans.append(60.0 * recipe.minutes)
    whole = min(spans)
    first = (recipe.validate_every or per_epoch) * step_s
    return min(first, whole), whole


def estimate_sentence(
    first_s: float, whole_s: float, *, measured: bool, halved: bool = False, bundled: bool = False
) -> str:
    """Say how long it takes, and what it starts from.

    Going on from the last model takes half the budget; the bundled network is looked at, and is a
    first model, before the first step.
    """
    about = "About" if measured else "Roughly"
    half = ": half of a first training, since it goes on from the last model" if halved else ""
    after = "You can go on labelling, and even close napari."
    if bundled:
        return (
            f"Starts from a network that knows atoms in general. {about} {rounded(first_s)} until "
            f"it knows yours better, {rounded(whole_s)} at the most. {after}"
        )
    return (
        f"{about} {rounded(first_s)} to a first model, {rounded(whole_s)} at the most{half}. "
        f"{after}"
    )


def rounded(seconds: float) -> str:
    """Say an estimated time span, no finer than it is known."""
    if seconds < 60:
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{round(seconds / 3600)} h"


def frame_words(project: Project, source_id: str, frame: int) -> tuple[str, str]:
    """Say what a frame brings: its name, and ``" · 412 atoms · 2 regions"``."""
    record = project.record(source_id)
    where = f", frame {frame + 1}" if record.n_frames > 1 else ""
    atoms = project.count_atoms(source_id, frame)
    complete = [r for r in project.regions(source_id, frame) if r.kind == "complete"]
    held = sum(r.held_out for r in complete)
    parts = ["", f"{atoms:,} atom{'s' * (atoms != 1)}"]
    parts.append(f"{len(complete)} region{'s' * (len(complete) != 1)}")
    if held:
        parts.append(f"{held} held out")
    return record.name + where, " · ".join(parts)


def set_words(project: Project) -> str:
    """Say what the training set holds: ``3 pairs · 412 atoms``."""
    pairs = project.pairs
    atoms = sum(project.count_atoms(p.source_id, p.frame) for p in pairs)
    return f"{len(pairs)} pair{'s' * (len(pairs) != 1)} · {atoms:,} atom{'s' * (atoms != 1)}"


def start_words(*, simulating: int | None, preparing: bool, again: bool) -> str:
    """Say what the button starts, or what is under way before a training can start.

    Parameters
    ----------
    simulating : int, optional
        How many pairs are being simulated for it; None where none are.
    preparing : bool
    again : bool
        It goes on from a model of the user's.
    """
    if simulating is not None:
        return f"Simulating {simulating} pair{'s' * (simulating != 1)} … (cancel)"
    if preparing:
        return "Preparing …"
    return "Train again" if again else "Train"


def resume_words(newest: Event | None) -> str:
    """Say how far the training came that can be resumed: ``Resume at 62%``."""
    return f"Resume at {newest.progress:.0%}" if isinstance(newest, Step) else "Resume"


def closing_sentence(name: str, remaining_s: float | None) -> str:
    """Say at the end of napari that a training goes on."""
    left = "" if remaining_s is None else f", about {rounded(remaining_s)} left"
    return (
        f"The training {name} goes on without the window{left}. Open the project again to see it "
        "or to stop it."
    )
