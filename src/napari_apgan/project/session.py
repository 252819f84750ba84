"""The session: the open project and where the user is in it. One per viewer; no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from psygnal import Signal

from napari_apgan.atoms import empty_atoms
from napari_apgan.elements import Element, find_element
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame, Source
from napari_apgan.regions import Region
from napari_apgan.settings import Settings
from napari_apgan.words import share

from .documents import Document
from .edits import Edit
from .folder import PredictionFiles
from .labelling import CalibrationReport
from .project import Project


class Session:
    """Holds the open project, the current source, frame, element and model.

    Views connect to its signals and call its methods; they never change the project behind its
    back (though they may: the signals follow the project itself).
    """

    project_changed = Signal()
    source_changed = Signal(str)
    frame_changed = Signal(str, int)
    atoms_changed = Signal(str, int)
    regions_changed = Signal(str, int)
    elements_changed = Signal()
    element_changed = Signal(str)
    model_changed = Signal()
    pairs_changed = Signal()
    runs_changed = Signal()
    prediction_changed = Signal(str, int)
    calibration_changed = Signal(str)
    sources_changed = Signal()
    message = Signal(str)

    def __init__(self) -> None:
        self._project: Project | None = None
        self._source_id = ""
        self._frame = 0
        self._element = ""
        self._names: list[str] = []
        self._model: Path | None = None

    # ------------------------------------------------------------------ the project

    @property
    def project(self) -> Project | None:
        """The open project, if any."""
        return self._project

    def ensure_project(self) -> Project:
        """Return the open project; make an unsaved one where there is none."""
        if self._project is None:
            self._adopt(Project.create_unsaved())
            self.message.emit("Unsaved project, kept safe. Save as…")
        assert self._project is not None
        return self._project

    def create_project(self, path: str | Path, elements: Sequence[Element] = ()) -> Project:
        """Make a project, close the present one and go on in the new one."""
        return self._replace(Project.create(path, elements))

    def open_project(
        self, path: str | Path, *, read_only: bool = False, recover: bool = False
    ) -> Project:
        """Open a project in place of the present one; the present one stays when that fails."""
        if self._project is not None and self._project.path == Path(path).expanduser().resolve():
            return self._project
        project = self._replace(Project.open(path, read_only=read_only, recover=recover))
        if sentence := project.recovered.sentence():
            self.message.emit(sentence)
        return project

    def save_as(self, path: str | Path) -> None:
        """Save the project at another place and go on there."""
        project = self.ensure_project()
        model = self._model
        old = project.path
        project.save_as(path)
        if model is not None and model.is_relative_to(old):
            self._model = project.path / model.relative_to(old)
        self._remember(project)
        self.project_changed.emit()

    def close_project(self) -> None:
        """Close the project; every label is in its file then."""
        if self._project is None:
            return
        project = self._project
        self._keep_place()
        self._disconnect(project)
        self._project, self._source_id, self._frame, self._element = None, "", 0, ""
        self._model = None
        try:
            project.close()
        finally:
            self.project_changed.emit()

    def _replace(self, project: Project) -> Project:
        try:
            self.close_project()
        finally:
            self._adopt(project)
        self._remember(project)
        return project

    def _adopt(self, project: Project) -> None:
        self._project = project
        project.changed.connect(self._on_documents)
        project.sources_changed.connect(self._on_sources)
        project.runs_changed.connect(self._on_runs)
        settings = project.settings
        known = {r.id: r for r in project.sources}
        self._source_id = (
            settings.source_id if settings.source_id in known else next(iter(known), "")
        )
        in_range = (
            self._source_id == settings.source_id
            and bool(self._source_id)
            and settings.frame < known[self._source_id].n_frames
        )
        self._frame = settings.frame if in_range else 0
        self._names = [e.name for e in project.elements]
        known_element = settings.element in self._names
        self._element = settings.element if known_element else next(iter(self._names), "")
        model = project.path / settings.model if settings.model else None
        self._model = model if model is not None and model.exists() else None
        self.project_changed.emit()

    def _disconnect(self, project: Project) -> None:
        project.changed.disconnect(self._on_documents)
        project.sources_changed.disconnect(self._on_sources)
        project.runs_changed.disconnect(self._on_runs)

    def _remember(self, project: Project) -> None:
        if not project.is_unsaved:
            Settings.load().remember_project(project.path)

    def _keep_place(self) -> None:
        """Write where the user is, so that reopening goes on there."""
        project = self._project
        if project is None or project.read_only:
            return
        model = ""
        if self._model is not None:
            inside = self._model.is_relative_to(project.path)
            model = self._model.relative_to(project.path).as_posix() if inside else str(self._model)
        project.update_settings(
            source_id=self._source_id, frame=self._frame, element=self._element, model=model
        )

    # ------------------------------------------------------------------ where the user is

    @property
    def source_id(self) -> str:
        """The current source; empty for none."""
        return self._source_id

    @source_id.setter
    def source_id(self, source_id: str) -> None:
        self.go_to(source_id, 0)

    @property
    def frame_index(self) -> int:
        """The current frame of the source."""
        return self._frame

    @frame_index.setter
    def frame_index(self, frame: int) -> None:
        self.go_to(self._source_id, frame)

    def go_to(self, source_id: str, frame: int = 0) -> None:
        """Make a frame of a source the current one.

        Raises
        ------
        UserError
            When there is no such frame.
        """
        if source_id:
            if self._project is None:
                raise UserError("No project is open: open an image or a project first.")
            record = self._project.record(source_id)
            if not 0 <= frame < record.n_frames:
                raise UserError(
                    f"{record.name} has {record.n_frames} frames; there is no number {frame}."
                )
        moved = source_id != self._source_id
        if not moved and frame == self._frame:
            return
        self._source_id, self._frame = source_id, frame
        if moved:
            self.source_changed.emit(source_id)
        self.frame_changed.emit(source_id, frame)

    @property
    def element(self) -> str:
        """Name of the element that a click adds; empty before there is one."""
        return self._element

    @element.setter
    def element(self, name: str) -> None:
        find_element(self.ensure_project().elements, name)
        if name != self._element:
            self._element = name
            self.element_changed.emit(name)

    @property
    def model(self) -> Path | None:
        """The model in use: a model file or a run folder."""
        return self._model

    @model.setter
    def model(self, path: Path | None) -> None:
        if path != self._model:
            self._model = path
            self.model_changed.emit()

    @property
    def calibration(self) -> Calibration:
        """Pixel size of the current source."""
        if self._project is None or not self._source_id:
            return Calibration()
        return self._project.calibration(self._source_id)

    def status_line(self) -> str:
        """Say where the user is: project, source and frame, element, training set, model."""
        project = self._project
        if project is None:
            return "No project yet: open an image to begin."
        parts = ["Unsaved project" if project.is_unsaved else project.name]
        if project.read_only:
            parts[0] += " (read-only)"
        if self._source_id:
            record = project.record(self._source_id)
            more = f", frame {self._frame + 1} of {record.n_frames}" if record.n_frames > 1 else ""
            parts.append(record.name + more)
        if self._element:
            parts.append(self._element)
        atoms = sum(project.count_atoms(p.source_id, p.frame) for p in project.pairs)
        n = len(project.pairs)
        parts.append(f"training set {n} pair{'s' * (n != 1)} · {atoms:,} atoms")
        parts.append(self._model_line(project))
        return " · ".join(parts)

    def _model_line(self, project: Project) -> str:
        if self._model is None:
            return "no model yet"
        run = self._model if self._model.is_dir() else self._model.parent
        turn = next((r for r in reversed(project.rounds) if r.run_id == run.name), None)
        if turn is None:
            return f"model {run.name if self._model.is_dir() else self._model.stem}"
        if turn.validation_score is None:
            return f"model round {turn.number}"
        return f"model round {turn.number}, agrees with your labels {share(turn.validation_score)}"

    # ------------------------------------------------------------------ what is there

    def add_source(self, source: Source) -> str:
        """Add an image to the project (an unsaved one if need be) and go to it."""
        source_id = self.ensure_project().add_source(source)
        self.go_to(source_id)
        return source_id

    def atoms(self) -> pd.DataFrame:
        """Labels of the current frame."""
        if self._project is None or not self._source_id:
            return empty_atoms()
        return self._project.atoms(self._source_id, self._frame)

    def regions(self) -> list[Region]:
        """Regions of the current frame."""
        if self._project is None or not self._source_id:
            return []
        return self._project.regions(self._source_id, self._frame)

    def frame(self) -> Frame | None:
        """Read the current frame; None when no image is open."""
        if self._project is None or not self._source_id:
            return None
        return self._project.source(self._source_id).frame(self._frame)

    def prediction_files(self) -> PredictionFiles | None:
        """Where the current model's prediction of the current frame lies; None without a model."""
        if self._project is None or not self._source_id or self._model is None:
            return None
        run = self._model if self._model.is_dir() else self._model.parent
        return self._project.prediction_files(run.name, self._source_id, self._frame)

    # ------------------------------------------------------------------ edits

    def apply(self, edit: Edit) -> None:
        """Make an edit; see :meth:`Project.apply`."""
        self.ensure_project().apply(edit)

    def undo(self) -> bool:
        """Take the last edit back; False when there is none."""
        return self._project.undo() if self._project is not None else False

    def redo(self) -> bool:
        """Make the last undone edit again; False when there is none."""
        return self._project.redo() if self._project is not None else False

    def _here(self) -> tuple[Project, str, int]:
        project = self.ensure_project()
        if not self._source_id:
            raise UserError("No image is open: open one first.")
        return project, self._source_id, self._frame

    def add_atoms(self, table: pd.DataFrame) -> list[int]:
        """Add atoms to the current frame; return their ids."""
        project, source_id, frame = self._here()
        return project.add_atoms(source_id, frame, table)

    def remove_atoms(self, ids: Sequence[int]) -> None:
        """Remove atoms of the current frame."""
        project, source_id, frame = self._here()
        project.remove_atoms(source_id, frame, ids)

    def change_atoms(self, ids: Sequence[int], **columns: Any) -> None:
        """Change atoms of the current frame: ``x_px=…, y_px=…, element=…``."""
        project, source_id, frame = self._here()
        project.change_atoms(source_id, frame, ids, **columns)

    def add_region(self, region: Region) -> Region:
        """Add a region to the current frame under a new id."""
        project, source_id, frame = self._here()
        return project.add_region(source_id, frame, region)

    def set_regions(self, regions: Sequence[Region]) -> None:
        """Set the regions of the current frame."""
        project, source_id, frame = self._here()
        project.set_regions(source_id, frame, regions)

    def set_calibration(self, calibration: Calibration) -> CalibrationReport:
        """Set the pixel size of the current source and say what followed."""
        project, source_id, _ = self._here()
        report = project.set_calibration(source_id, calibration)
        self.message.emit(report.sentence())
        return report

    # ------------------------------------------------------------------ what changed

    def _on_documents(self, documents: tuple[Document, ...]) -> None:
        for document in documents:
            if document.kind == "atoms":
                self.atoms_changed.emit(document.source_id, document.frame)
            elif document.kind == "regions":
                self.regions_changed.emit(document.source_id, document.frame)
            elif document.kind == "elements":
                self._on_elements()
            elif document.kind == "pairs":
                self.pairs_changed.emit()
            else:
                self.calibration_changed.emit(document.source_id)

    def _on_elements(self) -> None:
        assert self._project is not None
        before, self._names = self._names, [e.name for e in self._project.elements]
        self.elements_changed.emit()
        if self._element in self._names:
            return
        # A renamed element stands where it stood; for a removed one the first stands in.
        renamed = len(before) == len(self._names) and self._element in before
        self._element = (
            self._names[before.index(self._element)] if renamed else next(iter(self._names), "")
        )
        self.element_changed.emit(self._element)

    def _on_sources(self, _source_id: str) -> None:
        assert self._project is not None
        left = [r.id for r in self._project.sources]
        if self._source_id and self._source_id not in left:
            self.go_to(next(iter(left), ""))
        self.sources_changed.emit()

    def _on_runs(self) -> None:
        self.runs_changed.emit()
