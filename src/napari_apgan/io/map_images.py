"""Output maps as pictures: the paper's RGB image, one TIFF a channel, and both read back."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_apgan.elements import PAPER_COLORS, Element
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.maps import rgb_map
from napari_apgan.names import safe_name

from ._guard import existing_file, guarded
from .maps import read_maps
from .tables import save_file
from .tiffs import tiff_bytes

Map = NDArray[np.float32]

_TIFF = frozenset({".tif", ".tiff"})
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", *_TIFF})
#: A pixel has an element's colour when the cosine between both is at least this.
SAME_COLOR = 0.96
#: Pixels darker than this (of 255) are background.
DARK = 40.0
#: Part of the bright pixels that may have a colour of no element: rims in JPEG files.
STRANGE = 0.15


def write_rgb_map(
    path: str | os.PathLike[str],
    channels: NDArray[np.floating],
    elements: Sequence[Element],
    calibration: Calibration | None = None,
) -> None:
    """Write an output or probability map as a picture in the elements' colours.

    Parameters
    ----------
    path : path
        ``.png``, or ``.tif`` with the pixel size in nm.
    channels : (C, Y, X) array
        0..1, one channel an element.
    elements : sequence of Element
        Give those of :func:`napari_apgan.elements.make_elements` with the palette ``paper`` for the
        colours of Chen et al. 2023.
    calibration : Calibration, optional

    Raises
    ------
    UserError
        When shape and elements do not agree, the suffix is another, or the system refuses.
    """
    target = Path(path)
    if channels.ndim != 3 or len(channels) != len(elements):
        raise UserError(
            f"Maps of shape {channels.shape} do not hold one channel for each of {len(elements)} "
            "elements."
        )
    picture = rgb_map(channels, elements)
    if target.suffix.lower() == ".png":
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray(picture).save(out, format="PNG")
        save_file(target, out.getvalue())
    elif target.suffix.lower() in _TIFF:
        save_file(target, _rgb_tiff(picture, calibration or Calibration()))
    else:
        raise UserError(f"{target.name}: a coloured map is written as .png or .tif.")


def _rgb_tiff(picture: NDArray[np.uint8], calibration: Calibration) -> bytes:
    out = io.BytesIO()
    metadata: dict[str, object] = {"axes": "YXS"}
    if calibration.x_pm is None or calibration.y_pm is None:
        tifffile.imwrite(out, picture, imagej=True, metadata=metadata)
    else:
        metadata["unit"] = "nm"
        tifffile.imwrite(
            out,
            picture,
            imagej=True,
            metadata=metadata,
            resolution=(1e3 / calibration.x_pm, 1e3 / calibration.y_pm),
            resolutionunit="none",
        )
    return out.getvalue()


def write_channel_files(
    folder: str | os.PathLike[str],
    name: str,
    channels: NDArray[np.floating],
    elements: Sequence[str],
    calibration: Calibration | None = None,
) -> list[Path]:
    """Write one float32 TIFF an element, ``NAME_ELEMENT.tif``, and return their paths.

    Raises
    ------
    UserError
        When shape and elements do not agree, two elements give one file name, or the system
        refuses.
    """
    if channels.ndim != 3 or len(channels) != len(elements):
        raise UserError(
            f"Maps of shape {channels.shape} do not hold one channel for each of {len(elements)} "
            "elements."
        )
    paths = [Path(folder) / f"{safe_name(f'{name}_{e}', empty='map')}.tif" for e in elements]
    if len({p.name.lower() for p in paths}) < len(paths):
        raise UserError("Two elements would be written to one file: rename one of them.")
    for path, channel in zip(paths, channels, strict=True):
        data = tiff_bytes(np.asarray(channel, dtype=np.float32), calibration or Calibration(), "YX")
        save_file(path, data)
    return paths


def find_colors(picture: NDArray[np.uint8], most: int = 8) -> list[tuple[str, str, float]]:
    """Find the colours of a coloured map.

    Parameters
    ----------
    picture : (Y, X, 3) uint8 array
    most : int
        Colours returned at most.

    Returns
    -------
    list of (str, str, float)
        ``#RRGGBB``, the element that the paper paints so ("" for none), and its part of the bright
        pixels; commonest first.
    """
    pixels = picture.reshape(-1, picture.shape[-1])[:, :3].astype(np.float64)
    bright = pixels[pixels.max(axis=1) > 0.6 * max(float(pixels.max()), 1.0)]
    if not len(bright) or pixels.max() <= DARK:
        return []
    # Rims are dark shades of the same colour: full brightness makes them equal to their disc.
    full = np.rint(bright / bright.max(axis=1, keepdims=True) * 8).astype(int)
    values, counts = np.unique(full, axis=0, return_counts=True)
    found: list[tuple[NDArray[np.float64], int]] = []
    for k in np.argsort(-counts, kind="stable"):
        unit = values[k] / np.linalg.norm(values[k])
        near = next((i for i, (u, _) in enumerate(found) if u @ unit > SAME_COLOR), None)
        if near is None:
            found.append((unit, int(counts[k])))
        else:
            found[near] = (found[near][0], found[near][1] + int(counts[k]))
    found.sort(key=lambda f: -f[1])
    paper = {c: n for n, c in PAPER_COLORS.items()}
    out = []
    for unit, count in found[:most]:
        if count < 0.01 * len(bright):
            continue
        code = "#" + "".join(f"{round(255 * v / unit.max()):02X}" for v in unit)
        out.append((code, paper.get(code, ""), count / len(bright)))
    return out


def name_of_color(code: str, elements: Sequence[Element]) -> str:
    """Return the element whose colour is that of a map, in any brightness; empty for none."""

    def unit(color: str) -> NDArray[np.float64]:
        rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64)
        return rgb / max(float(np.linalg.norm(rgb)), 1e-9)

    near = [(float(unit(code) @ unit(e.color)), e.name) for e in elements]
    likeness, name = max(near, default=(0.0, ""))
    return name if likeness > SAME_COLOR else ""


def unmix(picture: NDArray[np.uint8], elements: Sequence[Element]) -> Map:
    """Take a coloured map apart into one channel an element.

    Every pixel belongs to the element whose colour is nearest in hue; how bright it is in that
    colour is the channel's value.

    Parameters
    ----------
    picture : (Y, X, 3) uint8 array
    elements : sequence of Element

    Returns
    -------
    (C, Y, X) float32 array, 0..1

    Raises
    ------
    UserError
        When much of the picture has other colours, or two elements have the same.
    """
    colors = np.array([[int(e.color[i : i + 2], 16) for i in (1, 3, 5)] for e in elements], float)
    length = np.maximum(np.linalg.norm(colors, axis=1), 1e-9)
    unit = colors / length[:, None]
    same = unit @ unit.T - np.eye(len(unit))
    if (same > SAME_COLOR).any():
        raise UserError("Two elements have nearly the same colour: give each one of its own.")
    rgb = picture[..., :3].astype(np.float64)
    along = rgb @ unit.T
    nearest = along.argmax(axis=-1)
    best = np.take_along_axis(along, nearest[..., None], axis=-1)[..., 0]
    size = np.linalg.norm(rgb, axis=-1)
    bright = size > DARK
    strange = bright & (best < SAME_COLOR * size)
    if strange.sum() > STRANGE * max(int(bright.sum()), 1):
        seen = ", ".join(code for code, _, _ in find_colors(picture)) or "only grey"
        raise UserError(
            f"Much of this picture has none of the elements' colours (it shows {seen}): give the "
            "elements these colours, or choose another file."
        )
    out = np.zeros((len(elements), *rgb.shape[:2]), dtype=np.float32)
    for k in range(len(elements)):
        out[k] = np.where(nearest == k, np.clip(best / length[k], 0, 1), 0)
    return out


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a colour picture as (Y, X, 3) uint8.

    Raises
    ------
    UserError
        When it cannot be read, or has no colours.
    """
    file = existing_file(Path(path))
    if file.suffix.lower() not in _PICTURES:
        raise UserError(f"{file.name}: a coloured map is a .png, .jpg, .bmp or .tif file.")

    def work() -> NDArray[np.uint8]:
        if file.suffix.lower() in _TIFF:
            return np.asarray(tifffile.imread(file))
        from PIL import Image

        with Image.open(file) as picture:
            return np.asarray(picture.convert("RGB"))

    array = guarded(file, work)
    if array.ndim == 3 and array.shape[0] in (3, 4) and array.shape[-1] not in (3, 4):
        array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[-1] not in (3, 4) or array.dtype != np.uint8:
        raise UserError(f"{file.name} is no coloured map (shape {array.shape}, {array.dtype}).")
    return np.ascontiguousarray(array[..., :3])


def read_output_map(
    path: str | os.PathLike[str], elements: Sequence[Element]
) -> tuple[Map, tuple[str, ...]]:
    """Read an output map: our channels (TIFF), or a picture in the elements' colours.

    Returns
    -------
    channels : (C, Y, X) float32 array, 0..1
    names : tuple of str
        Elements of the channels.

    Raises
    ------
    UserError
        When it is neither.
    """
    file = existing_file(Path(path))
    if file.suffix.lower() in _TIFF:
        try:
            maps, names = read_maps(file)
        except UserError:
            pass
        else:
            return np.asarray(maps, dtype=np.float32), names
    if not elements:
        raise UserError("Say which colours are which elements before a coloured map is read.")
    return unmix(read_picture(file), elements), tuple(e.name for e in elements)
