"""Label the average, train on the singles: a section of the Label tab."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_apgan.frames import Source
from napari_apgan.io import read_atoms
from napari_apgan.label.protocol import TaskDone

from .label_helper import LabelTask
from .label_sections import LabelSection
from .model_form import ModelForm, all_fields
from .predict_files import reference_to
from .task_bar import TaskBar
from .widgets import Fold, column_in, hint, row, text_button

if TYPE_CHECKING:
    from napari_apgan.project import Project, Session
    from napari_apgan.project.sources import SourceRecord

    from .workbench import Workbench

#: In a mean's metadata: the id of the series that it is the mean of.
MEAN_OF = "mean of"
_EMPTY = "Empty: as shown."


class SeriesSection(LabelSection):
    """Registers a series, makes its mean a source, and carries the mean's labels to the frames."""

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(session, workbench)
        from napari_apgan.label.register import RegisterSettings
        from napari_apgan.label.verdict import TransferSettings

        self.register_task = self._new_task("register_series", self._on_mean)
        self.transfer_task = self._new_task("transfer_labels", self._on_carried)
        self._carrying: tuple[str, str] = ("", "")
        self._told: tuple[str, str] = ("", "")
        self.about = hint()
        self.first, self.last = QSpinBox(), QSpinBox()
        self.first.setToolTip("The first frame of the part that lies on one another")
        self.last.setToolTip("The last frame of that part")
        fields = all_fields(RegisterSettings)
        fields.pop("reference")
        self.how = ModelForm(RegisterSettings, fields, shown=1, empty_words=_EMPTY)
        self.how.set_defaults(RegisterSettings().model_dump())
        self.make = text_button(
            "Make the mean",
            self.make_mean,
            "Put the frames onto each other and average them; the mean is an image of its own, "
            "to be labelled like any other",
        )
        self.series_page = QWidget()
        page = column_in(self.series_page)
        page.addLayout(row(QLabel("Frames"), self.first, QLabel("to"), self.last, 1))
        page.addWidget(self.how)
        page.addLayout(row(self.make, 1))
        self.which = ModelForm(TransferSettings, empty_words=_EMPTY)
        self.which.set_defaults(TransferSettings().model_dump())
        self.carry = text_button(
            "Carry labels to the frames",
            self.carry_labels,
            "Each frame gets the atoms that it shows, and the regions; atoms that moved are left "
            "out. One step of undo",
        )
        self.mean_page = QWidget()
        page = column_in(self.mean_page)
        page.addLayout(row(self.carry, 1))
        page.addWidget(Fold("How", self.which))
        self.did = hint()
        self.table = FramesTable()
        self.table.frame_wanted.connect(self._go_to_frame)
        layout = column_in(self)
        for part in (
            self.about,
            self.series_page,
            self.mean_page,
            TaskBar(self.register_task),
            TaskBar(self.transfer_task),
            self.did,
            self.table,
        ):
            layout.addWidget(part)
        self.refresh()

    def _new_task(self, name: str, done: Callable[[TaskDone], None]) -> LabelTask:
        task = self.task(name)
        task.done.connect(done)
        task.cancelled.connect(lambda: self.desk.say("Cancelled; nothing was changed."))
        task.busy_changed.connect(lambda _: self.refresh())
        return task

    # --- showing -----------------------------------------------------------------------------

    def _record(self) -> SourceRecord | None:
        project, source_id = self.session.project, self.session.source_id
        there = self.desk.scene.image_layer is not None
        return project.record(source_id) if project and source_id and there else None

    def refresh(self) -> None:
        """Offer what the current image allows."""
        record = self._record()
        series_id = self._series_of(record)
        series = record is not None and record.n_frames > 1
        self.series_page.setVisible(series)
        self.mean_page.setVisible(bool(series_id))
        self.make.setEnabled(not self.register_task.busy)
        self.carry.setEnabled(not self.transfer_task.busy)
        if record is None or not (series or series_id):
            self.about.setText(
                "Open a series of at least two frames: its mean is labelled once, and the labels "
                "are carried to every frame that shows the atom."
            )
        elif series_id:
            name = self.session.ensure_project().record(series_id).name
            self.about.setText(
                f"This is a mean of frames of {name}. Label it and mark what is complete; then "
                "carry both to the frames, and train on those."
            )
        else:
            self.about.setText("Label the average, train on the singles.")
            self._limit(record.n_frames)
        about = self._told[1] if record is not None and record.id in self._told[0] else ""
        self.did.setText(about)
        self.did.setVisible(bool(about))
        self.table.setVisible(bool(about))

    def _series_of(self, record: SourceRecord | None) -> str:
        """Return the series that an image is the mean of, if the project still has it."""
        project = self.session.project
        series_id = record.metadata.get(MEAN_OF, "") if record is not None else ""
        known = project is not None and series_id in {r.id for r in project.sources}
        return series_id if known else ""

    def _limit(self, n_frames: int) -> None:
        if self.last.maximum() != n_frames:
            for box in (self.first, self.last):
                box.setRange(1, n_frames)
            self.first.setValue(1)
            self.last.setValue(n_frames)

    def _tell(self, sentence: str, *source_ids: str) -> None:
        """Say what was done: in short, and whole beside the table, for these images."""
        self._told = (" ".join(source_ids), sentence)
        short = sentence.partition(". ")[0].removesuffix(".")
        self.desk.say(f"{short}. More in the section Series.")
        self.refresh()

    # --- the mean ----------------------------------------------------------------------------

    def make_mean(self) -> None:
        """Register the series and average it, beside the window."""
        self.desk.guarded(self._make_mean)

    def _make_mean(self) -> None:
        options = {
            "first": self.first.value() - 1,
            "stop": self.last.value(),
            "settings": self.how.values(),
        }
        self.register_task.ask(options, anywhere=True)

    def _on_mean(self, reply: TaskDone) -> None:
        series_id = self.register_task.place[0]
        self.desk.guarded(lambda: self._take_mean(reply, series_id))

    def _take_mean(self, reply: TaskDone, series_id: str) -> None:
        """Make the mean a source of the project, its registration beside it."""
        project = self.session.ensure_project()
        record = project.record(series_id)
        frames = pd.read_csv(reply.files["frames"], keep_default_na=False)
        mean = Source(
            f"{record.name}, mean of {reply.values['used']} frames",
            np.load(reply.files["mean"])[None],
            project.calibration(series_id),
            metadata={
                MEAN_OF: series_id,
                "frames": f"{frames['frame'].min() + 1} to {frames['frame'].max() + 1}",
            },
            missing="nan",
        )
        mean_id = project.add_source(mean)
        path = project.registration_path(mean_id)
        shutil.copyfile(reply.files["registration"], path)
        self.table.show_rows(
            ["Frame", "Drift x, y (px)", "Note"],
            [
                (int(f.frame), [str(f.frame + 1), f"{f.dx_px:.1f}, {f.dy_px:.1f}", str(f.reason)])
                for f in frames.itertuples()
            ],
        )
        here = self.session.source_id == series_id
        if here:
            self.desk.show_source(mean_id)
        self._tell(reply.sentence, series_id, mean_id)
        if not here:
            self.workbench.messages.say(
                f"The mean of {record.name} is made.",
                action="Show it",
                do=lambda: self.desk.guarded(lambda: self.desk.show_source(mean_id)),
            )

    # --- carrying labels ---------------------------------------------------------------------

    def carry_labels(self) -> None:
        """Look for the labels of the mean in every frame, beside the window."""
        self.desk.guarded(self._carry_labels)

    def _carry_labels(self) -> None:
        project, record = self.session.ensure_project(), self._record()
        series_id = self._series_of(record)
        if record is None or not series_id:
            return
        self._carrying = (record.id, series_id)
        options = {
            "series": reference_to(project, series_id).model_dump(mode="json"),
            "registration": str(project.registration_path(record.id)),
            "regions": [r.model_dump(mode="json") for r in self.session.regions()],
            "polarities": {e.name: e.polarity for e in project.elements},
            "settings": self.which.values(),
        }
        self.transfer_task.ask(options, labels=True, anywhere=True)

    def _on_carried(self, reply: TaskDone) -> None:
        self.desk.guarded(lambda: self._take_labels(reply, self.session.ensure_project()))

    def _take_labels(self, reply: TaskDone, project: Project) -> None:
        """Give the frames their labels and regions, in one edit."""
        from napari_apgan.label.transfer_task import CarriedRegions
        from napari_apgan.project.carrying import carry_labels

        mean_id, series_id = self._carrying
        text = Path(reply.files["regions"]).read_text(encoding="utf-8")
        regions = CarriedRegions.model_validate_json(text).frames
        report = carry_labels(
            project, mean_id, series_id, read_atoms(reply.files["atoms"]), regions
        )
        if report.edit is not None:
            self.session.apply(report.edit)
        frames = pd.read_csv(reply.files["frames"], keep_default_na=False)
        self.table.show_rows(
            ["Frame", "Carried", "Left out", "Why"],
            [
                (int(f.frame), [str(f.frame + 1), str(f.carried), str(f.left_out), str(f.why)])
                for f in frames.itertuples()
            ],
        )
        self._tell(f"{reply.sentence} {report.sentence()}".strip(), mean_id, series_id)

    def _go_to_frame(self, frame: int) -> None:
        """Show a frame of the series that the table is about."""
        record = self._record()
        series_id = self._series_of(record) or (record.id if record is not None else "")
        if series_id:
            self.desk.guarded(lambda: self.session.go_to(series_id, frame))


class FramesTable(QTableWidget):
    """A line a frame; a click goes there."""

    frame_wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(20)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setWordWrap(False)
        self.setMinimumHeight(120)
        self.setMaximumHeight(180)
        self._frames: list[int] = []
        self.cellClicked.connect(lambda line, _: self.frame_wanted.emit(self._frames[line]))

    def show_rows(self, heads: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]]) -> None:
        """Show rows of (number of the frame, texts)."""
        self._frames = [frame for frame, _ in rows]
        self.setColumnCount(len(heads))
        self.setHorizontalHeaderLabels(list(heads))
        self.setRowCount(len(rows))
        for line, (_, texts) in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                self.setItem(line, column, item)
        header = self.horizontalHeader()
        for column in range(len(heads) - 1):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(heads) - 1, QHeaderView.ResizeMode.Stretch)
