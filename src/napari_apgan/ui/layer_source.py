"""Sources made of layers that napari or another plugin opened."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Source
from napari_apgan.io import READABLE, open_source, source_from_array

from .placement import check_flat, leading_shape, world_per_px

#: Length units of a layer that say how large its pixels are, in pm.
UNIT_PM = {
    "picometer": 1.0,
    "angstrom": 100.0,
    "nanometer": 1e3,
    "micrometer": 1e6,
}


def source_of_layer(layer: Image) -> tuple[Source, str]:
    """Make a source of a layer that napari or another plugin opened.

    The file is read again, with its pixel size, where it is known and holds what the layer shows;
    else the layer's own pixels are taken.

    Returns
    -------
    source : Source
    note : str
        What cannot be restored or was changed, for the user; empty when nothing.

    Raises
    ------
    UserError
        When the layer is no image or series of images, or is turned out of its plane.
    """
    check_flat(layer)
    stored = layer.metadata.get("apgan") or {}
    path = Path(stored.get("path") or layer.source.path or "")
    if path.name and path.suffix.lower() in READABLE and path.is_file():
        try:
            source = open_source(path, dataset=stored.get("dataset") or None)
        except UserError:
            source = None
        if source is not None and _shows(layer, source):
            return source, source.note
    notes = []
    if layer.multiscale:
        notes.append("its finest level is used")
    if layer.rgb:
        notes.append("its colours become one brightness")
    lead = leading_shape(layer)
    if len(lead) > 1:
        shape = "x".join(str(n) for n in lead)
        notes.append(f"its {shape} images are taken as a series of {prod(lead)} frames")
    source = source_from_array(pixels_of(layer), layer.name, calibration_of(layer), rgb=layer.rgb)
    if not path.name:
        notes.append("no file holds it, so the project keeps a copy of its pixels (up to 512 MB)")
    elif path.is_file():
        notes.append(f"it differs from what {path.name} holds, so the project keeps its pixels")
    if not _plain(layer):
        notes.append("where it lies among other layers is not kept")
    note = f"{layer.name}: {'; '.join(notes)}." if notes else ""
    return source, note


def pixels_of(layer: Image) -> Any:
    """Return the pixels of a layer, of its finest level where it has several."""
    return layer.data[0] if layer.multiscale else layer.data


def _plain(layer: Image) -> bool:
    """Whether a layer starts at the world's origin, neither turned nor sheared."""
    linear = np.asarray(layer.affine.affine_matrix)
    return (
        np.allclose(layer.translate, 0)
        and np.allclose(layer.rotate, np.eye(layer.ndim))
        and np.allclose(layer.shear, 0)
        and np.allclose(linear, np.eye(layer.ndim + 1))
    )


def _shows(layer: Image, source: Source) -> bool:
    """Whether a layer shows what its file holds: the same shape, and the same pixels at a few."""
    pixels = pixels_of(layer)
    shape = tuple(pixels.shape[:-1] if layer.rgb else pixels.shape)
    wanted = (source.n_frames, *source.shape)
    if shape not in (wanted, wanted[1:] if source.n_frames == 1 else wanted):
        return False
    first = pixels if len(shape) == 2 else pixels[0]
    rows = slice(0, None, max(1, source.shape[0] // 16))
    part = source_from_array(first[rows], layer.name, rgb=layer.rgb).stack[0]
    mine = np.asarray(part, dtype=np.float64)
    theirs = np.asarray(np.asarray(source.stack[0])[rows], dtype=np.float64)
    return bool(np.allclose(mine, theirs, equal_nan=True))


def calibration_of(layer: Image) -> Calibration:
    """Take a layer's own scale for a pixel size, where its units are lengths."""
    units = [str(u) for u in layer.units[-2:]]
    if not all(u in UNIT_PM for u in units):
        return Calibration()
    sides = zip(world_per_px(layer), units, strict=True)
    y_pm, x_pm = (side * UNIT_PM[unit] for side, unit in sides)
    try:
        return Calibration.from_pixel_size(
            x_pm, y_pm, origin="file", note="the scale of the napari layer"
        )
    except UserError as error:
        return Calibration(note=str(error))
