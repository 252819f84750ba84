"""The labels whose element is in doubt: crossed, listed, and walked with Space."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from qtpy.QtWidgets import QWidget

from napari_apgan.atoms import positions
from napari_apgan.doubts import doubtful

from .atoms_layer import rgba
from .review_camera import bring_into_view
from .review_walk import nearest_next
from .row_list import Row, RowList
from .timers import single_shot
from .widgets import column_in, hint

if TYPE_CHECKING:
    from .workbench import Workbench

LAYER_NAME = "To check"
_CROSS = "#FFB000"
_BLINK_MS = 250
#: Longer lists end here; the walk goes through all of them.
_LISTED = 200
#: More than these are walked row by row: looking for the nearest one takes the square of them.
_MANY = 400


class DoubtList(QWidget):
    """What is left to check on this frame; the flags of the labels say it, so it outlives napari.

    Parameters
    ----------
    workbench : Workbench
    active : callable
        Whether the walk is this list's now.
    """

    def __init__(self, workbench: Workbench, active: Callable[[], bool]) -> None:
        super().__init__()
        self._workbench, self._active = workbench, active
        self.layer: Any = None
        self.ids: list[int] = []
        self._order: list[int] = []
        self._at = -1
        self.words = hint()
        self.list = RowList(most_rows=5)
        self.list.chosen.connect(self.go_to)
        layout = column_in(self)
        layout.addWidget(self.words)
        layout.addWidget(self.list)
        self._blink = single_shot(self._shown_again, _BLINK_MS, self)
        self._when = self._walks
        for action, deed, words in (
            ("accept", self.accept, "The element of this label is right"),
            ("next_atom", lambda: self.walk(1), "Next label whose element is in doubt"),
            ("previous_atom", lambda: self.walk(-1), "Previous label whose element is in doubt"),
        ):
            workbench.prefer(action, deed, words, self._when)
        self.hide()

    def _walks(self) -> bool:
        return bool(self.ids) and self._active()

    @property
    def current(self) -> int | None:
        """The doubtful label that is selected, if one is."""
        selected = self._workbench.atoms.selected
        if len(selected) == 1 and selected[0][0] == "label" and selected[0][1] in self.ids:
            return selected[0][1]
        return None

    def show_labels(self, labels: pd.DataFrame) -> None:
        """List and cross the labels whose element is in doubt."""
        table = labels[doubtful(labels)] if len(labels) else labels
        ids = [int(i) for i in table["id"]]
        grown = len(ids) > len(self.ids)
        if set(ids) - set(self._order):
            self._order, self._at = _path(ids, positions(table)), -1
        self.ids = ids
        self._list(table)
        self._draw(positions(table))
        if grown and self.layer is not None:
            self._workbench.desk.actions.lead(self._when)
            self.layer.visible = False
            self._blink.start()

    def _list(self, table: pd.DataFrame) -> None:
        n = len(self.ids)
        self.setVisible(n > 0)
        if not n:
            return
        label = self._workbench.desk.actions.label
        self.words.setText(
            f"{n:,} to check: {label('next_atom')} goes from one to the next, 1-9 say which, "
            f"{label('accept')} leaves it as it is, Delete removes."
        )
        known = dict(
            zip(
                self.ids,
                zip(table["element"].tolist(), table["confidence"].tolist(), strict=True),
                strict=True,
            )
        )
        rows = []
        for number in [i for i in self._order if i in known][:_LISTED]:
            element, sure = known[number]
            tail = f" · {100 * sure:.0f} % sure" if np.isfinite(sure) else ""
            rows.append(Row(number, f"{element} or another", tail))
        self.list.show_rows(rows)
        self.list.mark(self.current)

    def _draw(self, xy: np.ndarray) -> None:
        if not len(xy):
            self.clear()
            return
        desk = self._workbench.desk
        if self.layer is None or self.layer not in desk.viewer.layers:
            self.layer = self._workbench.place(
                "points",
                np.empty((0, 2)),
                name=LAYER_NAME,
                symbol="x",
                face_color=_CROSS,
                border_color="black",
                border_width=0.05,
                border_width_is_relative=True,
                canvas_size_limits=(6, 400),
            )
            desk.order_layers()
            desk.scene.raise_above(self.layer)
        layer = self.layer
        with layer.events.blocker_all():
            layer.data = xy[:, ::-1].copy()
            layer.face_color[:] = rgba(_CROSS)
            layer.border_color[:] = rgba("#000000")
            layer.size[:] = 2.0 * self._workbench.atoms.radius_px
        layer.refresh(thumbnail=False)

    def _shown_again(self) -> None:
        if self.layer is not None and self.layer in self._workbench.desk.viewer.layers:
            self.layer.visible = True

    # --- walking ---------------------------------------------------------------------------------

    def walk(self, step: int) -> None:
        """Go to the next (or previous) label that is still in doubt."""
        left = [n for n, i in enumerate(self._order) if i in set(self.ids)]
        if not left:
            return
        current = self.current
        at = self._order.index(current) if current is not None else self._at
        if step > 0:
            place = next((n for n in left if n > at), left[0])
        else:
            place = next((n for n in reversed(left) if n < at), left[-1])
        self.go_to(self._order[place])

    def go_to(self, number: int) -> None:
        """Select a label and bring it into view."""
        atoms = self._workbench.atoms
        self._at = self._order.index(number)
        atoms.select([("label", number)])
        if self.current is None:
            return
        bring_into_view(self._workbench, *atoms.position(("label", number)))
        self.list.mark(number)
        row = atoms.row(("label", number))
        self._workbench.desk.viewer.status = f"{row['element']}: {row['flag']}"

    def accept(self) -> None:
        """End the doubt about the selected label, and go on."""
        current = self.current
        if current is None:
            self.walk(1)
            return
        desk = self._workbench.desk
        desk.session.change_atoms([current], **desk.settled([current]))
        self.walk(1)

    def clear(self) -> None:
        """Take the crosses away."""
        self._blink.stop()
        self._workbench.drop(self.layer)
        self.layer = None


def _path(ids: list[int], xy: np.ndarray) -> list[int]:
    """Order labels so that the eye stays at one place."""
    if len(ids) > _MANY:
        return [ids[k] for k in np.lexsort((xy[:, 0], xy[:, 1]))]
    places = [(float(x), float(y)) for x, y in xy]
    rank = {place: n for n, place in enumerate(nearest_next(places))}
    return [i for _, i in sorted(zip((rank[p] for p in places), ids, strict=True))]
