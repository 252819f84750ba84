"""What napari calls to open microscope files and project folders.

A reader that raises makes napari show a traceback in a dialog, so nothing may escape from here:
what goes wrong is said in one sentence, and the null layer tells napari that nothing came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari.settings import get_settings
from napari.utils.notifications import show_error
from npe2 import PluginManager

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Source

PLUGIN = "napari-apgan"
#: Files that napari's own reader claims, too, though it opens none of them as an image series.
CONTESTED = ("*.h5", "*.hdf5", "*.npz")

LayerTuple = tuple[Any, dict[str, Any], str]
Reader = Callable[[str | Sequence[str]], list[Any]]

#: What a reader returns when it opened nothing.
NOTHING: list[Any] = [(None,)]


def prefer_our_readers() -> None:
    """Spare the user napari's question which reader to use, where the answer is plain.

    Project folders and data files are ours and all other folders napari's, unless the user chose
    otherwise, or a third plugin reads such files: then the user is to be asked.
    """
    chosen = get_settings().plugins.extension2reader
    wanted = {"*.apgan/": PLUGIN, "*/": "napari"}
    wanted.update({p: PLUGIN for p in CONTESTED if _claimed_by(p) == {"napari", PLUGIN}})
    missing = {k: v for k, v in wanted.items() if k not in chosen}
    if missing:
        get_settings().plugins.extension2reader = {**chosen, **missing}


def _claimed_by(pattern: str) -> set[str]:
    """Return the plugins with a reader for a pattern such as ``*.h5``."""
    readers = PluginManager.instance().iter_compatible_readers([f"file{pattern[1:]}"])
    return {reader.plugin_name for reader in readers}


def get_image_reader(path: str | Sequence[str]) -> Reader | None:
    """Offer to read microscope files (one, or several that open side by side)."""
    from napari_apgan.io import READABLE

    prefer_our_readers()
    paths = _as_paths(path)
    if not paths or any(p.suffix.lower() not in READABLE for p in paths):
        return None
    return _guarded(_read_images)


def get_project_reader(path: str | Sequence[str]) -> Reader | None:
    """Offer to open a project folder (`NAME.apgan`)."""
    paths = _as_paths(path)
    if len(paths) != 1 or paths[0].suffix.lower() != ".apgan" or not paths[0].is_dir():
        return None
    return _guarded(_read_project)


def image_layer(source: Source) -> LayerTuple:
    """Turn a source into a layer at its true scale, nm where the pixel size is known.

    The metadata remember where it came from, so that the workbench can adopt the layer.
    """
    single = source.n_frames == 1
    data = source.stack[0] if single else source.stack
    metadata = {
        "apgan": {
            "path": str(source.path) if source.path else "",
            "dataset": source.dataset,
            "calibration": source.calibration.model_dump(mode="json"),
        },
        **dict(source.metadata),
    }
    keywords: dict[str, Any] = {"name": source.name, "metadata": metadata, "rgb": False}
    keywords.update(layer_scale(source.calibration, 2 if single else 3))
    return data, keywords, "image"


def layer_scale(calibration: Calibration, ndim: int) -> dict[str, Any]:
    """Return the `scale` and `units` of a layer with `ndim` axes that shows a source.

    The image axes are in nm, or in px when the pixel size is unknown; the frame axis counts.
    """
    y_pm, x_pm = calibration.y_pm, calibration.x_pm
    if y_pm is None or x_pm is None:
        return {"scale": (1.0,) * ndim, "units": ("pixel",) * ndim}
    lead = ndim - 2
    return {
        "scale": (*(1.0,) * lead, y_pm / 1000.0, x_pm / 1000.0),
        "units": (*("pixel",) * lead, "nm", "nm"),
    }


def _as_paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(p) for p in path]


def _guarded(read: Callable[[list[Path]], list[Any]]) -> Reader:
    def reader(path: str | Sequence[str]) -> list[Any]:
        try:
            return read(_as_paths(path)) or NOTHING
        except UserError as error:
            show_error(str(error))
        except Exception as error:  # files lie: whatever a library raises becomes one sentence
            show_error(f"This could not be opened ({type(error).__name__}: {error}).")
        return NOTHING

    return reader


def _read_images(paths: list[Path]) -> list[Any]:
    from napari_apgan.io import list_sources

    layers: list[Any] = []
    for path in paths:
        layers += [image_layer(source) for source in list_sources(path)]
    return layers


def _read_project(paths: list[Path]) -> list[Any]:
    """Hand the folder to the workbench, which opens it with its images and labels."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        raise UserError("A project opens inside a napari window: open napari first.")
    from qtpy.QtCore import QTimer

    from .commands import open_workbench

    # After this call: napari is in the middle of adding layers, and the workbench adds its own.
    QTimer.singleShot(0, lambda: open_workbench(viewer).open_project(paths[0]))
    return NOTHING
