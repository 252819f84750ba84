"""Running the detection beside the window, and showing its candidates until they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from napari.qt.threading import create_worker
from psygnal import Signal

from napari_apgan.atoms import conform, positions
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .atoms_layer import rgba
from .detect_box import DetectBox, Search
from .detect_found import Found, FoundSpots, FoundTable, radius_px
from .detect_network import NetworkSearch
from .timers import single_shot

if TYPE_CHECKING:
    from napari_apgan.label import Candidates

    from .desk import Desk

LAYER_NAME = "Candidates"
#: After a setting changed, the spots are looked for again this much later (ms).
_AGAIN_MS = 250


def find(frame: Frame, polarity: str, search: Search) -> Candidates | str:
    """Detect atoms by their contrast alone; a sentence when that cannot be done."""
    from napari_apgan.label import find_candidates

    try:
        return find_candidates(
            frame,
            polarity=polarity,
            spacing_px=search.spacing_px,
            rings=search.way == "rings",
            several_sizes=search.several_sizes,
        )
    except UserError as error:
        return str(error)


def spots_words(spots: Candidates, frame: Frame, *, given: bool) -> str:
    """Say what a search went by."""
    if not len(spots.xy):
        return ""
    if spots.spacing_px is None:
        return "No lattice shows: at first those that stand out from the rest."
    what = "Ring centres" if spots.rings else "Neighbours"
    scale = frame.calibration.x_pm
    length = f" ({spots.spacing_px * scale:.0f} pm)" if scale else ""
    says = "as you say" if given else "by the autocorrelation"
    return f"{what} {spots.spacing_px:.1f} px{length} apart, {says}."


class Detection:
    """The candidates of one detection.

    The network of the package looks for them in the prediction helper; where that cannot be, they
    are found by contrast alone, in a thread, and a sentence says so. Spots, and atoms between
    bright or dark rings, are always found in a thread.

    Parameters
    ----------
    desk : Desk
    box : DetectBox
    search : NetworkSearch
    """

    changed = Signal()

    def __init__(self, desk: Desk, box: DetectBox, search: NetworkSearch) -> None:
        self._desk, self._box, self._search = desk, box, search
        self._found: Found | None = None
        self._kept = 0  # of the found ones, by the slider
        self._xy: Any = None
        self._everything = 0
        self._size = 1.0
        self._place: tuple[str, int] = ("", 0)
        self._element = ""
        self._wanted: Element | None = None
        self._layer: Any = None
        self._again = single_shot(self._search_again, _AGAIN_MS)
        self.worker: Any = None
        box.wanted.connect(self.run)
        box.level_changed.connect(self._thin)
        box.keep_wanted.connect(self.keep)
        box.discard_wanted.connect(self.discard)
        box.cancel_wanted.connect(self.cancel)
        box.search_changed.connect(self._again.start)
        search.found.connect(self._network_found)
        search.failed.connect(self._without_network)
        search.cancelled.connect(self._cancelled)
        search.progressed.connect(box.set_progress)
        desk.session.frame_changed.connect(self._moved)
        desk.session.project_changed.connect(self._moved)

    @property
    def busy(self) -> bool:
        """Whether atoms are being looked for."""
        return self._search.busy or self.worker is not None

    @property
    def candidates(self) -> int:
        """How many candidates are shown."""
        return len(self._xy) if self._found is not None else 0

    @property
    def element(self) -> str:
        """What the candidates become."""
        return self._element

    @property
    def keep_words(self) -> str:
        """What keeping them does: they all become one element."""
        n = self.candidates
        return f"Keep {n:,} atom{'s' * (n != 1)}, all as {self._element}"

    def run(self) -> None:
        """Look for atoms of the current element's kind, beside the window."""
        desk, project = self._desk, self._desk.session.project
        element, frame = desk.current_element(), desk.frame()
        if element is None:
            desk.say("Choose an element first: press + Element in the Label tab.")
            return
        if frame is None or project is None or self.busy:
            return
        self.discard()
        self._wanted = element
        self._place = (desk.session.source_id, desk.session.frame_index)
        search = self._box.search
        if search.way != "network":
            self._by_contrast(search, "")
        else:
            self._box.set_state("busy", cancel=True)
            try:
                self._search.start(project, self._place, element.polarity)
            except UserError as error:
                self._by_contrast(Search(), f"Found by contrast alone. {error}")
        self.changed.emit()

    def _search_again(self) -> None:
        """Look for spots again where a setting was changed while some are shown."""
        if isinstance(self._found, FoundSpots) and self._box.search.way != "network":
            if self.busy:
                self._again.start()
            else:
                self.run()

    def cancel(self) -> None:
        """End the search by the network; the one by contrast takes a moment only."""
        self._search.cancel()

    def _without_network(self, sentence: str, details: str) -> None:
        """Do what can be done when the helper failed."""
        if details:
            self._desk.failed.emit(sentence, details)
            sentence = "The network could not be used."
        if self._is_here():
            self._by_contrast(Search(), f"Found by contrast alone. {sentence}")
        else:
            self._box.set_state("idle")

    def _by_contrast(self, search: Search, words: str) -> None:
        """Find atoms in a thread of this process; `words` say why."""
        frame, element = self._desk.frame(), self._wanted
        if frame is None or element is None:
            self._box.set_state("idle")
            return
        self._box.set_state("busy")
        # A function, not a generator: those swallow RuntimeError.
        self.worker = create_worker(find, frame, element.polarity, search)
        self.worker.returned.connect(lambda result: self._spots_found(result, frame, search, words))
        self.worker.errored.connect(self._failed)
        self.worker.finished.connect(self._finished)
        self.worker.start()

    def _finished(self) -> None:
        self.worker = None
        self.changed.emit()

    def _failed(self, error: Exception) -> None:
        self._box.set_state("idle")
        self._box.say("")
        self._desk.failed.emit(f"The detection failed ({error}): label by clicking.", repr(error))

    def _cancelled(self) -> None:
        self._box.set_state("idle")
        self._box.say("Detection cancelled; nothing was added.")
        self.changed.emit()

    def _is_here(self) -> bool:
        """Whether the user is still on the frame that was asked for."""
        session = self._desk.session
        return self._place == (session.source_id, session.frame_index)

    def _network_found(self, table: pd.DataFrame, words: str) -> None:
        if self._back():
            labels = positions(self._desk.atoms.labels)
            self._offer(FoundTable(table, labels), len(table), words)

    def _spots_found(
        self, result: Candidates | str, frame: Frame, search: Search, words: str
    ) -> None:
        if not self._back():
            return
        if isinstance(result, str):
            self._box.say(result)
            return
        words = words or spots_words(result, frame, given=search.spacing_px is not None)
        everything = len(result.atoms_px(len(result.xy)))
        self._offer(FoundSpots(result, positions(self._desk.atoms.labels)), everything, words)

    def _back(self) -> bool:
        """End the waiting; False when the user went on to another frame."""
        self._box.set_state("idle")
        self._box.say("")
        self.changed.emit()
        return self._wanted is not None and self._is_here()

    def _offer(self, found: Found, everything: int, words: str) -> None:
        """Show what was found and has no label yet; `everything` counts the others too."""
        assert self._wanted is not None
        xy = found.atoms_px(found.total)
        if not len(xy):
            if everything:
                self._box.say(f"Nothing new: all {everything:,} atoms found have labels.")
            else:
                self._box.say("Nothing was found. Bright or dark is set on the element's chip.")
            return
        labelled = everything - len(xy)
        self._box.say(f"{words} {labelled:,} of them have labels." if labelled else words)
        self._found, self._element, self._everything = found, self._wanted.name, len(xy)
        self._size = 2.2 * radius_px(xy)
        self._box.set_state("candidates")
        level = 1.0 - found.first / found.total
        self._box.set_level(level)
        self._thin(level)

    def _thin(self, level: float) -> None:
        """Show the surest candidates; `level` 0 shows all, 1 only one."""
        if self._found is None:
            return
        self._kept = max(round((1.0 - level) * self._found.total), 1)
        self._xy = self._found.atoms_px(self._kept)
        self._draw()
        self._box.set_count(self.candidates, self._everything, self._element)
        self.changed.emit()

    def _draw(self) -> None:
        element = self._desk.current_element()
        color = element.color if element is not None else "#FFFFFF"
        if self._layer is None or self._layer not in self._desk.viewer.layers:
            self._layer = self._desk.scene.place(
                "points",
                self._xy[:, ::-1],
                name=LAYER_NAME,
                face_color="transparent",
                border_color=rgba(color),
                border_width=0.14,
                size=self._size,
                symbol="disc",
                canvas_size_limits=(6, 400),
            )
        else:
            with self._layer._block_refresh():  # else napari draws all of them twice
                self._layer.data = self._xy[:, ::-1]
            self._layer.refresh(thumbnail=False)

    def keep(self) -> None:
        """Make the shown candidates labels, as one edit."""
        if self._found is None or not self.candidates:
            return
        table = self._found.table(self._kept)
        kept = conform(table.assign(element=self._element, origin="detected", id=-1))
        if self._desk.guarded(lambda: self._desk.session.add_atoms(kept)):
            n = len(kept)
            self.discard()
            self._desk.say(f"{n:,} atoms added as {self._element}; Ctrl+Z takes them back.")

    def discard(self) -> None:
        """Forget the candidates."""
        if self._found is None:
            return
        self._box.say("")
        self._found, self._xy = None, None
        self._desk.scene.drop(self._layer)
        self._layer = None
        self._box.set_state("idle")
        self.changed.emit()

    def _moved(self, *_: object) -> None:
        if not self._is_here():
            self._search.cancel()  # nobody waits for it any more
        self.discard()
