"""The real window, driven by real mouse and key events."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import napari
import numpy as np
import psutil
import pytest
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from safetensors.numpy import save_file

from napari_apgan.elements import Element
from napari_apgan.frames import Calibration
from napari_apgan.models import bundled
from napari_apgan.models.bundled import WEIGHTS
from napari_apgan.models.card import CARD_KEY, ModelCard
from napari_apgan.models.presets import PRESETS
from napari_apgan.ui import predict_overlay, train_doubts
from napari_apgan.ui.workbench import Workbench

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier


@pytest.fixture
def torch_free() -> Callable[[], None]:
    """Check that the window's process has not imported torch.

    Tests of the core do import it; where those ran before in the same process the check cannot be
    made and says so. `tools/start.py test` runs the window's tests in a process of their own.
    """
    was_there = "torch" in sys.modules

    def check() -> None:
        if was_there:
            pytest.skip("all passed but the check for torch: run tests/ui by itself for it")
        assert "torch" not in sys.modules

    return check


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    """Every process that a test started ends with it."""
    before = set(psutil.Process().children(recursive=True))  # a virtual screen, for one
    yield
    left = set(psutil.Process().children(recursive=True)) - before
    for child in left:
        child.terminate()
    _, alive = psutil.wait_procs(left, timeout=5)
    for child in alive:
        child.kill()


def lattice_image(
    shape: tuple[int, int] = (96, 128), spacing: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture of Gaussian columns on a square lattice and their (N, 2) centres x, y."""
    rng = np.random.default_rng(3)
    yy, xx = np.mgrid[: shape[0], : shape[1]].astype(float)
    ys, xs = np.meshgrid(
        np.arange(spacing / 2 + 0.3, shape[0], spacing),
        np.arange(spacing / 2 - 0.2, shape[1], spacing),
        indexing="ij",
    )
    centres = np.column_stack([xs.ravel(), ys.ravel()])
    image = sum(np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.5**2)) for x, y in centres)
    return (100 * image + rng.normal(0, 1.5, shape) + 20).astype(np.float32), centres


class Canvas:
    """A hand on the canvas of a workbench's viewer: positions are x, y in px of the image."""

    def __init__(self, workbench: Workbench) -> None:
        self.workbench = workbench
        window = workbench.window()
        self.widget = next(
            w
            for w in QApplication.allWidgets()
            if type(w).__name__ == "CanvasBackendDesktop" and w.window() is window
        )

    def at(self, x: float, y: float) -> QPoint:
        viewer, layer = self.workbench.desk.viewer, self.workbench.image_layer
        position = layer.data_to_world((*(0.0,) * (layer.ndim - 2), y, x))[-2:]
        centre = viewer.scene.camera.center[-2:]
        zoom = viewer.scene.camera.zoom
        size = self.widget.size()
        return QPoint(
            round(size.width() / 2 + (position[1] - centre[1]) * zoom),
            round(size.height() / 2 + (position[0] - centre[0]) * zoom),
        )

    def _send(self, kind: Any, point: QPoint, button: Any, buttons: Any, modifiers: Any) -> None:
        where = QPointF(point)
        event = QMouseEvent(
            kind, where, QPointF(self.widget.mapToGlobal(point)), button, buttons, modifiers
        )
        QApplication.sendEvent(self.widget, event)
        QApplication.processEvents()

    def move(self, x: float, y: float, *, held: bool = False, modifiers: Any = NONE) -> None:
        buttons = LEFT if held else Qt.MouseButton.NoButton
        no = Qt.MouseButton.NoButton
        self._send(QEvent.Type.MouseMove, self.at(x, y), no, buttons, modifiers)

    def press(self, x: float, y: float, modifiers: Any = NONE) -> None:
        self._send(QEvent.Type.MouseButtonPress, self.at(x, y), LEFT, LEFT, modifiers)

    def release(self, x: float, y: float, modifiers: Any = NONE) -> None:
        none = Qt.MouseButton.NoButton
        self._send(QEvent.Type.MouseButtonRelease, self.at(x, y), LEFT, none, modifiers)

    def click(self, x: float, y: float, modifiers: Any = NONE) -> None:
        self.move(x, y, modifiers=modifiers)
        self.press(x, y, modifiers)
        self.release(x, y, modifiers)

    def drag(
        self, start: tuple[float, float], end: tuple[float, float], modifiers: Any = NONE
    ) -> None:
        # The camera may pan meanwhile: the way is fixed on the screen before it starts.
        none = Qt.MouseButton.NoButton
        first, last = self.at(*start), self.at(*end)
        self._send(QEvent.Type.MouseMove, first, none, none, modifiers)
        self._send(QEvent.Type.MouseButtonPress, first, LEFT, LEFT, modifiers)
        for part in (0.25, 0.6, 1.0):
            point = first + (last - first) * part
            self._send(QEvent.Type.MouseMove, point, none, LEFT, modifiers)
        self._send(QEvent.Type.MouseButtonRelease, last, LEFT, none, modifiers)

    def key(self, key: Any, modifiers: Any = NONE) -> None:
        QTest.keyClick(self.widget, key, modifiers)
        QApplication.processEvents()


@pytest.fixture(autouse=True)
def _helper_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the helpers start when they are asked for something, not by themselves.

    One imports torch: seconds of work that most tests have no use for.
    """
    monkeypatch.setattr(predict_overlay, "WARM_MS", 3_600_000)
    monkeypatch.setattr(train_doubts, "PAUSE_MS", 3_600_000)


@pytest.fixture(autouse=True)
def _no_bundled_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Do without the network of the package, which needs the helper and its torch.

    Tests that are about it put it back.
    """
    monkeypatch.setattr(bundled, "WEIGHTS", tmp_path / "absent.safetensors")


@pytest.fixture
def bundled_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the file of the network that comes with the package, moved to another place."""
    path = tmp_path / "moved.safetensors"
    shutil.copyfile(WEIGHTS, path)
    monkeypatch.setattr(bundled, "WEIGHTS", path)
    return path


@pytest.fixture(scope="module")
def window(qapp) -> Iterator[Any]:
    """One napari window for the tests of a module, as widgets see it."""
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(1366, 768)
    # napari collects garbage whenever a layer goes: what stays need not be looked at each time.
    gc.collect()
    gc.freeze()
    yield PublicOnlyProxy(viewer)
    gc.unfreeze()
    with patch.object(viewer.window._qt_window, "_save_current_window_settings"):
        viewer.close()


@pytest.fixture
def open_workbench(window, qtbot) -> Iterator[Callable[..., Workbench]]:
    """Dock a workbench in the window, as the Plugins menu does."""
    opened: list[Workbench] = []

    def factory(image: Any = None, pixel_pm: float | None = 20.0, **keywords: Any) -> Workbench:
        workbench = dock_workbench(window, image, pixel_pm, **keywords)
        opened.append(workbench)
        return workbench

    yield factory
    window.layers.clear()  # at once, which is quicker than one by one
    for workbench in opened:
        put_away(workbench)
    opened.clear()


def dock_workbench(
    viewer: Any, image: Any = None, pixel_pm: float | None = 20.0, **keywords: Any
) -> Workbench:
    """Show an image with the workbench beside it."""
    if image is not None:
        viewer.add_image(image, name="picture", **keywords)
    _, workbench = viewer.window.add_plugin_dock_widget("napari-apgan", "Atom workbench")
    if image is not None and pixel_pm:
        workbench.session.set_calibration(Calibration.from_pixel_size(pixel_pm, origin="user"))
    viewer.reset_view()
    QApplication.processEvents()
    return workbench


def put_away(workbench: Workbench) -> None:
    """Close the project and the dock; pytest keeps the widget, which would keep its window."""
    workbench.session.close_project()
    with suppress(LookupError):  # the test closed it itself
        workbench.viewer.window.remove_dock_widget(workbench)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
    gc.collect()
    gc.freeze()  # modules and caches that came with this workbench


@pytest.fixture
def workbench(open_workbench: Callable[..., Workbench]) -> Workbench:
    """A workbench on a picture of a square lattice, with the elements Pb and Ti."""
    image, _ = lattice_image()
    workbench = open_workbench(image)
    workbench.desk.add_element(Element(name="Pb", color="#FF00FF"))
    workbench.desk.add_element(Element(name="Ti", color="#FFFF00"))
    workbench.session.element = "Pb"
    workbench.messages.clear()
    return workbench


@pytest.fixture
def canvas(workbench: Workbench) -> Iterator[Canvas]:
    hand = Canvas(workbench)
    yield hand
    vars(hand).clear()  # pytest keeps the object, which would keep napari's canvas


@pytest.fixture
def centres() -> np.ndarray:
    """Centres x, y of the lattice's columns, row by row."""
    return lattice_image()[1]


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """Return a model file of the fast preset: its card, and a weight that nobody loads."""
    card = ModelCard(
        preset="fast",
        network=PRESETS["fast"].network,
        elements=(Element(name="Pb", color="#FF00FF"),),
        radius_px={"Pb": 3.0},
        pixel_size_pm=20.0,
    )
    path = tmp_path / "best.safetensors"
    save_file({"w": np.zeros(1)}, path, metadata={CARD_KEY: card.model_dump_json()})
    return path


# Test modules cannot import this file, so its helpers come as fixtures.


@pytest.fixture
def dock() -> Callable[..., Workbench]:
    return dock_workbench


@pytest.fixture
def undock() -> Callable[[Workbench], None]:
    return put_away


@pytest.fixture
def lattice() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return lattice_image


@pytest.fixture
def hand_on() -> Iterator[Callable[[Workbench], Canvas]]:
    """Return a hand on the canvas of a workbench."""
    hands: list[Canvas] = []

    def make(workbench: Workbench) -> Canvas:
        hands.append(Canvas(workbench))
        return hands[-1]

    yield make
    for hand in hands:
        vars(hand).clear()
