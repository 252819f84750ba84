"""The label doctor in the Label tab: doubtful labels, walked through and fixed by a key each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QComboBox, QGridLayout, QWidget

from napari_apgan.atoms import positions
from napari_apgan.label.doctor_project import fix_edit, ignore, ignored_on, listen_again
from napari_apgan.label.doctor_types import DoctorSettings, Fix, Report, Suspect
from napari_apgan.label.doctor_wish import read_report
from napari_apgan.label.protocol import TaskDone

from .doctor_rows import in_order, is_group, suspect_rows, wish_for
from .label_sections import LabelSection
from .predict_files import Place
from .review_camera import centre
from .row_list import RowList
from .task_bar import TaskBar
from .timers import single_shot
from .widgets import column_in, hint, row, text_button

if TYPE_CHECKING:
    from napari_apgan.project import Session

    from .workbench import Workbench

#: After an edit the labels are examined again when nothing more happened for so long (ms).
PAUSE_MS = 500
#: Words and sensitivity of each choice.
STRICTNESS = {"Lenient": 0.6, "Usual": 1.0, "Strict": 1.6}
#: No more places than this are ringed at once.
RINGED = 300
#: An atom smaller than this (screen px) is brought nearer when it is looked at.
SMALL, LARGE = 10.0, 18.0
_TEACH = (
    "Looks for labels that are doubled, beside their peak, on nothing or of the wrong element, and "
    "for atoms that were missed. It compares labels with each other: most of them must be right."
)


class DoctorSection(LabelSection):
    """Asks the labelling helper what is doubtful, lists it with reasons, and applies fixes."""

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(session, workbench)
        self.report: Report | None = None
        self.suspects: list[Suspect] = []
        self.current: Suspect | None = None
        self._place: Place = ("", 0)
        self._edit = -1
        self.examination = self.task("doctor")
        self.examination.done.connect(self._on_done)
        self.check_button = text_button(
            "Check labels", self.check, "Look for labels of this frame that are probably wrong"
        )
        self.strictness = QComboBox()
        self.strictness.addItems(list(STRICTNESS))
        self.strictness.setCurrentText("Usual")
        self.strictness.setToolTip("How small a deviation is worth a look")
        self.said = hint(_TEACH)
        self.list = RowList()
        self.list.setSpacing(2)
        self.list.setFixedHeight(180)
        self.fixes = QWidget()
        self._fixes = QGridLayout(self.fixes)
        self._fixes.setContentsMargins(0, 0, 0, 0)
        self._fixes.setSpacing(4)
        self.buttons: list[Any] = []
        self.again = text_button("", self.show_ignored, "Name them again where they are doubtful")
        self.again.setFlat(True)
        layout = column_in(self)
        layout.addLayout(row(self.check_button, self.strictness, 1, self.again))
        layout.addWidget(TaskBar(self.examination))
        for part in (self.said, self.fixes, self.list):
            layout.addWidget(part)
        self._timer = single_shot(self._ask, PAUSE_MS, self)
        self.strictness.currentIndexChanged.connect(self._on_strictness)
        self.list.chosen.connect(self._on_chosen)
        self._take_keys()
        self._show()

    def _take_keys(self) -> None:
        self._when = lambda: self.walking
        for name, deed, words in (
            ("next_atom", lambda: self.walk(1), "Next doubtful label"),
            ("previous_atom", lambda: self.walk(-1), "Previous doubtful label"),
            ("accept", self.fix, "Fix the doubtful label that is ringed"),
            ("ignore_suspect", self.leave, "Leave the doubtful label that is ringed for good"),
        ):
            self.workbench.prefer(name, deed, words, self._when)

    @property
    def walking(self) -> bool:
        """Whether keys go to the list: it is seen, and there is something in it."""
        return self.isVisible() and bool(self.suspects)

    # --- examining ---------------------------------------------------------------------------

    def check(self) -> None:
        """Examine the labels of the frame."""
        if self.desk.scene.image_layer is None:
            self.desk.say("Open an image first.")
        elif not len(self.desk.atoms.labels):
            self.desk.say("There are no labels on this frame to check yet.")
        else:
            self._clear()
            self.desk.actions.lead(self._when)
            self._ask()

    def _ask(self) -> None:
        self.workbench.run(self._ask_now)

    def _ask_now(self) -> None:
        project = self.session.ensure_project()
        self._place = (self.session.source_id, self.session.frame_index)
        self._edit = project.edit_number
        settings = DoctorSettings(sensitivity=STRICTNESS[self.strictness.currentText()])
        wish = wish_for(project, *self._place, settings)
        self.examination.ask(wish.model_dump(mode="json"), labels=True)

    def _on_strictness(self, *_: object) -> None:
        if self.report is not None:
            self._ask()

    def _on_done(self, reply: TaskDone) -> None:
        self.report = read_report(reply.values["report"])
        before = self._index()
        self.suspects = in_order(self.report.suspects)
        self._keep_current(before)
        self._show()
        self.workbench.label_tab.reveal(self.list)
        if self.session.ensure_project().edit_number != self._edit:
            self._timer.start()  # more was edited meanwhile

    def refresh(self) -> None:
        """Drop what an edit has settled, and examine again a moment later."""
        if self.report is None:
            return
        project = self.session.project
        if project is None or self._place != (self.session.source_id, self.session.frame_index):
            self._clear()
            return
        if project.edit_number != self._edit:
            self._edit = project.edit_number
            before = self._index()
            self.suspects = [s for s in self.suspects if self._stands(s)]
            self._keep_current(before)
            self._show()
            self._timer.start()

    def _stands(self, suspect: Suspect) -> bool:
        """Whether a suspect can still be one: its atoms are there, its empty place is empty."""
        table = self.desk.atoms.labels
        if suspect.region_id is not None:
            return True
        if suspect.ids:
            return bool(np.isin(suspect.ids, table["id"].to_numpy()).all())
        away = positions(table) - (suspect.x, suspect.y)
        return not len(away) or float(np.hypot(*away.T).min()) > self.desk.atoms.radius_px

    # --- walking -----------------------------------------------------------------------------

    def walk(self, step: int) -> None:
        """Look at the next (or previous) suspect."""
        at = self._index()
        if at is None:
            at = -1 if step > 0 else 0
        self.look_at(self.suspects[(at + step) % len(self.suspects)])

    def look_at(self, suspect: Suspect) -> None:
        """Centre the view on a suspect, ring it and select the atoms that its fix is about."""
        self.current = suspect
        self._centre(suspect.x, suspect.y)
        self._show()
        self.workbench.label_tab.reveal(self.list)
        ids = suspect.fix.ids if suspect.region_id is None else ()
        self.desk.atoms.select([("label", i) for i in ids])

    def _centre(self, x: float, y: float) -> None:
        centre(self.workbench, x, y)
        layer, camera = self.workbench.image_layer, self.workbench.viewer.scene.camera
        diameter = 2 * self.desk.atoms.radius_px * abs(float(layer.scale[-1])) * camera.zoom
        if diameter < SMALL:
            camera.zoom *= LARGE / diameter

    def _on_chosen(self, key: Any) -> None:
        kind = is_group(key)
        found = (s for s in self.suspects if s.kind == kind or s.key == key)
        suspect = next(found, None)
        if suspect is not None:
            self.workbench.run(lambda: self.look_at(suspect))

    def _index(self) -> int | None:
        keys = [s.key for s in self.suspects]
        if self.current is None or self.current.key not in keys:
            return None
        return keys.index(self.current.key)

    def _keep_current(self, before: int | None) -> None:
        """Stay at the suspect, or at the one that took its place in the list."""
        if self.current is None:
            return
        key = self.current.key
        self.current = next((s for s in self.suspects if s.key == key), None)
        if self.current is None and before is not None and self.suspects:
            self.current = self.suspects[min(before, len(self.suspects) - 1)]

    # --- acts ------------------------------------------------------------------------------

    def fix(self, fix: Fix | None = None) -> None:
        """Apply the fix of the suspect that is looked at, or another of its remedies."""
        suspect = self.current
        if suspect is None:
            self.walk(1)
            return
        fix = suspect.fix if fix is None else fix
        if fix.act == "ignore":
            self.leave()
            return
        project = self.session.ensure_project()
        edit = fix_edit(project, *self._place, fix)
        self._go_on_without(suspect)
        if edit is not None:
            project.apply(edit)
        self._look_on()

    def leave(self) -> None:
        """Leave the suspect as it is, for good."""
        suspect = self.current
        if suspect is None:
            self.walk(1)
            return
        ignore(self.session.ensure_project(), *self._place, [suspect.key])
        self._go_on_without(suspect)
        self._look_on()

    def _go_on_without(self, suspect: Suspect) -> None:
        at = self._index()
        self.suspects = [s for s in self.suspects if s.key != suspect.key]
        self.current = self.suspects[at % len(self.suspects)] if self.suspects and at else None
        if self.current is None and self.suspects:
            self.current = self.suspects[0]

    def _look_on(self) -> None:
        """Look at what comes next."""
        if self.current is not None:
            self.look_at(self.current)
        else:
            self.desk.atoms.select([])
            self._show()

    def show_ignored(self) -> None:
        """Name again what was ignored on this frame."""
        self.workbench.run(lambda: listen_again(self.session.ensure_project(), *self._place))
        self._ask()

    # --- showing -----------------------------------------------------------------------------

    def _clear(self) -> None:
        self._timer.stop()
        self.examination.cancel()
        self.report, self.suspects, self.current = None, [], None
        self._show()

    def _show(self) -> None:
        report = self.report
        if report is None:
            self.said.setText(_TEACH)
        else:
            left = [s for s in report.suspects if s in self.suspects]
            summary = Report(tuple(left), report.n_atoms, report.note).sentence()
            self.said.setText(f"{summary} {report.note}".strip())
        self.list.setVisible(bool(self.suspects))
        self.list.show_rows(suspect_rows(self.suspects, self.desk.atoms.labels))
        self.list.mark(self.current.key if self.current is not None else None)
        self._show_fixes()
        project = self.session.project
        n = len(ignored_on(project, *self._place)) if project is not None else 0
        self.again.setVisible(report is not None and n > 0)
        self.again.setText(f"{n} left as they are" if n != 1 else "1 left as it is")
        self._draw_marks()

    def _show_fixes(self) -> None:
        for button in self.buttons:
            self._fixes.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.buttons = []
        suspect = self.current
        self.fixes.setVisible(suspect is not None)
        if suspect is None:
            return
        accept = self.desk.actions.label("accept")
        leave = self.desk.actions.label("ignore_suspect")
        for fix in (suspect.fix, *suspect.others):
            key = {"ignore": leave}.get(fix.act, accept if fix is suspect.fix else "")
            other = fix is not suspect.fix and fix.words == suspect.fix.words
            words = f"{fix.words}, the other" if other else fix.words
            words = f"{words} ({key})" if key else words
            deed = lambda f=fix: self.workbench.run(lambda: self.fix(f))  # noqa: E731
            self.buttons.append(text_button(words, deed))
            self._fixes.addWidget(self.buttons[-1], *divmod(len(self.buttons) - 1, 2))

    def _draw_marks(self) -> None:
        if self.desk.scene.image_layer is None:
            return
        current = self.current
        seen = self.suspects[:RINGED] if self.isVisible() else []
        if current is not None and seen and current not in seen:
            seen = [*seen, current]
        at = (current.x, current.y) if current is not None else None
        self.desk.marks.show_suspects([(s.x, s.y) for s in seen], at)

    def showEvent(self, event: QShowEvent) -> None:
        """Ring the suspects again."""
        super().showEvent(event)
        self.refresh()
        self._draw_marks()

    def hideEvent(self, event: QHideEvent) -> None:
        """Take the rings off the image while nobody looks at the list."""
        super().hideEvent(event)
        self._draw_marks()

    def close_down(self) -> None:
        """Let go of the helper and its files."""
        self._timer.stop()
        super().close_down()
