"""What may be done with something proposed: keep it, discard it, or copy it as a command."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QApplication, QWidget

from .widgets import row, text_button


class KeepRow(QWidget):
    """The buttons below a proposal.

    Parameters
    ----------
    keep, discard : callable
    command : callable
        Returns what does the same in a shell.
    kept, discarded : str
        What keeping and discarding do, for the tooltips.
    """

    def __init__(
        self,
        keep: Callable[[], object],
        discard: Callable[[], object],
        command: Callable[[], str],
        *,
        kept: str,
        discarded: str,
    ) -> None:
        super().__init__()
        self.keep = text_button("Keep", keep, kept)
        self.discard = text_button("Discard", discard, discarded)
        copy = text_button(
            "Copy command",
            lambda: QApplication.clipboard().setText(command()),
            "The same as a command for the shell",
        )
        self.setLayout(row(self.keep, self.discard, 1, copy))
