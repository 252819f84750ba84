"""Doubtful labels as the rows of a list, in the order in which they are walked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from napari_apgan.label.doctor_project import ignored_on
from napari_apgan.label.doctor_types import DoctorSettings, Suspect
from napari_apgan.label.doctor_wish import DoctorWish
from napari_apgan.maps import disc_radii_px
from napari_apgan.project import Project

from .review_walk import nearest_next
from .row_list import Row

#: Larger groups stand in the order of their gravity: ordering them by place would take too long.
_BY_PLACE = 300


def wish_for(
    project: Project, source_id: str, frame: int, settings: DoctorSettings | None = None
) -> DoctorWish:
    """Return what the doctor is told of a frame beside its labels."""
    radii = disc_radii_px(
        project.elements, project.atoms(source_id, frame), project.calibration(source_id)
    )
    return DoctorWish(
        regions=project.regions(source_id, frame),
        elements=project.elements,
        radius_px=radii,
        settings=settings or DoctorSettings(),
        ignored=ignored_on(project, source_id, frame),
    )


def in_order(suspects: Sequence[Suspect]) -> list[Suspect]:
    """Group suspects by kind, the gravest kind first, each group along a short way."""
    groups: dict[str, list[Suspect]] = {}
    for suspect in suspects:  # gravest first
        groups.setdefault(suspect.kind, []).append(suspect)
    return [s for group in groups.values() for s in _along(group)]


def _along(group: list[Suspect]) -> list[Suspect]:
    if len(group) > _BY_PLACE:
        return group
    left: dict[tuple[float, float], list[Suspect]] = {}
    for suspect in group:
        left.setdefault((suspect.x, suspect.y), []).append(suspect)
    return [s for place in nearest_next(list(left)) for s in left[place]]


def is_group(key: Any) -> str:
    """Return the kind of the group that a row heads; empty when it is a suspect."""
    return key[1] if isinstance(key, tuple) else ""


def suspect_rows(suspects: Sequence[Suspect], labels: pd.DataFrame) -> list[Row]:
    """Return a row for each group, with its count, and one for each suspect in it."""
    counts: dict[str, int] = {}
    for suspect in suspects:
        counts[suspect.kind] = counts.get(suspect.kind, 0) + 1
    names = dict(zip(labels["id"].tolist(), labels["element"].tolist(), strict=True))
    rows: list[Row] = []
    kind = ""
    for suspect in suspects:
        if suspect.kind != kind:
            kind = suspect.kind
            words = kind[:1].upper() + kind[1:]
            rows.append(Row(("group", kind), words, f" · {counts[kind]}", quiet=True))
        rows.append(Row(suspect.key, _where(suspect, names), detail=suspect.reason))
    return rows


def _where(suspect: Suspect, names: dict[int, str]) -> str:
    place = f"x {suspect.x:.0f}, y {suspect.y:.0f}"
    if suspect.region_id is not None or not suspect.ids:
        return place
    elements = " and ".join(dict.fromkeys(names.get(i, "?") for i in suspect.ids))
    return f"{elements} at {place}"
