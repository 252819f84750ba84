"""Copying the labels to the next frame of a series, beside the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.qt.threading import create_worker

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame

if TYPE_CHECKING:
    from napari_apgan.label.carry import Carried

    from .desk import Desk


def _carry(
    here: Frame, there: Frame, atoms: pd.DataFrame, polarities: Any, taken: Any
) -> Carried | str:
    """Carry labels over; a sentence when that cannot be done."""
    from napari_apgan.label.carry import carry  # scipy is not waited for when the window opens

    try:
        return carry(here, there, atoms, polarities, taken)
    except UserError as error:
        return str(error)


class Carrying:
    """Copies the labels of the current frame to the next one, as one edit.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.worker: Any = None

    @property
    def possible(self) -> bool:
        """Whether there is a next frame."""
        session = self._desk.session
        if session.project is None or not session.source_id:
            return False
        return session.frame_index + 1 < session.project.record(session.source_id).n_frames

    def run(self) -> None:
        """Copy the selected labels, or all of them, to the next frame and go there."""
        desk = self._desk
        if self.worker is not None:
            desk.say("The labels are being copied: one moment.")
        elif not self.possible:
            desk.say("There is no next frame to copy the labels to.")
        elif desk.session.atoms().empty:
            desk.say("There are no labels on this frame to copy.")
        else:
            desk.guarded(self._start)

    def _start(self) -> None:
        desk, session = self._desk, self._desk.session
        project = session.ensure_project()
        source_id, after = session.source_id, session.frame_index + 1
        here = desk.frame()
        if here is None:
            return
        there = project.source(source_id).frame(after)
        atoms = session.atoms()
        chosen = [number for state, number in desk.atoms.selected if state == "label"]
        if chosen:
            atoms = atoms[atoms["id"].isin(chosen)]
        taken = project.atoms(source_id, after)[["x_px", "y_px"]].to_numpy(np.float64)
        polarities = {e.name: e.polarity for e in desk.elements}
        desk.say("Looking where the atoms are in the next frame …")
        self.worker = create_worker(
            _carry,
            here,
            there,
            atoms,
            polarities,
            taken,
            _connect={
                "returned": lambda got: self._done(got, project, source_id, after),
                "finished": self._ended,
            },
        )

    def _ended(self) -> None:
        self.worker = None

    def _done(self, got: Carried | str, project: Any, source_id: str, frame: int) -> None:
        desk, session = self._desk, self._desk.session
        if isinstance(got, str):
            desk.failed.emit(got, "")
            return
        if session.project is not project or project.closed:
            return  # the user has left it: nothing was promised to that project

        def deed() -> None:
            stayed = (session.source_id, session.frame_index + 1) == (source_id, frame)
            project.add_atoms(source_id, frame, got.atoms)
            if stayed:
                session.go_to(source_id, frame)
            desk.say(got.sentence(frame + 1))

        desk.guarded(deed)
