"""The forms of a simulation: structure, microscope, noise and frame, made from their models."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QLabel,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_apgan.errors import UserError
from napari_apgan.simulate.degradation.settings import DegradationSettings
from napari_apgan.simulate.imaging.settings import ImagingSettings
from napari_apgan.simulate.scene import ViewSettings
from napari_apgan.simulate.settings import SimulationSettings
from napari_apgan.simulate.structures import STRUCTURES

from .model_form import ModelForm, all_fields, complaint
from .model_notes import words_of
from .widgets import column_in, heading, row, scrolled

#: Fields of a form that are seen before "More".
_SHOWN = 6
_EMPTY = "Empty: the usual value."
#: What is changed most often; of structures what the kind has of these.
_STRUCTURE_FIRST = (
    "path",
    "formula",
    "metal",
    "material",
    "lines",
    "vacancy_percent",
    "holes",
    "contamination_percent",
    "polar",
    "amplitude_pm",
    "thickness_nm",
    "zone",
    "intermixing_cells",
    "wedge_deg",
    "displacement_pm",
)
_LENS_FIRST = (
    "mode",
    "engine",
    "voltage_kv",
    "aperture_mrad",
    "focal_spread_nm",
    "source_size_pm",
)
_NOISE_FIRST = ("snr", "dose", "readout", "jitter_pm", "loss", "lost_fraction")
_FRAME_FIELDS = {
    "pixel_size_pm": "Pixel size (pm)",
    "shape": "Rows x columns (px)",
    "variety": "Variety (0 to 1)",
}


class SimulationForms(QWidget):
    """Four short forms, one behind each tab, that together make `SimulationSettings`."""

    #: Something was changed by hand.
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.kind = QComboBox()
        self.kind.setToolTip("What lies under the beam")
        for kind in STRUCTURES:
            self.kind.addItem(words_of(kind), kind)
        self._structures: dict[str, ModelForm] = {}
        # No stack of pages: that is as high as the longest form, and folds could not open.
        self._room = QVBoxLayout()
        self.imaging = self._form(ImagingSettings, all_fields(ImagingSettings, _LENS_FIRST))
        self.degradation = self._form(
            DegradationSettings, all_fields(DegradationSettings, _NOISE_FIRST)
        )
        self.frame = self._form(SimulationSettings, _FRAME_FIELDS)
        self.view = self._form(ViewSettings)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        line = row(QLabel("Kind"), self.kind)
        line.setStretch(1, 1)
        structure = _page(line, self._room)
        for title, page in (
            ("Structure", structure),
            ("Microscope", _page(self.imaging)),
            ("Noise, scan", _page(self.degradation)),
            ("Frame", _page(self.frame, heading("How it lies there"), self.view)),
        ):
            self.tabs.addTab(scrolled(page), title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        self._show_kind()
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.imaging.editors["mode"].activated.connect(self._on_mode)

    def _form(self, model: Any, fields: dict[str, str] | None = None) -> ModelForm:
        form = ModelForm(model, fields, shown=_SHOWN, empty_words=_EMPTY)
        form.changed.connect(self.changed)
        form.typed.connect(self.changed)
        return form

    @property
    def structure(self) -> ModelForm:
        """The form of the chosen kind of structure."""
        kind = str(self.kind.currentData())
        if kind not in self._structures:
            model = STRUCTURES[kind]
            first = [name for name in _STRUCTURE_FIRST if name in model.model_fields]
            self._structures[kind] = self._form(model, all_fields(model, first))
            self._room.addWidget(self._structures[kind])
        return self._structures[kind]

    def _show_kind(self) -> None:
        shown = self.structure
        for form in self._structures.values():
            form.setVisible(form is shown)

    def _on_kind(self) -> None:
        self._show_kind()
        self.changed.emit()

    def _on_mode(self) -> None:
        """Take what is usual for the new mode: an HRTEM aperture suits no STEM probe."""
        editors = self.imaging.editors
        mode, engine = editors["mode"].currentData(), editors["engine"].currentData()
        self.imaging.show_values(ImagingSettings.usual(mode, engine))
        self.changed.emit()

    def show_settings(self, settings: SimulationSettings) -> None:
        """Fill all forms; nothing is told of it."""
        self.blockSignals(True)
        self.kind.setCurrentIndex(self.kind.findData(settings.structure.kind))
        self.structure.show_values(settings.structure)
        self._show_kind()
        self.imaging.show_values(settings.imaging)
        self.degradation.show_values(settings.degradation)
        self.view.show_values(settings.view)
        self.frame.show_values(settings)
        self.blockSignals(False)

    def settings(self) -> SimulationSettings:
        """Return what the forms say.

        Raises
        ------
        UserError
            When a value does not fit its field, or two do not fit each other.
        """
        given: dict[str, Any] = {
            **self.frame.raw(),
            "structure": {**self.structure.raw(), "kind": self.kind.currentData()},
            "imaging": self.imaging.raw(),
            "degradation": self.degradation.raw(),
            "view": self.view.raw(),
        }
        try:
            return SimulationSettings.model_validate(given)
        except ValidationError as error:
            raise UserError(complaint(error, given)) from error

    def set_multislice(self, *, there: bool) -> None:
        """Offer the multislice engine, or say why it is not there."""
        reason = "" if there else "Needs abTEM: pip install napari-apgan[simulate]"
        self.imaging.disable_choice("engine", "abtem", reason)


def _page(*parts: Any) -> QWidget:
    page = QWidget()
    layout = column_in(page, spacing=6, margins=(4, 6, 8, 4))
    for part in parts:
        if isinstance(part, QWidget):
            layout.addWidget(part)
        else:
            layout.addLayout(part)
    layout.addStretch(1)
    return page
