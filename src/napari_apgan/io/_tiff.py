"""TIFF, through tifffile: pixels of every compression, and every tag that may hold a scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration

from ._stored import LUMINANCE_NOTE, Stored, lazy_stack, luminance
from .units import Scale, calibration_from_scales, is_plain, length_in_pm, scale_from

#: Tags that Gatan's software writes: unit and size of a pixel along x and along y.
_GATAN_X, _GATAN_Y = (65009, 65003), (65010, 65004)

#: A frame of more than this is a mistake of the file.
_MAX_FRAME_BYTES = 4 << 30


def scan(path: Path) -> list[Stored]:
    """Find the images in a TIFF file; call it, and the `read` of what it returns, guarded."""
    with tifffile.TiffFile(path) as tif:
        calibration = read_scale(tif)
        metadata = _metadata(tif)
        series = [
            _stored(path, tif, index, calibration, metadata) for index in range(len(tif.series))
        ]
    return [stored for stored in series if stored is not None]


def _stored(
    path: Path,
    tif: tifffile.TiffFile,
    index: int,
    calibration: Calibration,
    metadata: Mapping[str, str],
) -> Stored | None:
    series = tif.series[index]
    shape, axes = tuple(series.shape), series.axes
    colours = axes.endswith("S") and shape[-1] in (2, 3, 4)
    # Planar colours stand in front of the image: S, Y, X.
    planar = len(axes) >= 3 and axes[-3] == "S" and shape[-3] in (3, 4)
    image_shape = shape[:-1] if colours else (*shape[:-3], *shape[-2:]) if planar else shape
    if len(image_shape) < 2 or 0 in shape:
        return None
    rows, columns = int(image_shape[-2]), int(image_shape[-1])
    n_frames = math.prod(image_shape[:-2])
    dtype = np.dtype(series.dtype)
    _check_size(path, tif, math.prod(shape), rows * columns, dtype)

    def grey(array: NDArray[Any]) -> NDArray[Any]:
        if planar:
            return luminance(np.moveaxis(array, -3, -1))
        return luminance(array) if colours else array

    def read() -> Any:
        if n_frames == 1:
            with tifffile.TiffFile(path) as file:
                return grey(file.series[index].asarray()).reshape(1, rows, columns)
        return lazy_stack(
            lambda t: grey(_read_frame(path, index, t, n_frames)).reshape(rows, columns),
            (n_frames, rows, columns),
            np.dtype(np.float32) if colours or planar else dtype.newbyteorder("="),
        )

    return Stored(
        dataset=f"series {index}" if len(tif.series) > 1 else "",
        shape=(n_frames, rows, columns),
        read=read,
        calibration=calibration,
        metadata=metadata,
        note=LUMINANCE_NOTE if colours or planar else "",
    )


def _check_size(
    path: Path, tif: tifffile.TiffFile, n_values: int, n_pixels: int, dtype: np.dtype[Any]
) -> None:
    """Refuse sizes that the file cannot hold, before anything is allocated for them."""
    uncompressed = all(int(s.keyframe.compression) == 1 for s in tif.series)
    packed = dtype.itemsize * n_values // (8 if dtype.kind == "b" else 1)
    too_long = uncompressed and packed > path.stat().st_size * (8 if dtype.itemsize == 1 else 2)
    if too_long or n_pixels * dtype.itemsize > _MAX_FRAME_BYTES:
        raise UserError(
            f"{path.name} is damaged: it announces {n_values:,} values, more than it can hold."
        )


def _read_frame(path: Path, series: int, index: int, n_frames: int) -> NDArray[Any]:
    """Read one frame, opening and closing the file, so that none stays open between frames."""
    with tifffile.TiffFile(path) as tif:
        whole = tif.series[series]
        if len(whole.pages) == n_frames:
            page = whole.pages[index]
            if page is None:
                raise UserError(f"Frame {index} of {path.name} is not stored in the file.")
            array: NDArray[Any] = page.asarray()
            return array
        if whole.dataoffset is not None:
            step = math.prod(whole.shape) // n_frames
            dtype = np.dtype(whole.dtype).newbyteorder(tif.byteorder)
            with path.open("rb") as file:
                file.seek(whole.dataoffset + index * step * dtype.itemsize)
                flat = np.fromfile(file, dtype=dtype, count=step)
            shape = whole.shape[-3:] if "S" in whole.axes else whole.shape[-2:]
            return flat.reshape(shape).astype(dtype.newbyteorder("="))
        array = whole.asarray()
        inner = 3 if "S" in whole.axes else 2
        frame: NDArray[Any] = array.reshape(n_frames, *array.shape[-inner:])[index]
        return frame


def read_scale(tif: tifffile.TiffFile) -> Calibration:
    """Find the pixel size in a TIFF's tags: Gatan's, ImageJ's, OME's, FEI's, the resolution's.

    The first that can be believed counts. When ImageJ's tag says otherwise than Gatan's by more
    than 1 %, the note tells.
    """
    refused: list[Calibration] = []
    believed: list[tuple[str, Calibration]] = []
    for where, pair in _candidates(tif):
        calibration = calibration_from_scales(*pair, where)
        if calibration.known:
            believed.append((where, calibration))
        else:
            refused.append(calibration)
    if not believed:
        return next(iter(refused), Calibration(note="The file holds no pixel size."))
    _, best = believed[0]
    for where, other in believed[1:]:
        assert best.mean_pm is not None
        assert other.mean_pm is not None
        if abs(other.mean_pm / best.mean_pm - 1) > 0.01:
            return best.model_copy(
                update={"note": f"{best.note} {where} says {other.mean_pm:.5g} pm: check it."}
            )
    return best


def _candidates(tif: tifffile.TiffFile) -> list[tuple[str, tuple[Scale, Scale]]]:
    """Return (where, (y, x)) for every place of the file that holds a pixel size."""
    page = tif.pages.first
    tags = {tag.code: tag.value for tag in page.tags.values()}
    found = []
    if _GATAN_X[0] in tags and _GATAN_Y[0] in tags:
        y, x = (scale_from(tags[s], tags.get(u)) for s, u in (_GATAN_Y, _GATAN_X))
        found.append(("the Gatan tags", (y, x)))
    imagej = tif.imagej_metadata or {}
    resolution = [_inverse(tags.get(code)) for code in (283, 282)]
    if tif.is_imagej and None not in resolution:
        unit = imagej.get("unit")
        units = [imagej.get("yunit", unit), unit]
        y, x = (scale_from(r, u) for r, u in zip(resolution, units, strict=True))
        if not (is_plain(y.unit) and y.value == x.value == 1.0):
            found.append(("the ImageJ unit and the resolution tags", (y, x)))
    if tif.ome_metadata:
        found += _ome(tif.ome_metadata)
    if tif.fei_metadata:
        scan_part = tif.fei_metadata.get("Scan", {})
        y, x = (scale_from(scan_part.get(f"Pixel{k}"), "m") for k in ("Height", "Width"))
        found.append(("the FEI tags", (y, x)))
    unit = {2: "inch", 3: "cm"}.get(int(tags.get(296, 2)))
    if not tif.is_imagej and unit and None not in resolution:
        y, x = (scale_from(r, unit) for r in resolution)
        if _is_microscopic(y) and _is_microscopic(x):  # else it is a printer's 72 dpi
            found.append(("the resolution tags", (y, x)))
    return found


def _is_microscopic(scale: Scale) -> bool:
    factor = length_in_pm(scale.unit)
    return factor is not None and scale.value * factor < 1e6


def _inverse(resolution: Any) -> float | None:
    """Return the size of a pixel from a resolution tag, a fraction of pixels per unit."""
    try:
        count, unit = resolution
        return float(unit) / float(count)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _ome(xml: str) -> list[tuple[str, tuple[Scale, Scale]]]:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return []
    for node in root.iter():
        if node.tag.endswith("Pixels") and "PhysicalSizeX" in node.attrib:
            x, y = (
                scale_from(
                    node.get(f"PhysicalSize{a}", node.get("PhysicalSizeX")),
                    node.get(f"PhysicalSize{a}Unit", "µm"),
                )
                for a in "XY"
            )
            return [("the OME header", (y, x))]
    return []


def _metadata(tif: tifffile.TiffFile) -> dict[str, str]:
    tags = tif.pages.first.tags
    kept = {"Software": "software", "DateTime": "date", "Model": "microscope"}
    return {
        ours: str(tags[theirs].value).strip() for theirs, ours in kept.items() if theirs in tags
    }
