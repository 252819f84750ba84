"""A window of its own for a folder of images: a table that fills while they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDialog,
    QLabel,
    QTableView,
    QVBoxLayout,
)

from napari_apgan.errors import UserError
from napari_apgan.io import open_source
from napari_apgan.label.protocol import TaskDone
from napari_apgan.label.survey_row import SurveyRow, SurveyWish, read_rows, summary

from .label_helper import LabelTask
from .predict_files import reference_to
from .survey_table import COLUMNS, SurveySorter, SurveyTable, is_spare
from .task_bar import TaskBar
from .widgets import ElidedLabel, hint, primary_button, row, text_button

if TYPE_CHECKING:
    from napari_apgan.project import Session

    from .workbench import Workbench

NOTHING, IMAGE, MODEL = "nothing", "this image", "the model in use"
_ROWS_FILE = "rows.jsonl"
_TEACH = "Choose rows and take them into the project; a double click takes one and shows it."


class SurveyWindow(QDialog):
    """Shows what the files of a folder are, and takes some into the project.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    task : LabelTask
        Of the survey.
    choose_folder : callable
        Asks for another folder.
    """

    taken = Signal(list)  # ids of the images that came into the project

    def __init__(
        self,
        session: Session,
        workbench: Workbench,
        task: LabelTask,
        choose_folder: Callable[[], None],
    ) -> None:
        super().__init__(workbench)
        self._session, self._workbench, self._task = session, workbench, task
        self._read = 0  # bytes of the rows that are in the table
        self._left: list[Path] = []
        self._ids: list[str] = []
        self._n = 0
        self._show_first = False
        self.paths: list[Path] = []
        self.setWindowTitle("Images of a folder")
        self.resize(1080, 560)
        self.where = ElidedLabel()
        self.reference = QComboBox()
        self.reference.setToolTip("What the files are compared with: lattice, contrast, pixel size")
        self.hide_spare = QCheckBox("Hide blanks and copies")
        self.table = SurveyTable()
        self.sorter = SurveySorter(self.table)
        self.view = QTableView()
        self.said = hint(_TEACH)
        self.take_button = primary_button("Take into the project")
        layout = QVBoxLayout(self)
        top = row(
            text_button("Another folder…", choose_folder),
            self.where,
            QLabel("Compare with"),
            self.reference,
            self.hide_spare,
        )
        top.setStretch(1, 1)
        layout.addLayout(top)
        layout.addWidget(self.view, 1)
        layout.addWidget(TaskBar(task))
        layout.addWidget(self.said)
        layout.addWidget(self.take_button)
        self._set_up_view()
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._take_next)
        task.progressed.connect(lambda *_: self._fill())
        task.done.connect(self._on_done)
        task.cancelled.connect(lambda: self._on_ended("Stopped."))
        task.failed.connect(lambda sentence, _: self._on_ended(sentence))
        self.hide_spare.toggled.connect(self.sorter.hide_spare)
        self.take_button.clicked.connect(lambda _=False: self.take_selected())
        self.reference.activated.connect(lambda _: self.look_through(self.paths))

    def _set_up_view(self) -> None:
        view = self.view
        view.setModel(self.sorter)
        view.setSortingEnabled(True)
        view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setWordWrap(False)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(22)
        view.horizontalHeader().setStretchLastSection(True)
        for number, column in enumerate(COLUMNS):
            view.setColumnWidth(number, column.width)
        view.selectionModel().selectionChanged.connect(lambda *_: self._show_button())
        view.doubleClicked.connect(lambda _: self.take_selected(show=True))
        self._show_button()

    # --- reading -----------------------------------------------------------------------------

    def look_through(self, paths: Sequence[Path]) -> None:
        """Read folders or files; the table fills meanwhile."""
        self.paths = list(paths)
        self.where.set_text(", ".join(str(p) for p in self.paths))
        self._offer_references()
        self.table.clear()
        self._read = 0
        self.said.setText(_TEACH)
        self._workbench.run(self._ask)
        self.show()
        self.raise_()

    def _offer_references(self) -> None:
        """Offer what there is to compare with; the model first."""
        before = self.reference.currentText()
        offers = [NOTHING]
        if self._session.calibration.known and self._session.source_id:
            offers.append(IMAGE)
        if self._session.model is not None:
            offers.append(MODEL)
        self.reference.clear()
        self.reference.addItems(offers)
        self.reference.setCurrentText(before if before in offers else offers[-1])

    def _ask(self) -> None:
        path = self._rows_path()
        path.unlink(missing_ok=True)
        chosen = self.reference.currentText()
        example = None
        project = self._session.project
        if chosen != NOTHING and project is not None and self._session.source_id:
            example = reference_to(project, self._session.source_id)
        model = self._session.model
        wish = SurveyWish(
            paths=[str(p) for p in self.paths],
            model=str(model) if chosen == MODEL and model is not None else "",
            example=example,
            example_frame=self._session.frame_index,
            rows=str(path),
        )
        self._task.ask(wish.model_dump(mode="json"), anywhere=True, image=False)

    def _rows_path(self) -> Path:
        return self._task.folder / _ROWS_FILE

    def _fill(self) -> None:
        """Take the rows that have been written since."""
        try:
            with open(self._rows_path(), "rb") as file:
                file.seek(self._read)
                new = file.read()
        except OSError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        self.table.add(read_rows(whole.decode("utf-8")))

    def _on_done(self, reply: TaskDone) -> None:
        self._on_ended(reply.sentence)

    def _on_ended(self, sentence: str) -> None:
        self._fill()
        words = summary(self.table.rows) if sentence == "Stopped." else ""
        self.said.setText(f"{sentence} {words} {_TEACH}" if words else f"{sentence} {_TEACH}")

    # --- taking ------------------------------------------------------------------------------

    def selected(self) -> list[SurveyRow]:
        """Return the chosen rows, in the order that is seen."""
        rows = sorted(i.row() for i in self.view.selectionModel().selectedRows())
        to_source = self.sorter.mapToSource
        return [self.table.rows[to_source(self.sorter.index(r, 0)).row()] for r in rows]

    def _show_button(self) -> None:
        n = sum(not r.error for r in self.selected())
        self.take_button.setEnabled(n > 0)
        words = f"Take {n} image{'s' * (n != 1)} into the project" if n else "Choose rows to take"
        self.take_button.setText(words)

    def take_selected(self, *, show: bool = False) -> None:
        """Take the chosen files into the project, one a turn: their layers come when wanted."""
        chosen = self.selected()
        copies = [r for r in chosen if is_spare(r)]
        left = [r.path for r in chosen if not (is_spare(r) and len(chosen) > 1)]
        if not left or self._left:
            return
        self._left, self._ids, self._n = left, [], len(left)
        self._show_first = show or not self._session.source_id
        skipped = len(copies) if len(chosen) > 1 else 0
        self._skipped = f" {skipped} blanks and copies were left out." if skipped else ""
        self.take_button.setEnabled(False)
        self._timer.start()

    def _take_next(self) -> None:
        if not self._left:
            self._timer.stop()
            self._finish()
            return
        path = self._left.pop(0)
        self.said.setText(f"Taking {path.name} ({self._n - len(self._left)} of {self._n}) …")
        try:
            source = open_source(path)
            self._ids.append(self._session.ensure_project().add_source(source, keep=False))
        except UserError as error:
            self._workbench.say_error(str(error))

    def _finish(self) -> None:
        n = len(self._ids)
        self.said.setText(
            f"{n} image{'s are' if n != 1 else ' is'} in the project now, in the list of the "
            f"section Images.{self._skipped}"
        )
        self._show_button()
        self.taken.emit(list(self._ids))
        if self._ids and self._show_first:
            first = self._ids[0]
            self._workbench.run(lambda: self._workbench.desk.show_source(first))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Stop reading when the window is closed."""
        self._timer.stop()
        self._left = []
        self._task.cancel()
        super().closeEvent(event)
