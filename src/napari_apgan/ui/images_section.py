"""The images of the project, and folders to take more from: a section of the Label tab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from .label_sections import LabelSection
from .row_list import Row, RowList
from .survey_window import SurveyWindow
from .widgets import column_in, hint, row, text_button

if TYPE_CHECKING:
    from napari_apgan.project import Project, Session

    from .workbench import Workbench

_TEACH = (
    "A folder of images, also dropped on this dock, becomes a table: detector, pixel size, "
    "lattice, sharpness, copies, blanks, and what fits the model."
)


class ImagesSection(LabelSection):
    """Lists the images of the project and opens the table of a folder."""

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(session, workbench)
        self.survey = self.task("survey")
        self.window_: SurveyWindow | None = None
        self.list = RowList(most_rows=6)
        self.teach = hint(_TEACH)
        layout = column_in(self)
        layout.addLayout(
            row(
                text_button("Open images…", workbench.open_image),
                text_button("Look through a folder…", self.choose_folder, _TEACH),
                1,
            )
        )
        layout.addWidget(self.teach)
        layout.addWidget(self.list)
        self.list.chosen.connect(self._show_image)
        session.sources_changed.connect(self.refresh)
        self.refresh()

    def choose_folder(self) -> None:
        """Ask for a folder and look through it."""
        folder = QFileDialog.getExistingDirectory(
            self, "Look through a folder of images", self.workbench.last_folder()
        )
        if folder:
            self.look_through([Path(folder)])

    def look_through(self, paths: Sequence[Path]) -> SurveyWindow:
        """Show what the files of folders are, in a window of its own."""
        self.workbench.remember_folder(paths[0] if paths[0].is_dir() else paths[0].parent)
        if self.window_ is None:
            self.window_ = SurveyWindow(
                self.session, self.workbench, self.survey, self.choose_folder
            )
            self.window_.taken.connect(lambda _: self.workbench.label_tab.reveal(self.list))
        self.window_.look_through(paths)
        return self.window_

    def refresh(self, *_: object) -> None:
        """List the images that the project holds now."""
        project = self.session.project
        self.list.show_rows(image_rows(project) if project is not None else [])
        self.list.setVisible(bool(self.list.rows))
        self.list.mark(self.session.source_id or None)

    def _show_image(self, source_id: Any) -> None:
        self.workbench.run(lambda: self.desk.show_source(source_id))

    def close_down(self) -> None:
        """Close the table, too."""
        if self.window_ is not None:
            self.window_.close()
        super().close_down()


def image_rows(project: Project) -> list[Row]:
    """Return a row for each image of a project: its frames and its labels."""
    atoms: dict[str, int] = {}
    for source_id, frame in project.frames_with_labels():
        atoms[source_id] = atoms.get(source_id, 0) + project.count_atoms(source_id, frame)
    rows = []
    for record in project.sources:
        frames = f" · {record.n_frames} frames" if record.n_frames > 1 else ""
        n = atoms.get(record.id, 0)
        labels = f" · {n:,} atoms" if n else ""
        tip = f"{record.absolute_path or record.name}\nA click shows it"
        rows.append(Row(record.id, record.name, f"{frames}{labels}", quiet=not n, tip=tip))
    return rows
