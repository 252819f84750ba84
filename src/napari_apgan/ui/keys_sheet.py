"""The sheet of keys: what each does now, and another key for what the user wants under another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QDialog,
    QHeaderView,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_apgan.errors import UserError
from napari_apgan.settings import Settings

from .keys import KEYS, MOUSE, Actions, Key, binding, changes_of, rebound
from .widgets import hint, row, text_button

if TYPE_CHECKING:
    from .desk import Desk

_MODIFIERS = {
    Qt.Key.Key_Shift,
    Qt.Key.Key_Control,
    Qt.Key.Key_Alt,
    Qt.Key.Key_Meta,
    Qt.Key.Key_AltGr,
    Qt.Key.Key_unknown,
}
_NAMES = {
    "Del": "Delete",
    "Esc": "Escape",
    "Ins": "Insert",
    "PgDown": "PageDown",
    "PgUp": "PageUp",
    "Return": "Enter",
}
#: Bindings of napari's that belong to other kinds of layers than the workbench binds.
_ELSEWHERE = re.compile(r"label|shape|polygon|polyline|brush|vertex|direct|path|line|ellipse|rect")
_NAME = Qt.ItemDataRole.UserRole


def combo_of(event: QKeyEvent) -> str:
    """Return the combination that was pressed as napari writes it; empty for a modifier alone."""
    key = Qt.Key(event.key())
    if key in _MODIFIERS:
        return ""
    name = QKeySequence(key).toString(QKeySequence.SequenceFormat.PortableText)
    name = _NAMES.get(name, name)
    held, flags = event.modifiers(), Qt.KeyboardModifier
    control = bool(held & flags.ControlModifier)
    # Shift only makes another sign of these keys, unless Control is held with it.
    shifted = control or len(name) > 1 or name.isalpha()
    parts = [
        text
        for text, there in (
            ("Control", control),
            ("Shift", bool(held & flags.ShiftModifier) and shifted),
            ("Alt", bool(held & flags.AltModifier)),
            ("Meta", bool(held & flags.MetaModifier)),
        )
        if there
    ]
    return "-".join([*parts, name])


def napari_use(combo: str) -> str:
    """Say what napari itself does with a key on our layers; empty for nothing."""
    wanted = binding(combo)
    for action, combos in get_settings().shortcuts.shortcuts.items():
        name = action.removeprefix("napari:")
        if wanted in combos and not _ELSEWHERE.search(name):
            return name.removeprefix("activate_").replace("_", " ")
    return ""


class KeysSheet(QDialog):
    """Lists the keys with what they do as things stand; a double click gives an act another key.

    Parameters
    ----------
    desk : Desk
    parent : QWidget
    """

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        self._desk = desk
        self._waiting = ""  # before Qt sends the first event
        super().__init__(parent)
        self.setWindowTitle("Keys of the atom workbench")
        self.list = QTreeWidget()
        self.list.setColumnCount(3)
        self.list.setHeaderLabels(["Key", "What it does now", "Instead of napari's"])
        self.list.setRootIsDecorated(False)
        self.list.setIndentation(12)
        self.list.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.list.header().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.list.header().setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        self.list.header().setStretchLastSection(False)
        self.list.itemDoubleClicked.connect(lambda item, _column: self.begin(item.data(0, _NAME)))
        self.note = hint("They work while the pointer is on the image. Greyed: nothing to do now.")
        self.change = text_button("Another key…", self._begin_current, "Or double click a line")
        self.usual = text_button("Usual keys", self.use_usual, "Give every act its first key back")
        layout = QVBoxLayout(self)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.note)
        layout.addLayout(row(self.change, self.usual, 1, text_button("Close", self.hide)))
        self.resize(600, 660)
        for signal in (desk.drawn, desk.tool_changed, desk.session.element_changed):
            signal.connect(self.refresh)
        desk.atoms.selection_changed.connect(self.refresh)

    @property
    def _actions(self) -> Actions:
        return self._desk.actions

    def showEvent(self, event: Any) -> None:
        """Show the present state."""
        super().showEvent(event)
        self.refresh()

    # --- what is listed ------------------------------------------------------------------------

    def refresh(self, *_: object) -> None:
        """Say again what each key does."""
        if not self.isVisible() or self._waiting:
            return
        chosen, bar = self._current(), self.list.verticalScrollBar()
        place = bar.value()
        self.list.clear()
        groups: dict[str, QTreeWidgetItem] = {}
        for key in self._actions.keys:
            meaning = self._actions.meaning(key)
            spare = key.group == "Elements" and not meaning  # a digit without an element
            if spare or key.action not in self._actions.deeds:
                continue
            if key.group not in groups:
                groups[key.group] = self._heading(key.group)
            item = self._line(groups[key.group], key, meaning)
            if key.name == chosen:
                self.list.setCurrentItem(item)
        mouse = self._heading("Mouse")
        for what, does in MOUSE:
            QTreeWidgetItem(mouse, [what, does]).setFlags(Qt.ItemFlag.ItemIsEnabled)
        self.list.expandAll()
        bar.setValue(place)

    def _heading(self, text: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem(self.list, [text])
        item.setFirstColumnSpanned(True)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
        font = item.font(0)
        font.setBold(True)
        item.setFont(0, font)
        return item

    def _line(self, group: QTreeWidgetItem, key: Key, meaning: str) -> QTreeWidgetItem:
        shadows = key.shadows if key in KEYS else napari_use(key.combo)
        item = QTreeWidgetItem(group, [key.label, meaning or key.title, shadows])
        item.setToolTip(1, item.text(1))
        item.setData(0, _NAME, key.name)
        if not meaning:
            for column in range(3):
                item.setForeground(column, self.palette().placeholderText())
        return item

    def text_of(self, name: str) -> str:
        """Return what the sheet says of a line of the table."""
        for g in range(self.list.topLevelItemCount()):
            group = self.list.topLevelItem(g)
            for i in range(group.childCount()):
                if group.child(i).data(0, _NAME) == name:
                    return " | ".join(group.child(i).text(c) for c in range(3))
        return ""

    # --- another key ---------------------------------------------------------------------------

    def _current(self) -> str:
        item = self.list.currentItem()
        return "" if item is None else str(item.data(0, _NAME) or "")

    def _begin_current(self) -> None:
        self.begin(self._current())

    def begin(self, name: str | None) -> None:
        """Wait for the key that an act is to have."""
        line = next((k for k in self._actions.keys if k.name == name), None)
        if line is None:
            self.note.setText("Choose a line with a key first.")
            return
        self._waiting = line.name
        self.list.setEnabled(False)
        self.note.setText(f"Press the new key for: {self._plain(line)}. Escape leaves it.")
        self.setFocus()

    def _plain(self, line: Key) -> str:
        return f"{line.title[0].lower()}{line.title[1:]}"

    def give(self, name: str, combo: str) -> None:
        """Give an act another key and remember it; a taken one is refused in a sentence."""
        try:
            keys = rebound(self._actions.keys, name, combo)
        except UserError as error:
            self.note.setText(str(error))
            return
        self._end()
        self._use(keys)
        line = next(k for k in keys if k.name == name)
        self.note.setText(f"{line.label} does this now: {self._plain(line)}.")

    def use_usual(self) -> None:
        """Go back to the keys as they come."""
        self._end()
        self._use(KEYS)
        self.note.setText("Every act has its first key again.")

    def _use(self, keys: tuple[Key, ...]) -> None:
        self._actions.use(keys)
        settings = Settings.load()
        settings.keys = changes_of(keys)
        settings.save()
        self._desk.tool_changed.emit(self._desk.hand.tool)  # tooltips name keys
        self.refresh()

    def _end(self) -> None:
        self._waiting = ""
        self.list.setEnabled(True)

    def event(self, event: QEvent) -> bool:
        """Take the key that is waited for before anything else does."""
        if self._waiting and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take a new key, or close the sheet."""
        if not self._waiting:
            super().keyPressEvent(event)
            return
        event.accept()
        combo = combo_of(event)
        if combo == "Escape":
            self._end()
            self.note.setText("The key stays as it was.")
        elif combo:
            self.give(self._waiting, combo)
