"""The model that predicts in the window, and what it has predicted."""

from __future__ import annotations

from pathlib import Path

from napari_apgan.elements import Element, find_element
from napari_apgan.errors import UserError
from napari_apgan.models.bundled import BUNDLED, bundled_path
from napari_apgan.models.card import BEST
from napari_apgan.project import Session
from napari_apgan.project.folder import PredictionFiles

from .predict_files import Place, is_newer, predicted_in


class ModelInUse:
    """The session's model; before there is one, the network that comes with the package.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def path(self) -> Path | None:
        """Its file or run folder; None where there is neither a model nor the package's network."""
        if self._session.model is not None:
            return self._session.model
        try:
            return bundled_path()
        except UserError:
            return None

    @property
    def weights(self) -> Path | None:
        """The file with its weights."""
        path = self.path
        return path / BEST if path is not None and path.is_dir() else path

    @property
    def by_contrast(self) -> bool:
        """Whether it is the network of the package, which knows bright from dark, no elements."""
        return self._session.model is None and self.path is not None

    @property
    def run_id(self) -> str:
        """The run it comes from; empty without a model."""
        path = self.path
        if path is None:
            return ""
        if self.by_contrast:
            return BUNDLED
        return path.name if path.is_dir() else path.parent.name

    def element(self) -> Element | None:
        """Return the element in the hand: what a network without elements calls its atoms."""
        project, name = self._session.project, self._session.element
        return find_element(project.elements, name) if project is not None and name else None

    def files(self, source_id: str, frame: int) -> PredictionFiles | None:
        """Where its prediction of a frame is or will be."""
        project = self._session.project
        if project is None or not source_id or not self.run_id:
            return None
        return project.prediction_files(self.run_id, source_id, frame)

    def is_fresh(self, source_id: str, frame: int) -> bool:
        """Whether a frame was predicted with the model as it is now."""
        files, weights = self.files(source_id, frame), self.weights
        return files is not None and weights is not None and is_newer(files, weights)

    def predicted_frames(self) -> list[Place]:
        """Return (source id, frame) of everything that it has predicted."""
        project = self._session.project
        if project is None or not self.run_id:
            return []
        return predicted_in(project, self.run_id)
