"""Opening a project folder: files, journal, replay, and what to say about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from napari_apgan import __version__
from napari_apgan.elements import Element
from napari_apgan.errors import UserError

from . import compose
from .documents import Document, State
from .effort import Effort
from .folder import SCHEMA, Folder, PairsFile, ProjectFile, now, read_model, write_json
from .history import History, replay
from .journal import JournalContent, JournalWriter, read_journal
from .runs import list_runs
from .sources import SourceRecord, SourcesFile


@dataclass(slots=True)
class RecoverySummary:
    """What opening a project found.

    Parameters
    ----------
    edits_replayed : int
        Lines of the journal that the other files did not hold: 0 after a proper close.
    torn : bool
        Whether a last line, cut off while it was written, was dropped.
    history_lost : bool
        Whether undo starts anew, because the journal was damaged or older than the labels.
    last_edit : datetime, optional
        When the last edit was made (local time).
    last_number : int
        Its number.
    regions : int
        Complete or ignored regions in the project.
    runs : list of str
        Names of the runs.
    """

    edits_replayed: int = 0
    torn: bool = False
    history_lost: bool = False
    last_edit: datetime | None = None
    last_number: int = 0
    regions: int = 0
    runs: list[str] = field(default_factory=list)

    @property
    def happened(self) -> bool:
        """Whether there was anything to recover."""
        return self.edits_replayed > 0 or self.torn or self.history_lost

    def sentence(self) -> str:
        """Say what was recovered; empty when there was nothing to recover."""
        if not self.happened:
            return ""
        parts = [
            f"{self.regions} region{'s' * (self.regions != 1)}",
            f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}",
        ]
        if self.last_edit is not None:
            parts.append(f"last edit {self.last_edit:%H:%M:%S}")
        text = f"Recovered: {', '.join(parts)}."
        if self.history_lost:
            text += " The journal was damaged: earlier edits can no longer be undone."
        return text


@dataclass(slots=True)
class Loaded:
    """All parts of an opened project."""

    file: ProjectFile
    records: dict[str, SourceRecord]
    state: State
    history: History
    writer: JournalWriter | None
    summary: RecoverySummary
    effort: Effort


def create_folder(folder: Folder, elements: tuple[Element, ...]) -> None:
    """Make an empty project.

    Raises
    ------
    UserError
        When the place is taken or cannot be written.
    """
    path = folder.path
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"There is already something at {path}: choose another name.")
        path.mkdir(parents=True, exist_ok=True)
        write_json(folder.project_file, ProjectFile(created=now(), elements=elements))
    except OSError as error:
        raise UserError(f"No project can be made at {path}: {error.strerror}.") from error


def load(folder: Folder, *, read_only: bool, recover: bool) -> Loaded:
    """Read a project folder and bring it up to date from its journal.

    Raises
    ------
    UserError
        When a file is damaged, or comes from a newer program.
    """
    file = _read_project_file(folder)
    held = read_model(SourcesFile, folder.sources_file)
    records = {r.id: r for r in held.sources}
    state = _read_state(folder, file, held)
    newest = max(state.numbers.values(), default=0)
    # After the files: what they hold is then certainly in the journal, also when another window
    # is writing both.
    content = read_journal(folder.journal)
    _refuse_damage(folder, content, recover)
    last = content.entries[-1].number if content.entries else 0
    history = History()
    try:
        replayed = replay(
            content.entries, history, state, file.edit, lambda edit: compose.reserve(records, edit)
        )
        lost = content.damaged_line is not None or last < newest
    except (UserError, ValidationError, KeyError) as error:
        _refuse_misfit(folder, error, recover)
        state, replayed, lost = _read_state(folder, file, held), 0, True
    if lost:
        history, last = History(), max(last, newest)
        _reserve_all(state, records)
    summary = RecoverySummary(
        edits_replayed=replayed,
        torn=content.torn,
        history_lost=lost,
        last_edit=_when(content),
        last_number=last,
        regions=sum(state.counts[d] for d in state.filled("regions")),
        runs=[p.name for p in list_runs(folder)],
    )
    writer = None if read_only else _open_journal(folder, content, last)
    return Loaded(file, records, state, history, writer, summary, Effort(content.entries))


def _read_state(folder: Folder, file: ProjectFile, held: SourcesFile) -> State:
    """Return the state as the files hold it."""
    stamps = folder.label_stamps()
    state = State(
        folder.read_labels,
        {d: number for d, (number, _) in stamps.items()},
        {d: count for d, (_, count) in stamps.items()},
    )
    pairs = read_model(PairsFile, folder.pairs_file)
    state.put(Document("elements"), file.elements, file.edit)
    state.put(Document("pairs"), pairs.pairs, pairs.edit)
    for record in held.sources:
        state.put(Document("calibration", record.id), record.calibration, held.edit)
        state.put(Document("removed", record.id), record.removed, held.edit)
    state.unsaved.clear()
    return state


def _read_project_file(folder: Folder) -> ProjectFile:
    try:
        version = json.loads(folder.project_file.read_bytes())["schema_version"]
        newer = isinstance(version, int) and version > SCHEMA
    except (OSError, ValueError, KeyError, TypeError):
        newer = False
    if newer:
        raise UserError(
            f"{folder.path.name} was made by a newer version of napari-apgan than this one "
            f"({__version__}): update to open it."
        )
    return read_model(ProjectFile, folder.project_file)


def _refuse_damage(folder: Folder, content: JournalContent, recover: bool) -> None:
    if content.damaged_line is not None and not recover:
        raise UserError(
            f"The journal of {folder.path.name} is damaged at line {content.damaged_line} "
            f"({folder.journal}): put back a copy of that file, or open the project with recovery, "
            "which keeps all saved labels and the edits before the damage."
        )


def _refuse_misfit(folder: Folder, error: Exception, recover: bool) -> None:
    if not recover:
        raise UserError(
            f"The journal of {folder.path.name} does not fit its labels ({error}): put back "
            "copies of the files that were changed, or open the project with recovery, which "
            "keeps the labels as they were saved."
        ) from error


def _when(content: JournalContent) -> datetime | None:
    return (
        datetime.fromisoformat(content.entries[-1].time).astimezone() if content.entries else None
    )


def _open_journal(folder: Folder, content: JournalContent, last: int) -> JournalWriter:
    """Open the journal behind its intact part; a damaged whole is kept beside it."""
    try:
        if content.damaged_line is not None:
            copy = _free(folder.journal.with_name(f"journal.damaged-{now()[:10]}.jsonl"))
            copy.write_bytes(folder.journal.read_bytes())
        return JournalWriter(folder.journal, content.length, last)
    except OSError as error:
        raise UserError(
            f"{folder.path.name} cannot be written ({error.strerror}): open it read-only, or copy "
            "it to a folder where you may write."
        ) from error


def _free(path: Path) -> Path:
    stem, count = path.stem, 1
    while path.exists():
        count += 1
        path = path.with_name(f"{stem}-{count}{path.suffix}")
    return path


def _reserve_all(state: State, records: dict[str, SourceRecord]) -> None:
    """Put the counters of ids beyond every label there is, where the journal cannot tell."""
    kinds: Sequence[tuple[str, str]] = (("atoms", "next_id"), ("regions", "next_region_id"))
    for source_id, record in records.items():
        for kind, counter in kinds:
            top = getattr(record, counter)
            for document in state.filled(kind, source_id):  # type: ignore[arg-type]
                value = state.get(document)
                ids = value["id"].tolist() if kind == "atoms" else [r.id for r in value]
                top = max(top, max(ids) + 1)
            record = record.model_copy(update={counter: top})
        records[source_id] = record
