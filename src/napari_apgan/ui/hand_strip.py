"""The tools of the hand as one row of buttons, each with its key in the tooltip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QInputDialog, QMenu, QToolButton, QWidget

from napari_apgan.regions import RegionKind

from .hand import BRUSHES
from .hand_counter import HandCounter
from .hand_icons import SIDE, tool_icon
from .regions_layer import color_of_kind
from .widgets import column_in, row, swatch

if TYPE_CHECKING:
    from .desk import Desk

_BRUSH_WORDS: dict[RegionKind, tuple[str, str]] = {
    "vacuum": ("Vacuum", "No atom is there: training learns it as background"),
    "amorphous": ("Amorphous", "Nothing inside is learned or scored"),
    "contamination": ("Contamination", "Nothing inside is learned or scored"),
    "ignore": ("Ignored", "Nothing inside is learned or scored"),
}
_STYLE = (
    "QToolButton { padding: 3px; border-radius: 4px; border: 1px solid transparent; }"
    "QToolButton:hover { border: 1px solid rgba(140, 150, 160, 120); }"
    "QToolButton:checked { background: rgba(31, 111, 196, 150); }"
    "QToolButton::menu-button { border: none; width: 12px; }"
)


class HandStrip(QWidget):
    """Shows which tool is in the hand and takes another one up.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        hand = desk.hand
        self.quick = self._button("quick", lambda: hand.set_sequence(False))
        self.sequence = self._button("sequence", lambda: hand.set_sequence(True))
        self.lasso = self._button("lasso", lambda: desk.toggle_tool("lasso"))
        self.erase = self._button("erase", lambda: desk.toggle_tool("erase"))
        self.brush = self._button("brush", lambda: desk.toggle_tool("brush"))
        self.brush.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        kinds = QMenu(self.brush)
        for kind in BRUSHES:
            words, tip = _BRUSH_WORDS[kind]
            action = kinds.addAction(QIcon(swatch(color_of_kind(kind))), words)
            action.setToolTip(tip)
            action.triggered.connect(lambda _=False, k=kind: hand.take_brush(k))
        kinds.setToolTipsVisible(True)
        kinds.addSeparator()
        kinds.addAction("Larger", lambda: hand.resize_brush(1.25))
        kinds.addAction("Smaller", lambda: hand.resize_brush(0.8))
        self.brush.setMenu(kinds)
        self.carry = self._button("carry", desk.carrying.run)
        self.carry.setCheckable(False)
        self.lens = self._button("lens", lambda: desk.actions.run("lens"))
        self.sequence.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        menu = QMenu(self.sequence)
        menu.addAction("Motif…", self.ask_motif)
        menu.addAction("All elements in turn", lambda: hand.set_motif(""))
        self.sequence.setMenu(menu)
        self.counter = HandCounter(desk.session)
        layout = column_in(self, spacing=2)
        layout.addLayout(row(*self._buttons(), 1))
        layout.addWidget(self.counter)
        session = desk.session
        for signal in (
            desk.tool_changed,
            desk.adopted,
            session.elements_changed,
            session.frame_changed,
        ):
            signal.connect(self.refresh)
        self.refresh()

    def _button(self, name: str, deed: Callable[[], object]) -> QToolButton:
        button = QToolButton()
        button.setObjectName(name)
        button.setCheckable(True)
        button.setIconSize(QSize(SIDE, SIDE))
        button.setStyleSheet(_STYLE)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda _=False: self._do(deed))
        return button

    def _do(self, deed: Callable[[], object]) -> None:
        deed()
        self.refresh()  # a click checks the button also where the tool was not taken

    def _buttons(self) -> list[QToolButton]:
        return [
            self.quick,
            self.sequence,
            self.lasso,
            self.erase,
            self.brush,
            self.lens,
            self.carry,
        ]

    def _draw_icons(self) -> None:
        color = self.palette().windowText().color()
        for button in self._buttons():
            accent = color_of_kind(self._desk.hand.brush_kind) if button is self.brush else ""
            button.setIcon(tool_icon(button.objectName(), color, accent))

    def changeEvent(self, event: QEvent) -> None:
        """Draw the icons again in the colours of another theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._draw_icons()

    def refresh(self, *_: object) -> None:
        """Show the tool in the hand."""
        desk, hand = self._desk, self._desk.hand
        key = desk.actions.label
        order = hand.motif.order([e.name for e in desk.elements])
        self.quick.setToolTip("Quick: each click adds an atom of the current element")
        self.sequence.setToolTip(
            f"Sequence ({key('sequence')}): each click adds the next element of the motif"
            + (f", {' → '.join(order)}" if order else "")
        )
        self.lasso.setToolTip(
            f"Lasso ({key('lasso')}): draw around atoms to select them; Shift adds. "
            "Without the tool: Ctrl+drag; Shift+drag for a box"
        )
        self.erase.setToolTip(
            f"Erase ({key('erase')}): click atoms or drag over them; a stroke is one undo"
        )
        words, tip = _BRUSH_WORDS[hand.brush_kind]
        self.brush.setToolTip(
            f"Brush ({key('brush')}): paint {words.lower()}. {tip}. Shift rubs out; "
            f"{key('brush_smaller')} and {key('brush_larger')} change its size, "
            f"{key('next_brush')} its kind"
        )
        self._draw_icons()
        self.carry.setToolTip(
            f"To the next frame ({key('carry')}): copy the selected labels, or all, with the "
            "drift, each to its own peak; those without a peak are left out"
        )
        self.lens.setChecked(desk.lens_shown)
        self.lens.setToolTip(
            f"Magnifier ({key('lens')}): what lies below the pointer, large, in a corner"
        )
        self.carry.setVisible(desk.carrying.possible)
        self.quick.setChecked(hand.tool == "atoms" and not hand.motif.on)
        self.sequence.setChecked(hand.tool == "atoms" and hand.motif.on)
        for button in (self.lasso, self.erase, self.brush):
            button.setChecked(hand.tool == button.objectName())
        self.setEnabled(desk.scene.image_layer is not None)

    def ask_motif(self) -> None:
        """Ask for the elements that clicks add in turn."""
        hand = self._desk.hand
        shown = hand.motif.text or " ".join(e.name for e in self._desk.elements)
        text, ok = QInputDialog.getText(
            self, "Motif", "Elements in the order of your clicks, such as Pb Ti O O", text=shown
        )
        if ok:
            hand.set_motif(text)
            hand.set_sequence(True)
