"""Labels from and to other programs: a section of the Label tab, with a preview over the image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from qtpy.QtWidgets import QFileDialog, QLabel, QMenu, QPushButton, QWidget

from napari_apgan.atoms import positions
from napari_apgan.elements import Element, pick_color
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.io import EXPORT_SUFFIXES, export_atoms, write_atoms
from napari_apgan.io.map_images import name_of_color

from .atoms_layer import rgba
from .import_form import ImportForm, NamesForm
from .label_sections import LabelSection
from .output_map_export import export_channels, export_picture
from .predict_background import Background
from .widgets import column_in, hint, primary_button, row, text_button

if TYPE_CHECKING:
    from napari_apgan.io.imports import Preview
    from napari_apgan.label.from_maps import MapLook
    from napari_apgan.label.imported import Placed
    from napari_apgan.project import Session

    from .workbench import Workbench

LAYER_NAME = "Import preview"
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_FILTER = (
    "Labels and output maps (*.csv *.tsv *.txt *.dat *.xls *.hdf5 *.h5 *.roi *.zip *.png *.jpg "
    "*.jpeg *.bmp *.tif *.tiff);;All files (*)"
)
_TEACH = (
    "From CSV and other tables (CalAtom, Fiji, MATLAB), points of napari, atomap, ImageJ ROIs, "
    "DeepLabCut, and output maps. The points are shown over the image before any is added."
)
#: What each export is called.
_EXPORTS = {
    "csv": "Labels as CSV…",
    "napari": "Points for napari…",
    "xyz": "Extended XYZ…",
    "cif": "CIF…",
    "hspy": "HyperSpy file with markers…",
    "atomap": "atomap atom lattice…",
}
#: More than this part of the points outside the image: something was misread.
_MISREAD = 0.2


class ImportSection(LabelSection):
    """Looks at a file of labels, asks what it cannot tell, shows the points, then adds them."""

    def __init__(self, session: Session, workbench: Workbench) -> None:
        super().__init__(session, workbench)
        self.background = Background(self, self._on_failed)
        self.path: Path | None = None
        self.look: MapLook | None = None
        self.placed: Placed | None = None
        self.layer: Any = None
        self._turn = 0
        self._for = ("", 0)
        self.import_button = text_button("Import…", self.import_file, _TEACH)
        self.export_button = QPushButton("Export…")
        self.export_button.setMenu(self._export_menu())
        self.teach = hint(_TEACH)
        self.panel = QWidget()
        self.title = QLabel()
        self.form, self.colors = ImportForm(), NamesForm()
        self.said = hint()
        self.add_button = primary_button("Add labels")
        self.add_button.clicked.connect(lambda _=False: workbench.run(self.add))
        self.cancel_button = text_button("Cancel", self.close_panel, "Nothing is added")
        inside = column_in(self.panel)
        for part in (self.title, self.form, self.colors, self.said):
            inside.addWidget(part)
        inside.addLayout(row(self.add_button, self.cancel_button))
        layout = column_in(self)
        layout.addLayout(row(self.import_button, self.export_button, 1))
        layout.addWidget(self.teach)
        layout.addWidget(self.panel)
        self.form.changed.connect(self._read)
        self.colors.changed.connect(self._read)
        self.panel.hide()

    # --- looking -----------------------------------------------------------------------------

    def import_file(self, path: str = "") -> None:
        """Look at a file of labels; asks for one unless it is given."""
        if self.desk.scene.image_layer is None:
            self.desk.say("Open the image first: labels are shown over it before they are added.")
            return
        path = (
            path
            or QFileDialog.getOpenFileName(
                self, "Import labels", self.workbench.last_folder(), _FILTER
            )[0]
        )
        if not path:
            return
        self.close_panel()
        self.path = Path(path)
        self._for = (self.session.source_id, self.session.frame_index)
        self.workbench.remember_folder(self.path.parent)
        self.title.setText(self.path.name)
        self.said.setText("Looking at it …")
        self.form.hide()
        self.colors.hide()
        self.teach.hide()
        self.panel.show()
        if self.path.suffix.lower() in _PICTURES:
            self._run(partial(_look_at_map, self.path), self._show_map)
        else:
            self._run(partial(_look, self.path, self.desk.frame()), self._show_table)

    def _run(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Work in the thread; an answer that something newer has replaced is dropped."""
        self._turn += 1
        turn = self._turn

        def take(result: Any) -> None:
            if turn == self._turn:
                then(result)

        self.background.run(work, take)

    def _on_failed(self, sentence: str, details: str = "") -> None:
        if self.path is None:
            return
        self._draw(None)
        self.said.setText(sentence)
        self.add_button.setEnabled(False)
        if details:
            self.workbench.say_error(sentence, details)

    def _show_table(self, preview: Preview) -> None:
        names = [e.name for e in self.desk.elements]
        self.form.show_preview(preview, names, self.session.element)
        self.form.show()
        self._read()

    def _show_map(self, look: MapLook) -> None:
        self.look = look
        elements = self.desk.elements
        names = [(code, name_of_color(code, elements) or guess) for code, guess, _ in look.colors]
        self.colors.ask(names, [e.name for e in elements], colors=True)
        self._read()

    # --- reading and showing -----------------------------------------------------------------

    def _read(self) -> None:
        """Read the file as chosen, and show where its points lie."""
        path = self.path
        if path is None:
            return
        if self.look is not None:
            work = partial(_read_map, path, self.look, self._painted(), self._shape())
        else:
            work = partial(_read_table, path, self.form.choices(), self.session.calibration)
        project = self.session.ensure_project()
        source_id, frame = self._for
        # Tables are taken here: the thread must not touch the project.
        labels = {f: project.atoms(source_id, f) for s, f in project.frames_with_labels(source_id)}
        n_frames = project.record(source_id).n_frames
        self._run(partial(_place, work, self._shape(), n_frames, frame, labels), self._draw)

    def _painted(self) -> list[Element]:
        """Return the elements of a picture's colours."""
        answers = self.colors.answers()
        return [Element(name=name, color=code) for code, name in answers.items() if name]

    def _shape(self) -> tuple[int, int]:
        project = self.session.ensure_project()
        return project.record(self._for[0]).shape

    def _draw(self, placed: Placed | None) -> None:
        """Show what would be added over the image."""
        self.placed = placed
        self.workbench.drop(self.layer)
        self.layer = None
        n = 0 if placed is None else len(placed.atoms)
        self.add_button.setEnabled(n > 0)
        self.add_button.setText(f"Add {n:,} label{'s' * (n != 1)}")
        if placed is None:
            return
        misread = placed.outside > _MISREAD * (n + placed.outside)
        advice = (
            " Most likely the order of x and y, the unit or the pixel size is another."
            if misread
            else ""
        )
        self.said.setText(placed.sentence() + advice)
        here = placed.atoms[placed.atoms["frame"] == self.session.frame_index]
        if len(here) and self.desk.scene.image_layer is not None:
            self.layer = self.workbench.place(
                "points",
                positions(here)[:, ::-1],
                name=LAYER_NAME,
                symbol="cross",
                size=1.3 * self.desk.atoms.radius_px,
                face_color=self._colors(here),
                border_color=np.tile(rgba("#FFFFFF"), (len(here), 1)),
                border_width=0.12,
                border_width_is_relative=True,
                canvas_size_limits=(7, 400),
            )
        self.workbench.label_tab.reveal(self.panel)

    def _colors(self, table: pd.DataFrame) -> Any:
        known = {e.name: e.color for e in self.desk.elements}
        for name in table["element"].unique():
            known.setdefault(name, pick_color(name, known.values()))
        return np.array([rgba(known[name]) for name in table["element"]])

    # --- adding ------------------------------------------------------------------------------

    def add(self) -> None:
        """Add what is shown, as one edit."""
        from napari_apgan.label.imported import import_edit

        placed, path = self.placed, self.path
        if placed is None or path is None:
            return
        project = self.session.ensure_project()
        edit = import_edit(project, self._for[0], placed.atoms, path.name)
        self.close_panel()
        if edit is not None:
            project.apply(edit)
            self.desk.say(f"Added from {path.name}: {placed.sentence()} Ctrl+Z takes them back.")

    def close_panel(self) -> None:
        """Put the preview away; nothing is added."""
        self._turn += 1
        self.path, self.look, self.placed = None, None, None
        self.workbench.drop(self.layer)
        self.layer = None
        self.panel.hide()
        self.teach.show()

    def refresh(self) -> None:
        """Put a preview away whose image is not shown any more."""
        if self.path is not None and self._for != (
            self.session.source_id,
            self.session.frame_index,
        ):
            self.close_panel()

    def close_down(self) -> None:
        """Let go of the thread and the preview."""
        self.close_panel()
        self.background.stop()
        super().close_down()

    # --- export ------------------------------------------------------------------------------

    def _export_menu(self) -> QMenu:
        menu = QMenu(self)
        for kind, words in _EXPORTS.items():
            menu.addAction(words, lambda k=kind: self.export(k))
        menu.addSeparator()
        menu.addAction("Output map as a picture…", lambda: export_picture(self.workbench))
        menu.addAction("Output map, one file an element…", lambda: export_channels(self.workbench))
        return menu

    def export(self, kind: str, path: str = "") -> None:
        """Write the labels of this frame for another program."""
        table = self.session.atoms()
        if not len(table):
            self.desk.say("There are no labels on this frame to export.")
            return
        suffix = EXPORT_SUFFIXES[kind]
        name = f"{self.workbench.source_name()}{suffix}"
        path = (
            path
            or QFileDialog.getSaveFileName(
                self,
                "Export labels",
                str(Path(self.workbench.last_folder()) / name),
                f"{_EXPORTS[kind].rstrip('…')} (*{suffix})",
            )[0]
        )
        if not path:
            return
        self.workbench.remember_folder(Path(path).parent)
        frame = self.desk.frame() if kind in ("hspy", "atomap") else None

        def write() -> None:
            if kind == "csv":
                write_atoms(table, Path(path))
                return
            export_atoms(
                table,
                path,
                kind,
                calibration=self.session.calibration,
                elements=self.desk.elements,
                frame_shape=None if frame is None else frame.shape,
                image=None if frame is None else frame.data,
            )

        if self.workbench.run(write):
            self.desk.say(f"{len(table):,} atoms written to {Path(path).name}.")


def _look(path: Path, frame: Frame | None) -> Any:
    from napari_apgan.io.imports import preview

    return preview(path, frame=frame)


def _look_at_map(path: Path) -> Any:
    from napari_apgan.label.from_maps import look_at_map

    return look_at_map(path)


def _read_table(path: Path, choices: Any, calibration: Any) -> pd.DataFrame:
    from napari_apgan.io.imports import read

    return read(path, choices, calibration=calibration)


def _read_map(
    path: Path, look: MapLook, elements: list[Element], shape: tuple[int, int]
) -> pd.DataFrame:
    from napari_apgan.label.from_maps import atoms_from_map
    from napari_apgan.label.imported import scaled

    if look.colors and not elements:
        raise UserError("Say which element each colour of the map is.")
    return scaled(atoms_from_map(path, elements), look.shape, shape)


def _place(
    read: Callable[[], pd.DataFrame],
    shape: tuple[int, int],
    n_frames: int,
    frame: int,
    labels: dict[int, pd.DataFrame],
) -> Placed:
    from napari_apgan.atoms import empty_atoms
    from napari_apgan.label.imported import place

    return place(
        read(),
        shape=shape,
        n_frames=n_frames,
        frame=frame,
        labels=lambda f: labels.get(f, empty_atoms()),
    )
