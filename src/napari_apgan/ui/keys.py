"""The keys of the canvas, as one table: what is pressed, what it does, what it takes from napari.

napari's own bindings on a layer class win over those on the viewer, so the table is bound on every
layer instance that the workbench owns or adopts. Actions are looked up by name when a key is
pressed: tabs register what theirs do, and a key whose action nobody registered is left to napari.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: Space held longer than this (s) is a pan and not a step to the next atom.
TAP_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Key:
    """One line of the table.

    Parameters
    ----------
    combo : str
        As napari writes it: ``Control-Shift-Z``.
    action : str
        Name under which the deed is registered.
    title : str
        What it does, for the sheet of keys.
    group : str
        Heading on the sheet.
    shadows : str
        What napari does with this key on the same layer, when we take it over.
    """

    combo: str
    action: str
    title: str
    group: str
    shadows: str = ""

    @property
    def label(self) -> str:
        """The key as it is printed on the sheet."""
        return self.combo.replace("Control", "Ctrl").replace("-", "+")


_NAPARI_MODES = {"1": "transform mode", "2": "add mode", "3": "select mode", "4": "pan mode"}

KEYS: tuple[Key, ...] = (
    *(
        Key(
            str(n),
            f"element_{n}",
            f"Element {n}: change the selected atoms, or choose what a click adds",
            "Elements",
            _NAPARI_MODES.get(str(n), ""),
        )
        for n in range(1, 10)
    ),
    Key("Delete", "delete", "Remove the selected atoms", "Atoms", "delete points"),
    Key("Backspace", "delete", "Remove the selected atoms", "Atoms", "delete points"),
    Key("Escape", "clear", "Clear the selection, leave a tool", "Atoms"),
    Key("Control-Z", "undo", "Undo", "Atoms"),
    Key("Control-Shift-Z", "redo", "Redo", "Atoms"),
    Key("Control-Y", "redo", "Redo", "Atoms"),
    Key("Control-A", "select_all", "Select every label of the frame", "Atoms"),
    Key("R", "region", "Draw a region: drag a box", "Regions"),
    Key("Enter", "finish_polygon", "Close the polygon being drawn", "Regions"),
    Key("M", "output_map", "Show or hide the output map", "Views"),
    Key("O", "overlay", "Show or hide the probability overlay", "Views"),
    Key("T", "train", "Start or stop the training", "Loop"),
    Key("N", "next_frame", "Next frame or region to review", "Loop"),
    Key("A", "accept", "Accept the predicted atoms", "Loop", "select all points"),
    Key("Space", "next_atom", "Tap: next atom to check; hold: pan", "Loop"),
    Key("Shift-Space", "previous_atom", "Previous atom to check", "Loop"),
    Key("Control-Enter", "send_to_training", "Send the region to the training set", "Loop"),
    Key("F1", "help", "This sheet (also ?)", "Help"),
)


@dataclass
class Actions:
    """Deeds by name; the keys, the buttons and the tests all go through it."""

    deeds: dict[str, Callable[[], Any]] = field(default_factory=dict)
    #: Called before and after a held Space, to make the mouse pan whatever is below it.
    hold: Callable[[bool], None] | None = None

    def register(self, name: str, deed: Callable[[], Any]) -> None:
        """Name a deed; an earlier one of that name is replaced."""
        self.deeds[name] = deed

    def run(self, name: str) -> bool:
        """Do it; False when nobody registered the name."""
        deed = self.deeds.get(name)
        if deed is None:
            return False
        deed()
        return True

    def bind(self, layer: Any) -> None:
        """Bind the whole table on a layer instance."""
        for key in KEYS:
            callback = self._tap_or_hold() if key.combo == "Space" else self._press(key.action)
            layer.bind_key(key.combo, callback, overwrite=True)

    def unbind(self, layer: Any) -> None:
        """Take the table off a layer that is no longer ours."""
        for key in KEYS:
            layer.bind_key(key.combo, None)

    def _press(self, action: str) -> Callable[[Any], None]:
        def press(layer: Any) -> None:
            self.run(action)

        return press

    def _tap_or_hold(self) -> Callable[[Any], Iterator[None]]:
        def space(layer: Any) -> Iterator[None]:
            pressed = time.monotonic()
            if self.hold is not None:
                self.hold(True)
            yield
            if self.hold is not None:
                self.hold(False)
            if time.monotonic() - pressed < TAP_SECONDS:
                self.run("next_atom")

        return space


def sheet_html() -> str:
    """Return the sheet of keys as a small HTML table, grouped, digits on one line."""
    rows: list[str] = []
    group = ""
    for key in KEYS:
        if key.combo in tuple("23456789") or key.combo in ("Backspace", "Control-Y"):
            continue
        if key.group != group:
            group = key.group
            rows.append(f"<tr><td colspan=2><br><b>{group}</b></td></tr>")
        label = "1 … 9" if key.combo == "1" else key.label
        title = key.title.replace("Element 1: change", "Change") if key.combo == "1" else key.title
        note = f" <i>(instead of napari's {key.shadows})</i>" if key.shadows else ""
        if key.combo == "1":
            note = " <i>(instead of napari's layer modes)</i>"
        rows.append(f"<tr><td><b>{label}</b>&nbsp;&nbsp;</td><td>{title}{note}</td></tr>")
    mouse = (
        ("Click", "on nothing: add an atom where the ring shows; on an atom: select it"),
        ("Drag", "an atom: move it; on nothing: pan"),
        ("Shift+drag", "a box: select the atoms inside"),
    )
    rows.append("<tr><td colspan=2><br><b>Mouse</b></td></tr>")
    rows += [f"<tr><td><b>{a}</b>&nbsp;&nbsp;</td><td>{b}</td></tr>" for a, b in mouse]
    return f"<table cellspacing=2>{''.join(rows)}</table>"
