"""The output map as files: a picture in the elements' colours, or one TIFF an element."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_apgan.io.map_images import write_channel_files, write_rgb_map

from .predict_overlay import predictions_of

if TYPE_CHECKING:
    from .workbench import Workbench


def export_picture(workbench: Workbench, path: str = "") -> None:
    """Write the output map of the frame as the colours show it, ``.png`` or ``.tif``."""
    if not _something(workbench):
        return
    start = Path(workbench.last_folder()) / f"{workbench.source_name()}_map.png"
    path = (
        path
        or QFileDialog.getSaveFileName(
            workbench, "Export the output map", str(start), "Pictures (*.png *.tif)"
        )[0]
    )
    if not path:
        return
    workbench.remember_folder(Path(path).parent)
    draw, elements = workbench.desk.map_drawing(), workbench.desk.elements
    calibration = workbench.session.calibration
    predictions_of(workbench.session, workbench).background.run(
        lambda: write_rgb_map(path, draw(), elements, calibration),
        lambda _: workbench.say(f"The output map is written to {Path(path).name}."),
    )


def export_channels(workbench: Workbench, folder: str = "") -> None:
    """Write the output map of the frame as one float32 TIFF an element."""
    if not _something(workbench):
        return
    folder = folder or QFileDialog.getExistingDirectory(
        workbench, "Folder for the channels", workbench.last_folder()
    )
    if not folder:
        return
    workbench.remember_folder(Path(folder))
    draw, names = workbench.desk.map_drawing(), [e.name for e in workbench.desk.elements]
    calibration, stem = workbench.session.calibration, f"{workbench.source_name()}_map"

    def say(written: list[Path]) -> None:
        files = ", ".join(p.name for p in written)
        workbench.say(f"Written to {Path(folder).name}: {files}.")

    predictions_of(workbench.session, workbench).background.run(
        lambda: write_channel_files(folder, stem, draw(), names, calibration), say
    )


def _something(workbench: Workbench) -> bool:
    if len(workbench.desk.atoms.labels):
        return True
    workbench.say("There are no labels on this frame to draw a map of.")
    return False
