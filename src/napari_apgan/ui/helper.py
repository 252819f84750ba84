"""The window's end of the prediction helper, the process that holds torch and the models."""

from __future__ import annotations

import sys
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_apgan.predict.protocol import (
    LANGUAGE,
    Detected,
    DetectRequest,
    Done,
    PredictRequest,
    Result,
    Warmed,
    WarmRequest,
)

from .helper_process import HelperProcess


class Helper(HelperProcess):
    """Sends requests to `python -m napari_apgan.predict --serve` and hands its replies on.

    Parameters
    ----------
    parent : QObject, optional
    command : list of str, optional
        The process to start.
    """

    result = Signal(object)  # Result
    done = Signal(object)  # Done
    warmed = Signal(object)  # Warmed
    detected = Signal(object)  # Detected

    def __init__(self, parent: QObject | None = None, command: list[str] | None = None) -> None:
        super().__init__(
            "prediction", command or LANGUAGE.command(sys.executable), LANGUAGE.replies, parent
        )
        self._detections: set[str] = set()

    def warm(self, model: str, device: str = "auto") -> None:
        """Let it load a model ahead of the first prediction."""
        self.send(WarmRequest(id=self.new_id(), model=model, device=device))

    def predict(self, request: PredictRequest) -> None:
        """Ask for a prediction; replies carry its `id`."""
        self.ask(request)

    def detect(self, request: DetectRequest) -> None:
        """Ask for the atoms of a frame that nobody has labelled."""
        self._detections.add(request.id)
        self.ask(request)

    def is_detection(self, request_id: str) -> bool:
        """Whether a request looked for atoms; who asked for it tells how it went."""
        return request_id in self._detections

    def take(self, reply: Any) -> None:
        """Hand on what only this helper replies."""
        if isinstance(reply, Result):
            self.result.emit(reply)
        elif isinstance(reply, Warmed):
            self.warmed.emit(reply)
        elif isinstance(reply, Detected):
            self._close(reply.id)
            self.detected.emit(reply)
        elif isinstance(reply, Done):
            self._close(reply.id)
            self.done.emit(reply)
