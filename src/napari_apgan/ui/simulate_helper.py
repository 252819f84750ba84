"""The window's end of the simulation helper, the process that computes frames."""

from __future__ import annotations

import sys
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_apgan.simulate.protocol import (
    LANGUAGE,
    Made,
    Matched,
    Previewed,
)

from .helper_process import HelperProcess


class SimulationHelper(HelperProcess):
    """Sends requests to `python -m napari_apgan.simulate --serve` and hands its replies on.

    Parameters
    ----------
    parent : QObject, optional
    command : list of str, optional
        The process to start.
    """

    previewed = Signal(object)  # Previewed
    made = Signal(object)  # Made
    matched = Signal(object)  # Matched

    def __init__(self, parent: QObject | None = None, command: list[str] | None = None) -> None:
        super().__init__(
            "simulation", command or LANGUAGE.command(sys.executable), LANGUAGE.replies, parent
        )

    def take(self, reply: Any) -> None:
        """Hand on what only simulations have, the end of a request each."""
        signals = {Previewed: self.previewed, Made: self.made, Matched: self.matched}
        self._close(reply.id)
        signals[type(reply)].emit(reply)
