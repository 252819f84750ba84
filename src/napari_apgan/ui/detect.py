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

if TYPE_CHECKING:
    from .desk import Desk

LAYER_NAME = "Candidates"


def find(frame: Frame, polarity: str, taken: Any) -> pd.DataFrame | str:
    """Detect atoms away from the labels; a sentence when that cannot be done."""
    from scipy.spatial import cKDTree

    from napari_apgan.label import detect
    from napari_apgan.maps import default_radius_px

    try:
        table = detect(frame, polarity=polarity)
    except UserError as error:
        return str(error)
    if len(table) and len(taken):
        distance = np.asarray(cKDTree(taken).query(positions(table))[0])
        table = table[distance > default_radius_px(table)]
    return table.reset_index(drop=True)


class Detection:
    """The candidates of one detection.

    Parameters
    ----------
    desk : Desk
    box : DetectBox
    """

    changed = Signal()

    def __init__(self, desk: Desk, box: DetectBox) -> None:
        self._desk, self._box = desk, box
        self._table: pd.DataFrame | None = None
        self._strength = np.empty(0)
        self._shown = np.empty(0, dtype=bool)
        self._place: tuple[str, int] = ("", 0)
        self._element = ""
        self._layer: Any = None
        self.worker: Any = None
        box.wanted.connect(self.run)
        box.level_changed.connect(self._thin)
        box.keep_wanted.connect(self.keep)
        box.discard_wanted.connect(self.discard)
        desk.session.frame_changed.connect(self._moved)
        desk.session.project_changed.connect(self.discard)

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
        return f"Keep {n:,} atom{'s' * (n != 1)} as {self._element}"

    def run(self) -> None:
        """Detect atoms of the current element's kind in a thread."""
        desk = self._desk
        element, frame = desk.current_element(), desk.frame()
        if element is None:
            desk.say("Choose an element first: press + Element in the Label tab.")
            return
        if frame is None or self.worker is not None:
            return
        self.discard()
        self._place = (desk.session.source_id, desk.session.frame_index)
        self._box.set_state("busy")
        taken = positions(desk.atoms.labels)
        # A function, not a generator: those swallow RuntimeError.
        self.worker = create_worker(find, frame, element.polarity, taken)
        self.worker.returned.connect(lambda result: self._found(result, element))
        self.worker.errored.connect(self._failed)
        self.worker.finished.connect(self._finished)
        self.worker.start()

    def _finished(self) -> None:
        self.worker = None

    def _failed(self, error: Exception) -> None:
        self._box.set_state("idle")
        self._desk.failed.emit(f"The detection failed ({error}): label by clicking.", repr(error))

    def _found(self, result: pd.DataFrame | str, element: Element) -> None:
        self._box.set_state("idle")
        session = self._desk.session
        if self._place != (session.source_id, session.frame_index):
            return  # the user went on to another frame
        if isinstance(result, str):
            self._box.say(result)
            return
        if result.empty:
            self._box.say("Nothing new was found. Bright or dark is set on the element's chip.")
            return
        self._box.say("")
        self._table, self._element = result, element.name
        strength = result["probability"].to_numpy(dtype=float)
        if not np.isfinite(strength).any():
            strength = np.abs(result["amplitude"].to_numpy(dtype=float))
        self._strength = np.nan_to_num(strength)
        self._box.set_state("candidates")
        self._box.slider.setValue(0)
        self._thin(0.0)

    def _thin(self, level: float) -> None:
        """Show the strongest candidates; `level` 0 shows all, 1 hardly any."""
        if self._table is None:
            return
        low, high = float(self._strength.min()), float(self._strength.max())
        self._shown = self._strength >= low + level * (high - low)
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
        self._table, self._shown = None, np.empty(0, dtype=bool)
        self._desk.scene.drop(self._layer)
        self._layer = None
        self._box.set_state("idle")
        self.changed.emit()

    def _moved(self, *_: object) -> None:
        self.discard()


def _radius(xy: Any) -> float:
    from napari_apgan.maps import default_radius_px

    return default_radius_px(pd.DataFrame(xy, columns=["x_px", "y_px"]))
