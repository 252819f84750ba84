"""What every edit can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict
from typing_extensions import override

from napari_apgan.errors import UserError

from .documents import Document, Value

STALE = "The project has changed since this edit was prepared: try it again."


class EditBase(BaseModel):
    """An edit of the documents that it names, from before to after and back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def documents(self) -> tuple[Document, ...]:
        """Return the documents that it changes."""
        raise NotImplementedError

    def check(self, document: Document, value: Value) -> None:
        """Raise `UserError` when the document is not as the edit takes it to be."""

    def forward(self, document: Document, value: Value) -> Value:
        """Return the document with the edit applied."""
        raise NotImplementedError

    def backward(self, document: Document, value: Value) -> Value:
        """Return the document as it was before the edit."""
        raise NotImplementedError

    def title(self) -> str:
        """Say what it does, for *Undo: …*."""
        raise NotImplementedError

    def parts(self) -> Iterator[EditBase]:
        """Yield the edit itself, or those that it is made of."""
        yield self


def count(n: int, word: str) -> str:
    """Say how many there are: ``1 atom``, ``1,200 atoms``."""
    return f"{n:,} {word}{'s' * (n != 1)}"


class Swap(EditBase):
    """An edit whose one document holds `before`, then `after`."""

    before: Any
    after: Any

    @override
    def check(self, document: Document, value: Value) -> None:
        if value != self.before:
            raise UserError(STALE)

    @override
    def forward(self, document: Document, value: Value) -> Value:
        return self.after

    @override
    def backward(self, document: Document, value: Value) -> Value:
        return self.before
