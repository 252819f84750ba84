"""Rows that say which image counts which element: layers of the window, or files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.io import READABLE

from .layer_source import source_of_layer
from .widgets import column_in

if TYPE_CHECKING:
    from .workbench import Workbench

_FILE = "a file…"


class MapRows(QWidget):
    """Element and image of each map.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench) -> None:
        super().__init__()
        self._workbench = workbench
        self._layout = column_in(self, spacing=3)
        self.rows: list[tuple[QWidget, QComboBox, QComboBox]] = []

    def add(self, element: str = "", path: Path | None = None) -> None:
        """Add a row; with a path, for that file."""
        desk = self._workbench.desk
        widget = QWidget()
        name, image = QComboBox(), QComboBox()
        name.setEditable(True)
        name.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        name.addItems([e.name for e in desk.elements])
        name.setEditText(element or self._next_element(desk.elements))
        name.setMinimumContentsLength(4)
        name.setToolTip("The element that the image counts")
        image.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        image.setToolTip("The image of its counts: a layer of this window, or a file")
        for layer in desk.scene.images():
            if layer is not desk.scene.image_layer:
                image.addItem(layer.name, layer)
        image.addItem(_FILE, None)
        image.activated.connect(lambda _i, box=image: self._chosen(box))
        drop = QToolButton()
        drop.setText("×")
        drop.setToolTip("Do without this map")
        drop.clicked.connect(lambda _=False, w=widget: self.remove(w))
        line = QHBoxLayout(widget)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(6)
        line.addWidget(name)
        line.addWidget(QLabel("by"))
        line.addWidget(image, 1)
        line.addWidget(drop)
        self.rows.append((widget, name, image))
        self._layout.addWidget(widget)
        if path is not None:
            self._use_file(image, path)
        elif image.count() == 1:
            self._chosen(image)

    def _next_element(self, elements: Sequence[Element]) -> str:
        used = {name.currentText() for _w, name, _i in self.rows}
        return next((e.name for e in elements if e.name not in used), "")

    def remove(self, widget: QWidget) -> None:
        """Take a row away."""
        self.rows = [r for r in self.rows if r[0] is not widget]
        self._layout.removeWidget(widget)
        widget.hide()
        widget.deleteLater()

    def _chosen(self, image: QComboBox) -> None:
        if image.currentData() is not None:
            return
        patterns = " ".join(f"*{suffix}" for suffix in sorted(READABLE))
        path = QFileDialog.getOpenFileName(
            self, "Map of an element", self._workbench.last_folder(), f"Images ({patterns})"
        )[0]
        if path:
            self._workbench.remember_folder(Path(path).parent)
            self._use_file(image, Path(path))

    def _use_file(self, image: QComboBox, path: Path) -> None:
        image.insertItem(0, path.name, str(path))
        image.setCurrentIndex(0)

    def references(self, folder: Path) -> dict[str, dict[str, Any]]:
        """Return where the helper finds each map; layers are written into a folder first.

        Raises
        ------
        UserError
            When there is no map, a row is not filled in, or a layer is no image.
        """
        made: dict[str, dict[str, Any]] = {}
        for number, (_widget, name, image) in enumerate(self.rows):
            element, held = name.currentText().strip(), image.currentData()
            if not element or held is None:
                raise UserError("Say for each map which element it counts, and which image it is.")
            if element in made:
                raise UserError(f"Two maps are of {element}: leave one out.")
            if isinstance(held, str):
                made[element] = {"path": held}
                continue
            made[element] = self._written(held, folder / f"map_{number}.npy")
        if not made:
            raise UserError("Add a map first: an image of the counts of one element.")
        return made

    def _written(self, layer: Any, path: Path) -> dict[str, Any]:
        """Write the pixels of a layer, and say how large they are."""
        scene = self._workbench.desk.scene
        scene.give_back_units(layer)  # its own scale is read, not the one that it shares with ours
        try:
            source, _note = source_of_layer(layer)
        finally:
            scene.share_units()
        frame = source.frame(0)
        np.save(path, np.where(frame.valid, frame.data, np.nan).astype(np.float32))
        calibration = frame.calibration.model_dump(mode="json") if frame.calibration.known else None
        return {"path": str(path), "missing": "nan", "calibration": calibration}
