"""How far a task of the labelling helper is, and the button that ends it."""

from __future__ import annotations

from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from .busy_bar import BusyBar
from .label_helper import LabelTask
from .widgets import row, text_button


class TaskBar(QWidget):
    """A bar that is there while a task works.

    Parameters
    ----------
    task : LabelTask
    """

    def __init__(self, task: LabelTask) -> None:
        super().__init__()
        self.bar = BusyBar()
        self.bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.cancel = text_button("Cancel", task.cancel, "Nothing is changed by it")
        line = row(self.bar, self.cancel)
        line.setStretch(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(line)
        task.busy_changed.connect(self._show)
        task.progressed.connect(self._move)
        self.hide()

    def _show(self, busy: bool) -> None:
        if busy:
            self._move(0, 0, "Starting")
        self.setVisible(busy)

    def _move(self, done: int, total: int, what: str) -> None:
        self.bar.show_progress(done, total, f"{what} %p %" if total else what)
