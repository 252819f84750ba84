"""The task `refine` of the labelling helper: labels fitted on the raw frame."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.measure import Shape

from .process import Job
from .refining import refine_labels


class RefineOptions(BaseModel):
    """What to refine.

    Parameters
    ----------
    ids : list of int
        Labels; all of the frame where it is empty.
    polarity : dict
        Contrast of each element.
    shape : {"profile", "gaussian", "ellipse"}
        What single atoms are taken for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: list[int] = []
    polarity: dict[str, Polarity] = {}
    shape: Shape = "profile"


def run(job: Job) -> None:
    """Refine the labels that came along; options as :class:`RefineOptions`."""
    options, labels = job.checked(RefineOptions), job.atoms()
    if labels.empty:
        raise UserError("There is nothing to refine yet: label some atoms first.")
    frame = job.frame()
    job.progress(0, 0, f"fitting {len(labels):,} atoms together")
    done = refine_labels(
        frame,
        labels,
        ids=options.ids or None,
        polarity=options.polarity,
        shape=options.shape,
    )
    job.give_table("refined", done.table)
    job.values = {"failed": done.failed}
    job.sentence = done.sentence
