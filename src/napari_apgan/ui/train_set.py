"""The training set as the rows of a list: one a labelled frame, one for all simulated together."""

from __future__ import annotations

from napari_apgan.project import PairEntry, Project, Session

from .row_list import Row
from .simulate_set import Simulated, simulated_in
from .train_words import frame_words

#: Rows of the training set that are seen without scrolling.
LIST_ROWS = 5

_FRAME_TIP = (
    "Ticked frames are learned from, inside their complete regions only; a double click shows them"
)
_GROUP_TIP = (
    "A double click shows them; the cross takes all of them away, and Ctrl+Z brings them back"
)

Place = tuple[str, int]


def training_rows(project: Project) -> list[Row]:
    """Return a row for each labelled frame of a project, and one for each simulated source."""
    chosen = {(p.source_id, p.frame) for p in project.pairs}
    groups = {group.source_id: group for group in simulated_in(project)}
    places = sorted({*project.frames_with_labels(), *chosen})
    rows = [_frame_row(project, p, p in chosen) for p in places if p[0] not in groups]
    return rows + [_group_row(group, chosen) for group in groups.values()]


def _frame_row(project: Project, place: Place, ticked: bool) -> Row:
    name, tail = frame_words(project, *place)
    return Row(place, name, tail, ticked=ticked, tip=f"{name}{tail}\n{_FRAME_TIP}")


def _group_row(group: Simulated, chosen: set[Place]) -> Row:
    ticked = any(place in chosen for place in group.places)
    tip = f"{group.atoms:,} atoms\n{_GROUP_TIP}"
    return Row(group.source_id, group.words, ticked=ticked, removable=True, tip=tip)


def go_to_row(session: Session, key: Place | str) -> None:
    """Show the frame of a row, or the first frame of simulated ones."""
    source_id, frame = key if isinstance(key, tuple) else (key, 0)
    session.go_to(source_id, frame)


def set_pairs(project: Project, key: Place | str, *, chosen: bool) -> None:
    """Take a row's frames into the training set, or out of it, as one edit."""
    groups = {group.source_id: group for group in simulated_in(project)}
    if isinstance(key, tuple):
        (project.add_pair if chosen else project.remove_pair)(*key)
        return
    places = groups[key].places
    rest = [p for p in project.pairs if (p.source_id, p.frame) not in places]
    number = project.next_round
    new = [PairEntry(source_id=s, frame=f, round=number) for s, f in places] if chosen else []
    project.set_pairs([*rest, *new])
