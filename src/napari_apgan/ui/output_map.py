"""The output map as a layer: the discs that a network is taught to draw, over the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image
from numpy.typing import NDArray

from napari_apgan.elements import Element
from napari_apgan.frames import Calibration
from napari_apgan.maps import output_map, rgb_map

LAYER_NAME = "Output map"


class OutputMapView:
    """Draws the output map of the labels, in the elements' colours, clear where nothing is.

    Parameters
    ----------
    make_layer : callable
        Adds an image layer to the viewer and returns it.
    """

    def __init__(self, make_layer: Callable[..., Image]) -> None:
        self._make_layer = make_layer
        self.layer: Image | None = None
        self.shown = False
        #: 0 follows from the spacing of the atoms.
        self.radius = 0.0
        self.unit = "px"

    def radius_px(self, calibration: Calibration) -> float | None:
        """Radius of the discs in px; None leaves it to the spacing of the atoms."""
        if self.radius <= 0:
            return None
        if self.unit == "pm":
            return self.radius / calibration.mean_pm if calibration.mean_pm else None
        return self.radius

    def pixels(
        self,
        labels: pd.DataFrame,
        elements: Sequence[Element],
        shape: tuple[int, int],
        calibration: Calibration,
    ) -> NDArray[np.uint8]:
        """Paint the map as (Y, X, 4) pixels; the rims of the discs are partly clear."""
        radius = self._radii(elements, calibration)
        channels = output_map(labels, [e.name for e in elements], shape, radius)
        alpha = channels.max(axis=0) if len(elements) else np.zeros(shape, np.float32)
        color = rgb_map(channels, elements) if len(elements) else np.zeros((*shape, 3), np.uint8)
        # The colour itself is not darkened at the rims: there the alpha alone fades.
        bright = np.where(alpha[..., None] > 0, color / np.maximum(alpha[..., None], 1e-3), 0)
        return np.dstack([np.clip(bright, 0, 255), 255 * alpha]).round().astype(np.uint8)

    def _radii(self, elements: Sequence[Element], calibration: Calibration) -> Any:
        fixed = self.radius_px(calibration)
        if fixed is not None or calibration.mean_pm is None:
            return fixed
        own = {e.name: e.radius_pm / calibration.mean_pm for e in elements if e.radius_pm}
        return own if len(own) == len(elements) and own else None

    def show(
        self,
        labels: pd.DataFrame,
        elements: Sequence[Element],
        shape: tuple[int, int],
        calibration: Calibration,
    ) -> None:
        """Draw the map, or bring it up to date."""
        pixels = self.pixels(labels, elements, shape, calibration)
        if self.layer is None:
            self.layer = self._make_layer(pixels)
        else:
            self.layer.data = pixels
        self.layer.visible = True
        self.shown = True

    def hide(self) -> None:
        """Hide the map; its layer stays in the list."""
        self.shown = False
        if self.layer is not None:
            self.layer.visible = False
