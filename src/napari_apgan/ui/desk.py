"""The desk: where the session and the viewer meet.

It adopts the image that the user works on, draws the session's labels and regions over it, and
turns what the hand does into edits of the session. Widgets sit on top and need not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_apgan.atoms import empty_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.project import Session

from . import atoms_layer, marks, output_map, regions_layer
from .atoms_layer import AtomsView, Key
from .carrying import Carrying
from .desk_keys import register_actions
from .desk_layers import DeskLayers
from .desk_map import DeskMap
from .hand import Hand
from .keys import Actions
from .layer_source import source_of_layer
from .mouse import XY, Mouse
from .placement import frame_of, point_of
from .pointer import Pointer
from .scene import Scene, unwrapped
from .timers import single_shot

#: Layers whose loss is told: what they show is kept, and can be drawn again.
_KEPT = (atoms_layer.LAYER_NAME, regions_layer.LAYER_NAME)
_HOVER_MS = 16
_MAP_MS = 150


class Desk(DeskLayers, Pointer, DeskMap):
    """Keeps a viewer and its session in step.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
    """

    adopted = Signal()
    lost = Signal(str)
    drawn = Signal()

    def __init__(self, viewer: Any, session: Session) -> None:
        self.viewer = unwrapped(viewer)
        self.session = session
        self.actions = Actions()
        self.hand = Hand(self)
        self.mouse = Mouse(self.viewer, self.hand)
        self.scene = Scene(self.viewer, self.actions, self.mouse)
        self.atoms = AtomsView(self._make_atoms_layer)
        self.marks = marks.Marks(self._make_marks_layer)
        self.regions = regions_layer.RegionsView(self._make_regions_layer)
        self.map = output_map.OutputMapView(self._make_map_layer)
        self._frame: Frame | None = None
        self._hover_at: XY | None = None
        self._hover_timer = single_shot(self._hover_now, _HOVER_MS)
        self._map_timer = single_shot(self._draw_map, _MAP_MS)
        self.carrying = Carrying(self)
        self._quiet = False
        #: Set from napari's preferences.
        self.show_spots = True
        self.wants_scale_bar = True
        register_actions(self)
        self._connect()

    # --- wiring ------------------------------------------------------------------------------

    def _connect(self) -> None:
        session, layers = self.session, self.viewer.layers
        session.project_changed.connect(self._on_project)
        session.source_changed.connect(self._on_source)
        session.frame_changed.connect(self._on_frame)
        session.atoms_changed.connect(self._on_atoms)
        session.regions_changed.connect(self._on_regions)
        session.elements_changed.connect(self._on_elements)
        session.calibration_changed.connect(self._on_calibration)
        self.atoms.selection_changed.connect(self._on_selection)
        self.atoms.changed_by_hand.connect(self._on_layer_edit)
        layers.selection.events.active.connect(self._on_active)
        layers.events.removed.connect(self._on_removed)
        # Before napari draws the new layer, which its own listeners do: units may differ from ours.
        inserted = layers.events.inserted
        inserted.connect(self._on_inserted, position="first", after=inserted.callbacks[0])
        self.viewer.dims.events.current_step.connect(self._on_step)

    def close(self, *, remove_layers: bool) -> None:
        """Let go of the viewer; the session keeps everything that was drawn."""
        layers = self.viewer.layers
        layers.selection.events.active.disconnect(self._on_active)
        layers.events.removed.disconnect(self._on_removed)
        layers.events.inserted.disconnect(self._on_inserted)
        self.viewer.dims.events.current_step.disconnect(self._on_step)
        self._hover_timer.stop()
        self._map_timer.stop()
        self.scene.release(remove_layers=remove_layers)

    # --- the image -----------------------------------------------------------------------------

    def adopt_what_is_there(self) -> None:
        """Adopt the active image, or the topmost one, when the workbench opens."""
        active = self.viewer.layers.selection.active
        images = self.scene.images()
        if active in images:
            self.adopt(active)
        elif images:
            self.adopt(images[-1])

    def adopt(self, layer: Image) -> None:
        """Make an image layer the current source of the session."""
        if layer is self.scene.image_layer:
            return
        self.guarded(lambda: self._adopt(layer))

    def _adopt(self, layer: Image) -> None:
        source_id = self.scene.source_of(layer)
        project = self.session.project
        if not source_id or project is None or source_id not in {r.id for r in project.sources}:
            self.scene.give_back_units(layer)
            source, note = source_of_layer(layer)
            source_id = self.session.ensure_project().add_source(source)
            if note:
                self.say(note)
        project = self.session.ensure_project()
        self._quiet = True
        try:
            self.scene.adopt(layer, source_id, project.calibration(source_id))
            step = self._step(layer)
            self.session.go_to(source_id, min(step, project.record(source_id).n_frames - 1))
        finally:
            self._quiet = False
        self._show_source()

    def _show_source(self) -> None:
        """Draw everything of the current source and frame."""
        self._frame = None
        if self.scene.image_layer is None:
            return
        diagonal = float(np.hypot(*self.shape()))
        self.regions.edge_px = max(0.4, diagonal / 700)
        self.draw_all()
        if self.scene.calibration.known and self.wants_scale_bar:
            self.scene.show_scale_bar()
        self.scene.activate_home()
        self.adopted.emit()

    def _step(self, layer: Image) -> int:
        return frame_of(layer, self.viewer.dims.point)

    def shape(self) -> tuple[int, int]:
        """Return rows and columns of the current frame."""
        project = self.session.project
        if project is None or not self.session.source_id:
            return (1, 1)
        return project.record(self.session.source_id).shape

    def frame(self) -> Frame | None:
        """Return the current frame's pixels, read once."""
        if self._frame is None:
            try:
                self._frame = self.session.frame()
            except UserError as error:
                self.failed.emit(str(error), "")
        return self._frame

    # --- following the session -------------------------------------------------------------------

    def _on_project(self) -> None:
        self.guarded(self._follow_project)

    def _follow_project(self) -> None:
        """Another project is open: show its current source, if its image can be shown."""
        if self._quiet:
            return
        self._show_nothing()
        project, source_id = self.session.project, self.session.source_id
        if project is None or not source_id or source_id in project.missing_sources():
            return
        self._show_layer_of(source_id)

    def _show_nothing(self) -> None:
        self.scene.image_layer = None
        self._frame = None
        self.atoms.show_predicted(None)
        self.draw_all()

    def _show_layer_of(self, source_id: str) -> None:
        project = self.session.ensure_project()
        layer = self.scene.layer_of(source_id)
        if layer is None:
            self._quiet = True
            try:
                layer = self.scene.add_image_of(project.source(source_id), source_id)
            finally:
                self._quiet = False
        frame = self.session.frame_index
        self.scene.uncover(layer)
        self.scene.adopt(layer, source_id, project.calibration(source_id))
        self._set_step(frame)
        self._show_source()

    def _on_source(self, source_id: str) -> None:
        if self._quiet or not source_id:
            return
        self.guarded(lambda: self._show_layer_of(source_id))

    def _on_frame(self, source_id: str, frame: int) -> None:
        if self._quiet:
            return
        self._frame = None
        self._set_step(frame)
        self.atoms.show_predicted(None)
        self.draw_all()

    def show_source(self, source_id: str) -> None:
        """Go to a source of the project and show its image, adding its layer if need be."""
        self.session.go_to(
            source_id, self.session.frame_index if source_id == self.session.source_id else 0
        )
        if self.scene.image_layer is None:
            self._show_layer_of(source_id)

    def restore(self) -> None:
        """Draw layers of ours again that the user removed."""
        self.draw_all()

    def canvas_size(self) -> tuple[int, int]:
        """Height and width of the canvas in screen px."""
        height, width = self.viewer.canvas.size
        return int(height), int(width)

    def _set_step(self, frame: int) -> None:
        image = self.scene.image_layer
        if image is None or image.ndim < 3:
            return
        if self._step(image) != frame:
            first = self.viewer.dims.ndim - image.ndim
            point = point_of(image, frame)
            self.viewer.dims.set_point(tuple(range(first, first + len(point))), point)

    def _on_step(self, event: Any = None) -> None:
        image = self.scene.image_layer
        if image is None or image.ndim < 3 or self._quiet:
            return
        frame = self._step(image)
        if frame != self.session.frame_index:
            self.guarded(lambda: self.session.go_to(self.session.source_id, frame))

    def _on_atoms(self, source_id: str, frame: int) -> None:
        if (source_id, frame) == (self.session.source_id, self.session.frame_index):
            self._draw_atoms()
            self._draw_regions()
            self.drawn.emit()

    def _on_regions(self, source_id: str, frame: int) -> None:
        if (source_id, frame) == (self.session.source_id, self.session.frame_index):
            self._draw_regions()
            self.drawn.emit()

    def _on_elements(self) -> None:
        self._draw_atoms()
        self._draw_regions()
        self.drawn.emit()

    def _on_calibration(self, source_id: str) -> None:
        if source_id == self.session.source_id:
            self.scene.set_calibration(self.session.calibration)
            self._frame = None
            self._map_timer.start()

    # --- following the viewer ------------------------------------------------------------------

    def _on_active(self, event: Any) -> None:
        layer = event.value
        if isinstance(layer, Image) and not self._quiet and not self.scene.owns(layer):
            # After napari has finished inserting it.
            QTimer.singleShot(0, lambda: self._adopt_if_active(layer))

    def _adopt_if_active(self, layer: Image) -> None:
        if layer in self.viewer.layers and self.viewer.layers.selection.active is layer:
            self.adopt(layer)

    def _on_inserted(self, event: Any) -> None:
        """Let a new image have our units."""
        self.scene.share_units()

    def _on_removed(self, event: Any) -> None:
        layer = event.value
        ours = self.scene.owns(layer)
        was_image = layer is self.scene.image_layer
        self.scene.forget(layer)
        for view in (self.atoms, self.marks, self.regions, self.map):
            if view.layer is layer:
                view.layer = None
        if layer is self.map.layer or (ours and layer.name == output_map.LAYER_NAME):
            self.map.shown = False
            self.map_toggled.emit(False)
        if was_image:
            self._show_nothing()
            # Later: napari may be in the middle of clearing the whole list.
            QTimer.singleShot(0, self._put_away)
            self.adopted.emit()
        elif ours and self.scene.image_layer is not None and layer.name in _KEPT:
            self.lost.emit(layer.name)

    def _put_away(self) -> None:
        """Take our layers away with their image: left in its unit, they would not fit the next."""
        if self.scene.image_layer is None:
            self.scene.drop_all()

    def _on_layer_edit(self, added: list[XY], removed: list[Key], moved: Mapping[Key, XY]) -> None:
        """Turn what was done with napari's own tools into edits."""
        self.guarded(lambda: self._layer_edit(added, removed, dict(moved)))

    def _layer_edit(self, added: list[XY], removed: list[Key], moved: dict[Key, XY]) -> None:
        if removed:
            self.remove(removed)
        if moved:
            self.move(moved)
        for xy in added:
            self.hand.click_empty(xy)

    # --- drawing -------------------------------------------------------------------------------

    def draw_all(self) -> None:
        """Draw labels, regions and map of the current frame."""
        if self.scene.image_layer is not None:
            self.ensure_layers()
        self._draw_atoms()
        self._draw_regions()
        self.order_layers()
        self.drawn.emit()

    def _draw_atoms(self) -> None:
        if self.scene.image_layer is None:
            self.atoms.show_labels(empty_atoms(), self.elements)
            return
        self.atoms.ensure()
        self.atoms.show_labels(self.session.atoms(), self.elements)
        self.marks.ensure()
        self.marks.diameter_px = 2.0 * self.atoms.radius_px
        self._on_selection(self.atoms.selected)
        if self.map.shown:
            self._map_timer.start()

    def _draw_regions(self) -> None:
        there = self.scene.image_layer is not None
        self.regions.show(self.session.regions() if there else [], self.atoms.labels)

    def _on_selection(self, keys: list[Key]) -> None:
        self.marks.select(self.atoms.positions(keys))
