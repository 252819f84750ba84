"""The training set as pairs, and its way to and from a pairs folder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Source
from napari_apgan.io.pairs import Pair, PairOrigin, read_pairs
from napari_apgan.names import frame_name, safe_name

from . import compose, tables
from .documents import PairEntry
from .edits import AddAtoms, Batch, Edit, SetRegions
from .sources import SourceRecord

if TYPE_CHECKING:
    from .labelling import WithLabels

#: Where an imported pair keeps what it said of itself.
_ORIGIN, _SOURCE, _INDEX = "pair origin", "pair source", "pair index"


@dataclass(slots=True)
class ImportReport:
    """What an import of pairs did.

    Parameters
    ----------
    source_ids : list of str
        The images that the training set gained.
    kept : list of str
        Names of pairs whose image has labels in the project already; those stay as they are.
    notes : list of str
        What was assumed, one sentence a pair.
    """

    source_ids: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """Say it to the user."""
        n = len(self.source_ids)
        text = f"Imported {n} pair{'s' * (n != 1)} into the training set."
        if self.kept:
            text += f" Already labelled, left as they are: {', '.join(self.kept)}."
        return text


def training_pairs(project: WithLabels) -> list[Pair]:
    """Return a pair for every frame of the training set that has a complete region.

    Raises
    ------
    UserError
        When an image of the training set is missing.
    """
    wanted = [
        p
        for p in project.pairs
        if any(r.kind == "complete" for r in project.regions(p.source_id, p.frame))
    ]
    names = _names(project, wanted)
    return [_pair(project, p, name) for p, name in zip(wanted, names, strict=True)]


def _pair(project: WithLabels, entry: PairEntry, name: str) -> Pair:
    record = project.record(entry.source_id)
    frame = project.source(entry.source_id).frame(entry.frame)
    atoms = project.atoms(entry.source_id, entry.frame)
    index = int(record.metadata.get(_INDEX, entry.frame))
    if index != entry.frame:
        frame = Frame(frame.data, frame.valid, frame.calibration, frame.name, index, frame.note)
        atoms = atoms.assign(frame=index)
    return Pair(
        name=name,
        frame=frame,
        atoms=atoms,
        regions=tuple(project.regions(entry.source_id, entry.frame)),
        origin=record.metadata.get(_ORIGIN) or _origin(atoms),
        source=record.metadata.get(_SOURCE) or record.absolute_path or record.name,
    )


def _origin(atoms: pd.DataFrame) -> str:
    """Say in one word who placed the atoms of a frame."""
    origins = set(atoms["origin"])
    if len(origins) == 1 and origins <= set(get_args(PairOrigin)):
        return str(origins.pop())
    return "corrected" if origins & {"predicted", "corrected"} else "human"


def _names(project: WithLabels, entries: Iterable[PairEntry]) -> list[str]:
    """Name the pairs after their images, all different also where case does not count."""
    names: list[str] = []
    for entry in entries:
        record = project.record(entry.source_id)
        name = safe_name(_stem(record), empty="image")
        if record.n_frames > 1:
            name = f"{name}_{frame_name(entry.frame)}"
        if name.lower() in {n.lower() for n in names} or name.startswith("."):
            name = f"{entry.source_id}_{frame_name(entry.frame)}"
        names.append(name)
    return names


def _stem(record: SourceRecord) -> str:
    """Return the name of an image without the ending of its file."""
    ending = Path(record.file_name).suffix
    return record.name.removesuffix(ending) if ending and not record.stored else record.name


def import_pairs(project: WithLabels, folder: Path, *, round: int = 0) -> ImportReport:
    """Add the pairs of a folder to the project and its training set, as one edit.

    Their images are copied into the project, so the folder may go. A pair whose image already has
    labels here is left out.

    Raises
    ------
    UserError
        When the folder cannot be read; the project is unchanged then.
    """
    pairs = read_pairs(folder)
    report = ImportReport()
    names = list(
        dict.fromkeys(e for p in pairs for e in compose.tidy_elements(p.atoms)["element"].tolist())
    )
    more = compose.with_elements(project, names)
    edits: list[Edit] = [more] if more else []
    entries: list[PairEntry] = []
    for pair in pairs:
        source_id = project.add_source(_as_source(pair))
        if (source_id, 0) in project.frames_with_labels(source_id) or source_id in (
            report.source_ids
        ):
            report.kept.append(pair.name)
            continue
        report.source_ids.append(source_id)
        if pair.note:
            report.notes.append(f"{pair.name}: {pair.note}")
        edits += _labels(project, source_id, pair)
        entries.append(PairEntry(source_id=source_id, frame=0, round=round))
    if entries:
        known = {(e.source_id, e.frame) for e in entries}
        rest = [p for p in project.pairs if (p.source_id, p.frame) not in known]
        joined = compose.changed_pairs(project, [*rest, *entries])
        edits += [joined] if joined else []
        n = len(entries)
        project.apply(Batch(name=f"import {n} pair{'s' * (n != 1)}", edits=tuple(edits)))
    return report


def _as_source(pair: Pair) -> Source:
    image = np.where(pair.frame.valid, pair.frame.data, np.float32(np.nan))
    return Source(
        name=pair.name,
        stack=image[None],
        calibration=pair.frame.calibration,
        metadata={
            _ORIGIN: pair.origin,
            _SOURCE: pair.source,
            _INDEX: str(pair.frame.index),
        },
        missing="nan",
    )


def _labels(project: WithLabels, source_id: str, pair: Pair) -> list[Edit]:
    """Make the edits that label an imported image; ids are kept where they are all different."""
    edits: list[Edit] = []
    free = project.record(source_id)
    if len(pair.atoms):
        ids = pair.atoms["id"].to_numpy()
        if len(np.unique(ids)) < len(ids) or ids.min() < free.next_id:
            ids = free.next_id + np.arange(len(ids))
        numbered = compose.tidy_elements(pair.atoms.assign(id=ids))
        edits.append(AddAtoms.of(source_id, 0, tables.sort_by_id(numbered)))
    if pair.regions:
        region_ids = [r.id for r in pair.regions]
        regions = pair.regions
        if len(set(region_ids)) < len(region_ids) or min(region_ids) < free.next_region_id:
            regions = tuple(
                r.model_copy(update={"id": free.next_region_id + i})
                for i, r in enumerate(pair.regions)
            )
        edits.append(SetRegions(source_id=source_id, frame=0, before=(), after=regions))
    return edits


def check_exportable(pairs: list[Pair]) -> None:
    """Raise `UserError` when there is nothing to export."""
    if not pairs:
        raise UserError(
            "The training set is empty: mark a region complete and send it to the training set "
            "first."
        )
