"""What shows the user's hand: the spot a click would go to, the selection, an atom being dragged.

Sites that are to be looked at although nothing stands there have a square.

A layer of a few points on top of the atoms, so that moving the mouse redraws next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from .atoms_layer import rgba, symbols

LAYER_NAME = "Cursor"
_SELECTED = np.array([1.0, 1.0, 1.0, 1.0], dtype=np.float32)
_NOTHING_THERE = "#B0B0B0"
_HOLE = "#FFB000"
_DOOMED = "#FF5A36"
_SUSPECT = "#FF5A36"
#: The rim of a mark, as a part of its diameter; thinner for the many than for the one.
_RIM, _THIN = 0.14, 0.07


class Marks:
    """Draws the snapped spot, the selection, the ghost of a dragged atom, and empty sites.

    Parameters
    ----------
    make_layer : callable
        Adds a points layer to the viewer and returns it.
    """

    def __init__(self, make_layer: Callable[..., Points]) -> None:
        self._make_layer = make_layer
        self.layer: Points | None = None
        self.diameter_px = 6.0
        self._selected: list[tuple[float, float]] = []
        self._spot: tuple[float, float, str, bool] | None = None
        self._ghosts: list[tuple[float, float]] = []
        self._holes: list[tuple[float, float]] = []
        self._doomed: list[tuple[float, float]] = []
        self._tip: tuple[float, float, float, str] | None = None
        self._suspects: list[tuple[float, float]] = []
        self._suspect: tuple[float, float] | None = None
        self._stroke: tuple[list[tuple[float, float]], float, str] | None = None
        self._symbols: NDArray[Any] | None = None

    @property
    def spot(self) -> tuple[float, float, str, bool] | None:
        """Where a click would add an atom: x, y in px, its colour, whether a column is there."""
        return self._spot

    def select(self, xy: Sequence[tuple[float, float]]) -> None:
        """Ring the selected atoms."""
        if self._selected or len(xy):
            self._selected = list(xy)
            self._draw()

    def show_spot(self, x: float, y: float, color: str, found: bool) -> None:
        """Show where a click would go."""
        new = (x, y, color, found)
        if new != self._spot:
            self._spot = new
            self._draw()

    def hide_spot(self) -> None:
        """Show neither a spot nor the reach of a tool."""
        if self._spot is not None or self._tip is not None:
            self._spot = self._tip = None
            self._draw()

    @property
    def tip(self) -> tuple[float, float, float, str] | None:
        """The reach of the tool in the hand: x, y and diameter in px, its colour."""
        return self._tip

    def show_tip(self, x: float, y: float, diameter_px: float, color: str) -> None:
        """Show how far a tool reaches around the pointer."""
        self._spot, self._tip = None, (x, y, diameter_px, color)
        self._draw()

    @property
    def stroke(self) -> list[tuple[float, float]]:
        """The discs that show what the brush has gone over, x, y in px."""
        return [] if self._stroke is None else list(self._stroke[0])

    def show_stroke(
        self, path: Sequence[tuple[float, float]], diameter_px: float, color: str
    ) -> None:
        """Show what the brush has gone over, as discs along its way."""
        along, apart = [path[0]], 0.2 * diameter_px
        for point in path[1:]:
            way = np.subtract(point, along[-1])
            count = int(np.hypot(*way) // apart)
            start = along[-1]
            along += [
                (start[0] + way[0] * k / count, start[1] + way[1] * k / count)
                for k in range(1, count + 1)
            ]
        self._stroke = (along, diameter_px, color)
        self._spot, self._tip = None, (*path[-1], diameter_px, color)
        self._draw()

    def hide_stroke(self) -> None:
        """Show no stroke."""
        if self._stroke is not None:
            self._stroke = None
            self._draw()

    @property
    def doomed(self) -> list[tuple[float, float]]:
        """The atoms that the eraser has gone over, x, y in px."""
        return list(self._doomed)

    def show_doomed(self, xy: Sequence[tuple[float, float]]) -> None:
        """Cross atoms out that go when the button is let go."""
        if list(xy) != self._doomed:
            self._doomed = list(xy)
            self._draw()

    def show_ghosts(self, xy: Sequence[tuple[float, float]]) -> None:
        """Show where dragged atoms are."""
        self._ghosts = list(xy)
        self._draw()

    @property
    def holes(self) -> list[tuple[float, float]]:
        """The empty sites that are marked, x, y in px."""
        return list(self._holes)

    def show_holes(self, xy: Sequence[tuple[float, float]]) -> None:
        """Put an open square around sites where an atom is missing."""
        if list(xy) != self._holes:
            self._holes = list(xy)
            self._draw()

    @property
    def suspects(self) -> list[tuple[float, float]]:
        """The doubtful places that are ringed, x, y in px."""
        return list(self._suspects)

    def show_suspects(
        self, xy: Sequence[tuple[float, float]], at: tuple[float, float] | None = None
    ) -> None:
        """Ring doubtful places thinly, and the one that is looked at boldly."""
        if (list(xy), at) != (self._suspects, self._suspect):
            self._suspects, self._suspect = list(xy), at
            self._draw()

    def ensure(self) -> Points:
        """Make the layer before it is needed."""
        if self.layer is None:
            self.layer = self._make_layer()
        return self.layer

    def _draw(self) -> None:
        rows: list[tuple[float, float]] = []
        border: list[Any] = []
        face: list[Any] = []
        size: list[float] = []
        kind: list[int] = []
        for x, y in self._suspects:
            here = (x, y) == self._suspect
            rows.append((y, x))
            border.append(rgba(_SUSPECT))
            face.append(rgba(_SUSPECT, 0.0))
            size.append(2.6 if here else 1.9)
            kind.append(0)
        thin = [xy != self._suspect for xy in self._suspects]
        if self._stroke is not None:
            along, diameter, color = self._stroke
            for x, y in along:
                rows.append((y, x))
                border.append(rgba(color, 0.0))
                face.append(rgba(color, 0.14))
                size.append(diameter / self.diameter_px)
                kind.append(0)
        for x, y in self._selected:
            rows.append((y, x))
            border.append(_SELECTED)
            face.append(rgba("#FFFFFF", 0.0))
            size.append(1.5)
            kind.append(0)
        for x, y in self._ghosts:
            rows.append((y, x))
            border.append(_SELECTED)
            face.append(rgba("#FFFFFF", 0.35))
            size.append(1.0)
            kind.append(0)
        for x, y in self._doomed:
            rows.append((y, x))
            border.append(rgba(_DOOMED))
            face.append(rgba(_DOOMED))
            size.append(1.1)
            kind.append(1)
        if self._tip is not None:
            x, y, diameter, color = self._tip
            rows.append((y, x))
            border.append(rgba(color))
            face.append(rgba(color, 0.08))
            size.append(diameter / self.diameter_px)
            kind.append(0)
        for x, y in self._holes:
            rows.append((y, x))
            border.append(rgba(_HOLE))
            face.append(rgba(_HOLE, 0.0))
            size.append(1.2)
            kind.append(2)
        if self._spot is not None:
            x, y, color, found = self._spot
            rows.append((y, x))
            border.append(rgba(color if found else _NOTHING_THERE))
            face.append(rgba(color if found else _NOTHING_THERE, 0.25 if found else 0.9))
            size.append(1.0 if found else 0.8)
            kind.append(0 if found else 1)
        layer = self.ensure()
        n = len(rows)
        with layer.events.blocker_all():
            layer.data = np.asarray(rows, dtype=np.float64).reshape(n, 2)
            if n:
                layer.border_color[:] = np.asarray(border)
                layer.face_color[:] = np.asarray(face)
                layer.size[:] = self.diameter_px * np.asarray(size)
                layer.border_width[:] = _RIM
                layer.border_width[: len(thin)][thin] = _THIN
                if self._symbols is None:
                    self._symbols = symbols("disc", "x", "square")
                layer.symbol[:] = self._symbols[np.asarray(kind, dtype=int)]
        layer.refresh(thumbnail=False)
