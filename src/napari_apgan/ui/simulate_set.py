"""Simulated pairs in a project: one image series a batch, which comes and goes as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_apgan.errors import UserError
from napari_apgan.frames import Source
from napari_apgan.io import Pair
from napari_apgan.project import (
    AddAtoms,
    Batch,
    Edit,
    Project,
    SetRegions,
    compose,
)

Place = tuple[str, int]

#: What a simulated source remembers of itself; the first is also what the split and the exported
#: pairs read, so that each of its frames counts as an independent one.
_ORIGIN, _KIND, _SETTINGS, _SEED = "pair origin", "simulated", "simulation settings", "seed"


@dataclass(frozen=True, slots=True)
class Simulated:
    """One batch of simulated pairs in a project.

    Parameters
    ----------
    source_id : str
    kind : str
        What was simulated: ``graphene``.
    frames : tuple of int
        Those with labels.
    atoms : int
    settings : str
        The simulation's settings as JSON.
    """

    source_id: str
    kind: str
    frames: tuple[int, ...]
    atoms: int
    settings: str

    @property
    def places(self) -> list[Place]:
        """(Source id, frame) of each pair."""
        return [(self.source_id, frame) for frame in self.frames]

    @property
    def words(self) -> str:
        """Say what it is: ``60 simulated pairs · graphene``."""
        n = len(self.frames)
        return f"{n} simulated pair{'s' * (n != 1)} · {self.kind}"


def simulated_in(project: Project) -> list[Simulated]:
    """Return the batches of simulated pairs that a project holds, oldest first."""
    found = []
    for record in project.sources:
        kind = record.metadata.get(_KIND, "")
        places = project.frames_with_labels(record.id) if kind else []
        if places:
            frames = tuple(frame for _, frame in places)
            atoms = sum(project.count_atoms(*place) for place in places)
            settings = record.metadata.get(_SETTINGS, "")
            found.append(Simulated(record.id, kind, frames, atoms, settings))
    return found


def series_of(pairs: Sequence[Pair], kind: str, settings: str, seed: int) -> Source:
    """Make one series of simulated pairs; missing pixels are NaN in it.

    Parameters
    ----------
    pairs : sequence of Pair
        All of one shape and pixel size.
    kind : str
        What was simulated.
    settings : str
        The simulation's settings as JSON: with the seed, all that is needed to make it again.
    seed : int
    """
    stack = np.stack([np.where(p.frame.valid, p.frame.data, np.float32(np.nan)) for p in pairs])
    return Source(
        name=f"simulated {kind} {seed}",
        stack=stack.astype(np.float32),
        calibration=pairs[0].frame.calibration,
        metadata={_ORIGIN: "simulated", _KIND: kind, _SETTINGS: settings, _SEED: str(seed)},
        missing="nan",
    )


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of simulated pairs as edits, made without their project.

    Parameters
    ----------
    source_id : str
    n_frames : int
    names : tuple of str
        The elements that occur.
    edits : tuple of Edit
    """

    source_id: str
    n_frames: int
    names: tuple[str, ...]
    edits: tuple[Edit, ...]


def add_series(project: Project, series: Source) -> str:
    """Add a series of simulated frames to a project and return its id.

    Raises
    ------
    UserError
        When these very pairs are there already, or the project cannot be written.
    """
    source_id = project.add_source(series)
    if project.frames_with_labels(source_id):
        raise UserError(
            "These very pairs are in the project already: choose another seed for new ones."
        )
    return source_id


def labels_of(pairs: Sequence[Pair], source_id: str, next_id: int, next_region: int) -> Labels:
    """Make the edits that label a series; needs no project, so that a thread can do it.

    Parameters
    ----------
    pairs : sequence of Pair
    source_id : str
    next_id, next_region : int
        The first free ids of atoms and regions of that source.
    """
    edits: list[Edit] = []
    names: dict[str, None] = {}
    for frame, pair in enumerate(pairs):
        if len(pair.atoms):
            table = compose.tidy_elements(pair.atoms)
            names.update(dict.fromkeys(table["element"].tolist()))
            numbered = table.assign(id=next_id + np.arange(len(table)), frame=frame)
            edits.append(AddAtoms.of(source_id, frame, numbered))
            next_id += len(table)
        regions = tuple(
            region.model_copy(update={"id": next_region + n})
            for n, region in enumerate(pair.regions)
        )
        next_region += len(regions)
        edits.append(SetRegions(source_id=source_id, frame=frame, before=(), after=regions))
    return Labels(source_id, len(pairs), tuple(names), tuple(edits))


def add_labels(project: Project, labels: Labels) -> Simulated:
    """Label a series and put it into the training set, as one edit."""
    more = compose.with_elements(project, labels.names)
    places = [(labels.source_id, frame) for frame in range(labels.n_frames)]
    pairs = compose.joined_pairs(project, places, project.next_round)
    edits = (*([more] if more else []), *labels.edits, *([pairs] if pairs else []))
    project.apply(Batch(name=f"add {_count(labels.n_frames)}", edits=edits))
    return next(group for group in simulated_in(project) if group.source_id == labels.source_id)


def removing(project: Project, source_id: str) -> Batch:
    """Make the one edit that takes a batch of simulated pairs out of a project."""
    n = len(project.frames_with_labels(source_id))
    return Batch(name=f"remove {_count(n)}", edits=tuple(compose.emptied(project, source_id)))


def _count(n: int) -> str:
    return f"{n} simulated pair{'s' * (n != 1)}"


def free_seed(project: Project) -> int:
    """Return a seed that no simulated pairs of a project have, so that new ones are new."""
    seeds = (int(r.metadata[_SEED]) for r in project.sources if r.metadata.get(_SEED))
    return max(seeds, default=-1) + 1
