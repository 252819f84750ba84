"""The progress of a training: its curves, the picture of its map, and what is left."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QLabel, QProgressBar, QWidget

from napari_apgan.elements import Element
from napari_apgan.maps import rgb_map
from napari_apgan.train.events import Event, Note, Preview, Started, Step, Validated
from napari_apgan.train.runfile import RunFile
from napari_apgan.train.runfolder import RunFolder

from .curve import MAX_POINTS, Chart, Series, thin
from .train_words import rounded
from .widgets import BAD, GOOD, column_in, row

#: Side of the picture of the probability map, in screen px.
THUMBNAIL_PX = 104
#: One colour a quantity: both losses are blue and violet, the error alone is orange.
_LOSS, _HELD_OUT, _F1, _ERROR = "#8FB8DE", "#B58BE0", GOOD, BAD


class ProgressPanel(QWidget):
    """Curves, the picture of the probability map, and what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(True)
        self.losses = Chart("The loss will fall here.", height=THUMBNAIL_PX)
        self.losses.x_name = "steps"
        # The held-out loss leaves out terms that training has: it gets a scale of its own.
        self.losses.right_from_zero = False
        self.quality = Chart("Agreement with held-out labels, and the error.", height=92)
        self.quality.left_most = 1.0
        self.losses.x_from = self.quality.x_from = 0.0
        self.picture = QLabel()
        self.picture.setFixedSize(QSize(THUMBNAIL_PX, THUMBNAIL_PX))
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setStyleSheet("background: #101216; border-radius: 3px;")
        self.picture.setToolTip("The middle of a training frame's probability map, as it is now")
        self.result = QLabel()
        self.result.setWordWrap(True)
        self.result.setMinimumWidth(1)
        line = row(self.losses, self.picture)
        line.setStretch(0, 1)
        layout = column_in(self)
        layout.addWidget(self.bar)
        layout.addLayout(line)
        layout.addWidget(self.quality)
        layout.addWidget(self.result)
        self._stamp = 0
        self._run: RunFolder | None = None
        self._seen = 0
        self._curves: dict[str, list[tuple[float, float]]] = {}

    def show_run(
        self, run: RunFolder, file: RunFile, elements: Sequence[Element], *, running: bool
    ) -> None:
        """Show where a run is.

        Parameters
        ----------
        run : RunFolder
        file : RunFile
            What it was started with.
        elements : sequence of Element
            The project's, as they are coloured now; those of the run where it has no more.
        running : bool
        """
        self.show_events(run, "px" if file.pixel_size_pm is None else "pm")
        colors = {e.name: e for e in (*file.elements, *elements)}
        preview = run.last(Preview)
        self.show_preview(run.preview, preview if isinstance(preview, Preview) else None, colors)
        self.bar.setVisible(running)
        if not running:
            return
        self._show_rest(run)
        note = run.last(Note)
        if isinstance(note, Note):
            self.result.setText(note.message)

    def _show_rest(self, run: RunFolder) -> None:
        step, started = run.last(Step), run.last(Started)
        if not isinstance(step, Step) or (
            isinstance(started, Started) and started.time > step.time
        ):
            text = "Starting …" if not isinstance(started, Started) else "Warming up …"
            self.show_progress(0.0, text)
            return
        left = run.remaining_s()
        text = f"{step.progress:.0%}" + (f", {rounded(left)} left" if left is not None else "")
        self.show_progress(step.progress, text)

    def show_events(self, run: RunFolder, unit: str) -> None:
        """Draw the curves of a run; `unit` is "pm" or "px". Only what is new is looked at."""
        if run is not self._run or len(run.events()) < self._seen:
            self._run, self._seen, self._curves = run, 0, {}
        events = run.events(self._seen)
        self._seen += len(events)
        for event in events:
            self._take(event, unit)
        if events:
            self.draw_curves(unit)

    def draw_curves(self, unit: str) -> None:
        """Draw what was taken from the events."""
        self.losses.set_series(
            [
                Series("loss", _LOSS, self._curve("loss")),
                Series("held-out", _HELD_OUT, self._curve("held-out"), axis="right", marked=True),
            ]
        )
        self.quality.set_series(
            [
                Series("agreement", _F1, self._curve("f1"), marked=True, share=True),
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
    """Paint the middle of (C, Y, X) maps of 0..255 in the elements' colours.

    No more of the map than the picture has pixels: a whole frame made smaller would mix the
    colours of neighbouring atoms into ones that belong to no element.
    """
    if maps.ndim != 3 or len(elements) != len(maps):
        return None
    rows, columns = (_middle(n) for n in maps.shape[1:])
    rgb = np.ascontiguousarray(rgb_map(maps[:, rows, columns] / 255.0, elements))
    image = QImage(
        rgb.tobytes(), rgb.shape[1], rgb.shape[0], 3 * rgb.shape[1], QImage.Format.Format_RGB888
    )
    return QPixmap.fromImage(image).scaled(
        THUMBNAIL_PX,
        THUMBNAIL_PX,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )


def _middle(length: int) -> slice:
    size = min(length, THUMBNAIL_PX)
    return slice((length - size) // 2, (length - size) // 2 + size)
