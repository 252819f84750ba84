"""The layers of one source in one viewer: adding them at the right scale, keeping them in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Layer

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Source
from napari_apgan.io import READABLE, open_source, source_from_array

from .keys import Actions
from .mouse import Mouse
from .readers import image_layer, layer_scale

#: Length units of a layer that say how large its pixels are, in pm.
_UNIT_PM = {
    "picometer": 1.0,
    "angstrom": 100.0,
    "nanometer": 1e3,
    "micrometer": 1e6,
}

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
        self.set_calibration(calibration)

    def place(self, kind: str, data: Any, **keywords: Any) -> Any:
        """Add a layer ("image", "points", "shapes") at the scale of the source.

        The keys and the mouse are bound on it, and the home layer stays the active one.
        """
        add: dict[str, Callable[..., Layer]] = {
            "image": self.viewer.add_image,
            "points": self.viewer.add_points,
            "shapes": self.viewer.add_shapes,
        }
        keywords = {**layer_scale(self.calibration, 2), **keywords}
        if self.image_layer is not None and "translate" not in keywords:
            keywords["translate"] = tuple(self.image_layer.translate[-2:])
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
        """Remove every layer of ours."""
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
        for layer in layers:
            if layer is not None and layer in stack and stack.index(layer) != len(stack) - 1:
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
        before = np.asarray(image.scale[-2:], dtype=float)
        for layer in [image, *self._owned]:
            if layer in self.viewer.layers:
                settings = layer_scale(self.calibration, layer.ndim)
                layer.scale = settings["scale"]
                layer.units = settings["units"]
        self.share_units()
        if not np.allclose(before, image.scale[-2:]):
            self.viewer.reset_view()

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


def source_of_layer(layer: Image) -> tuple[Source, str]:
    """Make a source of a layer that napari or another plugin opened.

    The file is read again, with its pixel size, where it is known and holds what the layer shows;
    else the layer's own pixels are taken.

    Returns
    -------
    source : Source
    note : str
        What cannot be restored or was changed, for the user; empty when nothing.

    Raises
    ------
    UserError
        When the layer is no image or series of images.
    """
    stored = layer.metadata.get("apgan") or {}
    path = Path(stored.get("path") or layer.source.path or "")
    if path.name and path.suffix.lower() in READABLE and path.is_file():
        try:
            source = open_source(path, dataset=stored.get("dataset") or None)
        except UserError:
            source = None
        if source is not None and _shows(layer, source):
            return source, source.note
    data, notes = layer.data, []
    if layer.multiscale:
        data = data[0]
        notes.append("its finest level is used")
    if layer.rgb:
        notes.append("its colours become one brightness")
    source = source_from_array(data, layer.name, _calibration_of(layer), rgb=bool(layer.rgb))
    if not path.name:
        notes.append("no file holds it, so the project keeps a copy of its pixels (up to 512 MB)")
    elif path.is_file():
        notes.append(f"it differs from what {path.name} holds, so the project keeps its pixels")
    note = f"{layer.name}: {'; '.join(notes)}." if notes else ""
    return source, note


def _shows(layer: Image, source: Source) -> bool:
    """Whether a layer shows what its file holds: the same shape, and the same pixels at a few."""
    if layer.multiscale or layer.rgb:
        return False
    shape = tuple(layer.data.shape)
    wanted = (source.n_frames, *source.shape)
    if shape not in (wanted, wanted[1:] if source.n_frames == 1 else wanted):
        return False
    first = layer.data if len(shape) == 2 else layer.data[0]
    rows = slice(0, None, max(1, source.shape[0] // 16))
    mine = np.asarray(first[rows], dtype=np.float64)
    theirs = np.asarray(np.asarray(source.stack[0])[rows], dtype=np.float64)
    return bool(np.allclose(mine, theirs, equal_nan=True))


def _calibration_of(layer: Image) -> Calibration:
    """Take a layer's own scale for a pixel size, where its units are lengths."""
    units = [str(u) for u in layer.units[-2:]]
    if not all(u in _UNIT_PM for u in units):
        return Calibration()
    y_pm, x_pm = (float(s) * _UNIT_PM[u] for s, u in zip(layer.scale[-2:], units, strict=True))
    try:
        return Calibration.from_pixel_size(
            x_pm, y_pm, origin="file", note="the scale of the napari layer"
        )
    except UserError as error:
        return Calibration(note=str(error))
