"""Ask for predictions, see how far they are, and set how strong the overlay is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QMenu,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)

from napari_apgan.project import Session

from .busy_bar import BusyBar
from .predict_overlay import Predictions
from .widgets import column_in, row, text_button

if TYPE_CHECKING:
    from .workbench import Workbench


class PredictBox(QWidget):
    """Buttons over :class:`~napari_apgan.ui.predict_overlay.Predictions`.

    Parameters
    ----------
    session : Session
    workbench : Workbench
    predictions : Predictions
    """

    def __init__(self, session: Session, workbench: Workbench, predictions: Predictions) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._session, self._workbench, self._predictions = session, workbench, predictions
        self.button = text_button("Predict frame", predictions.predict_frame)
        self.more = QToolButton()
        self.more.setArrowType(Qt.ArrowType.DownArrow)
        self.more.setToolTip("Predict what is in view, or the whole series")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.more)
        menu.addAction("This frame", lambda: predictions.predict_frame())
        menu.addAction("What is in view", self.predict_view)
        self.series_action = menu.addAction("The whole series", predictions.predict_series)
        self.more.setMenu(menu)
        self.overlay = QCheckBox("Overlay (O)")
        self.overlay.setChecked(predictions.layers.visible)
        self.overlay.setToolTip("Show the probability maps and the predicted atoms")
        self.overlay.clicked.connect(lambda _=False: predictions.toggle())
        self.strength = QSlider(Qt.Orientation.Horizontal)
        self.strength.setRange(0, 100)
        self.strength.setValue(round(100 * predictions.layers.strength))
        self.strength.setToolTip("How strong the probability maps lie over the image")
        self.strength.setMinimumWidth(40)
        self.strength.valueChanged.connect(lambda v: predictions.layers.set_strength(v / 100.0))
        self.uncertainty = QCheckBox("Uncertainty")
        self.uncertainty.setToolTip(
            "White where the model wavers: whether there is an atom, or where its edge is. The "
            "frame is predicted again for it, which takes no longer than before."
        )
        self.uncertainty.clicked.connect(predictions.set_uncertain)
        self.bar = BusyBar()
        self.bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.cancel = text_button("Cancel", predictions.cancel, "Finished frames are kept")
        self._busy = QWidget()
        busy = row(self.bar, self.cancel)
        busy.setStretch(0, 1)
        self._busy.setLayout(busy)
        self._busy.hide()
        layout = column_in(self)
        layout.addLayout(row(self.button, self.more, 1, self.uncertainty))
        line = row(self.overlay, self.strength)
        line.setStretch(1, 1)
        layout.addLayout(line)
        layout.addWidget(self._busy)
        predictions.progressed.connect(self.bar.show_progress)
        predictions.busy_changed.connect(self._busy.setVisible)
        predictions.changed.connect(self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Show what can be asked for."""
        project, source_id = self._session.project, self._session.source_id
        there = project is not None and bool(source_id)
        model = self._predictions.model
        for button in (self.button, self.more, self.uncertainty):
            button.setEnabled(there and model.path is not None)
        self.button.setToolTip(
            "Find the atoms of this frame with the network that comes with the program: nothing is "
            "trained yet. It knows bright from dark atoms, but no elements."
            if model.by_contrast
            else "Find the atoms of this frame with the last model"
        )
        self.uncertainty.setChecked(self._predictions.uncertain)
        series = there and project.record(source_id).n_frames > 1
        self.series_action.setEnabled(series)
        self.overlay.setChecked(self._predictions.layers.visible)

    def predict_view(self) -> None:
        """Predict the part of the frame that is on the screen."""
        image = self._workbench.image_layer
        if image is None:
            self._workbench.say("Open an image first.")
            return
        (y0, x0), (y1, x1) = np.asarray(image.corner_pixels)[:, -2:]
        self._predictions.predict_frame((float(x0), float(y0), float(x1) + 1, float(y1) + 1))
