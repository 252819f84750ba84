"""What the keys of the canvas do on the desk, and what each would do now in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_apgan.settings import Settings

from .keys import chosen_keys

if TYPE_CHECKING:
    from .desk import Desk

#: Steps of a nudge in px.
NUDGE, PUSH = 0.1, 1.0
_WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def register_actions(desk: Desk) -> None:
    """Name the deeds of the desk, under the keys that the user chose."""
    actions, say = desk.actions, Words(desk)
    actions.keys = chosen_keys(Settings.load().keys)
    actions.hold = desk.hold
    for number in range(1, 10):
        actions.register(
            f"element_{number}",
            lambda n=number: desk.press_digit(n),
            lambda n=number: say.digit(n),
        )
    for way, (dx, dy) in _WAYS.items():
        for name, step in (("nudge", NUDGE), ("push", PUSH)):
            actions.register(
                f"{name}_{way}",
                lambda x=dx * step, y=dy * step: desk.nudge(x, y),
                lambda w=way, s=step, x=dx: say.nudge(w, s, frames=bool(x)),
            )
    deeds: dict[str, tuple[Callable[[], Any], Callable[[], str] | None]] = {
        "delete": (desk.delete_selected, say.delete),
        "clear": (desk.clear, say.clear),
        "undo": (desk.undo, lambda: say.step("undo_title", "Undo")),
        "redo": (desk.redo, lambda: say.step("redo_title", "Redo")),
        "select_all": (desk.select_all, None),
        "sequence": (lambda: desk.hand.set_sequence(not desk.hand.motif.on), say.sequence),
        "lasso": (lambda: desk.toggle_tool("lasso"), lambda: say.tool("lasso")),
        "erase": (lambda: desk.toggle_tool("erase"), lambda: say.tool("erase")),
        "brush": (lambda: desk.toggle_tool("brush"), lambda: say.tool("brush")),
        "next_brush": (desk.hand.next_brush, None),
        "brush_smaller": (lambda: desk.hand.resize_brush(0.8), say.brush),
        "brush_larger": (lambda: desk.hand.resize_brush(1.25), say.brush),
        "carry": (desk.carrying.run, say.carry),
        "region": (desk.toggle_region_tool, None),
        "finish_polygon": (desk.hand.finish_polygon, None),
        "output_map": (desk.toggle_output_map, None),
    }
    for name, (deed, words) in deeds.items():
        actions.register(name, deed, words)


class Words:
    """Sentences for the sheet of keys, as things stand.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def _selected(self) -> str:
        """Say how many atoms are selected; empty for none."""
        n = len(self._desk.atoms.selected)
        return "" if not n else f"the {n} selected atoms" if n > 1 else "the selected atom"

    def _title(self, action: str) -> str:
        return next(k.title for k in self._desk.actions.keys if k.action == action)

    def digit(self, number: int) -> str:
        """Say what a digit does."""
        elements = self._desk.elements
        if number > len(elements):
            return ""
        name = elements[number - 1].name
        if selected := self._selected():
            return f"{name}: make {selected} {name}"
        current = name == self._desk.session.element
        return f"{name}: a click adds it" + (" (as now)" if current else "")

    def nudge(self, way: str, step: float, *, frames: bool) -> str:
        """Say what an arrow does."""
        if selected := self._selected():
            return f"Nudge {selected} {way} by {step:g} px"
        if frames and self._n_frames() > 1:
            return "Previous frame" if way == "left" else "Next frame"
        return ""

    def _n_frames(self) -> int:
        project, source_id = self._desk.session.project, self._desk.session.source_id
        return project.record(source_id).n_frames if project is not None and source_id else 1

    def delete(self) -> str:
        """Say what Delete does."""
        selected = self._selected()
        return f"Remove {selected}" if selected else ""

    def clear(self) -> str:
        """Say what Escape does."""
        if self._desk.hand.tool != "atoms":
            return "Put the tool down"
        return "Clear the selection" if self._selected() else ""

    def step(self, title: str, verb: str) -> str:
        """Say what Undo or Redo would take back or make again."""
        project = self._desk.session.project
        what = getattr(project, title) if project is not None else ""
        return f"{verb}: {what}" if what else ""

    def sequence(self) -> str:
        """Say what the key of the sequence does."""
        hand = self._desk.hand
        if hand.motif.on:
            return "Back to quick: each click adds the same element again"
        order = hand.motif.order([e.name for e in self._desk.elements])
        return f"Label in sequence: clicks add {', '.join(order)} in turn" if order else ""

    def brush(self) -> str:
        """Say what the keys of the brush's size do."""
        hand = self._desk.hand
        return f"Size of the brush ({2 * hand.brush_size:.0f} px on the screen)" * (
            hand.tool == "brush"
        )

    def carry(self) -> str:
        """Say what is copied to the next frame."""
        if not self._desk.carrying.possible:
            return ""
        n = sum(state == "label" for state, _ in self._desk.atoms.selected)
        what = f"the {n} selected" if n else "all"
        return f"Copy {what} labels to frame {self._desk.session.frame_index + 2}"

    def tool(self, tool: str) -> str:
        """Say what the key of a tool does."""
        if tool == "brush" and self._desk.hand.tool != tool:
            return f"Paint areas: {self._desk.hand.brush_kind}"
        if self._desk.hand.tool == tool:
            return f"Put down: {self._title(tool)[0].lower()}{self._title(tool)[1:]}"
        return self._title(tool)
