"""History: what can be undone and redone, rebuilt from the journal, and its replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari_apgan.errors import UserError

from .documents import Document, State, Value
from .edits import Edit
from .journal import Entry


class History:
    """Which edits are done and which are undone, in order."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self.done: list[int] = []
        self.undone: list[int] = []

    def note(self, entry: Entry) -> None:
        """Take one line of the journal into account.

        Raises
        ------
        UserError
            When it undoes or redoes what cannot be.
        """
        if entry.op == "edit":
            for number in self.undone:
                del self._entries[number]
            self.undone.clear()
            self._entries[entry.number] = entry
            self.done.append(entry.number)
        else:
            here, there = (
                (self.done, self.undone) if entry.op == "undo" else (self.undone, self.done)
            )
            if not here or here[-1] != entry.of:
                raise UserError(f"line {entry.number} of the journal does not follow from the rest")
            there.append(here.pop())

    def edit(self, number: int) -> Edit:
        """Return an edit that is done or undone."""
        return self._entries[number].edit()

    def title(self, numbers: Sequence[int]) -> str:
        """Say what the last of these edits does; empty when there is none."""
        return self.edit(numbers[-1]).title() if numbers else ""


def outcome(edit: Edit, op: str, document: Document, value: Value) -> Value:
    """Return a document after an edit was made, undone or redone."""
    if op == "undo":
        return edit.backward(document, value)
    edit.check(document, value)
    return edit.forward(document, value)


def replay(
    entries: Sequence[Entry],
    history: History,
    state: State,
    saved: int,
    reserve: Callable[[Edit], None],
) -> int:
    """Bring a state up to date from the journal; return how many lines it lacked.

    Parameters
    ----------
    entries : sequence of Entry
    history : History
        Filled.
    state : State
        Documents that already hold a line are left alone by it.
    saved : int
        Every document holds at least the lines up to this number.
    reserve : callable
        Called with each edit that may lie beyond the saved counters of ids.

    Raises
    ------
    UserError
        When a line does not fit the labels.
    """
    replayed = 0
    # Before a mark is written, all files are; nothing older can be undone or be lacking.
    start = max((i + 1 for i, e in enumerate(entries) if e.op == "mark"), default=0)
    for entry in entries[start:]:
        history.note(entry)
        if entry.number <= saved:
            continue
        edit = entry.edit() if entry.op == "edit" else history.edit(entry.of)
        reserve(edit)
        behind = [d for d in edit.documents() if state.numbers.get(d, 0) < entry.number]
        for document in behind:
            value = outcome(edit, entry.op, document, state.get(document))
            state.put(document, value, entry.number)
        replayed += bool(behind)
    return replayed
