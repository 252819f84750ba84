"""Tools that follow the pointer: the lasso, the eraser and the brush for areas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_apgan.regions import inside_polygon

from .atoms_layer import Key
from .mouse import XY

if TYPE_CHECKING:
    from .desk import Desk

#: Radius of the eraser in screen px.
ERASER = 10.0
_ERASER_COLOR = "#FFFFFF"


class Strokes:
    """What a stroke does while it is drawn, and when the button goes up.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._hits: dict[Key, None] = {}
        self._seen = 0

    def draw(self, tool: str, path: Sequence[XY]) -> None:
        """Show a stroke so far; `path` is where the pointer was, x, y in px."""
        desk = self._desk
        if tool == "lasso":
            desk.regions.show_draft(path)
        elif tool == "erase":
            self._erase_along(path)
            desk.marks.show_doomed(desk.atoms.positions(list(self._hits)))
            self.show_tip(tool, path[-1])

    def finish(self, tool: str, path: Sequence[XY], *, add: bool) -> None:
        """Carry a stroke out: one edit, or one selection.

        Parameters
        ----------
        tool : str
        path : sequence of (x, y)
            In px; of one point where the pointer did not move.
        add : bool
            Whether Shift was held: the lasso adds to what is selected.
        """
        desk = self._desk
        if tool == "lasso":
            desk.regions.show_draft(None)
            inside = self._inside(path)
            desk.atoms.select(
                list(dict.fromkeys([*desk.atoms.selected, *inside] if add else inside))
            )
        elif tool == "erase":
            self._erase_along(path)
            hits = list(self._hits)
            self.drop()
            if hits:
                desk.atoms.select([])
                desk.remove(hits)

    def drop(self) -> None:
        """Forget a stroke that was not finished."""
        self._hits, self._seen = {}, 0
        self._desk.marks.show_doomed([])
        self._desk.regions.show_draft(None)

    def show_tip(self, tool: str, xy: XY) -> None:
        """Show how far a tool reaches around the pointer."""
        if tool == "erase":
            self._desk.marks.show_tip(*xy, 2 * self._reach(), _ERASER_COLOR)

    def _reach(self) -> float:
        return ERASER * self._desk.px_per_screen_px()

    def _erase_along(self, path: Sequence[XY]) -> None:
        """Add to the hits what lies along the part of the path that is new."""
        new = path[max(self._seen - 1, 0) :]
        self._seen = len(path)
        self._hits |= dict.fromkeys(self._desk.atoms.along(new, self._reach()))

    def _inside(self, path: Sequence[XY]) -> list[Key]:
        atoms = self._desk.atoms
        if len(path) < 3:
            return []
        return atoms.at_rows(np.flatnonzero(inside_polygon(np.asarray(path), atoms.xy)))
