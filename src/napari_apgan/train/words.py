"""What is said of a run: how it ended, and how well its model agrees with the labels."""

from __future__ import annotations

from napari_apgan.models.card import HeldOutScore
from napari_apgan.words import share

from .events import Done, Stopped
from .runfolder import RunFolder


def duration(seconds: float) -> str:
    """Say a time span as people do: ``0.4 s``, ``41 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


def score_words(score: HeldOutScore | None) -> str:
    """Say how well a model agrees with the labels that it did not see."""
    if score is None:
        return "no labels were scored"
    error = ""
    if score.error_pm is not None:
        error = f"; {score.error_pm:.0f} pm"
    elif score.error_px is not None:
        error = f"; {score.error_px:.2f} px"
    if score.split == "none":
        return (
            f"agrees with the labels it was trained on {share(score.f1)}{error} (too few to hold "
            "any out: label more to know how good it is)"
        )
    few = ""
    if score.n_atoms < 30:
        few = f" (only {score.n_atoms} atoms: too few to be sure)"
    if score.split == "simulated":
        return f"agrees with simulated frames it never saw {share(score.f1)}{error}{few}"
    return f"agrees with your held-out labels {share(score.f1)}{error}{few}"


def outcome_sentence(run: RunFolder) -> str:
    """Say how a run ended: ``Done in 41 s: agrees with your held-out labels 0.97; 6 pm.``."""
    status = run.status()
    final = next((e for e in reversed(run.events()) if isinstance(e, Done | Stopped)), None)
    if status == "done" and isinstance(final, Done):
        return f"Done in {duration(final.elapsed_s)}: {score_words(final.score)}."
    if status == "stopped" and isinstance(final, Stopped):
        kept = "its best model is in use" if final.best else "it has no model yet"
        return f"Stopped after {duration(final.elapsed_s)}; {kept}. Resume goes on from here."
    if status == "failed":
        return run.message() or "The training failed."
    if status == "interrupted":
        if run.can_resume:
            return f"The training {run.path.name} was interrupted. Resume goes on from there."
        return f"The training {run.path.name} was interrupted before it had anything to keep."
    return ""
