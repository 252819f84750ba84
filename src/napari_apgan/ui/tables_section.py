"""Labels from and to tables: a section of the Label tab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QVBoxLayout

from napari_apgan.io import read_atoms, write_atoms

from .label_sections import LabelSection
from .widgets import row, text_button

if TYPE_CHECKING:
    from napari_apgan.project import Session

    from .workbench import Workbench


class TablesSection(LabelSection):
    """Import and export of the labels of a frame."""

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(session, workbench)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(
            row(
                text_button(
                    "Import CSV…", self.import_csv, "Add the atoms of a table to this frame"
                ),
                text_button("Export CSV…", self.export_csv, "Write the labels of this frame"),
                1,
            )
        )

    def import_csv(self, path: str = "") -> None:
        """Add the atoms of a CSV to this frame."""
        path = (
            path
            or QFileDialog.getOpenFileName(
                self, "Import atoms", self.workbench.last_folder(), "Atom tables (*.csv)"
            )[0]
        )
        if path:
            self.workbench.remember_folder(Path(path).parent)
            self.desk.guarded(lambda: self._import(Path(path)))

    def _import(self, path: Path) -> None:
        table = read_atoms(path)
        here = table[table["frame"] == self.session.frame_index] if len(table) else table
        taken = here if len(here) else table
        ids = self.session.add_atoms(taken)
        more = len(table) - len(taken)
        others = f" {more:,} atoms of other frames were left out." if more else ""
        self.desk.say(f"{len(ids):,} atoms added from {path.name}.{others}")

    def export_csv(self, path: str = "") -> None:
        """Write the labels of this frame as a CSV."""
        if not len(self.desk.atoms.labels):
            self.desk.say("There are no labels on this frame to export.")
            return
        name = str(Path(self.workbench.last_folder()) / f"{self.workbench.source_name()}.csv")
        path = (
            path
            or QFileDialog.getSaveFileName(self, "Export labels", name, "Atom tables (*.csv)")[0]
        )
        if path:
            self.workbench.remember_folder(Path(path).parent)
            table = self.session.atoms()
            if self.desk.guarded(lambda: write_atoms(table, Path(path))):
                self.desk.say(f"{len(table):,} atoms written to {Path(path).name}.")
