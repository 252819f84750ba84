"""The label doctor: what is probably wrong with the labels of a frame, before it is learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from napari_apgan.atoms import positions
from napari_apgan.elements import Element
from napari_apgan.frames import Frame, Progress
from napari_apgan.maps import default_radius_px
from napari_apgan.regions import Region

from .doctor_areas import (
    discs_touch,
    in_ignored_area,
    incomplete,
    missed,
    outside_regions,
)
from .doctor_atoms import Patient, no_neighbour, off_peak, too_close, wrong_element
from .doctor_evidence import flatten, look
from .doctor_fixes import Fixed, apply_fix
from .doctor_lattice import find_mates
from .doctor_thick import doubtful_areas
from .doctor_types import Act, DoctorSettings, Fix, Point, Report, Suspect, SuspectKind

__all__ = [
    "Act",
    "DoctorSettings",
    "Fix",
    "Fixed",
    "Patient",
    "Point",
    "Report",
    "Suspect",
    "SuspectKind",
    "apply_fix",
    "diagnose",
    "examine",
    "measure_labels",
]

#: Fewer labels than this tell nothing about each other.
FEWEST = 3


def examine(
    frame: Frame,
    atoms: pd.DataFrame,
    regions: Sequence[Region] = (),
    *,
    elements: Iterable[Element] = (),
    radius_px: float | Mapping[str, float] | None = None,
    settings: DoctorSettings | None = None,
    ignored: Iterable[str] = (),
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Report:
    """Examine the labels of one frame.

    The labels teach what an atom looks like, how far they lie from their peaks, how near they stand
    and which element stands where; a suspect is what deviates from that. So most labels must be
    right, and a mistake that they all share is not seen.

    Parameters
    ----------
    frame : Frame
    atoms : DataFrame
        Atom table of this frame.
    regions : sequence of Region
        Complete regions and those where nothing is learned.
    elements : iterable of Element
        For their polarity, where labels are too few to show it.
    radius_px : float or mapping, optional
        Radius of the discs, one or by element; by default from the spacing.
    settings : DoctorSettings, optional
    ignored : iterable of str
        Keys of suspects that the user chose to leave.
    progress, cancelled : callable, optional
        Called between the two stages; a cancelled examination returns an empty report.

    Returns
    -------
    Report
    """
    if progress is not None:
        progress(0, 2, "Reading the peaks under the labels")
    patient = measure_labels(frame, atoms, elements=elements)
    if patient is None:
        return Report((), len(atoms), f"At least {FEWEST} labels are needed to compare them.")
    if cancelled is not None and cancelled():
        return Report((), len(atoms), "The examination was cancelled.")
    if progress is not None:
        progress(1, 2, "Comparing the labels")
    radius = default_radius_px(atoms) if radius_px is None else radius_px
    report = diagnose(patient, regions, radius_px=radius, settings=settings, ignored=ignored)
    if progress is not None:
        progress(2, 2, "")
    return report


def measure_labels(
    frame: Frame, atoms: pd.DataFrame, *, elements: Iterable[Element] = ()
) -> Patient | None:
    """Measure what no threshold changes: peaks under the labels, peaks without one, the lattice.

    Returns
    -------
    Patient or None
        None for fewer labels than can be compared.
    """
    xy = positions(atoms)
    if len(xy) < FEWEST:
        return None
    kinds = atoms["element"].to_numpy(object)
    names = list(dict.fromkeys(str(k) for k in kinds))
    polarity = {e.name: e.polarity for e in elements}
    evidence = look(frame, xy, kinds, polarity, names)
    return Patient(
        frame=frame,
        ids=atoms["id"].to_numpy(np.int64),
        evidence=evidence,
        mates=find_mates(xy, kinds, evidence.spacing_px),
        strictness=1.0,
        flat=flatten(frame, evidence.spacing_px),
    )


def diagnose(
    patient: Patient,
    regions: Sequence[Region] = (),
    *,
    radius_px: float | Mapping[str, float],
    settings: DoctorSettings | None = None,
    ignored: Iterable[str] = (),
) -> Report:
    """Lay thresholds on what was measured; quick enough to follow a slider.

    Parameters
    ----------
    patient : Patient
        From :func:`measure_labels`, which must be taken again after an edit of the atoms.
    regions, radius_px, settings, ignored
        As of :func:`examine`.
    """
    settings = settings or DoctorSettings()
    patient = replace(patient, strictness=1 / settings.sensitivity)
    found, spared = too_close(patient)
    renamed = wrong_element(patient, spared)
    bad = {i for s in renamed for i in s.ids}
    found += renamed
    found += off_peak(patient, spared | np.isin(patient.ids, list(bad)))
    found += no_neighbour(patient)
    found += in_ignored_area(patient, regions)
    found += missed(patient, regions)
    found += incomplete(patient, regions, found)
    found += outside_regions(patient, regions)
    found += discs_touch(patient, radius_px, spared)
    found += _with_free_ids(doubtful_areas(patient), regions)
    left = set(ignored)
    kept = [s for s in found if s.key not in left]
    kept.sort(key=lambda s: -s.severity)
    return Report(tuple(kept), len(patient.ids), _unresolved(patient))


def _unresolved(patient: Patient) -> str:
    """Say which elements the image does not show as peaks, so that little can be said of them."""
    names = [n for n, p in patient.evidence.populations.items() if not p.resolved]
    if not names:
        return ""
    return (
        f"The labels of {' and '.join(names)} do not stand on peaks that are alike: whether single "
        "ones are off or missing can hardly be told from this image."
    )


def _with_free_ids(suspects: list[Suspect], regions: Sequence[Region]) -> list[Suspect]:
    """Give proposed regions an id that none has; each counts on from the one before."""
    free = max((r.id for r in regions), default=-1) + 1
    out = []
    for number, suspect in enumerate(suspects):
        region = suspect.fix.region
        if region is not None:
            region = region.model_copy(update={"id": free + number})
            suspect = replace(suspect, fix=replace(suspect.fix, region=region))
        out.append(suspect)
    return out
