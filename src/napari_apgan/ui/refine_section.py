"""Refine: positions fitted on the raw frame, with error bars; a section of the Label tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from qtpy.QtWidgets import QComboBox

from napari_apgan.io import read_atoms
from napari_apgan.label.protocol import TaskDone
from napari_apgan.label.refining import CHANGED

from .label_sections import LabelSection
from .task_bar import TaskBar
from .widgets import column_in, hint, row, text_button

if TYPE_CHECKING:
    from napari_apgan.project import Session

    from .workbench import Workbench


#: What single atoms are taken for.
SHAPES = {
    "profile": "one profile for all",
    "gaussian": "a Gaussian each (fast)",
    "ellipse": "an ellipse each",
}


class RefineSection(LabelSection):
    """Fits the selected labels, or all of the frame, and takes the answer over as one edit."""

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(session, workbench)
        self._asked = pd.DataFrame()
        self.refining = self.task("refine")
        self.refining.done.connect(self._done)
        self.shape = QComboBox()
        for name, title in SHAPES.items():
            self.shape.addItem(title, name)
        self.shape.setToolTip(
            "One profile with its tails or fringes, learned from the frame, is the most precise; "
            "Gaussians are several times faster, and enough where atoms stand apart; ellipses, "
            "fitted with their neighbours', are for columns that are not round, and slow"
        )
        self.button = text_button(
            "Refine",
            self.act,
            "Fits all atoms of the frame together on the raw pixels, with their tails and missing "
            "pixels; those that cannot be fitted stay where they are and say why",
        )
        self.said = hint()
        self.about = hint(
            "Positions below the pixel, with standard errors, heights and intensities in the table."
        )
        layout = column_in(self)
        layout.addWidget(self.about)
        layout.addLayout(row(self.button, 1, self.shape))
        layout.addWidget(TaskBar(self.refining))
        layout.addWidget(self.said)
        self.said.hide()
        self.refining.busy_changed.connect(lambda _: self.refresh())
        self.desk.atoms.selection_changed.connect(self.refresh)
        session.frame_changed.connect(self._moved)
        session.project_changed.connect(self._moved)
        self.refresh()

    def _moved(self, *_: object) -> None:
        self.said.hide()

    def _ids(self) -> list[int]:
        """Return the selected labels."""
        return [number for kind, number in self.desk.atoms.selected if kind == "label"]

    def refresh(self, *_: object) -> None:
        """Say what the button would fit."""
        selected, n = len(self._ids()), len(self.desk.atoms.labels)
        if selected:
            self.button.setText(f"Refine the {selected:,} selected")
        else:
            self.button.setText(f"Refine all {n:,} labels" if n else "Refine")
        self.button.setEnabled(n > 0 and not self.refining.busy)

    def act(self) -> None:
        """Fit the selected labels, or all."""
        if not len(self.desk.atoms.labels):
            self.desk.say("There is nothing to refine yet: label some atoms first.")
            return
        options = {
            "ids": self._ids(),
            "polarity": {e.name: e.polarity for e in self.desk.elements},
            "shape": self.shape.currentData(),
        }
        self._asked = self.session.atoms().set_index("id")
        self.desk.guarded(lambda: self.refining.ask(options, labels=True))

    def _done(self, reply: TaskDone) -> None:
        self.desk.guarded(lambda: self._take(reply))

    def _take(self, reply: TaskDone) -> None:
        """Take the fits over, but of labels that were changed meanwhile."""
        fitted = read_atoms(reply.files["refined"]).set_index("id")
        now = self.session.atoms().set_index("id")
        place = ["x_px", "y_px", "element"]
        ids = fitted.index[fitted.index.isin(now.index) & fitted.index.isin(self._asked.index)]
        same = (now.loc[ids, place] == self._asked.loc[ids, place]).all(axis=1)
        ids = ids[same.to_numpy()]
        left = len(fitted) - len(ids)
        if len(ids):
            columns = {name: fitted.loc[ids, name].tolist() for name in CHANGED}
            self.session.change_atoms(ids.tolist(), **columns)
        more = f" {left:,} were changed meanwhile and left as they are." if left else ""
        self.said.setText(reply.sentence + more)
        self.said.show()
