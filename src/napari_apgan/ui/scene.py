"""The layers of one source in one viewer: adding them at the right scale, keeping them in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Layer

from napari_apgan.frames import Calibration, Source

from .keys import Actions
from .layer_source import UNIT_PM
from .mouse import Mouse
from .placement import place_upon, placement, stretch, world_per_px
from .readers import image_layer, layer_scale

#: In a layer's ``metadata["apgan"]``: it shows a filtered copy, and is no image to work on.
VIEW_METADATA = "view"


def unwrapped(viewer: Any) -> Any:
    """Return the real viewer behind the proxy that napari gives to widgets."""
    return getattr(viewer, "__wrapped__", viewer)


class Scene:
    """The viewer as the workbench sees it.

    Parameters
    ----------
    viewer : napari viewer
    actions : Actions
        Keys to bind on every layer of ours.
    mouse : Mouse
        Bound likewise.
    """

    def __init__(self, viewer: Any, actions: Actions, mouse: Mouse) -> None:
        self.viewer = unwrapped(viewer)
        self._actions = actions
        self._mouse = mouse
        self.image_layer: Image | None = None
        #: The layer that keys and mouse go to; kept active after every `place`.
        self.home: Layer | None = None
        self.calibration = Calibration()
        self._owned: list[Layer] = []
        self._bound: list[Layer] = []
        self._sources: WeakKeyDictionary[Layer, str] = WeakKeyDictionary()
        # Units that other images had before they followed those of the current one.
        self._own_units: WeakKeyDictionary[Layer, tuple[Any, ...]] = WeakKeyDictionary()
        # How long the pixels of images without a pixel size were in the world when adopted.
        self._own_sides: WeakKeyDictionary[Layer, tuple[float, float]] = WeakKeyDictionary()
        self._following = False

    # --- what is whose ---------------------------------------------------------------------

    def owns(self, layer: Any) -> bool:
        """Whether a layer was added by the workbench and shows no image of the user's.

        So are copies of a clean view, whoever made them.
        """
        marked = layer.metadata.get("apgan")
        is_view = isinstance(marked, dict) and VIEW_METADATA in marked
        return is_view or any(layer is mine for mine in self._owned)

    def source_of(self, layer: Layer) -> str:
        """Return the id of the source that a layer shows; empty when it is not known yet."""
        return self._sources.get(layer, "")

    def layer_of(self, source_id: str) -> Image | None:
        """Return the layer of the viewer that shows a source."""
        for layer in self.viewer.layers:
            if self._sources.get(layer) == source_id:
                return layer
        return None

    def images(self) -> list[Image]:
        """Return the user's image layers, topmost last."""
        return [x for x in self.viewer.layers if isinstance(x, Image) and not self.owns(x)]

    # --- adding and removing ---------------------------------------------------------------

    def add_image_of(self, source: Source, source_id: str) -> Image:
        """Add the layer of a source that the project holds."""
        data, keywords, _ = image_layer(source)
        layer = self.viewer.add_image(data, **keywords)
        self._sources[layer] = source_id
        return layer

    def adopt(self, layer: Image, source_id: str, calibration: Calibration) -> None:
        """Make an image layer the one that everything is drawn upon."""
        self.give_back_units(layer)
        self.image_layer = layer
        self._sources[layer] = source_id
        self._bind(layer)
        self._follow(layer)
        if not all(str(unit) in UNIT_PM for unit in layer.units[-2:]):
            self._own_sides.setdefault(layer, world_per_px(layer))
        self.set_calibration(calibration)

    def place(self, kind: str, data: Any, **keywords: Any) -> Any:
        """Add a layer ("image", "points", "shapes") that lies exactly on the source's image.

        The keys and the mouse are bound on it, and the home layer stays the active one.
        """
        add: dict[str, Callable[..., Layer]] = {
            "image": self.viewer.add_image,
            "points": self.viewer.add_points,
            "shapes": self.viewer.add_shapes,
        }
        there = {} if self.image_layer is None else placement(self.image_layer)
        keywords = {**layer_scale(self.calibration, 2), **there, **keywords}
        selected = self.viewer.layers.selection.active
        layer = add[kind](data, **keywords)
        self._owned.append(layer)
        self._bind(layer)
        back = self.home if self.home in self.viewer.layers else selected
        if back is not None and back in self.viewer.layers:
            self.viewer.layers.selection.active = back
        return layer

    def drop(self, layer: Layer | None) -> None:
        """Remove a layer if it is still there."""
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.remove(layer)
        self.forget(layer)

    def drop_all(self) -> None:
        """Remove every layer of ours, as one change: napari builds its scene anew after each."""
        if self._owned:
            with self.viewer.layers.batched_update():
                for layer in list(self._owned):
                    self.drop(layer)

    def forget(self, layer: Any) -> None:
        """Take a removed layer off the books."""
        self._owned = [x for x in self._owned if x is not layer]
        self._bound = [x for x in self._bound if x is not layer]
        if layer is self.home:
            self.home = None
        if layer is self.image_layer:
            self.image_layer = None

    def raise_above(self, *layers: Layer | None) -> None:
        """Put layers on top, in this order, the last one topmost."""
        stack = self.viewer.layers
        raised = [layer for layer in layers if layer is not None and layer in stack]
        if list(stack)[len(stack) - len(raised) :] != raised:
            for layer in raised:
                stack.move(stack.index(layer), len(stack))

    def uncover(self, layer: Layer) -> None:
        """Show an image above all others of the user's, still below what is drawn upon it."""
        layer.visible = True
        stack = self.viewer.layers
        highest = max(stack.index(image) for image in self.images())
        if stack.index(layer) < highest:
            stack.move(stack.index(layer), highest + 1)

    def activate_home(self) -> None:
        """Make the home layer the active one, so that keys and mouse reach it."""
        if self.home is not None and self.home in self.viewer.layers:
            self.viewer.layers.selection.active = self.home

    def release(self, *, remove_layers: bool) -> None:
        """Unbind keys and mouse from everything, and take our layers away if asked to."""
        for layer in self._bound:
            self._actions.unbind(layer)
            self._mouse.unbind(layer)
        self._bound = []
        if remove_layers:
            self.drop_all()
        for layer in list(self._own_units):
            self.give_back_units(layer)

    def _bind(self, layer: Layer) -> None:
        if not any(layer is x for x in self._bound):
            self._bound.append(layer)
            self._actions.bind(layer)
            self._mouse.bind(layer)

    # --- scale -----------------------------------------------------------------------------

    def set_calibration(self, calibration: Calibration) -> None:
        """Give every layer of the source its scale; one unit for all, or napari drops units."""
        self.calibration = calibration
        image = self.image_layer
        if image is None:
            return
        before = world_per_px(image)
        if calibration.known:
            settings = layer_scale(calibration, 2)
            wanted, units = settings["scale"], settings["units"]
        else:
            wanted, units = self._own_sides.get(image, (1.0, 1.0)), ("pixel", "pixel")
        self._following = True
        try:
            stretch(image, (wanted[0] / before[0], wanted[1] / before[1]))
            image.units = (*image.units[:-2], *units)
            for layer in self._drawn():
                layer.units = units
        finally:
            self._following = False
        self._follow_image()
        self.share_units()
        if not np.allclose(before, world_per_px(image)):
            self.viewer.reset_view()

    def _drawn(self) -> list[Layer]:
        """Return the layers of ours that are there."""
        return [layer for layer in self._owned if layer in self.viewer.layers]

    def _follow(self, image: Layer) -> None:
        """Let what is drawn go along when an image is moved, turned or stretched."""
        for name in ("scale", "translate", "rotate", "shear", "affine"):
            getattr(image.events, name).connect(self._follow_image)

    def _follow_image(self, event: Any = None) -> None:
        image = self.image_layer
        stale = event is not None and event.source is not image
        if image is None or self._following or stale:
            return
        for layer in self._drawn():
            place_upon(layer, image)

    def share_units(self) -> None:
        """Let other images carry the units of the current one, each at its scale.

        napari draws layers by the numbers of their scales when units differ, and warns each time:
        the same picture comes without the warning when the units are the same. What a layer said
        of itself is given back before it is read.
        """
        image = self.image_layer
        if image is None or image not in self.viewer.layers:
            return
        units = tuple(image.units[-2:])
        for layer in self.images():
            if layer is not image and tuple(layer.units[-2:]) != units:
                self._own_units.setdefault(layer, tuple(layer.units))
                layer.units = (*layer.units[:-2], *units)

    def give_back_units(self, layer: Layer) -> None:
        """Give an image the units that it had of its own."""
        units = self._own_units.pop(layer, None)
        if units is not None:
            layer.units = units

    def show_scale_bar(self) -> None:
        """Turn napari's scale bar on."""
        bar = self.viewer.canvas.overlays.scale_bar
        bar.visible = True
