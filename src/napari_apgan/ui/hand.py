"""What the mouse does to atoms and regions: the acts behind clicks and drags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_apgan.atoms import make_atoms
from napari_apgan.elements import Element, find_element
from napari_apgan.errors import UserError
from napari_apgan.regions import Region, RegionKind

from .atoms_layer import Key
from .motif import Motif
from .mouse import XY
from .regions_layer import color_of_kind, count_inside
from .strokes import Strokes

if TYPE_CHECKING:
    from .desk import Desk


#: The kinds of areas that are painted, in the order of the brush's menu.
BRUSHES: tuple[RegionKind, ...] = ("vacuum", "amorphous", "contamination", "ignore")
#: What an edit that adds one atom is called.
ONE_ADDED = "add 1 atom"

#: What a borrowed tool draws.
_BORROWED = "#FFFFFF"


@dataclass(frozen=True, slots=True)
class Loan:
    """What is done with the next places that are clicked or drawn, in place of the usual.

    Parameters
    ----------
    taken : callable
        Called with the place that was clicked, or the corners of what was drawn, x, y in px.
    left : callable
        Called when the tool is put down without that: by Escape, or for another tool.
    finished : callable, optional
        Called by Enter.
    """

    taken: Callable[[list[XY]], None]
    left: Callable[[], None]
    finished: Callable[[], None] | None = None


class Hand:
    """Carries out what :class:`~napari_apgan.ui.mouse.Mouse` reads.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.tool = "atoms"
        self.panning = False
        self.snapping = True
        self.region_kind: RegionKind = "complete"
        #: What the brush paints, and its radius in screen px.
        self.brush_kind: RegionKind = "vacuum"
        self.brush_size = 24.0
        self.strokes = Strokes(desk)
        self.motif = Motif()
        self._corners: list[XY] = []
        self._loan: Loan | None = None
        #: Called with (key, columns or None) when a predicted atom is changed or deleted; returns
        #: True when it took care of it.
        self.on_predicted_edit: Callable[[Key, dict[str, Any] | None], bool] | None = None

    # --- tools -----------------------------------------------------------------------------

    def set_tool(self, tool: str) -> None:
        """Take a tool into the hand: "atoms", "lasso", "erase", "brush", "box" or "polygon"."""
        loan, self._loan = self._loan, None
        self.tool = tool
        self._corners = []
        self.strokes.drop()
        self.strokes.prepare(tool)
        self._desk.marks.hide_spot()
        self._desk.tool_changed.emit(tool)
        if loan is not None:
            loan.left()

    def lend(self, tool: str, loan: Loan) -> None:
        """Give what is clicked or drawn next to somebody else; no atom or region is made of it.

        Parameters
        ----------
        tool : {"point", "box", "polygon"}
            "point" gives one click after another, until another tool is set; the others give the
            corners once.
        loan : Loan
        """
        self.set_tool(tool)
        self._loan = loan
        self._desk.tool_changed.emit("lent")

    def point_click(self, xy: XY) -> None:
        """Hand a click on."""
        if self._loan is not None:
            self._loan.taken([self._desk.clamped(xy)])

    # --- clicks and drags on atoms -----------------------------------------------------------

    def pick(self, xy: XY, reach_px: float) -> Key | None:
        """Return the atom under the pointer."""
        return self._desk.atoms.near(*xy, reach_px)

    def click_atom(self, key: Key, add: bool) -> None:
        """Select an atom, or with Shift add it to the selection or take it out."""
        selected = self._desk.atoms.selected
        if not add:
            self._desk.atoms.select([key])
        elif key in selected:
            self._desk.atoms.select([k for k in selected if k != key])
        else:
            self._desk.atoms.select([*selected, key])

    def click_empty(self, xy: XY) -> None:
        """Add an atom of the current element where the click snaps to."""
        desk = self._desk
        element = desk.current_element()
        if element is None:
            desk.say("Choose an element first: press + in the Label tab.")
            return
        x, y, found = desk.snapped(xy, element)
        if not desk.inside_image(x, y):
            return
        table = make_atoms([(x, y)], element.name, origin="human")
        if desk.guarded(lambda: desk.session.add_atoms(table)):
            if self.snapping and not found:
                desk.say("Nothing to snap to there: the atom is where you clicked.")
            self._go_on(1)
        desk.atoms.select([])

    def _go_on(self, step: int) -> None:
        """Make the next element of the motif the current one, in sequence."""
        session = self._desk.session
        following = self.motif.after(session.element, self._names(), step)
        if following and following != session.element:
            session.element = following

    def _names(self) -> list[str]:
        return [e.name for e in self._desk.elements]

    def set_sequence(self, on: bool) -> None:
        """Let each click add the next element of the motif, or the same one again."""
        self.motif.on = on
        self.set_tool("atoms")

    def set_motif(self, text: str) -> None:
        """Choose the elements that clicks add in turn: ``Pb Ti O``; empty for all of them."""
        self._desk.guarded(lambda: self.motif.choose(text, self._names()))
        self._desk.tool_changed.emit(self.tool)

    def take_brush(self, kind: RegionKind) -> None:
        """Take the brush of one kind of area into the hand."""
        self.brush_kind = kind
        self.set_tool("brush")

    def next_brush(self) -> None:
        """Take the brush of the next kind of area."""
        here = BRUSHES.index(self.brush_kind) if self.tool == "brush" else -1
        self.take_brush(BRUSHES[(here + 1) % len(BRUSHES)])

    def resize_brush(self, factor: float) -> None:
        """Make the brush larger or smaller."""
        self.brush_size = min(max(self.brush_size * factor, 3.0), 300.0)
        self._desk.hover(self._desk.hover_at)

    def taken_back(self, title: str) -> None:
        """Go back in the motif when the atom just added is taken back."""
        if title == ONE_ADDED:
            self._go_on(-1)

    def added_again(self, title: str) -> None:
        """Go on in the motif when an atom is added again."""
        if title == ONE_ADDED:
            self._go_on(1)

    def select_nothing(self) -> None:
        """Clear the selection."""
        self._desk.atoms.select([])

    def drag_atom(self, key: Key, xy: XY, done: bool) -> None:
        """Move an atom, and the others that are selected with it."""
        desk = self._desk
        selected = desk.atoms.selected
        moving = selected if key in selected and len(selected) > 1 else [key]
        x0, y0 = desk.atoms.position(key)
        dx, dy = xy[0] - x0, xy[1] - y0
        at = {k: desk.atoms.position(k) for k in moving}
        if not done:
            desk.marks.show_ghosts([(x + dx, y + dy) for x, y in at.values()])
            desk.point_at(xy)
            return
        desk.marks.show_ghosts([])
        target = {k: (x + dx, y + dy) for k, (x, y) in at.items()}
        if len(moving) == 1:
            row = desk.atoms.row(key)
            element = find_element(desk.elements, str(row["element"]))
            x, y, _ = desk.snapped(xy, element)
            target = {key: (x, y)}
        desk.move(target)

    def select_box(self, corner: XY, xy: XY, done: bool) -> None:
        """Select the atoms inside a box."""
        desk = self._desk
        if not done:
            desk.regions.show_draft(_box(corner, xy))
            return
        desk.regions.show_draft(None)
        desk.atoms.select(desk.atoms.inside(*corner, *xy))

    # --- regions ---------------------------------------------------------------------------

    def _region(self, corners: list[XY]) -> Region:
        return Region(id=0, kind=self.region_kind, polygon=tuple(corners))

    def _draft(self, corners: list[XY]) -> None:
        desk = self._desk
        if self._loan is not None:
            desk.regions.show_draft(corners, "", _BORROWED)
            return
        color = color_of_kind(self.region_kind)
        caption = ""
        if len(corners) >= 3 and self.region_kind == "complete":
            caption = count_inside(self._region(corners), desk.atoms.labels)
        desk.regions.show_draft(corners, caption, color)

    def drag_box(self, corner: XY, xy: XY, done: bool) -> None:
        """Draw a box; the region is made when the button goes up."""
        corners = [self._desk.clamped(c) for c in _box(corner, xy)]
        if not done:
            self._draft(corners)
            return
        self._finish(corners)

    def polygon_click(self, xy: XY) -> None:
        """Add a corner to the polygon."""
        corner = self._desk.clamped(xy)
        if not self._corners or corner != self._corners[-1]:
            self._corners.append(corner)
        self._draft(self._corners)

    def finish_polygon(self) -> None:
        """Close the polygon, or finish what the hand was lent for."""
        if self._loan is not None and self._loan.finished is not None:
            self._loan.finished()
            return
        if self.tool != "polygon" or not self._corners:
            return
        if len(self._corners) < 3:
            self._desk.say("A region needs at least three corners: click one more.")
            return
        self._finish(self._corners)

    def _finish(self, corners: list[XY]) -> None:
        xs, ys = [c[0] for c in corners], [c[1] for c in corners]
        loan, self._loan = self._loan, None
        self.set_tool("atoms")
        if max(xs) - min(xs) < 2 or max(ys) - min(ys) < 2:
            self._desk.say("That region was too small to hold anything.")
            if loan is not None:
                loan.left()
            return
        if loan is not None:
            self._desk.guarded(lambda: loan.taken(corners))
            return
        self._desk.guarded(lambda: self._desk.add_region(self._region(corners)))

    # --- moving without a button ---------------------------------------------------------------

    def hover(self, xy: XY | None) -> None:
        """Show where a click would go, or what the atom under the pointer is."""
        self._desk.hover(xy)


def _box(a: XY, b: XY) -> list[XY]:
    return [a, (b[0], a[1]), b, (a[0], b[1])]


def snap_or_stay(
    frame: Any, xy: XY, element: Element, *, snapping: bool
) -> tuple[float, float, bool]:
    """Return where a click goes: the column's centre and True, or the click itself and False."""
    if not snapping or frame is None:
        return (*xy, False)
    from napari_apgan.label import snap

    try:
        got = snap(frame, *xy, polarity=element.polarity)
    except UserError:
        return (*xy, False)
    return (got.x, got.y, True) if got.found else (*xy, False)
