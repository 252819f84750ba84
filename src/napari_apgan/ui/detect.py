"""Running the detection beside the window, and showing its candidates until they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.qt.threading import create_worker
from psygnal import Signal

from napari_apgan.atoms import conform, positions
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .atoms_layer import rgba
from .detect_box import DetectBox
from .detect_network import NetworkSearch

if TYPE_CHECKING:
    from .desk import Desk

LAYER_NAME = "Candidates"


def find(frame: Frame, polarity: str) -> pd.DataFrame | str:
    """Detect atoms by their contrast alone; a sentence when that cannot be done."""
    from napari_apgan.label import detect

    try:
        return detect(frame, polarity=polarity)
    except UserError as error:
        return str(error)


def apart_from(table: pd.DataFrame, taken: Any) -> pd.DataFrame:
    """Return the atoms of a table that have no label yet; `taken` are the labels' (N, 2) x, y."""
    from scipy.spatial import cKDTree

    from napari_apgan.maps import default_radius_px

    if len(table) and len(taken):
        distance = np.asarray(cKDTree(taken).query(positions(table))[0])
        table = table[distance > default_radius_px(table)]
    return table.reset_index(drop=True)


class Detection:
    """The candidates of one detection.

    The network of the package looks for them in the prediction helper; where that cannot be, they
    are found by contrast alone, in a thread, and a sentence says so.

    Parameters
    ----------
    desk : Desk
    box : DetectBox
    search : NetworkSearch
    """

    changed = Signal()

    def __init__(self, desk: Desk, box: DetectBox, search: NetworkSearch) -> None:
        self._desk, self._box, self._search = desk, box, search
        self._table: pd.DataFrame | None = None
        self._rank = np.empty(0, dtype=int)
        self._shown = np.empty(0, dtype=bool)
        self._place: tuple[str, int] = ("", 0)
        self._element = ""
        self._wanted: Element | None = None
        self._layer: Any = None
        self.worker: Any = None
        box.wanted.connect(self.run)
        box.level_changed.connect(self._thin)
        box.keep_wanted.connect(self.keep)
        box.discard_wanted.connect(self.discard)
        box.cancel_wanted.connect(self.cancel)
        search.found.connect(self._found)
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
        return int(self._shown.sum()) if self._table is not None else 0

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
        self._box.set_state("busy", cancel=True)
        try:
            self._search.start(project, self._place, element.polarity)
        except UserError as error:
            self._by_contrast(f"Found by contrast alone. {error}")
        self.changed.emit()

    def cancel(self) -> None:
        """End the search by the network; the one by contrast takes a moment only."""
        self._search.cancel()

    def _without_network(self, sentence: str, details: str) -> None:
        """Do what can be done when the helper failed."""
        if details:
            self._desk.failed.emit(sentence, details)
            sentence = "The network could not be used."
        if self._is_here():
            self._by_contrast(f"Found by contrast alone. {sentence}")
        else:
            self._box.set_state("idle")

    def _by_contrast(self, words: str) -> None:
        """Find atoms in a thread of this process; `words` say why."""
        frame, element = self._desk.frame(), self._wanted
        if frame is None or element is None:
            self._box.set_state("idle")
            return
        self._box.set_state("busy")
        # A function, not a generator: those swallow RuntimeError.
        self.worker = create_worker(find, frame, element.polarity)
        self.worker.returned.connect(lambda result: self._found(result, words))
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

    def _found(self, result: pd.DataFrame | str, words: str) -> None:
        self._box.set_state("idle")
        self._box.say("")
        self.changed.emit()
        element = self._wanted
        if element is None or not self._is_here():
            return  # the user went on to another frame
        if isinstance(result, str):
            self._box.say(result)
            return
        new = apart_from(result, positions(self._desk.atoms.labels))
        if new.empty:
            if result.empty:
                text = "Nothing was found. Bright or dark is set on the element's chip."
            else:
                text = f"Nothing new: all {len(result):,} atoms found have labels."
            self._box.say(text)
            return
        labelled = len(result) - len(new)
        self._box.say(f"{words} {labelled:,} of them have labels." if labelled else words)
        self._table, self._element = new, element.name
        strength = new["probability"].to_numpy(dtype=float)
        if not np.isfinite(strength).any():
            strength = np.abs(new["amplitude"].to_numpy(dtype=float))
        # By rank: sure atoms have probabilities near 1, which no slider could tell apart.
        self._rank = np.argsort(np.argsort(-np.nan_to_num(strength), kind="stable"))
        self._box.set_state("candidates")
        self._box.slider.setValue(0)
        self._thin(0.0)

    def _thin(self, level: float) -> None:
        """Show the surest candidates; `level` 0 shows all, 1 only one."""
        if self._table is None:
            return
        self._shown = self._rank < max(round((1.0 - level) * len(self._table)), 1)
        self._draw()
        self._box.set_count(self.candidates, len(self._table), self._element)
        self.changed.emit()

    def _draw(self) -> None:
        assert self._table is not None
        xy = positions(self._table)[self._shown]
        element = self._desk.current_element()
        color = element.color if element is not None else "#FFFFFF"
        size = 2.2 * _radius(positions(self._table))
        if self._layer is None or self._layer not in self._desk.viewer.layers:
            self._layer = self._desk.scene.place(
                "points",
                xy[:, ::-1],
                name=LAYER_NAME,
                face_color="transparent",
                border_color=rgba(color),
                border_width=0.14,
                size=size,
                symbol="disc",
                canvas_size_limits=(6, 400),
            )
        else:
            self._layer.data = xy[:, ::-1]

    def keep(self) -> None:
        """Make the shown candidates labels, as one edit."""
        if self._table is None or not self.candidates:
            return
        kept = conform(
            self._table[self._shown].assign(element=self._element, origin="detected", id=-1)
        )
        if self._desk.guarded(lambda: self._desk.session.add_atoms(kept)):
            n = len(kept)
            self.discard()
            self._desk.say(f"{n:,} atoms added as {self._element}; Ctrl+Z takes them back.")

    def discard(self) -> None:
        """Forget the candidates."""
        if self._table is None:
            return
        self._box.say("")
        self._table, self._shown = None, np.empty(0, dtype=bool)
        self._desk.scene.drop(self._layer)
        self._layer = None
        self._box.set_state("idle")
        self.changed.emit()

    def _moved(self, *_: object) -> None:
        if not self._is_here():
            self._search.cancel()  # nobody waits for it any more
        self.discard()


def _radius(xy: Any) -> float:
    from napari_apgan.maps import default_radius_px

    return default_radius_px(pd.DataFrame(xy, columns=["x_px", "y_px"]))
