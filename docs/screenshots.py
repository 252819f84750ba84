"""Drive the real program and save a picture of every tab, at two sizes of screen.

    python docs/screenshots.py [FOLDER]

Without a display, on Linux: ``xvfb-run -s "-screen 0 1920x1080x24" python docs/screenshots.py``.
It opens the sample, labels a part of it, trains for real (a minute or two) and predicts.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SCRATCH = tempfile.TemporaryDirectory(prefix="apgan-screenshots-", ignore_cleanup_errors=True)
os.environ["APGAN_HOME"] = SCRATCH.name
# Before napari is imported: nothing of the user's is read or written.
os.environ["NAPARI_CONFIG"] = str(Path(SCRATCH.name) / "napari.yaml")

import napari  # noqa: E402
from PIL import Image  # noqa: E402
from qtpy.QtWidgets import QApplication  # noqa: E402

from napari_apgan.elements import Element  # noqa: E402
from napari_apgan.regions import Region  # noqa: E402
from napari_apgan.simulate import make_sample  # noqa: E402
from napari_apgan.ui.commands import open_workbench  # noqa: E402
from napari_apgan.ui.widgets import Fold  # noqa: E402

SIZES = {"1366x768": (1366, 768), "1920x1080": (1920, 1080)}
PAPER = {"Pb": "#FF00FF", "Sr": "#00FFFF", "Ti": "#FFFF00"}


def turn(seconds: float = 0.3) -> None:
    """Let the program run for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def until(true: Callable[[], bool], seconds: float) -> bool:
    """Let the program run until something is true; False when it took too long."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        turn(0.1)
    return True


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer(title="napari-apgan", show_welcome_screen=False)

    def shoot(name: str, zoom: float = 1.0) -> None:
        for label, size in SIZES.items():
            viewer.window.resize(*size)
            turn()
            viewer.reset_view()
            if zoom > 1.0:  # into the right half, which has no labels
                (y0, x0), (y1, x1) = workbench.image_layer.extent.world
                viewer.scene.camera.zoom *= zoom
                viewer.scene.camera.center = (0.0, (y0 + y1) / 2, x0 + 0.78 * (x1 - x0))
            turn()
            path = folder / f"{name}-{label}.png"
            picture = viewer.window.screenshot(canvas_only=False, flash=False)
            # A palette is a third as large; this way to it keeps the colours of small things.
            way, plain = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
            small = Image.fromarray(picture[..., :3]).quantize(256, way, kmeans=2, dither=plain)
            small.save(path, optimize=True)
            print(path)

    workbench = open_workbench(viewer, "label")
    shoot("empty")
    viewer.open_sample("napari-apgan", "pto_sto")
    turn()
    for name, color in PAPER.items():
        workbench.desk.add_element(Element(name=name, color=color))
    workbench.session.element = "Pb"
    shoot("elements")
    workbench.label_tab.detection.run()
    until(lambda: workbench.label_tab.detection.candidates > 0, 120)
    shoot("detect")
    workbench.label_tab.detection.discard()
    workbench.show_tab("review")
    predictions = workbench.predictions
    workbench.review_tab.predict.button.click()
    until(lambda: predictions.shown is not None, 120)
    shoot("review-before")
    predictions.toggle()
    workbench.show_tab("label")
    workbench.messages.clear()
    workbench.label_tab.open_simulate()
    simulate = workbench.label_tab.simulate
    simulate.show_example("pto-sto")
    drawn = until(lambda: "SNR" in simulate.said.text(), 60)
    shoot("simulate")
    workbench.label_tab.close_simulate()

    truth = make_sample(seed=7, n_frames=1, shape=(384, 384)).pairs[0].atoms
    left = truth[truth["x_px"] < 215]
    workbench.session.add_atoms(left.assign(origin="human"))
    workbench.desk.add_region(Region.rectangle(2, 2, 200, 270))
    workbench.desk.add_region(
        Region.rectangle(2, 285, 200, 380).model_copy(update={"held_out": True})
    )
    workbench.messages.clear()
    shoot("label")
    workbench.desk.toggle_output_map()
    shoot("output-map")
    workbench.desk.toggle_output_map()

    workbench.show_tab("train")
    shoot("train-ready")
    advanced = workbench.train_tab.findChildren(Fold)[0]
    advanced.toggle.setChecked(True)
    start = workbench.train_tab.advanced.start
    start.setCurrentIndex(start.findText("the bundled start"))
    start.activated.emit(start.currentIndex())
    shoot("train-start")
    start.setCurrentIndex(0)
    start.activated.emit(0)
    advanced.toggle.setChecked(False)
    predictions.toggle()
    workbench.train_tab.press()
    began = until(lambda: workbench.train_tab.monitor.running, 60)
    until(lambda: bool(workbench.train_tab.progress.quality.series), 300)
    turn(5)
    shoot("train")
    ended = began and until(lambda: not workbench.train_tab.training, 900)
    workbench.show_tab("review")
    until(lambda: bool(workbench.review_tab.items), 600)
    turn(2)
    shoot("review")
    workbench.review_tab.predict.uncertainty.click()
    unsure = until(lambda: predictions.layers.deviation is not None, 300)
    shoot("review-uncertainty", zoom=3.0)
    workbench.session.close_project()
    viewer.close()
    turn()
    return 0 if ended and drawn and unsure else 1


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"
    sys.exit(main(target))
