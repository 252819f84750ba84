"""A points layer that shows something proposed over the image until it is kept or discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .atoms_layer import symbols

if TYPE_CHECKING:
    from .workbench import Workbench


class PointsView:
    """Makes the layer when there is something to show, fills it, and takes it away.

    Parameters
    ----------
    workbench : Workbench
    """

    layer_name: ClassVar[str]
    #: napari's symbols, which a view names by their place here.
    shapes: ClassVar[tuple[str, ...]]
    #: No point is smaller than this (screen px).
    least_px: ClassVar[int]

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self.layer: Any = None
        self._symbols = symbols(*self.shapes)

    def clear(self) -> None:
        """Take the layer away."""
        self._workbench.drop(self.layer)
        self.layer = None

    def fill(
        self,
        xy: NDArray[np.float64],
        shape: NDArray[np.integer],
        *,
        face: NDArray[np.float32],
        border: NDArray[np.float32],
        size: NDArray[np.float64],
        border_width: NDArray[np.float64],
    ) -> None:
        """Draw (N, 2) places x, y in px in place of what was drawn before."""
        if self.layer is None or self.layer not in self._workbench.desk.viewer.layers:
            self.layer = self._workbench.place(
                "points",
                np.empty((0, 2)),
                name=self.layer_name,
                border_width_is_relative=True,
                canvas_size_limits=(self.least_px, 400),
            )
        layer, n = self.layer, len(xy)
        with layer.events.blocker_all():
            layer.selected_data = set()
            layer.data = np.asarray(xy, dtype=np.float64)[:, ::-1].copy()
            if n:
                layer.face_color[:] = face
                layer.border_color[:] = border
                layer.size[:] = size
                layer.border_width[:] = border_width
                layer.symbol[:] = self._symbols[shape]
            layer.antialiasing = 0 if n > self._workbench.atoms.fast_drawing_above else 1
        layer.refresh(thumbnail=False)
