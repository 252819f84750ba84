"""Probability maps over the image: one layer per element, in its colour, clear where it is zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray
from psygnal import Signal

from napari_apgan.elements import Element
from napari_apgan.predict.prediction import Box

from .atoms_layer import rgba

if TYPE_CHECKING:
    from .workbench import Workbench

#: How strong the maps are at first (opacity, 0..1).
STRENGTH = 0.45
_SUFFIX = " probability"
#: Name and colour of the layer of deviations: no element is white.
DEVIATION_NAME, DEVIATION_COLOR = "Uncertainty", "#FFFFFF"


def clear_to(color: str) -> Colormap:
    """Make a colormap from nothing to a colour, ``#RRGGBB``.

    Additive blending would turn every element white on a bright column; a colour whose opacity is
    the probability keeps it.
    """
    full = rgba(color)
    return Colormap(np.array([[*full[:3], 0.0], full], dtype=np.float32), name=f"clear {color}")


class ProbabilityLayers:
    """Shows the maps of one frame and takes them away; owns nothing but its layers.

    Parameters
    ----------
    workbench : Workbench
        Adds layers at the scale of the image and keeps the atoms layer active.
    """

    changed = Signal()

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self.layers: dict[str, Image] = {}
        self.deviation: Image | None = None
        self.strength = STRENGTH
        self.visible = True

    @property
    def _all(self) -> list[Image]:
        """Every layer of this, the lowest first."""
        return [*self.layers.values(), *([self.deviation] if self.deviation is not None else [])]

    @property
    def shown(self) -> bool:
        """Whether there are maps that the user sees."""
        return self.visible and any(self._there(layer) for layer in self.layers.values())

    def show(
        self,
        maps: NDArray[np.floating],
        names: Sequence[str],
        elements: Sequence[Element],
        box: Box | None = None,
    ) -> None:
        """Show the maps of the current frame.

        Parameters
        ----------
        maps : (C, Y, X) array
            Probabilities, 0..1; of the box alone when one is given.
        names : sequence of str
            The elements of the channels.
        elements : sequence of Element
            Where their colours come from; an element that is gone from the project is drawn grey.
        box : (x0, y0, x1, y1), optional
            Which part of the frame they cover, in px.
        """
        known = {e.name: e for e in elements}
        for name in [n for n in self.layers if n not in names]:
            self._drop(name)
        for name, pixels in zip(names, maps, strict=True):
            element = known.get(name) or Element(name=name, color="#9A9A9A")
            self._show_one(element, np.asarray(pixels, dtype=np.float32), box)
        self._order()
        self.changed.emit()

    def show_deviation(
        self, deviation: NDArray[np.floating] | None, box: Box | None = None
    ) -> None:
        """Show how uncertain each pixel is in any of the maps; None takes it away.

        Parameters
        ----------
        deviation : (C, Y, X) array, optional
            Standard deviations, 0..0.5; of the box alone when one is given.
        box : (x0, y0, x1, y1), optional
        """
        if deviation is None:
            if self.deviation is not None:
                self._workbench.drop(self.deviation)
            self.deviation = None
            return
        pixels = np.asarray(deviation, dtype=np.float32).max(axis=0)
        if self.deviation is not None and self._there(self.deviation):
            self.deviation.data = pixels
        else:
            self.deviation = self._workbench.place(
                "image",
                pixels,
                name=DEVIATION_NAME,
                colormap=clear_to(DEVIATION_COLOR),
                blending="translucent_no_depth",
                contrast_limits=(0.0, 0.5),
                visible=self.visible,
            )
        self._put(self.deviation, box)
        self._order()

    def clear(self) -> None:
        """Take the maps away."""
        for name in list(self.layers):
            self._drop(name)
        self.show_deviation(None)
        self.changed.emit()

    def set_strength(self, strength: float) -> None:
        """Set the opacity of all maps, 0..1."""
        self.strength = float(np.clip(strength, 0.0, 1.0))
        for layer in self.layers.values():
            layer.opacity = self.strength

    def set_visible(self, visible: bool) -> None:
        """Show or hide all maps."""
        self.visible = visible
        for layer in self._all:
            layer.visible = visible
        self.changed.emit()

    def recolor(self, elements: Sequence[Element]) -> None:
        """Follow changed colours."""
        for element in elements:
            layer = self.layers.get(element.name)
            if layer is not None and self._there(layer):
                layer.colormap = clear_to(element.color)

    def _there(self, layer: Image) -> bool:
        return layer in self._workbench.viewer.layers

    def _show_one(self, element: Element, pixels: NDArray[np.float32], box: Box | None) -> None:
        layer = self.layers.get(element.name)
        if layer is not None and self._there(layer):
            layer.data = pixels
            layer.colormap = clear_to(element.color)
        else:
            layer = self._workbench.place(
                "image",
                pixels,
                name=f"{element.name}{_SUFFIX}",
                colormap=clear_to(element.color),
                blending="translucent_no_depth",
                contrast_limits=(0.0, 1.0),
                opacity=self.strength,
                visible=self.visible,
            )
            self.layers[element.name] = layer
        self._put(layer, box)

    def _put(self, layer: Image, box: Box | None) -> None:
        """Lay a layer where its part of the frame is."""
        image = self._workbench.image_layer
        origin = np.zeros(2) if image is None else np.asarray(image.translate[-2:], dtype=float)
        if box is not None:
            origin = origin + np.array([box[1], box[0]]) * np.asarray(layer.scale[-2:])
        if not np.allclose(layer.translate, origin):
            layer.translate = origin

    def _order(self) -> None:
        """Put the maps right above the image, below regions and atoms."""
        stack = self._workbench.viewer.layers
        image = self._workbench.image_layer
        if image is None or image not in stack:
            return
        there = [layer for layer in self._all if layer in stack]
        for place, layer in enumerate(there, start=stack.index(image) + 1):
            if stack.index(layer) != place:
                stack.move(stack.index(layer), place)

    def _drop(self, name: str) -> None:
        self._workbench.drop(self.layers.pop(name))
