"""The keys of the canvas, as one table: what is pressed, what it does, what it takes from napari.

napari's own bindings on a layer class win over those on the viewer, so the table is bound on every
layer instance that the workbench owns or adopts. Actions are looked up by name when a key is
pressed: tabs register what theirs do, and a key whose action nobody registered is left to napari.
The user may give an act another key, which the settings file keeps under the name of the act.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakSet

from app_model.types import KeyBinding
from napari.utils.key_bindings import coerce_keybinding

from napari_apgan.errors import UserError

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
    second : bool
        Whether the act has another key above this one.
    """

    combo: str
    action: str
    title: str
    group: str
    shadows: str = ""
    second: bool = False

    @property
    def name(self) -> str:
        """What the settings file calls this line of the table."""
        return f"{self.action}_second" if self.second else self.action

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
    Key("Backspace", "delete", "Remove the selected atoms", "Atoms", "delete points", second=True),
    Key("Left", "nudge_left", "Nudge the selected atoms by 0.1 px", "Atoms", "previous frame"),
    Key("Right", "nudge_right", "Nudge the selected atoms by 0.1 px", "Atoms", "next frame"),
    Key("Up", "nudge_up", "Nudge the selected atoms by 0.1 px", "Atoms"),
    Key("Down", "nudge_down", "Nudge the selected atoms by 0.1 px", "Atoms"),
    Key("Shift-Left", "push_left", "Nudge the selected atoms by 1 px", "Atoms"),
    Key("Shift-Right", "push_right", "Nudge the selected atoms by 1 px", "Atoms"),
    Key("Shift-Up", "push_up", "Nudge the selected atoms by 1 px", "Atoms"),
    Key("Shift-Down", "push_down", "Nudge the selected atoms by 1 px", "Atoms"),
    Key("Escape", "clear", "Clear the selection, leave a tool", "Atoms"),
    Key("Control-Z", "undo", "Undo", "Atoms"),
    Key("Control-Shift-Z", "redo", "Redo", "Atoms"),
    Key("Control-Y", "redo", "Redo", "Atoms", "3-D view", second=True),
    Key("Control-A", "select_all", "Select every label of the frame", "Atoms"),
    Key("S", "sequence", "Each click adds the next element of the motif", "Hand", "select mode"),
    Key("L", "lasso", "Select atoms by drawing around them", "Hand"),
    Key("E", "erase", "Erase atoms: click them or drag over them", "Hand"),
    Key("B", "brush", "Paint areas: vacuum, amorphous, contamination, ignored", "Hand"),
    Key("Shift-B", "next_brush", "The brush of the next kind of area", "Hand"),
    Key("[", "brush_smaller", "A smaller brush", "Hand"),
    Key("]", "brush_larger", "A larger brush", "Hand"),
    Key("Control-Right", "carry", "Copy the labels to the next frame, drift and all", "Hand"),
    Key("R", "region", "Draw a region: drag a box", "Regions"),
    Key("Enter", "finish_polygon", "Close the polygon, take the suggested box", "Regions"),
    Key("G", "lens", "Show or hide the magnifying glass", "Views"),
    Key("M", "output_map", "Show or hide the output map", "Views"),
    Key("F", "clean_view", "Show or hide the clean view", "Views", "move a shape to the front"),
    Key("O", "overlay", "Show or hide the probability overlay", "Views"),
    Key("T", "train", "Start or stop the training", "Loop"),
    Key("N", "next_frame", "Next frame or region to review", "Loop"),
    Key(
        "A",
        "accept",
        "Accept what is proposed: predicted atoms, a fix",
        "Loop",
        "select all points",
    ),
    Key("Space", "next_atom", "Tap: next atom to check; hold: pan", "Loop"),
    Key("Shift-Space", "previous_atom", "Previous atom to check", "Loop"),
    Key("I", "ignore_suspect", "Leave the doubtful label that is ringed for good", "Loop"),
    Key("Control-Enter", "send_to_training", "Send the region to the training set", "Loop"),
    Key("F1", "help", "This sheet (also ?)", "Help"),
)


#: Keys that never reach the canvas, or that the workbench needs itself.
_RESERVED = {"Tab": "moves between the fields of a window", "?": "opens this sheet"}


def binding(combo: str) -> KeyBinding:
    """Read a combination; two that mean the same are equal.

    Raises
    ------
    UserError
        When napari knows no such key.
    """
    try:
        read = coerce_keybinding(combo)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{combo} is no key that the canvas can take: press another one."
        ) from error
    if not str(read) or str(read).endswith("+"):  # app-model reads what it does not know as nothing
        raise UserError(f"{combo} is no key that the canvas can take: press another one.")
    return read


def rebound(keys: Sequence[Key], name: str, combo: str) -> tuple[Key, ...]:
    """Return the table with another key on one of its lines.

    Raises
    ------
    UserError
        When the key is taken or cannot be bound.
    """
    wanted = binding(combo)
    if combo in _RESERVED:
        raise UserError(f"{combo} {_RESERVED[combo]}: press another key.")
    for key in keys:
        if key.name != name and binding(key.combo) == wanted:
            raise UserError(
                f"{key.label} is taken: {key.title[0].lower()}{key.title[1:]}. Give that act "
                "another key first."
            )
    return tuple(replace(k, combo=combo) if k.name == name else k for k in keys)


def chosen_keys(changes: Mapping[str, str]) -> tuple[Key, ...]:
    """Return the table with the user's changes, by name; those that do not fit are left out."""
    keys = KEYS
    # Two acts may have exchanged their keys: every changed line is taken off first.
    kept = tuple(k for k in keys if k.name not in changes)
    for name, combo in changes.items():
        line = next((k for k in keys if k.name == name), None)
        if line is None:
            continue
        try:
            rebound([*kept, line], name, combo)
        except UserError:
            combo = line.combo
        kept = (*kept, replace(line, combo=combo))
    order = {k.name: i for i, k in enumerate(keys)}
    return tuple(sorted(kept, key=lambda k: order[k.name]))


def changes_of(keys: Sequence[Key]) -> dict[str, str]:
    """Return which lines have another key than usual, as the settings file holds it."""
    usual = {k.name: k.combo for k in KEYS}
    return {k.name: k.combo for k in keys if usual[k.name] != k.combo}


@dataclass(frozen=True, slots=True)
class Preference:
    """A deed that goes before the usual one for a while.

    Parameters
    ----------
    deed : callable
    words : str
        What it does, for the sheet.
    when : callable
        Whether it goes before now.
    """

    deed: Callable[[], Any]
    words: str
    when: Callable[[], bool]


@dataclass
class Actions:
    """Deeds by name; the keys, the buttons and the tests all go through it."""

    deeds: dict[str, Callable[[], Any]] = field(default_factory=dict)
    #: What an act would do now, in words, where that depends on something; empty for nothing.
    words: dict[str, Callable[[], str]] = field(default_factory=dict)
    #: Called before and after a held Space, to make the mouse pan whatever is below it.
    hold: Callable[[bool], None] | None = None
    #: The table in force.
    keys: tuple[Key, ...] = KEYS
    _bound: WeakSet[Any] = field(default_factory=WeakSet)
    _preferred: dict[str, list[Preference]] = field(default_factory=dict)

    def register(
        self, name: str, deed: Callable[[], Any], words: Callable[[], str] | None = None
    ) -> None:
        """Name a deed, and say what it would do now; an earlier one of that name is replaced."""
        self.deeds[name] = deed
        self.words.pop(name, None)
        if words is not None:
            self.words[name] = words

    def prefer(
        self, name: str, deed: Callable[[], Any], words: str, when: Callable[[], bool]
    ) -> None:
        """Let a deed go before the registered one, whenever `when` says so.

        Lists that are walked with Space share it so: the one that is being walked answers, of
        several the latest. It holds also for what is registered later.
        """
        if name not in self.deeds:
            self.register(name, lambda: None, lambda: "")
        self._preferred.setdefault(name, []).insert(0, Preference(deed, words, when))

    def lead(self, when: Callable[[], bool]) -> None:
        """Let the deeds preferred under this very condition go before the other preferred ones.

        A list calls it when it has something new to walk through.
        """
        for preferred in self._preferred.values():
            preferred.sort(key=lambda p: p.when is not when)

    def _now(self, name: str) -> Preference | None:
        return next((p for p in self._preferred.get(name, ()) if p.when()), None)

    def run(self, name: str) -> bool:
        """Do it; False when nobody registered the name."""
        preferred = self._now(name)
        deed = self.deeds.get(name) if preferred is None else preferred.deed
        if deed is None:
            return False
        deed()
        return True

    def meaning(self, key: Key) -> str:
        """Say what a key does now; empty when nothing."""
        preferred = self._now(key.action)
        if preferred is not None:
            return preferred.words
        if key.action not in self.deeds:
            return ""
        words = self.words.get(key.action)
        return words() if words is not None else key.title

    def label(self, action: str) -> str:
        """Return the key of an act as it is printed, for tooltips."""
        return next(k.label for k in self.keys if k.action == action)

    def use(self, keys: Sequence[Key]) -> None:
        """Put another table in force, on every layer that is bound."""
        layers = list(self._bound)
        for layer in layers:
            self.unbind(layer)
        self.keys = tuple(keys)
        for layer in layers:
            self.bind(layer)

    def bind(self, layer: Any) -> None:
        """Bind the whole table on a layer instance."""
        self._bound.add(layer)
        for key in self.keys:
            callback = self._tap_or_hold() if key.action == "next_atom" else self._press(key.action)
            layer.bind_key(key.combo, callback, overwrite=True)

    def unbind(self, layer: Any) -> None:
        """Take the table off a layer that is no longer ours."""
        self._bound.discard(layer)
        for key in self.keys:
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


#: What the mouse does, for the sheet of keys.
MOUSE: tuple[tuple[str, str], ...] = (
    ("Click", "On nothing: add an atom where the ring shows; on an atom: select it"),
    ("Drag", "An atom: move it; on nothing: pan"),
    ("Shift+click", "Add an atom to the selection, or take it out"),
    ("Shift+drag", "A box: select the atoms inside"),
    ("Drag, with the brush", "Paint the area; with Shift: rub painted areas out"),
    ("Ctrl+drag", "A lasso: select the atoms inside (Alt too, where the system leaves it)"),
)
