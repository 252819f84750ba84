"""A region by one click: a box of some cells is suggested, moved by clicks, taken by Enter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.qt.threading import create_worker
from qtpy.QtWidgets import QPushButton, QSpinBox, QWidget

from napari_apgan.atoms import positions
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.regions import Region

from .hand import Loan
from .mouse import XY
from .predict_files import Place
from .regions_layer import DRAFT
from .widgets import row

if TYPE_CHECKING:
    from napari_apgan.label.suggest_region import Suggestion

    from .desk import Desk

_HELP = "Enter takes it, a click moves it, Suggest shows the next one, Escape drops it."


def look(
    frame: Frame, polarity: Polarity, labels: Any, sure: Any, unsure: Any, **where: Any
) -> Suggestion | str:
    """Find a box; a sentence when there is none. Atoms are detected where nothing is predicted.

    Parameters
    ----------
    frame : Frame
    polarity : {"bright", "dark"}
        Of the atoms to detect.
    labels, sure, unsure : (N, 2) arrays
        x, y in px of labels, and of predicted atoms.
    **where
        See :func:`napari_apgan.label.suggest_region.suggest`.
    """
    from napari_apgan.label import detect
    from napari_apgan.label.suggest_region import Seen, suggest

    from .detect_found import apart_from

    try:
        if not len(sure) and not len(unsure):
            found = positions(detect(frame, polarity=polarity, threshold=1.0))
            sure = found[apart_from(found, labels)]
        return suggest(frame, Seen(labels, sure, unsure), **where)
    except UserError as error:
        return str(error)


class RegionSuggestion(QWidget):
    """The button, how many cells the box has, and the draft on the image.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.button = QPushButton("Suggest a box")
        self.button.setToolTip(
            "Where completing the labels teaches most: atoms that a model doubts or that have no "
            f"label, away from regions that are there. {_HELP}"
        )
        self.cells = QSpinBox()
        self.cells.setRange(2, 64)
        self.cells.setValue(8)
        self.cells.setPrefix("of ")
        self.cells.setSuffix(" cells a side")
        self.cells.setToolTip(
            "A cell is what the image repeats by; where nothing repeats, as many atoms"
        )
        self.draft: Suggestion | None = None
        self._offered: list[XY] = []
        self._place: Place = ("", 0)
        self._worker: Any = None
        self._next: XY | None = None
        self._again = False
        line = row(self.button, self.cells)
        line.setStretch(1, 1)
        self.setLayout(line)
        self.button.clicked.connect(lambda _=False: self.suggest())
        self.cells.valueChanged.connect(self._resized)
        desk.session.frame_changed.connect(self._moved)
        desk.session.project_changed.connect(self._moved)

    # --- acts --------------------------------------------------------------------------------

    def suggest(self) -> None:
        """Show the best box, or with one on the image the next best."""
        if self._here() != self._place:
            self._place, self._offered = self._here(), []
        self._look(None)

    def accept(self) -> None:
        """Make the box a complete region."""
        if self.draft is None:
            return
        corners = self.draft.corners
        self.drop()
        region = Region(id=0, kind="complete", polygon=tuple(corners))
        self._desk.guarded(lambda: self._desk.add_region(region))

    def drop(self) -> None:
        """Take the draft away and give the hand back."""
        if self.draft is not None:
            self.draft = None
            self._desk.hand.set_tool("atoms")

    def _resized(self) -> None:
        if self.draft is not None:
            self._look(self.draft.centre)

    def _clicked(self, corners: list[XY]) -> None:
        self._look(corners[0])

    def _left(self) -> None:
        """Put the draft away: the tool is another one now."""
        self.draft = None
        self._desk.regions.show_draft(None)

    def _moved(self, *_: object) -> None:
        if self._here() != self._place:
            self.drop()

    def _here(self) -> Place:
        return (self._desk.session.source_id, self._desk.session.frame_index)

    # --- looking -----------------------------------------------------------------------------

    def _look(self, around: XY | None) -> None:
        """Look for a box beside the window; a wish made meanwhile comes after."""
        desk = self._desk
        if self._worker is not None:
            self._next, self._again = around, True
            return
        frame = desk.frame()
        if frame is None or desk.scene.image_layer is None:
            desk.say("Open an image first.")
            return
        self._place = self._here()
        left = desk.atoms.predicted_left()
        doubted = np.array(
            [bool(desk.atoms.reason(("predicted", int(i)))) for i in left["id"]], dtype=bool
        )
        xy = positions(left)
        element = desk.current_element()
        # A function, not a generator: those swallow RuntimeError.
        self._worker = create_worker(
            look,
            frame,
            element.polarity if element is not None else "bright",
            positions(desk.atoms.labels),
            xy[~doubted],
            xy[doubted],
            regions=tuple(desk.session.regions()),
            cells=self.cells.value(),
            around=around,
            offered=tuple(self._offered),
        )
        self._worker.returned.connect(lambda found: self._found(found, around is None))
        self._worker.errored.connect(self._failed)
        self._worker.finished.connect(self._finished)
        self._worker.start()

    def _finished(self) -> None:
        self._worker = None
        if self._again:
            self._again = False
            self._look(self._next)

    def _failed(self, error: Exception) -> None:
        self._desk.failed.emit(f"No box could be suggested ({error}): drag one.", repr(error))

    def _found(self, found: Suggestion | str, best: bool) -> None:
        desk = self._desk
        if self._place != self._here() or self._again:
            return
        if isinstance(found, str):
            desk.say(found)
            self._offered = []
            return
        if best:
            self._offered.append(found.centre)
        if self.draft is None:
            desk.hand.lend("point", Loan(self._clicked, self._left, self.accept))
            desk.scene.activate_home()
        self.draft = found
        desk.regions.show_draft(found.corners, found.sentence(), DRAFT)
        if best:
            x0, y0, x1, y1 = found.box
            desk.look_at(*found.centre, extent_px=1.3 * max(x1 - x0, y1 - y0))
        desk.say(f"{found.sentence()}. {_HELP}")
