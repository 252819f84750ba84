"""The label doctor and a project: what is ignored there, and fixes as edits. Nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.project import (
    Batch,
    Edit,
    Project,
    RemoveAtoms,
    SetElements,
    SetRegions,
    compose,
)

from .doctor_fixes import apply_fix
from .doctor_types import Fix

#: What a fix may change of an atom that stays.
_CHANGED = ("x_px", "y_px", "element", "sigma_x_pm", "sigma_y_pm", "origin", "flag")


def place_key(source_id: str, frame: int) -> str:
    """Return what a frame is called in the list of ignored suspects."""
    return f"{source_id}:{frame}"


def ignored_on(project: Project, source_id: str, frame: int) -> list[str]:
    """Return the keys of the suspects that are to be left on a frame."""
    return list(project.settings.ignored.get(place_key(source_id, frame), ()))


def ignore(project: Project, source_id: str, frame: int, keys: Iterable[str]) -> None:
    """Leave suspects of a frame from now on."""
    place = place_key(source_id, frame)
    known = project.settings.ignored
    after = list(dict.fromkeys([*known.get(place, ()), *keys]))
    project.update_settings(ignored={**known, place: after})


def listen_again(project: Project, source_id: str, frame: int) -> None:
    """Forget what was ignored on a frame."""
    known = dict(project.settings.ignored)
    known.pop(place_key(source_id, frame), None)
    project.update_settings(ignored=known)


def fix_edit(project: Project, source_id: str, frame: int, fix: Fix) -> Edit | None:
    """Make the one edit that a fix is; None where nothing is left to be done.

    Raises
    ------
    UserError
        When a radius is to be set and the pixel size, in which it is kept, is not known.
    """
    before = project.atoms(source_id, frame)
    regions = tuple(project.regions(source_id, frame))
    if fix.region is not None and all(r.id != fix.region.id for r in regions):
        free = project.record(source_id).next_region_id
        fix = replace(fix, region=fix.region.model_copy(update={"id": free}))
    fixed = apply_fix(fix, before, regions)
    edits = _atom_edits(project, source_id, frame, before, fixed.atoms)
    if fixed.regions != regions:
        edits.append(
            SetRegions(source_id=source_id, frame=frame, before=regions, after=fixed.regions)
        )
    if fixed.radius_px:
        edits.append(_radius_edit(project, source_id, fixed.radius_px))
    if not edits:
        return None
    return Batch(name=fix.words[:1].lower() + fix.words[1:], edits=tuple(edits))


def _atom_edits(
    project: Project, source_id: str, frame: int, before: pd.DataFrame, after: pd.DataFrame
) -> list[Edit]:
    """Return the edits from one table of a frame to another."""
    edits: list[Edit] = []
    gone = before[~before["id"].isin(after["id"])]
    if len(gone):
        edits.append(RemoveAtoms.of(source_id, frame, gone))
    old, new = before.set_index("id"), after.set_index("id")
    stays = old.index.intersection(new.index)
    differs = _differs(old.loc[stays, list(_CHANGED)], new.loc[stays, list(_CHANGED)])
    ids = stays[differs.any(axis=1)]
    if len(ids):
        names = [c for c in _CHANGED if differs.loc[ids, c].any()]
        values = {c: new.loc[ids, c].tolist() for c in names}
        edits.append(compose.changed_atoms(project, source_id, frame, ids.tolist(), values))
    added = after[~after["id"].isin(before["id"])]
    if len(added):
        edits.append(compose.new_atoms(project, source_id, frame, added)[0])
    return edits


def _differs(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Tell which cells differ; two that are not a number are the same."""
    return (old != new) & ~(old.isna() & new.isna())


def _radius_edit(project: Project, source_id: str, radius_px: dict[str, float]) -> SetElements:
    size = project.calibration(source_id).mean_pm
    if size is None:
        raise UserError("Radii are kept in pm: give the pixel size of this image first.")
    before = project.elements
    after = [_with_radius(e, radius_px, size) for e in before]
    return SetElements(before=tuple(before), after=tuple(after))


def _with_radius(element: Element, radius_px: dict[str, float], size_pm: float) -> Element:
    if element.name not in radius_px:
        return element
    return element.model_copy(update={"radius_pm": round(radius_px[element.name] * size_pm, 3)})
