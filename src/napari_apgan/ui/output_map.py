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
from napari_apgan.maps import disc_radii_px, output_map, rgb_map

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
        #: For images without a pixel size, in px; None leaves it to the spacing of the atoms.
        self.radius_px: float | None = None

    def channels(
        self,
        labels: pd.DataFrame,
        elements: Sequence[Element],
        shape: tuple[int, int],
        calibration: Calibration,
    ) -> NDArray[np.float32]:
        """Draw the map as (C, Y, X), one channel an element, as a training does."""
        radius: Any = disc_radii_px(elements, labels, calibration)
        if not calibration.known and self.radius_px is not None:
            radius = self.radius_px
        return output_map(labels, [e.name for e in elements], shape, radius)

    def pixels(
        self,
        labels: pd.DataFrame,
        elements: Sequence[Element],
        shape: tuple[int, int],
        calibration: Calibration,
    ) -> NDArray[np.uint8]:
        """Paint the map as (Y, X, 4) pixels; the rims of the discs are partly clear."""
        channels = self.channels(labels, elements, shape, calibration)
        alpha = channels.max(axis=0) if len(elements) else np.zeros(shape, np.float32)
        color = rgb_map(channels, elements) if len(elements) else np.zeros((*shape, 3), np.uint8)
        # The colour itself is not darkened at the rims: there the alpha alone fades.
        bright = np.where(alpha[..., None] > 0, color / np.maximum(alpha[..., None], 1e-3), 0)
        return np.dstack([np.clip(bright, 0, 255), 255 * alpha]).round().astype(np.uint8)

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
