"""The output map of the desk: when it is drawn, and how large its discs are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QTimer

from .acts import Acts
from .output_map import OutputMapView


class DeskMap(Acts):
    """The acts that show what the network is to learn; the desk adds the wiring."""

    map_toggled = Signal(bool)

    map: OutputMapView
    _map_timer: QTimer

    def shape(self) -> tuple[int, int]:
        """Return rows and columns of the current frame."""
        raise NotImplementedError

    def toggle_output_map(self) -> None:
        """Show or hide the output map."""
        if self.map.shown:
            self.map.hide()
        elif self.scene.image_layer is None:
            self.say("Open an image first.")
        else:
            self.map.shown = True
            self.guarded(self._draw_map)
        self.map_toggled.emit(self.map.shown)

    def set_map_radius(self, radius_px: float) -> None:
        """Set the radius of the discs in px; 0 leaves it to the spacing of the atoms.

        Where the pixel size is known, elements keep it in pm, and trainings use it.
        """
        size = self.session.calibration.mean_pm
        if size is None:
            self.map.radius_px = radius_px or None
            self._map_timer.start()
            return
        radius_pm = round(radius_px * size, 3) or None
        after = [e.model_copy(update={"radius_pm": radius_pm}) for e in self.elements]
        self.guarded(lambda: self.session.ensure_project().set_elements(after))

    def own_map_radius_px(self) -> float:
        """Return the radius that was set, in px; 0 where it follows the spacing."""
        size = self.session.calibration.mean_pm
        if size is None:
            return self.map.radius_px or 0.0
        own = [e.radius_pm / size for e in self.elements if e.radius_pm is not None]
        return float(np.mean(own)) if own else 0.0

    def map_drawing(self) -> Callable[[], NDArray[np.float32]]:
        """Return what draws the output map of the frame as (C, Y, X), in any thread."""
        project = self.session.ensure_project()
        shape = project.record(self.session.source_id).shape
        what = (self.session.atoms(), self.elements, shape, self.session.calibration)
        return lambda: self.map.channels(*what)

    def _draw_map(self) -> None:
        if self.map.shown and self.scene.image_layer is not None:
            self.map.show(
                self.session.atoms(), self.elements, self.shape(), self.session.calibration
            )
