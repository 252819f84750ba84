"""A scripted user: what is to be labelled, how it is done, and how many acts that takes.

The user drives the functions that the window's acts call, and knows the truth as a person with
eyes does. An act is what a hand makes: a click, a key, a slider that is moved and let go.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Polarity
from napari_apgan.frames import Frame
from napari_apgan.label import find_candidates, snap
from napari_apgan.label.lattice import propose
from napari_apgan.label.sublattices import suggest_elements
from napari_apgan.measure import match

from .counting import Counts, inside

Box = tuple[float, float, float, float]
_T = TypeVar("_T")

#: Seconds that a person is taken to need for each kind of act, looking included.
ACT_SECONDS: dict[str, float] = {"click": 1.2, "key": 0.6, "button": 1.5, "slider": 3.0}
#: F1 to be reached, and how far off a label may be (px).
TARGET, TOLERANCE_PX = 0.98, 2.0
#: Places of the slider that a person tries, the first one given.
PRESENCES = (0.5, 0.3, 0.4, 0.6, 0.7)
#: Clicks are off by this much along each axis (px) before they snap.
CLICK_PX, SEED = 1.0, 7


@dataclass
class Hand:
    """Counts acts, by kind."""

    acts: Counter[str] = field(default_factory=Counter)
    computer_s: float = 0.0

    def make(self, kind: str, times: int = 1) -> None:
        """Make an act some times."""
        self.acts[kind] += times

    @property
    def total(self) -> int:
        """All acts."""
        return sum(self.acts.values())

    @property
    def seconds(self) -> float:
        """Time of the acts, and of the computer."""
        return sum(ACT_SECONDS[k] * n for k, n in self.acts.items()) + self.computer_s

    def wait_for(self, work: Callable[[], _T]) -> _T:
        """Wait for the computer."""
        began = time.process_time()
        made = work()
        self.computer_s += time.process_time() - began
        return made


@dataclass(frozen=True)
class Task:
    """An area to be labelled.

    Parameters
    ----------
    name : str
    frame : Frame
    truth : DataFrame
        With `element`; everywhere on the frame where it is known.
    box : Box
        x0, y0, x1, y1 in px: the area.
    polarity : {"bright", "dark"}
    target : float
        F1 to be reached.
    tolerance_px : float
    periodic : bool
    """

    name: str
    frame: Frame
    truth: pd.DataFrame
    box: Box
    polarity: Polarity = "bright"
    target: float = TARGET
    tolerance_px: float = TOLERANCE_PX
    periodic: bool = True

    @property
    def wanted(self) -> pd.DataFrame:
        """The atoms in the area."""
        return self.truth[inside(positions(self.truth), self.box)].reset_index(drop=True)

    def verdict(self, labels: pd.DataFrame) -> Verdict:
        """Compare labels with the truth, in the area; an atom of another element is false."""
        found, truth = positions(labels), positions(self.truth)
        i, j = match(found, truth, self.tolerance_px)
        right = labels["element"].to_numpy()[i] == self.truth["element"].to_numpy()[j]
        there, said = inside(truth, self.box), inside(found, self.box)
        both = there[j]
        misnamed = i[both & ~right]
        said[i[~both]] = False
        lone = said.copy()
        lone[i] = False
        seen = np.zeros(len(truth), bool)
        seen[j] = True
        return Verdict(
            int((both & right).sum()),
            misnamed,
            np.flatnonzero(lone),
            np.flatnonzero(there & ~seen),
        )


@dataclass(frozen=True)
class Verdict:
    """What is right; rows that are misnamed or false (of the labels), missed (of the truth)."""

    right: int
    misnamed: NDArray[np.intp]
    false: NDArray[np.intp]
    missed: NDArray[np.intp]

    @property
    def f1(self) -> float:
        """Of positions and elements."""
        wrong = len(self.misnamed)
        return Counts(self.right, len(self.false) + wrong, len(self.missed) + wrong).f1


def by_clicks(task: Task, hand: Hand) -> pd.DataFrame:
    """Click every atom, element by element: a key for each element, snapped clicks."""
    rng = np.random.default_rng(SEED)
    parts = []
    for element, own in task.wanted.groupby("element", sort=True):
        hand.make("key")
        xy = positions(own) + rng.normal(0, CLICK_PX, (len(own), 2))
        hand.make("click", len(own))
        high = np.array(task.frame.shape[::-1]) - 0.6
        at = [snap(task.frame, *p, polarity=task.polarity) for p in np.clip(xy, 0, high)]
        parts.append(make_atoms([(s.x, s.y) for s in at], str(element)))
    return pd.concat(parts, ignore_index=True)


def by_lattice(task: Task, hand: Hand) -> pd.DataFrame:
    """Propose the lattice, name its sublattices, take it over."""
    hand.make("button")
    proposal = hand.wait_for(lambda: propose(task.frame, polarity=task.polarity))
    offers = [proposal.tables(presence=p).atoms for p in PRESENCES]
    names = _names(task, offers[0])
    for _ in names:
        hand.make("button")  # an element chosen for each sublattice
    hand.make("button")  # taken over
    named = [_named(offer, names) for offer in offers]
    scores = [task.verdict(labels).f1 for labels in named]
    best = int(np.argmax(scores))
    if best:
        hand.make("slider")
    return named[best]


def _names(task: Task, offered: pd.DataFrame) -> dict[str, str]:
    """Say which element a person sees on each sublattice; those on which none is known, not."""
    i, j = match(positions(offered), positions(task.truth), task.tolerance_px)
    seen = pd.DataFrame(
        {
            "sublattice": offered["sublattice"].to_numpy()[i],
            "element": task.truth["element"].to_numpy()[j],
        }
    )
    total = offered["sublattice"].value_counts()
    names = {}
    for name, own in seen.groupby("sublattice"):
        if len(own) > 0.2 * total[name]:
            names[str(name)] = str(own["element"].mode().iloc[0])
    return names


def _named(offered: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    """Name the sublattices, and leave out those that nobody wants."""
    kept = offered[offered["sublattice"].isin(list(names))].reset_index(drop=True)
    if kept.empty:
        return kept
    return suggest_elements(kept, {k: [v] for k, v in names.items()}).atoms


def by_spots(task: Task, hand: Hand) -> pd.DataFrame:
    """Detect spots, let the slider go where it looks best, keep them."""
    hand.make("button")  # spots, not the network
    hand.make("button")
    found = hand.wait_for(lambda: find_candidates(task.frame, polarity=task.polarity))
    element = str(task.truth["element"].iloc[0])
    counts = sorted({found.first, *np.linspace(1, len(found.xy), 200).astype(int).tolist()})
    made = [make_atoms(found.atoms_px(n), element) for n in counts]
    scores = [task.verdict(labels).f1 for labels in made]
    best = int(np.argmax(scores))
    if counts[best] != found.first:
        hand.make("slider")
    hand.make("button")
    return made[best]


def corrected(task: Task, labels: pd.DataFrame, hand: Hand) -> pd.DataFrame:
    """Correct what is wrong, the cheapest first, until the area is good enough."""
    verdict = task.verdict(labels)
    if verdict.f1 >= task.target:
        return labels
    # Missed atoms: a click each. False ones: the eraser, and a click each. Misnamed ones: select,
    # and the key of the element.
    missed, false, misnamed = list(verdict.missed), list(verdict.false), list(verdict.misnamed)
    gone: list[int] = []
    added = []
    erasing = False
    labels = labels.copy()
    while verdict.f1 < task.target and (missed or false or misnamed):
        if missed:
            row = task.truth.iloc[missed.pop()]
            hand.make("click")
            at = snap(task.frame, row["x_px"], row["y_px"], polarity=task.polarity)
            added.append(make_atoms([(at.x, at.y)], row["element"]))
        elif false:
            if not erasing:
                hand.make("key", 2)  # the eraser, and out of it again
                erasing = True
            hand.make("click")
            gone.append(int(false.pop()))
        else:
            hand.make("click")
            hand.make("key")
            row_number = int(misnamed.pop())
            i, j = match(positions(labels), positions(task.truth), task.tolerance_px)
            true = task.truth["element"].to_numpy()[j[i == row_number]]
            labels.loc[row_number, "element"] = true[0]
        verdict = task.verdict(pd.concat([labels.drop(index=gone), *added], ignore_index=True))
    return pd.concat([labels.drop(index=gone), *added], ignore_index=True)
