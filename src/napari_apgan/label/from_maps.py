"""Atoms from an output map that was drawn elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import label

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.io.map_images import find_colors, read_output_map, read_picture
from napari_apgan.io.maps import read_maps
from napari_apgan.measure import find_atoms

#: Discs of one radius have areas within this factor of their median.
ALIKE = 1.6


@dataclass(frozen=True, slots=True)
class MapLook:
    """What a file of an output map holds.

    Parameters
    ----------
    shape : (int, int)
        (rows, columns).
    names : tuple of str
        Elements of its channels; empty for a picture.
    colors : tuple of (str, str, float)
        For a picture: ``#RRGGBB``, the element that the paper paints so, part of what is bright.
    """

    shape: tuple[int, int]
    names: tuple[str, ...] = ()
    colors: tuple[tuple[str, str, float], ...] = ()


def look_at_map(path: str | os.PathLike[str]) -> MapLook:
    """See what a map holds before its atoms are read.

    Raises
    ------
    UserError
        When it is neither channels nor a picture with colours.
    """
    file = Path(path)
    if file.suffix.lower() in (".tif", ".tiff"):
        try:
            maps, names = read_maps(file)
        except UserError:
            pass
        else:
            return MapLook((maps.shape[1], maps.shape[2]), names)
    picture = read_picture(file)
    colors = tuple(find_colors(picture))
    if not colors:
        raise UserError(f"{file.name} shows no discs: it is black.")
    return MapLook((picture.shape[0], picture.shape[1]), (), colors)


def disc_radius_px(channel: NDArray[np.floating]) -> float | None:
    """Return the radius of the discs of a (Y, X) map from their usual area; None without discs.

    Discs that touch, or that the border cuts, are larger or smaller than most and do not count.
    """
    mask = np.asarray(channel) > 0.5
    parts, n = label(mask)
    if n == 0:
        return None
    weight = np.clip(np.asarray(channel, dtype=np.float64), 0, 1)
    grown = weight * (parts > 0)
    cut = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    whole = np.setdiff1d(np.arange(1, n + 1), cut)
    chosen = whole if len(whole) else np.arange(1, n + 1)
    area = np.bincount(parts.ravel(), grown.ravel(), minlength=n + 1)[chosen]
    middle = float(np.median(area))
    alike = area[(area < ALIKE * middle) & (area > middle / ALIKE)]
    # Half-covered rim pixels are halved by the threshold: their missing share is a ring of about
    # an eighth of a pixel, so the area is that of a disc a little too small.
    return float(np.sqrt(np.mean(alike) / np.pi) + 0.06)


def atoms_from_map(
    path: str | os.PathLike[str],
    elements: Sequence[Element] = (),
    *,
    radius_px: float | None = None,
    threshold: float = 0.5,
) -> pd.DataFrame:
    """Read an output map, a coloured picture or channels, and find its atoms.

    Parameters
    ----------
    path : path
    elements : sequence of Element
        With the colours of the picture; not needed for channels that carry their names.
    radius_px : float, optional
        Of the discs; by default what they show, for each element.
    threshold : float

    Returns
    -------
    DataFrame
        Atom table, `origin` ``detected``.

    Raises
    ------
    UserError
        When the file is no output map, or shows no disc.
    """
    channels, names = read_output_map(path, elements)
    radii = {
        name: radius_px or disc_radius_px(channel) or 0.0
        for name, channel in zip(names, channels, strict=True)
    }
    shown = [k for k, name in enumerate(names) if radii[name] > 0]
    if not shown:
        raise UserError("This map shows no disc.")
    found = find_atoms(
        channels[shown],
        [names[k] for k in shown],
        radius_px={names[k]: radii[names[k]] for k in shown},
        threshold=threshold,
    )
    return make_atoms(
        positions(found),
        found["element"].to_list(),
        probability=found["probability"].to_numpy(),
        origin="detected",
        flag=found["flag"].to_list(),
    )
