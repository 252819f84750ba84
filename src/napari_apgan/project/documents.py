"""Documents: the parts of a project's state that edits change and that files hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.atoms import empty_atoms

DocumentKind = Literal["elements", "pairs", "calibration", "removed", "atoms", "regions"]


class Document(NamedTuple):
    """The name of one part of the state.

    ``elements`` and ``pairs`` belong to the project, ``calibration`` and ``removed`` to a source,
    ``atoms`` and ``regions`` to one frame of a source.
    """

    kind: DocumentKind
    source_id: str = ""
    frame: int = -1


class PairEntry(BaseModel):
    """One frame of the training set.

    Parameters
    ----------
    source_id : str
    frame : int
    round : int
        The round that it first took part in; 0 for labels from before the first training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_id: str
    frame: int = Field(ge=0)
    round: int = Field(default=0, ge=0)


#: What a document holds: a tuple of elements, pairs or regions, a calibration, whether a source
#: was removed, or an atom table
#: (sorted by id, without `x_pm` and `y_pm`, which follow from the calibration). Never changed in
#: place, so that a value can be written to disk by another thread.
Value = Any


class State:
    """The values of all documents, read from disk when first asked for.

    Parameters
    ----------
    read : callable
        Returns the value of a document as its file holds it, or None where there is no file.
    numbers : dict of Document to int, optional
        The last edit that each file holds.
    counts : dict of Document to int, optional
        How many atoms or regions each file of labels holds.
    """

    def __init__(
        self,
        read: Callable[[Document], Value | None],
        numbers: dict[Document, int] | None = None,
        counts: dict[Document, int] | None = None,
    ) -> None:
        self._read = read
        self._values: dict[Document, Value] = {}
        self.numbers: dict[Document, int] = dict(numbers or {})
        self.counts: dict[Document, int] = dict(counts or {})
        self.unsaved: set[Document] = set()

    def get(self, document: Document) -> Value:
        """Return the value of a document; an empty one where nothing was stored."""
        if document not in self._values:
            value = self._read(document)
            if value is None:
                value = empty_atoms() if document.kind == "atoms" else ()
            self._values[document] = value
        return self._values[document]

    def put(self, document: Document, value: Value, number: int) -> None:
        """Set the value of a document as edit `number` left it."""
        self._values[document] = value
        self.numbers[document] = number
        if document.frame >= 0:
            self.counts[document] = len(value)
        self.unsaved.add(document)

    def filled(self, kind: DocumentKind, source_id: str | None = None) -> list[Document]:
        """Return the documents of this kind (of a source) that are not empty, in order."""
        return sorted(
            d
            for d, count in self.counts.items()
            if count and d.kind == kind and source_id in (None, d.source_id)
        )
