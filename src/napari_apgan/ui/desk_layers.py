"""The layers of the desk: how each is made, and which lies above which."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import atoms_layer, marks, output_map, regions_layer
from .atoms_layer import AtomsView
from .marks import Marks
from .regions_layer import RegionsView
from .scene import Scene


class DeskLayers:
    """Makes the layers when there is something to draw on them; the desk adds the wiring."""

    scene: Scene
    atoms: AtomsView
    marks: Marks
    regions: RegionsView

    def _make_atoms_layer(self) -> Any:
        layer = self.scene.place(
            "points",
            np.empty((0, 2)),
            name=atoms_layer.LAYER_NAME,
            border_width_is_relative=True,
            canvas_size_limits=(4, 400),
            features={"id": [], "state": [], "element": []},
        )
        self.scene.home = layer
        self.scene.activate_home()
        return layer

    def _make_marks_layer(self) -> Any:
        return self.scene.place(
            "points",
            np.empty((0, 2)),
            name=marks.LAYER_NAME,
            border_width_is_relative=True,
            canvas_size_limits=(8, 800),
        )

    def _make_regions_layer(self) -> Any:
        # Only what is being drawn carries text: a caption would lie over the atoms beside it.
        text = {"string": "{caption}", "anchor": "upper_left", "size": 9, "color": "white"}
        return self.scene.place(
            "shapes",
            None,
            ndim=2,
            name=regions_layer.LAYER_NAME,
            text=text,
            features={"caption": []},
        )

    def _make_map_layer(self, pixels: Any) -> Any:
        layer = self.scene.place(
            "image",
            pixels,
            name=output_map.LAYER_NAME,
            rgb=True,
            blending="translucent_no_depth",
            opacity=0.75,
        )
        self.order_layers()
        return layer

    def ensure_layers(self) -> None:
        """Make what is always there, as one change: napari builds its scene anew after each."""
        views = (self.regions, self.atoms, self.marks)
        if any(view.layer is None for view in views):
            with self.scene.viewer.layers.batched_update():
                for view in views:
                    view.ensure()

    def order_layers(self) -> None:
        """Keep regions, atoms and cursor on top."""
        self.scene.raise_above(self.regions.layer, self.atoms.layer, self.marks.layer)
