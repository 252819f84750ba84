"""Label a frame in the real program as a user would, and save a picture of every step.

    python docs/labelling.py [FOLDER]

Without a display, on Linux: ``xvfb-run -s "-screen 0 1920x1080x24" python docs/labelling.py``.
Buttons and the canvas get real mouse and key events; about a minute on two cores.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRATCH = tempfile.TemporaryDirectory(prefix="apgan-labelling-", ignore_cleanup_errors=True)
os.environ["APGAN_HOME"] = SCRATCH.name
# Before napari is imported: nothing of the user's is read or written.
os.environ["NAPARI_CONFIG"] = str(Path(SCRATCH.name) / "napari.yaml")

import napari  # noqa: E402
from PIL import Image  # noqa: E402
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt  # noqa: E402
from qtpy.QtGui import QMouseEvent  # noqa: E402
from qtpy.QtTest import QTest  # noqa: E402
from qtpy.QtWidgets import QApplication, QScrollArea, QWidget  # noqa: E402

from napari_apgan.elements import Element  # noqa: E402
from napari_apgan.ui.commands import open_workbench  # noqa: E402

PAPER = {"Pb": "#FF00FF", "Sr": "#00FFFF", "Ti": "#FFFF00"}
LEFT, NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
PATIENCE_S = 180.0


class User:
    """Looks, clicks and presses keys.

    Parameters
    ----------
    folder : Path
        Where pictures go.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.viewer = napari.Viewer(title="napari-apgan", show_welcome_screen=False)
        self.viewer.window.resize(1366, 768)
        self.workbench = open_workbench(self.viewer, "label")
        self.tab = self.workbench.label_tab
        self.count = 0

    @property
    def canvas(self) -> QWidget:
        """The widget that napari draws in."""
        found = [w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop"]
        return found[0]

    def wait(self, seconds: float = 0.3) -> None:
        """Let the program run for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.01)

    def wait_for(self, true: Callable[[], Any], what: str) -> None:
        """Let the program run until something is true."""
        end = time.monotonic() + PATIENCE_S
        while not true():
            if time.monotonic() > end:
                raise TimeoutError(f"Waited {PATIENCE_S:.0f} s for {what}.")
            self.wait(0.1)

    def look(self, name: str) -> None:
        """Save a picture of the whole window."""
        self.wait(0.6)
        self.count += 1
        path = self.folder / f"{self.count}-{name}.png"
        picture = self.viewer.window.screenshot(canvas_only=False, flash=False)[..., :3]
        way, plain = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
        small = Image.fromarray(picture).quantize(256, way, kmeans=2, dither=plain)
        small.save(path, optimize=True)
        print(path)

    def press(self, button: QWidget) -> None:
        """Click a button, scrolled into view first."""
        area = button.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is not None:
            area.ensureWidgetVisible(button)
            self.wait(0.1)
        QTest.mouseClick(button, LEFT)
        self.wait(0.1)

    def key(self, key: Any) -> None:
        """Press a key on the canvas."""
        QTest.keyClick(self.canvas, key)
        self.wait(0.2)

    def at(self, x: float, y: float) -> QPoint:
        """Return where a position in px of the image is on the canvas."""
        layer = self.workbench.image_layer
        position = layer.data_to_world((*(0.0,) * (layer.ndim - 2), y, x))[-2:]
        camera, size = self.viewer.scene.camera, self.canvas.size()
        dy, dx = (p - c for p, c in zip(position, camera.center[-2:], strict=True))
        return QPoint(
            round(size.width() / 2 + dx * camera.zoom), round(size.height() / 2 + dy * camera.zoom)
        )

    def mouse(self, kind: Any, point: QPoint, button: Any, held: Any) -> None:
        """Send one mouse event to the canvas."""
        there = QPointF(self.canvas.mapToGlobal(point))
        event = QMouseEvent(
            kind, QPointF(point), there, button, held, Qt.KeyboardModifier.NoModifier
        )
        QApplication.sendEvent(self.canvas, event)
        QApplication.processEvents()

    def hover(self, x: float, y: float) -> None:
        """Move the pointer."""
        self.mouse(QEvent.Type.MouseMove, self.at(x, y), NO_BUTTON, NO_BUTTON)
        self.wait(0.2)

    def click(self, x: float, y: float) -> None:
        """Click on the image."""
        point = self.at(x, y)
        self.hover(x, y)
        self.mouse(QEvent.Type.MouseButtonPress, point, LEFT, LEFT)
        self.mouse(QEvent.Type.MouseButtonRelease, point, LEFT, NO_BUTTON)
        self.wait(0.2)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag over the image."""
        first, last = self.at(*start), self.at(*end)
        self.mouse(QEvent.Type.MouseMove, first, NO_BUTTON, NO_BUTTON)
        self.mouse(QEvent.Type.MouseButtonPress, first, LEFT, LEFT)
        for part in (0.3, 0.7, 1.0):
            self.mouse(QEvent.Type.MouseMove, first + (last - first) * part, NO_BUTTON, LEFT)
        self.mouse(QEvent.Type.MouseButtonRelease, last, LEFT, NO_BUTTON)
        self.wait(0.2)


def label(user: User) -> None:
    """Go from an image to a training, as the page `labelling.md` tells it."""
    workbench, tab = user.workbench, user.tab
    user.viewer.open_sample("napari-apgan", "pto_sto")
    user.wait_for(lambda: workbench.image_layer is not None, "the sample")
    for name, color in PAPER.items():
        workbench.desk.add_element(Element(name=name, color=color))
    workbench.messages.clear()
    user.key(Qt.Key.Key_1)
    user.hover(60, 62)
    user.look("open")

    lattice = tab.sections.open("lattice")
    user.press(lattice.form.go)
    user.wait_for(lambda: lattice.sites is not None, "the lattice")
    lattice.form.rows.combos["B"].setEditText("Ti")
    user.look("lattice")
    user.press(tab.primary)
    user.press(tab.sections.folds["lattice"].toggle)

    elements = tab.sections.open("elements")
    user.press(elements.form.suggest)
    user.wait_for(lambda: elements.table is not None, "the elements")
    user.look("elements")
    user.press(tab.primary)
    user.key(Qt.Key.Key_Space)
    user.look("doubts")
    user.viewer.reset_view()
    user.press(tab.sections.folds["elements"].toggle)

    user.key(Qt.Key.Key_R)
    user.drag((14, 14), (178, 190))
    workbench.messages.clear()
    user.look("region")

    spoil(user)
    doctor = tab.sections.open("doctor")
    user.press(doctor.check_button)
    user.wait_for(lambda: doctor.report is not None, "the doctor")
    user.key(Qt.Key.Key_Space)
    user.look("doctor")
    user.viewer.reset_view()
    user.press(tab.sections.folds["doctor"].toggle)

    user.key(Qt.Key.Key_M)
    user.look("output-map")
    user.key(Qt.Key.Key_M)
    workbench.messages.clear()
    user.key(Qt.Key.Key_T)
    user.wait_for(lambda: bool(workbench.train_tab.progress.quality.series), "the training")
    user.wait(4.0)
    user.look("train")
    workbench.train_tab.press()
    user.wait_for(lambda: not workbench.train_tab.training, "the end of the training")


def spoil(user: User) -> None:
    """Make the mistakes that the doctor is to find: an atom off its place, one not labelled."""
    desk = user.workbench.desk
    table = user.workbench.session.atoms()
    inside = table[(table["x_px"].between(60, 140)) & (table["y_px"].between(60, 140))]
    moved, removed = (("label", int(i)) for i in inside["id"].iloc[[3, 20]])
    x, y = desk.atoms.position(moved)
    desk.move({moved: (x + 3.5, y + 2.0)})
    desk.remove([removed])


def main(folder: Path) -> int:
    """Label, with a picture of every step."""
    user = User(folder)
    try:
        label(user)
    finally:
        user.workbench.session.close_project()
        user.viewer.close()
        QApplication.processEvents()
    return 0


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images/labelling"
    sys.exit(main(target))
