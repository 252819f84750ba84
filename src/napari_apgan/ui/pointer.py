"""The pointer over the image: the spot a click would go to, what lies below, what is inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_apgan.elements import Element, find_element
from napari_apgan.frames import Frame
from napari_apgan.project import Session

from .atoms_layer import AtomsView, Key
from .hand import Hand, snap_or_stay
from .marks import Marks
from .mouse import REACH, XY, Mouse
from .placement import world_per_px
from .regions_layer import RegionsView

if TYPE_CHECKING:
    from .scene import Scene


class Pointer:
    """What the desk knows of the pointer; the desk adds the wiring."""

    #: The pointer was moved, and what it shows with it.
    pointed = Signal()
    #: Whether the magnifier is out.
    lens_shown = False

    viewer: Any
    session: Session
    scene: Scene
    atoms: AtomsView
    marks: Marks
    regions: RegionsView
    hand: Hand
    mouse: Mouse
    elements: list[Element]
    show_spots: bool
    _hover_at: XY | None
    _hover_timer: QTimer

    def frame(self) -> Frame | None:
        """Return the current frame's pixels."""
        raise NotImplementedError

    def shape(self) -> tuple[int, int]:
        """Return rows and columns of the current frame."""
        raise NotImplementedError

    @property
    def hover_at(self) -> XY | None:
        """Where the pointer was last, x, y in px."""
        return self._hover_at

    # --- hovering ------------------------------------------------------------------------------

    def hover(self, xy: XY | None) -> None:
        """Remember where the pointer is; the spot follows at most sixty times a second."""
        self._hover_at = xy
        if not self._hover_timer.isActive():
            self._hover_timer.start()

    def point_at(self, xy: XY) -> None:
        """Tell where the pointer is while it drags something."""
        self._hover_at = xy
        self.pointed.emit()

    def _hover_now(self) -> None:
        self._show_hover()
        self.pointed.emit()

    def _show_hover(self) -> None:
        xy = self._hover_at
        if xy is None or not self.inside_image(*xy):
            self.marks.hide_spot()
            return
        if self.hand.tool != "atoms":
            self.marks.hide_spot()
            self.hand.strokes.show_tip(self.hand.tool, xy)
            return
        key = self.atoms.near(*xy, REACH * self.px_per_screen_px())
        element = self.current_element()
        if key is not None:
            self.marks.hide_spot()
            self.viewer.status = self.describe(key)
            return
        if caption := self.regions.caption_at(*xy):
            self.viewer.status = caption
        if element is not None and self.show_spots:
            x, y, found = self.snapped(xy, element)
            self.marks.show_spot(x, y, element.color, found or not self.hand.snapping)

    def describe(self, key: Key) -> str:
        """Say what an atom is: ``Ti, p 0.98, ±4 pm``."""
        row = self.atoms.row(key)
        parts = [str(row["element"])]
        if np.isfinite(row["probability"]):
            parts.append(f"p {row['probability']:.2f}")
        if np.isfinite(row["confidence"]):
            parts.append(f"{100 * row['confidence']:.0f} % sure")
        sigma = np.hypot(row["sigma_x_pm"], row["sigma_y_pm"]) / np.sqrt(2)
        if np.isfinite(sigma):
            parts.append(f"±{sigma:.0f} pm")
        parts.append("predicted" if key[0] == "predicted" else str(row["origin"]))
        parts += [text for text in (str(row["flag"]), self.atoms.reason(key)) if text]
        return ", ".join(parts)

    # --- helpers of the hand -------------------------------------------------------------------

    def on_screen(self, xy: XY) -> XY:
        """Return where a position of the image is on the canvas, in screen px from its corner."""
        layer, camera = self.scene.image_layer, self.viewer.scene.camera
        world = layer.data_to_world((*(0.0,) * (layer.ndim - 2), xy[1], xy[0]))[-2:]
        height, width = self.viewer.canvas.size
        y, x = (
            side / 2 + (at - middle) * float(camera.zoom)
            for side, at, middle in zip((height, width), world, camera.center[-2:], strict=True)
        )
        return float(x), float(y)

    def px_per_screen_px(self) -> float:
        """Return how many px of the image one px of the screen shows."""
        scale = world_per_px(self.scene.image_layer)[1] if self.scene.image_layer else 1.0
        return 1.0 / float(self.viewer.scene.camera.zoom) / scale

    def current_element(self) -> Element | None:
        """Return the element that a click adds."""
        name = self.session.element
        return find_element(self.elements, name) if name else None

    def snapped(self, xy: XY, element: Element) -> tuple[float, float, bool]:
        """Where a click of this element goes, and whether a column is there."""
        frame = self.frame() if self.hand.snapping else None
        return snap_or_stay(frame, xy, element, snapping=self.hand.snapping)

    def inside_image(self, x: float, y: float) -> bool:
        """Whether a position in px lies on the image."""
        rows, columns = self.shape()
        there = self.scene.image_layer is not None
        return there and -0.5 <= x <= columns - 0.5 and -0.5 <= y <= rows - 0.5

    def clamped(self, xy: XY) -> XY:
        """Move a corner onto the image."""
        rows, columns = self.shape()
        return (min(max(xy[0], -0.5), columns - 0.5), min(max(xy[1], -0.5), rows - 0.5))
