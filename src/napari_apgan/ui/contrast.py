"""The contrast assistant: says in a sentence what the pattern is, and sets the search to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

from .detect_box import DetectBox
from .widgets import WARNING

if TYPE_CHECKING:
    from napari_apgan.label.contrast import Contrast

    from .desk import Desk

LAYER_NAME = "Contrast changes here"
#: Width of the lines, as a part of the image's larger side.
_LINE = 1 / 250


def assess(frame: Frame, elements: Sequence[str]) -> Contrast | str:
    """Assess the contrast; a sentence when that cannot be done."""
    from napari_apgan.label.contrast import assess_contrast

    try:
        return assess_contrast(frame, elements=elements)
    except UserError as error:
        return str(error)


class ContrastAdvice:
    """Asks for the contrast of the frame in a thread, and takes the advice when told to.

    Parameters
    ----------
    desk : Desk
    box : DetectBox
    """

    def __init__(self, desk: Desk, box: DetectBox) -> None:
        self._desk, self._box = desk, box
        self._place: tuple[str, int] = ("", 0)
        self._layer: Any = None
        self.told: Contrast | None = None
        self.worker: Any = None
        box.contrast_wanted.connect(self.ask)
        box.advice_taken.connect(self.take)
        desk.session.frame_changed.connect(self._forget)
        desk.session.project_changed.connect(self._forget)

    def ask(self) -> None:
        """Look at the frame, beside the window."""
        frame = self._desk.frame()
        if frame is None or self.worker is not None:
            return
        self._forget()
        session = self._desk.session
        self._place = (session.source_id, session.frame_index)
        self._box.ask.setEnabled(False)
        self._box.set_advice("Looking at the contrast …")
        self.worker = create_worker(assess, frame, [e.name for e in self._desk.elements])
        self.worker.returned.connect(self._assessed)
        self.worker.errored.connect(self._failed)
        self.worker.finished.connect(self._finished)
        self.worker.start()

    def _finished(self) -> None:
        self.worker = None
        self._box.ask.setEnabled(True)

    def _failed(self, error: Exception) -> None:
        self._box.set_advice("")
        self._desk.failed.emit(f"The contrast could not be assessed ({error}).", repr(error))

    def _assessed(self, told: Contrast | str) -> None:
        session = self._desk.session
        if self._place != (session.source_id, session.frame_index):
            return
        if isinstance(told, str):
            self._box.set_advice(told)
            return
        self.told = told
        way = "Spots between rings" if told.rings else "Network or Spots"
        does = f"Makes the current element {told.polarity} and looks for {way}"
        self._box.set_advice(told.sentence, does if told.pattern != "none" else "")
        if told.boundaries:
            shape = self._desk.frame()
            width = max(shape.shape) * _LINE if shape is not None else 1.0
            self._layer = self._desk.scene.place(
                "shapes",
                [line[:, ::-1] for line in told.boundaries],
                shape_type="path",
                name=LAYER_NAME,
                edge_color=WARNING,
                edge_width=width,
                face_color="transparent",
            )

    def take(self) -> None:
        """Set the current element's contrast and the way to look for atoms."""
        told, element = self.told, self._desk.current_element()
        if told is None:
            return
        if element is None:
            self._desk.say("Choose an element first: press + Element in the Label tab.")
            return
        if told.rings:
            self._box.set_way("rings")
        elif self._box.search.way == "rings":
            self._box.set_way("spots")
        if element.polarity != told.polarity:
            self._desk.replace_element(
                element.name, element.model_copy(update={"polarity": told.polarity})
            )
        self._box.set_advice(told.sentence)
        self._desk.say(f"{element.name} is {told.polarity} now; press Detect.")

    def _forget(self, *_: object) -> None:
        self.told = None
        self._box.set_advice("")
        self._desk.scene.drop(self._layer)
        self._layer = None
