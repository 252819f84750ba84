"""The choices of the Train tab: preset, device, and what hardly anyone needs to change."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_apgan.models.bundled import BUNDLED
from napari_apgan.models.presets import PRESETS, LossWeights
from napari_apgan.project import Project
from napari_apgan.settings import Settings
from napari_apgan.train.settings import RunSettings

from .model_form import ModelForm
from .widgets import hint, row

RUN_FIELDS = {
    "minutes": "Minutes",
    "epochs": "Epochs",
    "steps": "Steps",
    "seed": "Seed",
    "validation": "Held-out share",
    "pixel_size_pm": "Pixel size (pm)",
    "threads": "CPU threads",
}
LOSS_FIELDS = {
    "adversarial": "Adversarial",
    "ssim": "SSIM",
    "psnr": "PSNR",
    "mse": "Squared error",
    "bce": "Cross-entropy",
}


class Choices(QWidget):
    """Preset and device, everything else folded away; nothing needs to be filled in."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.preset = QComboBox()
        for name, preset in PRESETS.items():
            self.preset.addItem(preset.title, name)
            tip = Qt.ItemDataRole.ToolTipRole
            self.preset.setItemData(self.preset.count() - 1, preset.summary, tip)
        self.device = QComboBox()
        self._devices: list[tuple[str, str]] = []
        self.set_devices("cpu", "")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for box in (self.preset, self.device):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.setMinimumWidth(60)
        line = row(QLabel("Preset"), self.preset, QLabel("on"), self.device)
        line.setStretch(1, 2)
        line.setStretch(3, 3)
        layout.addLayout(line)
        self.preset.currentIndexChanged.connect(self._on_preset)
        self.device.currentIndexChanged.connect(lambda _: self.changed.emit())
        self._on_preset()

    def _on_preset(self, *_: object) -> None:
        self.preset.setToolTip(PRESETS[self.preset_name].summary)
        self.changed.emit()

    def set_devices(self, best: str, cores: str) -> None:
        """Offer what the helper process has found: `best` is what automatic takes."""
        self.device.setToolTip(f"Automatic takes a graphics card where there is one; CPU{cores}")
        names = {"cpu": "CPU", "mps": "Apple GPU"}
        devices = [("auto", f"Auto: {names.get(best, f'GPU ({best})')}")]
        if best != "cpu":
            devices.append((best, names.get(best, f"GPU ({best})")))
        devices.append(("cpu", names["cpu"]))
        if devices == self._devices:
            return
        chosen = self.device_name
        self._devices = devices
        self.device.blockSignals(True)
        self.device.clear()
        for value, text in devices:
            self.device.addItem(text, value)
        self.choose_device(chosen)
        self.device.blockSignals(False)

    def choose_device(self, name: str) -> None:
        """Choose a device, if it is offered."""
        self.device.setCurrentIndex(max(0, self.device.findData(name)))

    def choose_preset(self, name: str) -> None:
        """Choose a preset, if there is one of that name."""
        self.preset.setCurrentIndex(max(0, self.preset.findData(name)))

    def recall(self) -> None:
        """Choose what the user chose last time."""
        settings = Settings.load()
        self.choose_preset(settings.preset)
        self.choose_device(settings.device)

    def remember(self, project: Project) -> None:
        """Keep the choice for the next time, and the preset with the project."""
        settings = Settings.load()
        chosen = {"preset": self.preset_name, "device": self.device_name}
        if any(getattr(settings, name) != value for name, value in chosen.items()):
            settings.model_copy(update=chosen).save()
        if not project.read_only:
            project.update_settings(preset=self.preset_name)

    @property
    def preset_name(self) -> str:
        """The chosen preset."""
        return str(self.preset.currentData())

    @property
    def device_name(self) -> str:
        """The chosen device."""
        return str(self.device.currentData() or "auto")


class Advanced(QWidget):
    """What hardly anyone needs to change: budget, seed, where to start from, loss weights."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.start = QComboBox()
        self.start.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.start.setMinimumWidth(60)
        self.start.setToolTip(
            "The last model goes on from what it learned here. The bundled start is a network that "
            "knows atoms in general, but not yet yours. Scratch knows nothing."
        )
        self.run_form = ModelForm(RunSettings, RUN_FIELDS)
        self.loss_form = ModelForm(LossWeights, LOSS_FIELDS)
        line = row(QLabel("Start from"), self.start)
        line.setStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 0, 0, 0)
        layout.addLayout(line)
        layout.addWidget(self.run_form)
        layout.addWidget(hint("Weights of the losses; 0 switches one off:"))
        layout.addWidget(self.loss_form)
        self._offered: tuple[str, bool] | None = None
        self._file = ""
        self._chosen = ""
        self.start.activated.connect(self._on_start)
        self.run_form.changed.connect(self.changed)
        self.loss_form.changed.connect(self.changed)
        self.offer("", "", bundled=False)

    def offer(self, last: str, title: str, *, bundled: bool) -> None:
        """Offer to continue from a model (its path; empty for none), and the bundled start.

        The first entry is taken unless the user chose another one that is still there; a new last
        model is a new situation.
        """
        if self._offered == (last, bundled):
            return
        if self._offered is not None and self._offered[0] != last:
            self._chosen = ""
        self._offered = (last, bundled)
        self.start.clear()
        if last:
            self.start.addItem(title, last)
        self.start.addItem("scratch", "scratch")
        if bundled:
            self.start.addItem("the bundled start", BUNDLED)
        if self._file:
            self.start.addItem(Path(self._file).name, self._file)
        self.start.addItem("a model file…", "")
        if self._chosen:
            self.start.setCurrentIndex(max(0, self.start.findData(self._chosen)))

    def _on_start(self, _index: int) -> None:
        if self.start.currentData() == "":
            path, _ = QFileDialog.getOpenFileName(self, "Model", "", "Models (*.safetensors)")
            if path:
                self._file = path
                self.start.insertItem(self.start.count() - 1, Path(path).name, path)
                self.start.setCurrentIndex(self.start.count() - 2)
            else:
                self.start.setCurrentIndex(0)
        self._chosen = self.init
        self.changed.emit()

    @property
    def init(self) -> str:
        """Where the training starts: a path, ``bundled`` or ``scratch``."""
        return str(self.start.currentData() or "scratch")
