"""Suggested elements on the canvas: a disc on each label in the colour of what it becomes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from napari_apgan.atoms import positions
from napari_apgan.doubts import doubtful

from .atoms_layer import rgba
from .points_view import PointsView

_LEFT = "#808080"


class ElementsView(PointsView):
    """Draws a suggestion over the labels until it is kept."""

    layer_name = "Suggested elements"
    shapes = ("disc", "x")
    least_px = 5

    def show(self, table: pd.DataFrame, colors: Mapping[str, str]) -> None:
        """Draw labels by their class; those in doubt are crosses.

        Parameters
        ----------
        table : DataFrame
            `element` is the class.
        colors : mapping
            Of each class that is not left out.
        """
        doubt = doubtful(table)
        names = table["element"].to_numpy(object)
        face = np.tile(rgba(_LEFT, 0.6), (len(table), 1))
        for name, color in colors.items():
            face[names == name] = rgba(color)
        self.fill(
            positions(table),
            doubt.astype(int),
            face=face,
            border=np.tile(rgba("#000000", 0.9), (len(table), 1)),
            size=self._workbench.atoms.radius_px * np.where(doubt, 1.6, 1.3),
            border_width=np.where(doubt, 0.05, 0.12),
        )
        self._workbench.desk.scene.raise_above(self.layer)
