"""A quiet line above the training button: how many labels look doubtful, and the way to them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_apgan.errors import UserError
from napari_apgan.io import write_atoms
from napari_apgan.label.doctor_wish import DoctorFrame
from napari_apgan.label.protocol import TaskDone
from napari_apgan.project import Project, Session

from .doctor_rows import wish_for
from .label_helper import LabelTask
from .label_sections import label_helper_of
from .predict_background import Background
from .predict_files import reference_to
from .simulate_set import simulated_in
from .timers import single_shot
from .widgets import WARNING, row, text_button

if TYPE_CHECKING:
    from .workbench import Workbench

#: Larger training sets are not examined unasked.
MOST_FRAMES = 60
#: The labels are examined when nothing changed for so long (ms).
PAUSE_MS = 1000


class DoubtsLine(QWidget):
    """Asks the label doctor about the training set, and is seen only when it doubts something.

    Training never waits for it.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    background : Background
        Writes the labels for the helper.
    """

    def __init__(self, session: Session, workbench: Workbench, background: Background) -> None:
        super().__init__()
        self._session, self._workbench, self._background = session, workbench, background
        self._task: LabelTask | None = None
        self._asked: tuple[Path, int] | None = None
        self.counts: list[dict[str, Any]] = []
        self.text = QLabel()
        self.text.setStyleSheet(f"color: {WARNING};")
        self.look_button = text_button(
            "Look at them", self.look, "Opens the label doctor on the frame with most of them"
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.text, 1, self.look_button))
        self._timer = single_shot(lambda: workbench.run(self._examine), parent=self)
        self.hide()

    @property
    def total(self) -> int:
        """How many labels look doubtful."""
        return sum(c["suspects"] for c in self.counts)

    def refresh(self) -> None:
        """Ask about what has changed since the last time, soon."""
        project = self._session.project
        if project is None or not project.pairs:
            self._asked = None
            self._timer.stop()
            self._show([])
        elif (project.path, project.edit_number) != self._asked:
            self._timer.start(PAUSE_MS)

    def _examine(self) -> None:
        project = self._session.project
        if project is None:
            return
        now = self._asked = (project.path, project.edit_number)
        frames, tables = self._frames(project)
        if not frames or len(frames) > MOST_FRAMES:
            self._show([])
            return
        self._background.run(partial(_write, tables), lambda _: self._ask(now, frames))

    def _frames(
        self, project: Project
    ) -> tuple[list[DoctorFrame], list[tuple[pd.DataFrame, Path]]]:
        """Return the labelled frames of the training set, and the tables to be written for them."""
        simulated = {p for group in simulated_in(project) for p in group.places}
        frames, tables = [], []
        for pair in project.pairs:
            if (pair.source_id, pair.frame) in simulated:
                continue
            table = project.atoms(pair.source_id, pair.frame)
            try:
                reference = reference_to(project, pair.source_id)
            except UserError:  # its image is gone, which is said where it is needed
                continue
            path = self._helper_task().folder / f"{pair.source_id}-{pair.frame}.csv"
            tables.append((table, path))
            frames.append(
                DoctorFrame(
                    source_id=pair.source_id,
                    frame=pair.frame,
                    source=reference,
                    atoms=str(path),
                    wish=wish_for(project, pair.source_id, pair.frame),
                )
            )
        return frames, tables

    def _helper_task(self) -> LabelTask:
        if self._task is None:
            helper = label_helper_of(self._workbench)
            self._task = LabelTask(helper, self._session, "doctor_set")
            self._task.done.connect(self._on_done)
        return self._task

    def _ask(self, asked: tuple[Path, int], frames: list[DoctorFrame]) -> None:
        if asked == self._asked:  # else a later wish is on its way
            options = {"frames": [f.model_dump(mode="json") for f in frames]}
            self._helper_task().ask(options, anywhere=True, image=False)

    def _on_done(self, reply: TaskDone) -> None:
        self._show(reply.values["counts"])

    def _show(self, counts: list[dict[str, Any]]) -> None:
        self.counts = counts
        n = self.total
        self.text.setText(f"{n:,} labels look doubtful." if n != 1 else "1 label looks doubtful.")
        self.look_button.setText("Look at them" if n != 1 else "Look at it")
        self.setVisible(n > 0)

    def look(self) -> None:
        """Open the doctor on the frame with most suspects."""
        worst = max(self.counts, key=lambda c: c["suspects"], default=None)
        if worst is None:
            return

        def deed() -> None:
            self._session.go_to(worst["source_id"], worst["frame"])
            self._workbench.show_tab("label")
            self._workbench.label_tab.show_section("doctor").check()

        self._workbench.run(deed)

    def close_down(self) -> None:
        """Let go of the helper and its files."""
        self._timer.stop()
        if self._task is not None:
            self._task.close()


def _write(tables: list[tuple[pd.DataFrame, Path]]) -> None:
    for table, path in tables:
        write_atoms(table, path)
