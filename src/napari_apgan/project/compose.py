"""Making edits from what the user asks for, and refusing those that do not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_apgan.atoms import conform
from napari_apgan.elements import Element, pick_color
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.regions import Region

from . import tables
from .documents import PairEntry
from .edits import (
    AddAtoms,
    Batch,
    ChangeAtoms,
    Edit,
    EditBase,
    Relabel,
    RemoveAtoms,
    RescaledErrors,
    SetCalibration,
    SetElements,
    SetPairs,
    SetRegions,
    SetRemoved,
)
from .sources import SourceRecord

if TYPE_CHECKING:
    from .core import ProjectCore


def reserve(records: dict[str, SourceRecord], edit: EditBase) -> None:
    """Put the counters of ids beyond those that an edit uses."""
    for part in edit.parts():
        if isinstance(part, AddAtoms):
            counter, ids = "next_id", part.ids
        elif isinstance(part, SetRegions):
            counter, ids = "next_region_id", [r.id for r in part.after]
        else:
            continue
        record = records.get(part.source_id)
        if record is not None and ids and max(ids) >= getattr(record, counter):
            records[part.source_id] = record.model_copy(update={counter: max(ids) + 1})


def validate(project: ProjectCore, edit: EditBase) -> None:
    """Refuse an edit that names what is not there, or uses an id again.

    Raises
    ------
    UserError
    """
    names = {e.name for e in project.elements}
    used: dict[str, int] = {}
    for part in edit.parts():
        if isinstance(part, SetElements):
            names = {e.name for e in part.after}
            _refuse_orphans(project, part)
        for document in part.documents():
            if document.source_id:
                record = project.record(document.source_id)
                if document.frame >= record.n_frames:
                    raise UserError(
                        f"{record.name} has {record.n_frames} frames; there is no number "
                        f"{document.frame}."
                    )
        if isinstance(part, SetPairs):
            for pair in part.after:
                project.record(pair.source_id)
        if isinstance(part, AddAtoms):
            free = used.get(part.source_id, project.record(part.source_id).next_id)
            if part.ids and min(part.ids) < free:
                raise UserError("An atom's number was used before: let the project choose it.")
            used[part.source_id] = max([free - 1, *part.ids]) + 1
            _refuse_unknown(part.rows["element"], names)
        if isinstance(part, ChangeAtoms) and "element" in part.after:
            _refuse_unknown(part.after["element"], names)


def _refuse_unknown(elements: Iterable[str], names: set[str]) -> None:
    unknown = sorted(set(elements) - names)
    if unknown:
        raise UserError(
            f"The project has no element {unknown[0]!r} yet: add it to the elements first."
        )


def _refuse_orphans(project: ProjectCore, edit: SetElements) -> None:
    """Refuse elements that leave atoms without one."""
    kept = {e.name for e in edit.after}
    gone = {e.name for e in edit.before} - kept
    if not gone:
        return
    counts = count_by_element(project)
    for part in edit.relabelled:
        counts[part.before] = counts.get(part.before, 0) - len(part.ids)
    for name in sorted(gone):
        if counts.get(name, 0) > 0:
            n = counts[name]
            raise UserError(
                f"{name} still has {n} atom{'s' * (n != 1)}: give them another element, or delete "
                "them, before you remove it."
            )


def count_by_element(project: ProjectCore) -> dict[str, int]:
    """Return how many labelled atoms each element has in the whole project."""
    counts: dict[str, int] = {}
    for document in project.filled_documents("atoms"):
        table = project.atoms(document.source_id, document.frame)
        for name, number in table["element"].value_counts().items():
            counts[str(name)] = counts.get(str(name), 0) + int(number)
    return counts


def new_atoms(
    project: ProjectCore, source_id: str, frame: int, table: pd.DataFrame
) -> tuple[Edit, list[int]]:
    """Make the edit that adds atoms under new ids, with the elements they need.

    Returns
    -------
    edit : AddAtoms or Batch
    ids : list of int
        In the order of the rows.
    """
    first = project.record(source_id).next_id
    ids = list(range(first, first + len(table)))
    numbered = tidy_elements(conform(table.assign(id=ids)))
    add = AddAtoms.of(source_id, frame, numbered)
    more = with_elements(project, list(dict.fromkeys(numbered["element"].tolist())))
    return (Batch(name=add.title(), edits=(more, add)) if more else add), ids


def tidy_elements(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose elements are names that :class:`Element` takes as they are."""
    names = [tables.one_line(e).strip() or "unknown" for e in table["element"].tolist()]
    return table.assign(element=pd.Series(names, index=table.index, dtype="str"))


def with_elements(project: ProjectCore, names: Sequence[str]) -> SetElements | None:
    """Make the edit that adds the elements which the project lacks; None when it has all."""
    before = project.elements
    after = list(before)
    for name in names:
        if name not in {e.name for e in after}:
            color = pick_color(name, [e.color for e in after], project.settings.palette)
            after.append(new_element(name, color))
    return SetElements(before=tuple(before), after=tuple(after)) if after != before else None


def new_element(name: str, color: str) -> Element:
    """Make an element; `UserError` when its name will not do."""
    try:
        return Element(name=name, color=color)
    except ValueError as error:
        raise UserError(
            f"{name!r} cannot be the name of an element: use 1 to 24 characters without commas, "
            "quotes or line breaks."
        ) from error


def changed_atoms(
    project: ProjectCore, source_id: str, frame: int, ids: Sequence[int], columns: Mapping[str, Any]
) -> ChangeAtoms:
    """Make the edit that gives columns of some atoms new values (one for all, or one each)."""
    ids = [int(i) for i in ids]
    after: tables.Rows = {}
    for name, value in columns.items():
        scalar = isinstance(value, str) or np.ndim(value) == 0
        values = [value] * len(ids) if scalar else list(value)
        if len(values) != len(ids):
            raise UserError(f"{len(values)} values of {name} were given for {len(ids)} atoms.")
        after[name] = tables.encode_column(name, values)
        if name in ("x_px", "y_px") and None in after[name]:
            raise UserError("An atom's position must be a number.")
    before = tables.pick(project.atoms(source_id, frame), ids, list(after))
    return ChangeAtoms(source_id=source_id, frame=frame, ids=ids, before=before, after=after)


def changed_elements(
    project: ProjectCore, elements: Sequence[Element], moves: Mapping[str, str]
) -> SetElements:
    """Make the edit that sets the elements; atoms of a key of `moves` go to its value."""
    names = [e.name for e in elements]
    if len(set(names)) != len(names):
        raise UserError("Two elements have the same name: choose another one.")
    for target in moves.values():
        if target not in names:
            raise UserError(f"There is no element {target!r} to give the atoms to.")
    relabelled: list[Relabel] = []
    for document in project.filled_documents("atoms") if moves else []:
        table = project.atoms(document.source_id, document.frame)
        for old, new in moves.items():
            ids = table["id"].to_numpy()[table["element"].to_numpy() == old].tolist()
            if ids and old != new:
                relabelled.append(
                    Relabel(
                        source_id=document.source_id,
                        frame=document.frame,
                        ids=ids,
                        before=old,
                        after=new,
                    )
                )
    return SetElements(
        before=tuple(project.elements), after=tuple(elements), relabelled=tuple(relabelled)
    )


def changed_calibration(
    project: ProjectCore, source_id: str, calibration: Calibration
) -> SetCalibration:
    """Make the edit that sets a pixel size and rescales the standard errors in pm."""
    before = project.calibration(source_id)
    factors = {
        "sigma_x_pm": _ratio(calibration.x_pm, before.x_pm),
        "sigma_y_pm": _ratio(calibration.y_pm, before.y_pm),
        "sigma_map_x_pm": _ratio(calibration.x_pm, before.x_pm),
        "sigma_map_y_pm": _ratio(calibration.y_pm, before.y_pm),
    }
    errors: list[RescaledErrors] = []
    for document in project.filled_documents("atoms", source_id):
        table = project.atoms(source_id, document.frame)
        known = table[table[list(factors)].notna().any(axis=1)]
        if known.empty:
            continue
        ids = known["id"].tolist()
        old = tables.pick(table, ids, list(factors))
        new = {
            name: tables.encode_column(name, (known[name] * factor).tolist())
            for name, factor in factors.items()
        }
        errors.append(RescaledErrors(frame=document.frame, ids=ids, before=old, after=new))
    return SetCalibration(
        source_id=source_id, before=before, after=calibration, errors=tuple(errors)
    )


def changed_pairs(project: ProjectCore, entries: Iterable[PairEntry]) -> SetPairs | None:
    """Make the edit that sets the whole training set; None where it is so already."""
    before = tuple(project.pairs)
    after = tuple(sorted(entries, key=lambda p: (p.source_id, p.frame)))
    return SetPairs(before=before, after=after) if after != before else None


def joined_pairs(
    project: ProjectCore, places: Iterable[tuple[str, int]], number: int
) -> SetPairs | None:
    """Make the edit that puts frames into the training set; None where all are in it.

    Parameters
    ----------
    project : ProjectCore
    places : iterable of (source id, frame)
    number : int
        The round of those that are not in it yet.
    """
    known = {(p.source_id, p.frame) for p in project.pairs}
    new = [PairEntry(source_id=s, frame=f, round=number) for s, f in places if (s, f) not in known]
    return changed_pairs(project, [*project.pairs, *new])


def added_region(project: ProjectCore, source_id: str, frame: int, region: Region) -> SetRegions:
    """Make the edit that adds a region under a new id."""
    before = tuple(project.regions(source_id, frame))
    number = project.record(source_id).next_region_id
    after = (*before, region.model_copy(update={"id": number}))
    return SetRegions(source_id=source_id, frame=frame, before=before, after=after)


def emptied(project: ProjectCore, source_id: str) -> list[Edit]:
    """Make the edits that take the labels and the pairs of an image out of the project."""
    edits: list[Edit] = []
    for _, frame in project.frames_with_labels(source_id):
        table = project.atoms(source_id, frame)
        if len(table):
            edits.append(RemoveAtoms.of(source_id, frame, table))
        regions = tuple(project.regions(source_id, frame))
        if regions:
            edits.append(SetRegions(source_id=source_id, frame=frame, before=regions, after=()))
    pairs = changed_pairs(project, (p for p in project.pairs if p.source_id != source_id))
    return [*edits, *([pairs] if pairs else [])]


def removed_source(project: ProjectCore, source_id: str) -> Batch:
    """Make the edit that takes an image, its labels and its pairs out of the project."""
    gone = SetRemoved(source_id=source_id, before=False, after=True)
    name = project.record(source_id).name
    return Batch(name=f"remove {name}", edits=(*emptied(project, source_id), gone))


def _ratio(after: float | None, before: float | None) -> float:
    """How much a length in pm grows; NaN (unknown) when either size is."""
    return float("nan") if after is None or before is None else after / before
