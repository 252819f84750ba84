"""The acts of the desk: what keys, buttons and the mouse do to atoms, elements and regions.

Each is one edit of the session, so that it can be undone; what goes wrong is said in a sentence.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import EmitLoopError, Signal

from napari_apgan.atoms import positions
from napari_apgan.doubts import doubtful, without_doubt
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.project import Batch, Session, compose
from napari_apgan.regions import Region, RegionKind

from .atoms_layer import AtomsView, Key, one_row
from .mouse import XY
from .placement import world_per_px

if TYPE_CHECKING:
    from .hand import Hand
    from .scene import Scene

#: Origins of labels that the program found and nobody has changed yet.
_FOUND = ("predicted", "detected")


class Acts:
    """What can be done; the desk adds the wiring."""

    said = Signal(str)
    failed = Signal(str, str)
    tool_changed = Signal(str)

    viewer: Any
    session: Session
    scene: Scene
    atoms: AtomsView
    hand: Hand

    @property
    def elements(self) -> list[Element]:
        """The elements of the project."""
        project = self.session.project
        return project.elements if project is not None else []

    def frame(self) -> Frame | None:
        """Return the current frame's pixels."""
        raise NotImplementedError

    # --- saying ------------------------------------------------------------------------------

    def say(self, sentence: str) -> None:
        """Say something in the message area."""
        self.said.emit(sentence)

    def guarded(self, deed: Callable[[], Any]) -> bool:
        """Do something; what goes wrong becomes a sentence. True when it went well."""
        try:
            deed()
        except Exception as error:  # a fault of ours must not take the user's work along
            # psygnal wraps what a listener raised in an error of its own.
            cause = error.__cause__ if isinstance(error, EmitLoopError) else error
            if isinstance(cause, UserError):
                self.failed.emit(str(cause), "")
            else:
                self.failed.emit(
                    f"That did not work ({type(cause).__name__}: {cause}). Nothing was lost.",
                    traceback.format_exc(),
                )
        else:
            return True
        return False

    # --- acts ----------------------------------------------------------------------------------

    def move(self, target: Mapping[Key, XY]) -> None:
        """Move atoms; what the program found becomes a corrected label."""
        labels = {k[1]: xy for k, xy in target.items() if k[0] == "label"}

        def deed() -> None:
            if labels:
                self.session.change_atoms(
                    list(labels),
                    x_px=[xy[0] for xy in labels.values()],
                    y_px=[xy[1] for xy in labels.values()],
                    **self._corrected(list(labels)),
                )
            for key, (x, y) in target.items():
                if key[0] == "predicted":
                    self._correct(key, x_px=x, y_px=y)

        self.guarded(deed)

    def remove(self, keys: list[Key]) -> None:
        """Remove labels, and hide predicted atoms."""
        labels = [k[1] for k in keys if k[0] == "label"]
        predicted = [k for k in keys if k[0] == "predicted"]

        def deed() -> None:
            if labels:
                self.session.remove_atoms(labels)
            handler = self.hand.on_predicted_edit
            left = [k for k in predicted if handler is None or not handler(k, None)]
            if left:
                self.atoms.reject([k[1] for k in left])

        self.guarded(deed)

    def change_element(self, keys: list[Key], name: str) -> None:
        """Give atoms another element; what the program found becomes a corrected label."""
        table = self.atoms.labels
        # Saying again what a doubtful atom is ends the doubt.
        wrong = (table["element"] != name).to_numpy() | doubtful(table)
        other = set(table["id"][wrong].tolist())
        labels = [k[1] for k in keys if k[0] == "label" and k[1] in other]

        def deed() -> None:
            if labels:
                self.session.change_atoms(
                    labels, element=name, **self._corrected(labels), **self.settled(labels)
                )
            for key in keys:
                if key[0] == "predicted":
                    self._correct(key, element=name)

        self.guarded(deed)

    def _corrected(self, ids: list[int]) -> dict[str, list[str]]:
        """Return the origin column of labels that a hand changes; nothing when it stays.

        A label that was taken over as the program found it is the user's once it was changed.
        """
        table = self.session.atoms()
        origins = dict(zip(table["id"].tolist(), table["origin"].tolist(), strict=True))
        before = [origins.get(i, "human") for i in ids]
        after = ["corrected" if o in _FOUND else o for o in before]
        return {"origin": after} if after != before else {}

    def settled(self, ids: list[int]) -> dict[str, list[str]]:
        """Return the flags of labels without a doubt about their element; nothing when they stay.

        Parameters
        ----------
        ids : list of int
        """
        table = self.session.atoms()
        flags = dict(zip(table["id"].tolist(), table["flag"].tolist(), strict=True))
        before = [flags.get(i, "") for i in ids]
        after = [without_doubt(flag) for flag in before]
        return {"flag": after} if after != before else {}

    def _correct(self, key: Key, **columns: Any) -> None:
        """Turn a predicted atom into a label with some columns changed."""
        handler = self.hand.on_predicted_edit
        if handler is not None and handler(key, columns):
            return
        row = self.atoms.row(key).to_dict()
        ids = self.session.add_atoms(one_row({**row, **columns, "origin": "corrected"}))
        self.atoms.reject([key[1]])
        self.atoms.select([("label", i) for i in ids])

    def press_digit(self, number: int) -> None:
        """Change the selected atoms to the element of a digit, or make it the current one."""
        elements = self.elements
        if number > len(elements):
            self.say(f"There is no element {number} yet: press + in the Label tab to add one.")
            return
        self.choose_element(elements[number - 1].name)

    def choose_element(self, name: str) -> None:
        """Change the selected atoms to an element; without any, make it the current one."""
        selected = self.atoms.selected
        if selected:
            self.change_element(list(selected), name)
            return
        self.guarded(lambda: setattr(self.session, "element", name))

    def delete_selected(self) -> None:
        """Remove the selected atoms."""
        selected = list(self.atoms.selected)
        if selected:
            self.atoms.select([])
            self.remove(selected)
        else:
            self.say("Nothing is selected: click an atom first.")

    def select_all(self) -> None:
        """Select every label of the frame."""
        self.atoms.select([k for k in self.atoms.keys if k[0] == "label"])

    def clear(self) -> None:
        """Leave the tool in the hand, else clear the selection."""
        if self.hand.tool != "atoms":
            self.hand.set_tool("atoms")
        else:
            self.atoms.select([])

    def undo(self) -> None:
        """Take the last edit back."""
        if what := self._step_history(self.session.undo, "undo_title", "Undone", "undo"):
            self.hand.taken_back(what)

    def redo(self) -> None:
        """Make the last undone edit again."""
        if what := self._step_history(self.session.redo, "redo_title", "Redone", "redo"):
            self.hand.added_again(what)

    def _step_history(self, step: Callable[[], bool], title: str, said: str, verb: str) -> str:
        """Go one edit back or forth; return what it was, empty where there was none."""
        project = self.session.project
        what = getattr(project, title) if project is not None else ""

        def deed() -> None:
            done = step()
            self.say(f"{said}: {what}." if done else f"There is nothing to {verb}.")

        return what if self.guarded(deed) else ""

    def nudge(self, dx: float, dy: float) -> None:
        """Move the selected atoms by so many px; without any, Left and Right change the frame."""
        selected = list(self.atoms.selected)
        if selected:
            at = self.atoms.positions(selected)
            self.move({k: (x + dx, y + dy) for k, (x, y) in zip(selected, at, strict=True)})
        elif dx:
            self._step_frame(1 if dx > 0 else -1)

    def _step_frame(self, step: int) -> None:
        project, session = self.session.project, self.session
        if project is None or not session.source_id:
            return
        wanted = session.frame_index + step
        if 0 <= wanted < project.record(session.source_id).n_frames:
            self.guarded(lambda: session.go_to(session.source_id, wanted))

    def toggle_tool(self, tool: str) -> None:
        """Take a tool into the hand, or put it down."""
        if self.scene.image_layer is None:
            self.say("Open an image first.")
            return
        self.scene.activate_home()
        self.hand.set_tool("atoms" if self.hand.tool == tool else tool)

    # --- elements ------------------------------------------------------------------------------

    def add_element(self, element: Element) -> None:
        """Add an element and make it the current one."""

        def deed() -> None:
            self.session.ensure_project().set_elements([*self.elements, element])
            self.session.element = element.name

        self.guarded(deed)

    def replace_element(self, before: str, element: Element) -> None:
        """Give an element another colour, polarity or name; its atoms follow."""

        def deed() -> None:
            current = self.session.element
            elements = [element if e.name == before else e for e in self.elements]
            moves = {before: element.name} if before != element.name else {}
            self.session.ensure_project().set_elements(elements, moves=moves)
            if current == before:
                self.session.element = element.name

        self.guarded(deed)

    def remove_element(self, name: str) -> None:
        """Remove an element that has no atoms."""
        self.guarded(
            lambda: self.session.ensure_project().set_elements(
                [e for e in self.elements if e.name != name]
            )
        )

    # --- regions -------------------------------------------------------------------------------

    def add_region(self, region: Region) -> None:
        """Add a region; a complete one puts its frame into the training set, in the same edit."""
        project = self.session.ensure_project()
        here = (self.session.source_id, self.session.frame_index)
        added = compose.added_region(project, *here, region)
        pairs = None
        if region.kind == "complete":
            pairs = compose.joined_pairs(project, [here], project.next_round)
        together = Batch(name="mark an area complete", edits=(added, pairs)) if pairs else added
        self.session.apply(together)

    def paint(self, kind: RegionKind | None, path: Sequence[XY], radius_px: float) -> None:
        """Paint an area, or rub painted areas out with None; one stroke is one edit."""
        from napari_apgan.label.areas import paint  # not while the window opens

        project, here = self.session.ensure_project(), self.session.source_id
        before = self.session.regions()
        record = project.record(here)
        after = paint(before, kind, path, radius_px, record.shape, free_id=record.next_region_id)
        if after == before:
            return
        self.session.set_regions(after)
        inside = sum(
            int(r.contains(positions(self.session.atoms())).sum())
            for r in after
            if r.kind == kind == "vacuum" and r not in before
        )
        if inside:
            self.say(
                f"{inside} label{'s' * (inside != 1)} stand{'s' * (inside == 1)} in the vacuum: "
                "erase them, or hold Shift and rub the area out there."
            )

    def hold_out(self, region_id: int, held_out: bool) -> None:
        """Keep a region for checking the model, or train on it again."""
        self.guarded(
            lambda: self.session.set_regions(
                [
                    r.model_copy(update={"held_out": held_out}) if r.id == region_id else r
                    for r in self.session.regions()
                ]
            )
        )

    def delete_region(self, region_id: int) -> None:
        """Delete a region; its atoms stay."""
        self.guarded(
            lambda: self.session.set_regions(
                [r for r in self.session.regions() if r.id != region_id]
            )
        )

    def show_region(self, region_id: int) -> None:
        """Move the camera to a region."""
        region = next((r for r in self.session.regions() if r.id == region_id), None)
        if region is not None:
            corners = np.asarray(region.polygon)
            self.look_at(*corners.mean(axis=0), extent_px=float(np.ptp(corners, axis=0).max()))

    def look_at(self, x: float, y: float, extent_px: float | None = None) -> None:
        """Move the camera to a position in px; with an extent, zoom so that it fits."""
        layer = self.scene.image_layer
        if layer is None:
            return
        middle = layer.data_to_world((*(0.0,) * (layer.ndim - 2), y, x))
        camera = self.viewer.scene.camera
        camera.center = (0.0, *middle[-2:])
        if extent_px:
            world = extent_px * max(world_per_px(layer))
            camera.zoom = 0.7 * min(self.canvas_size()) / world

    def canvas_size(self) -> tuple[int, int]:
        """Height and width of the canvas in screen px."""
        raise NotImplementedError

    def toggle_region_tool(self) -> None:
        """Take the box into the hand, or put it down."""
        self.toggle_tool("box")

    def hold(self, held: bool) -> None:
        """Let the mouse pan whatever lies below it, while the space bar is held."""
        self.hand.panning = held
