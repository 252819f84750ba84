"""Suggested elements on the canvas: a disc on each label in the colour of what it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_apgan.atoms import positions
from napari_apgan.doubts import doubtful

from .atoms_layer import rgba, symbols

if TYPE_CHECKING:
    from .workbench import Workbench

LAYER_NAME = "Suggested elements"
_LEFT = "#808080"


class ElementsView:
    """Draws a suggestion over the labels until it is kept.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self.layer: Any = None
        self._symbols: Any = None

    def show(self, table: pd.DataFrame, colors: Mapping[str, str]) -> None:
        """Draw labels by their class; those in doubt are crosses.

        Parameters
        ----------
        table : DataFrame
            `element` is the class.
        colors : mapping
            Of each class that is not left out.
        """
        if self.layer is None or self.layer not in self._workbench.desk.viewer.layers:
            self.layer = self._workbench.place(
                "points",
                np.empty((0, 2)),
                name=LAYER_NAME,
                border_width_is_relative=True,
                canvas_size_limits=(5, 400),
            )
        self._workbench.desk.scene.raise_above(self.layer)
        if self._symbols is None:
            self._symbols = symbols("disc", "x")
        doubt = doubtful(table)
        names = table["element"].to_numpy(object)
        face = np.tile(rgba(_LEFT, 0.6), (len(table), 1))
        for name, color in colors.items():
            face[names == name] = rgba(color)
        layer = self.layer
        with layer.events.blocker_all():
            layer.selected_data = set()
            layer.data = positions(table)[:, ::-1].copy()
            if len(table):
                layer.face_color[:] = face
                layer.border_color[:] = rgba("#000000", 0.9)
                layer.border_width[:] = np.where(doubt, 0.05, 0.12)
                radius = self._workbench.atoms.radius_px
                layer.size[:] = radius * np.where(doubt, 1.6, 1.3)
                layer.symbol[:] = self._symbols[doubt.astype(int)]
        layer.refresh(thumbnail=False)

    def clear(self) -> None:
        """Take the layer away."""
        self._workbench.drop(self.layer)
        self.layer = None
