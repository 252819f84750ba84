"""The parts of the Train tab: what is learned from, the choices, and the progress."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_apgan.elements import Element
from napari_apgan.maps import rgb_map
from napari_apgan.models.presets import PRESETS, LossWeights
from napari_apgan.project import Project
from napari_apgan.train.events import Event, Preview, Step, Validated
from napari_apgan.train.runfolder import RunFolder
from napari_apgan.train.settings import RunSettings

from .curve import MAX_POINTS, Chart, Series, thin
from .train_form import ModelForm
from .train_words import frame_words
from .widgets import BAD, GOOD, hint, row

#: Side of the picture of the probability map, in screen px.
THUMBNAIL_PX = 104
#: Frames of the training set that are seen without scrolling.
LIST_ROWS = 5
_LOSS, _F1, _ERROR = "#8FB8DE", GOOD, BAD

Place = tuple[str, int]

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


class TrainingList(QListWidget):
    """The labelled frames; those with a tick are learned from."""

    toggled = Signal(object, bool)  # (source id, frame), in the training set or not

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumWidth(1)
        self.setUniformItemSizes(True)
        # A long name loses its middle: where it begins and what the frame brings stay readable.
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setToolTip("Ticked frames are learned from, inside their complete regions only")
        self._rows: list[tuple[Place, str, bool]] = []
        self.itemChanged.connect(self._on_changed)

    def show_project(self, project: Project | None) -> None:
        """List the labelled frames of a project."""
        rows: list[tuple[Place, str, bool]] = []
        if project is not None:
            chosen = {(p.source_id, p.frame) for p in project.pairs}
            places = sorted({*project.frames_with_labels(), *chosen})
            rows = [(p, frame_words(project, *p), p in chosen) for p in places]
        if rows == self._rows:
            return
        self._rows = rows
        self.blockSignals(True)
        self.clear()
        for place, text, ticked in rows:
            item = QListWidgetItem(text)
            item.setData(Qt.ItemDataRole.UserRole, place)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
            item.setToolTip(text)
            self.addItem(item)
        self.blockSignals(False)
        self.setFixedHeight(8 + 22 * min(max(len(rows), 1), LIST_ROWS))

    def _on_changed(self, item: QListWidgetItem) -> None:
        source_id, frame = item.data(Qt.ItemDataRole.UserRole)
        ticked = item.checkState() == Qt.CheckState.Checked
        self._rows = []  # whatever comes of it, the list is drawn anew
        self.toggled.emit((source_id, frame), ticked)


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
            "Continuing from the last model is quicker; from scratch forgets what it learned"
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
        self._last = ""
        self._file = ""
        self.start.activated.connect(self._on_start)
        self.run_form.changed.connect(self.changed)
        self.loss_form.changed.connect(self.changed)
        self.offer("", "")

    def offer(self, last: str, title: str) -> None:
        """Offer to continue from a model (its path; empty for none)."""
        if last == self._last and self.start.count():
            return
        self._last = last
        self.start.clear()
        if last:
            self.start.addItem(title, last)
        self.start.addItem("scratch", "scratch")
        if self._file:
            self.start.addItem(Path(self._file).name, self._file)
        self.start.addItem("a model file…", "")

    def _on_start(self, _index: int) -> None:
        if self.start.currentData() != "":
            self.changed.emit()
            return
        path, _ = QFileDialog.getOpenFileName(self, "Model", "", "Models (*.safetensors)")
        if path:
            self._file = path
            self.start.insertItem(self.start.count() - 1, Path(path).name, path)
            self.start.setCurrentIndex(self.start.count() - 2)
        else:
            self.start.setCurrentIndex(0)
        self.changed.emit()

    @property
    def init(self) -> str:
        """Where the training starts: a path, or ``scratch``."""
        return str(self.start.currentData() or "scratch")


class ProgressPanel(QWidget):
    """Curves, the picture of the probability map, and what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(True)
        self.losses = Chart("The loss will fall here.", height=THUMBNAIL_PX)
        self.losses.x_name = "steps"
        self.quality = Chart("Agreement with held-out labels, and the error.", height=92)
        self.quality.left_most = 1.0
        self.picture = QLabel()
        self.picture.setFixedSize(QSize(THUMBNAIL_PX, THUMBNAIL_PX))
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setStyleSheet("background: #101216; border-radius: 3px;")
        self.picture.setToolTip("The probability map of a training frame, as it is now")
        self.result = QLabel()
        self.result.setWordWrap(True)
        self.result.setMinimumWidth(1)
        line = row(self.losses, self.picture)
        line.setStretch(0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.bar)
        layout.addLayout(line)
        layout.addWidget(self.quality)
        layout.addWidget(self.result)
        self._stamp = 0
        self._run: RunFolder | None = None
        self._seen = 0
        self._curves: dict[str, list[tuple[float, float]]] = {}

    def show_events(self, run: RunFolder, unit: str) -> None:
        """Draw the curves of a run; `unit` is "pm" or "px". Only what is new is looked at."""
        if run is not self._run or len(run.events()) < self._seen:
            self._run, self._seen, self._curves = run, 0, {}
        events = run.events(self._seen)
        self._seen += len(events)
        for event in events:
            self._take(event, unit)
        if not events:
            return
        self.losses.set_series(
            [
                Series("loss", _LOSS, self._curve("loss")),
                Series("held-out", _ERROR, self._curve("held-out"), marked=True),
            ]
        )
        self.quality.set_series(
            [
                Series("agreement", _F1, self._curve("f1"), marked=True),
                Series(
                    "error",
                    _ERROR,
                    self._curve("error"),
                    axis="right",
                    unit=f" {unit}",
                    marked=True,
                ),
            ]
        )

    def _curve(self, name: str) -> list[tuple[float, float]]:
        return self._curves.setdefault(name, [])

    def _take(self, event: Event, unit: str) -> None:
        if isinstance(event, Step):
            points = self._curve("loss")
            points.append((event.step, event.loss))
            if len(points) > 4 * MAX_POINTS:
                points[:] = thin(points, 2 * MAX_POINTS)
        elif isinstance(event, Validated):
            error = event.score.error_pm if unit == "pm" else event.score.error_px
            self._curve("held-out").append((event.step, event.loss))
            self._curve("f1").append((event.step, event.score.f1))
            if error is not None:
                self._curve("error").append((event.step, error))

    def show_progress(self, done: float, text: str) -> None:
        """Show which part (0..1) is done."""
        self.bar.setValue(round(1000 * min(max(done, 0.0), 1.0)))
        self.bar.setFormat(text)

    def show_preview(
        self, path: Path | None, event: Preview | None, elements: Mapping[str, Element]
    ) -> None:
        """Show the newest probability map, if it is new."""
        if path is None or event is None:
            self.picture.clear()
            self._stamp = 0
            return
        try:
            stamp = path.stat().st_mtime_ns
            if stamp == self._stamp:
                return
            content = path.read_bytes()
        except OSError:
            return  # it is being replaced: the next look finds it
        try:
            maps = np.load(io.BytesIO(content), allow_pickle=False)
        except ValueError:
            return
        self._stamp = stamp
        painted = picture(maps, [elements[n] for n in event.elements if n in elements])
        if painted is not None:
            self.picture.setPixmap(painted)


def picture(maps: NDArray[np.uint8], elements: Sequence[Element]) -> QPixmap | None:
    """Paint (C, Y, X) maps of 0..255 in the elements' colours, small enough for the dock.

    Thinned before it is painted: a megapixel would take longer than a turn of the event loop may.
    """
    if maps.ndim != 3 or len(elements) != len(maps):
        return None
    step = max(1, min(maps.shape[1:]) // (2 * THUMBNAIL_PX))
    rgb = np.ascontiguousarray(rgb_map(maps[:, ::step, ::step] / 255.0, elements))
    image = QImage(
        rgb.tobytes(), rgb.shape[1], rgb.shape[0], 3 * rgb.shape[1], QImage.Format.Format_RGB888
    )
    return QPixmap.fromImage(image).scaled(
        THUMBNAIL_PX,
        THUMBNAIL_PX,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
