"""What the label doctor says: suspects, each with a reason and a fix that one key applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.regions import Region

SuspectKind = Literal[
    "too close",
    "off peak",
    "nothing there",
    "no neighbour",
    "missed",
    "wrong element",
    "in ignored area",
    "incomplete region",
    "outside region",
    "discs touch",
    "doubtful area",
]

Act = Literal["delete", "move", "change element", "add", "set region", "set radius", "ignore"]


@dataclass(frozen=True, slots=True)
class Point:
    """An atom to add, or where one goes: x, y in px and its element."""

    x: float
    y: float
    element: str


@dataclass(frozen=True, slots=True)
class Fix:
    """An edit that puts a suspect right.

    Parameters
    ----------
    act : {"delete", "move", "change element", "add", "set region", "set radius", "ignore"}
    words : str
        What the key does, as a button says it.
    ids : tuple of int
        The atoms it touches (``delete``, ``move``, ``change element``), in the order of `points`.
    points : tuple of Point
        Where atoms go (``move``), what is added (``add``), or the new element (``change element``).
    region : Region, optional
        ``set region``: takes the place of the region of its id, or is added.
    radius_px : mapping
        ``set radius``: new radius by element.
    """

    act: Act
    words: str
    ids: tuple[int, ...] = ()
    points: tuple[Point, ...] = ()
    region: Region | None = None
    radius_px: Mapping[str, float] = field(default_factory=dict)


IGNORE = Fix("ignore", "Leave it")


@dataclass(frozen=True, slots=True)
class Suspect:
    """Something about the labels that is probably wrong.

    Parameters
    ----------
    kind : str
    severity : float
        0..1: how sure it is, and how much harm it does to a training.
    reason : str
        One sentence.
    x, y : float
        Where to look, in px.
    fix : Fix
        The most likely remedy.
    ids : tuple of int
        The atoms concerned; empty for a place without an atom.
    others : tuple of Fix
        Other remedies; leaving it is always one.
    region_id : int, optional
    """

    kind: SuspectKind
    severity: float
    reason: str
    x: float
    y: float
    fix: Fix
    ids: tuple[int, ...] = ()
    others: tuple[Fix, ...] = (IGNORE,)
    region_id: int | None = None

    @property
    def key(self) -> str:
        """The same for the same suspect in a later examination, so that an ignored one stays so."""
        who = ",".join(map(str, self.ids[:8])) or f"{self.x:.0f},{self.y:.0f}"
        return f"{self.kind}:{who}:{self.region_id}"


class DoctorSettings(BaseModel):
    """How strict the doctor is.

    Parameters
    ----------
    sensitivity : float
        Above 1 smaller deviations are suspect; every threshold is divided by it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensitivity: float = Field(default=1.0, ge=0.3, le=3.0)


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor found on one frame.

    Parameters
    ----------
    suspects : tuple of Suspect
        Gravest first.
    n_atoms : int
        Labels examined.
    note : str
        What could not be examined and why; empty otherwise.
    """

    suspects: tuple[Suspect, ...]
    n_atoms: int
    note: str = ""

    def sentence(self) -> str:
        """Sum it up in one line."""
        if not self.suspects:
            return f"{self.n_atoms} labels examined: nothing suspicious."
        counts: dict[str, int] = {}
        for suspect in self.suspects:
            counts[suspect.kind] = counts.get(suspect.kind, 0) + 1
        listed = ", ".join(f"{n} {kind}" for kind, n in counts.items())
        return f"{self.n_atoms} labels examined: {listed}."
