"""Tools that follow the pointer: the lasso, the eraser and the brush for areas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.qt.threading import create_worker

from napari_apgan.regions import inside_polygon

from .atoms_layer import Key
from .mouse import XY
from .regions_layer import RUBBED, color_of_kind

if TYPE_CHECKING:
    from .desk import Desk

#: Radius of the eraser in screen px.
ERASER = 10.0
_ERASER_COLOR = "#FFFFFF"


def _read_beforehand() -> None:
    from skimage.measure import find_contours  # noqa: F401

    import napari_apgan.label.areas  # noqa: F401


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
        self._prepared = False

    def prepare(self, tool: str) -> None:
        """Read beforehand what the first stroke would have to wait for."""
        if tool == "brush" and not self._prepared:
            self._prepared = True
            create_worker(_read_beforehand, _start_thread=True)

    def draw(self, tool: str, path: Sequence[XY], *, shift: bool = False) -> None:
        """Show a stroke so far; `path` is where the pointer was, x, y in px."""
        desk = self._desk
        if tool == "lasso":
            desk.regions.show_draft(path)
        elif tool == "erase":
            self._erase_along(path)
            desk.marks.show_doomed(desk.atoms.positions(list(self._hits)))
            self.show_tip(tool, path[-1])
        elif tool == "brush":
            color = RUBBED if shift else color_of_kind(desk.hand.brush_kind)
            desk.marks.show_stroke(path, 2 * self._brush(), color)

    def finish(self, tool: str, path: Sequence[XY], *, shift: bool) -> None:
        """Carry a stroke out: one edit, or one selection.

        Parameters
        ----------
        tool : str
        path : sequence of (x, y)
            In px; of one point where the pointer did not move.
        shift : bool
            Whether it was held: the lasso adds to what is selected, the brush rubs out.
        """
        desk = self._desk
        if tool == "lasso":
            desk.regions.show_draft(None)
            inside = self._inside(path)
            before = desk.atoms.selected if shift else []
            desk.atoms.select(list(dict.fromkeys([*before, *inside])))
        elif tool == "erase":
            self._erase_along(path)
            hits = list(self._hits)
            self.drop()
            if hits:
                desk.atoms.select([])
                desk.remove(hits)
        elif tool == "brush":
            self.drop()
            kind = None if shift else desk.hand.brush_kind
            desk.guarded(lambda: desk.paint(kind, path, self._brush()))

    def drop(self) -> None:
        """Forget a stroke that was not finished."""
        self._hits, self._seen = {}, 0
        self._desk.marks.show_doomed([])
        self._desk.marks.hide_stroke()
        self._desk.regions.show_draft(None)

    def show_tip(self, tool: str, xy: XY) -> None:
        """Show how far a tool reaches around the pointer."""
        if tool == "erase":
            self._desk.marks.show_tip(*xy, 2 * self._reach(), _ERASER_COLOR)
        elif tool == "brush":
            color = color_of_kind(self._desk.hand.brush_kind)
            self._desk.marks.show_tip(*xy, 2 * self._brush(), color)

    def _brush(self) -> float:
        return self._desk.hand.brush_size * self._desk.px_per_screen_px()

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
