"""The list of regions: what each is for, what stands inside, hold out, delete."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_apgan.regions import Region, RegionKind

from .regions_layer import color_of
from .widgets import ElidedLabel, column_in, heading, hint, row, swatch

#: Longer lists than this show their newest regions; the others stay on the image.
_SHOWN = 12


class RegionsBox(QWidget):
    """Draw regions and see them."""

    tool_wanted = Signal(str)  # "box", "polygon" or "atoms"
    kind_chosen = Signal(str)
    hold_out_wanted = Signal(int, bool)
    delete_wanted = Signal(int)
    shown_wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.box_button = self._tool("Box (R)", "box", "Drag a box on the image")
        self.polygon_button = self._tool(
            "Polygon", "polygon", "Click the corners on the image; Enter or double click closes it"
        )
        self.complete = QPushButton("complete")
        self.ignore = QPushButton("ignored")
        self.complete.setToolTip(
            "Every atom inside is labelled: what is unlabelled there is background. Training "
            "learns inside complete regions only."
        )
        self.ignore.setToolTip("Contamination and the like: nothing inside is learned or scored")
        group = QButtonGroup(self)
        for button, kind in ((self.complete, "complete"), (self.ignore, "ignore")):
            button.setCheckable(True)
            group.addButton(button)
            button.clicked.connect(lambda _=False, k=kind: self.kind_chosen.emit(k))
        self.complete.setChecked(True)
        self.empty = hint(
            "No regions yet. When every atom of an area is labelled, press R and drag a box "
            "around it."
        )
        self._list = QVBoxLayout()
        self._list.setContentsMargins(0, 0, 0, 0)
        self._list.setSpacing(1)
        self.rows: dict[int, QWidget] = {}
        layout = column_in(self)
        layout.addLayout(row(heading("Regions"), 1, self.box_button, self.polygon_button))
        layout.addLayout(row(QLabel("The next one is"), 1, self.complete, self.ignore))
        layout.addWidget(self.empty)
        layout.addLayout(self._list)
        self._shown: list[tuple[Region, str]] = []

    def _tool(self, text: str, tool: str, tooltip: str) -> QPushButton:
        button = QPushButton(text)
        button.setCheckable(True)
        button.setToolTip(tooltip)
        button.clicked.connect(lambda on: self.tool_wanted.emit(tool if on else "atoms"))
        return button

    @property
    def kind(self) -> RegionKind:
        """What the next region is for."""
        return "ignore" if self.ignore.isChecked() else "complete"

    def set_tool(self, tool: str) -> None:
        """Show which tool is in the hand."""
        self.box_button.setChecked(tool == "box")
        self.polygon_button.setChecked(tool == "polygon")

    def set_regions(self, regions: Sequence[Region], captions: Sequence[str]) -> None:
        """List the regions, newest first."""
        new = list(zip(regions, captions, strict=True))[::-1]
        if new == self._shown:
            return
        self._shown = new
        for widget in self.rows.values():
            self._list.removeWidget(widget)
            widget.hide()
            widget.deleteLater()
        self.rows = {}
        for region, caption in new[:_SHOWN]:
            widget = self._row(region, caption)
            self.rows[region.id] = widget
            self._list.addWidget(widget)
        more = len(new) - _SHOWN
        self.empty.setVisible(not new or more > 0)
        if more > 0:
            self.empty.setText(f"{more} more on the image.")

    def _row(self, region: Region, caption: str) -> QWidget:
        widget = QWidget()
        layout = QHBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        patch = QLabel()
        patch.setPixmap(swatch(color_of(region)))
        layout.addWidget(patch)
        text = ElidedLabel(caption)
        layout.addWidget(text, 1)
        if region.kind == "complete":
            hold = QPushButton("Hold out")
            hold.setObjectName("hold_out")
            hold.setCheckable(True)
            hold.setChecked(region.held_out)
            hold.setFlat(True)
            hold.setToolTip("Keep it for checking the model: never trained on")
            hold.clicked.connect(lambda on, i=region.id: self.hold_out_wanted.emit(i, on))
            layout.addWidget(hold)
        show = QToolButton()
        show.setText("◎")
        show.setToolTip("Show it")
        show.clicked.connect(lambda _=False, i=region.id: self.shown_wanted.emit(i))
        layout.addWidget(show)
        delete = QToolButton()
        delete.setObjectName("delete")
        delete.setText("×")
        delete.setToolTip("Delete the region; its atoms stay")
        delete.clicked.connect(lambda _=False, i=region.id: self.delete_wanted.emit(i))
        layout.addWidget(delete, 0, Qt.AlignmentFlag.AlignRight)
        return widget
