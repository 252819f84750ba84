"""The mouse on the canvas: one hand that clicks atoms, drags them, draws regions and pans.

napari's layer stays in its pan mode; what lies under the press decides: an atom is dragged, empty
image pans, a click on it adds. Bound on the layers that the workbench keeps active.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .atoms_layer import Key
from .placement import world_per_px

if TYPE_CHECKING:
    from .hand import Hand

#: A press that moves less than this (screen px) is a click.
CLICK_SLACK = 4.0
#: Tools of the hand that follow the pointer.
TOOLS = ("lasso", "erase", "brush")
#: How near (screen px) the press must be to an atom to take it.
REACH = 9.0

XY = tuple[float, float]


def to_px(layer: Any, position: Sequence[float]) -> XY:
    """Turn a position in the world into x, y in px of a layer's image axes."""
    y, x = np.asarray(layer.world_to_data(position))[-2:]
    return float(x), float(y)


class Mouse:
    """Reads napari's mouse events and tells the hand.

    Parameters
    ----------
    viewer : napari viewer
    hand : Hand
    """

    def __init__(self, viewer: Any, hand: Hand) -> None:
        self._viewer = viewer
        self._hand = hand

    def bind(self, layer: Any) -> None:
        """Listen to the presses on a layer (they come while it is the active one)."""
        if self._press not in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.append(self._press)
            layer.mouse_move_callbacks.append(self._move)
            layer.mouse_double_click_callbacks.append(self._double)

    def unbind(self, layer: Any) -> None:
        """Stop listening to a layer."""
        for callbacks, mine in (
            (layer.mouse_drag_callbacks, self._press),
            (layer.mouse_move_callbacks, self._move),
            (layer.mouse_double_click_callbacks, self._double),
        ):
            if mine in callbacks:
                callbacks.remove(mine)

    def reach(self, layer: Any) -> float:
        """Return the reach in px of the image; a world unit is `zoom` screen px."""
        return REACH / float(self._viewer.scene.camera.zoom) / world_per_px(layer)[1]

    def _move(self, layer: Any, event: Any) -> None:
        if self._viewer.dims.ndisplay == 2:
            self._hand.hover(to_px(layer, event.position))

    def _double(self, layer: Any, event: Any) -> None:
        if self._hand.tool == "polygon":
            self._hand.finish_polygon()

    def _press(self, layer: Any, event: Any) -> Iterator[None]:
        hand = self._hand
        shift = "Shift" in event.modifiers
        others = set(event.modifiers) - {"Shift"}
        lasso = hand.tool == "atoms" and others in ({"Control"}, {"Alt"})
        ours = event.button == 1 and (lasso or not others) and not hand.panning
        if not ours or self._viewer.dims.ndisplay != 2 or str(layer.mode) != "pan_zoom":
            return
        start = np.asarray(event.pos, dtype=float)
        here = to_px(layer, event.position)
        if lasso or hand.tool in TOOLS:
            yield from self._stroke(layer, event, "lasso" if lasso else hand.tool, shift)
            return
        if hand.tool in ("polygon", "point"):
            yield from self._until_release(layer, event)
            if not self._moved(event, start):
                (hand.polygon_click if hand.tool == "polygon" else hand.point_click)(here)
            return
        key = hand.pick(here, self.reach(layer)) if hand.tool == "atoms" else None
        pans = hand.tool == "atoms" and key is None and not shift
        if not pans:
            layer.mouse_pan = False
        moved = False
        try:
            yield
            while event.type == "mouse_move":
                moved = moved or self._moved(event, start)
                if moved and not pans:
                    self._drag(key, shift, here, to_px(layer, event.position), done=False)
                yield
            moved = moved or self._moved(event, start)
            if moved and not pans:
                self._drag(key, shift, here, to_px(layer, event.position), done=True)
        finally:
            layer.mouse_pan = True
        if not moved and hand.tool == "atoms":
            if key is not None:
                hand.click_atom(key, add=shift)
            elif not shift:
                hand.click_empty(here)

    def _stroke(self, layer: Any, event: Any, tool: str, shift: bool) -> Iterator[None]:
        """Follow the pointer with a tool; a lasso that does not move is a click."""
        strokes, start = self._hand.strokes, np.asarray(event.pos, dtype=float)
        path = [to_px(layer, event.position)]
        layer.mouse_pan = False
        moved, whole = False, False
        try:
            yield
            while event.type == "mouse_move":
                moved = moved or self._moved(event, start)
                path.append(to_px(layer, event.position))
                if moved:
                    strokes.draw(tool, path, shift=shift)
                yield
            whole = True
        finally:
            layer.mouse_pan = True
            if not whole:
                strokes.drop()
        if moved or tool != "lasso":
            strokes.finish(tool, path if moved else path[:1], shift=shift)
            return
        key = self._hand.pick(path[0], self.reach(layer))
        if key is not None:
            self._hand.click_atom(key, add=shift)
        elif not shift:
            self._hand.select_nothing()

    def _until_release(self, layer: Any, event: Any) -> Iterator[None]:
        yield
        while event.type == "mouse_move":
            yield

    def _drag(self, key: Key | None, shift: bool, start: XY, here: XY, *, done: bool) -> None:
        if self._hand.tool == "box":
            self._hand.drag_box(start, here, done)
        elif key is not None:
            self._hand.drag_atom(key, here, done)
        elif shift:
            self._hand.select_box(start, here, done)

    @staticmethod
    def _moved(event: Any, start: Any) -> bool:
        return bool(np.hypot(*(np.asarray(event.pos, dtype=float) - start)) > CLICK_SLACK)
