"""The walk through an opened region: from one doubtful place to the next, atoms and empty sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .atoms_layer import Key

if TYPE_CHECKING:
    from napari_apgan.review.ranking import ReviewItem

    from .workbench import Workbench

XY = tuple[float, float]

#: An atom so near to an empty site fills it (radii of an atom).
_REACH = 1.5


class Walk:
    """Knows which places of a region are to be looked at, and marks the empty sites among them.

    A site is empty where the lattice wants an atom and none was found. Its square stays until an
    atom stands there, the user accepts that it is empty, or the region is left.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self.places: list[XY] = []
        self._holes: list[XY] = []
        self._accepted: set[XY] = set()
        self._step = -1

    def __len__(self) -> int:
        return len(self.places)

    def begin(self, item: ReviewItem) -> None:
        """Take up a region."""
        xy = item.suspects[["x_px", "y_px"]].to_numpy()
        atoms = [(float(x), float(y)) for x, y in xy]
        self._holes = [(float(x), float(y)) for x, y in item.holes]
        self._accepted = set()
        self.places = nearest_next([*atoms, *self._holes])
        self._step = -1
        self.draw()

    def end(self) -> None:
        """Leave the region."""
        self.places, self._holes, self._accepted = [], [], set()
        self._step = -1
        self.draw()

    def go(self, step: int) -> tuple[XY, Key | None]:
        """Go to the next (or previous) place and say which atom is there, if any is."""
        self._step = (self._step + step) % len(self.places)
        place = self.places[self._step]
        return place, self._atom_at(place)

    def words(self, key: Key | None) -> str:
        """Say where the walk is and what is doubtful there."""
        place = self.places[self._step]
        if key is not None:
            what = self._workbench.atoms.reason(key) or "checked"
        else:
            what = "an empty site, accepted" if place in self._accepted else "an empty site"
        return f"{self._step + 1} of {len(self.places)}: {what}"

    @property
    def at_empty_site(self) -> bool:
        """Whether the walk has stopped at an empty site."""
        if not 0 <= self._step < len(self.places):
            return False
        place = self.places[self._step]
        return place in self._holes and self._atom_at(place) is None

    def accept_empty(self) -> None:
        """Take it that nothing is at the site where the walk is."""
        self._accepted.add(self.places[self._step])
        self.draw()

    @property
    def open_holes(self) -> list[XY]:
        """The empty sites that are still to be looked at."""
        left = [h for h in self._holes if h not in self._accepted]
        return [h for h in left if self._atom_at(h) is None]

    def draw(self, *, done: bool = False) -> None:
        """Mark the empty sites; none where the region is done."""
        self._workbench.desk.marks.show_holes([] if done else self.open_holes)

    def _atom_at(self, place: XY) -> Key | None:
        atoms = self._workbench.atoms
        return atoms.near(*place, _REACH * atoms.radius_px)


def nearest_next(points: Sequence[XY]) -> list[XY]:
    """Order points so that each is the nearest one left, which keeps the eye at one place."""
    left, path = sorted(points, key=lambda p: (p[1], p[0])), []
    while left:
        at = path[-1] if path else left[0]
        best = min(left, key=lambda p: (p[0] - at[0]) ** 2 + (p[1] - at[1]) ** 2)
        left.remove(best)
        path.append(best)
    return path
