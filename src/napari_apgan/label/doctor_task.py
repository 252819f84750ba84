"""The label doctor in the helper process: the labels of the frame that the user works on."""

from __future__ import annotations

import hashlib
from pathlib import Path

from napari_apgan.elements import Element
from napari_apgan.maps import default_radius_px

from .doctor import FEWEST, Patient, diagnose, measure_labels
from .doctor_types import Report
from .doctor_wish import DoctorWish, report_values
from .process import Job
from .protocol import TaskRequest


def run(job: Job) -> None:
    """Examine the labels; thresholds, regions and radii alone measure nothing again."""
    wish = DoctorWish.model_validate(job.options)
    key = labels_key(job.request, wish.elements)
    if job.kept.get("key") != key:
        job.progress(0, 2, "Reading the peaks under the labels")
        patient = measure_labels(job.frame(), job.atoms(), elements=wish.elements)
        job.kept.update(key=key, patient=patient)
    job.progress(1, 2, "Comparing the labels")
    report = judge(job.kept["patient"], wish, job)
    job.sentence = report.sentence()
    job.values = {"report": report_values(report)}


def judge(patient: Patient | None, wish: DoctorWish, job: Job) -> Report:
    """Lay the thresholds of a wish on what was measured."""
    if patient is None:
        n = len(job.atoms())
        return Report((), n, f"At least {FEWEST} labels are needed to compare them.")
    radius = wish.radius_px
    return diagnose(
        patient,
        wish.regions,
        radius_px=default_radius_px(job.atoms()) if radius is None else radius,
        settings=wish.settings,
        ignored=wish.ignored,
    )


def labels_key(request: TaskRequest, elements: list[Element]) -> str:
    """Return what changes when anything does that is measured."""
    table = b"" if request.atoms is None else Path(request.atoms).read_bytes()
    source = "" if request.source is None else request.source.model_dump_json()
    polarity = sorted((e.name, e.polarity) for e in elements)
    text = f"{source}\n{request.frame}\n{polarity}\n".encode()
    return hashlib.sha256(text + table).hexdigest()
