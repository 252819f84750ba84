"""The label doctor in the helper process: how many labels of the training set look doubtful."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari_apgan.errors import UserError

from .doctor import measure_labels
from .doctor_task import judge, labels_key
from .doctor_wish import DoctorFrame, DoctorWish
from .process import Job

#: Frames whose count is remembered.
_KEPT = 2000


def run(job: Job) -> None:
    """Count the suspects of every frame; frames that have not changed are not looked at again."""
    frames = [DoctorFrame.model_validate(f) for f in job.options["frames"]]
    counts: list[dict[str, Any]] = []
    for number, one in enumerate(frames):
        job.progress(number, len(frames), f"Checking the labels of frame {number + 1}")
        request = job.request.model_copy(
            update={"source": one.source, "frame": one.frame, "atoms": one.atoms}
        )
        n = _count(replace(job, request=request), one.wish)
        counts.append({"source_id": one.source_id, "frame": one.frame, "suspects": n})
    total = sum(c["suspects"] for c in counts)
    job.values = {"counts": counts}
    job.sentence = f"{total} label{'s' * (total != 1)} look{'s' * (total == 1)} doubtful."


def _count(job: Job, wish: DoctorWish) -> int:
    key = f"{labels_key(job.request, wish.elements)}\n{wish.model_dump_json()}"
    known: dict[str, int] = job.kept.setdefault("counts", {})
    if key not in known:
        if len(known) >= _KEPT:
            known.clear()
        try:
            patient = measure_labels(job.frame(), job.atoms(), elements=wish.elements)
        except UserError:  # an image that is gone is said elsewhere
            known[key] = 0
        else:
            known[key] = len(judge(patient, wish, job).suspects)
    return known[key]
