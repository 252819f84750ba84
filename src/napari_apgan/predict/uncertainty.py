"""How sure a prediction is: error bars of the maps' positions, confidence, deviation per pixel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.frames import Calibration
from napari_apgan.maps import draw_discs
from napari_apgan.measure.calibration import calibrated
from napari_apgan.measure.spread import Spread
from napari_apgan.models.card import ModelCard


def with_error_bars(
    atoms: pd.DataFrame,
    spread: Spread,
    card: ModelCard,
    factors: tuple[float, float],
    calibration: Calibration,
) -> pd.DataFrame:
    """Return the atoms with `sigma_map_x_pm`, `sigma_map_y_pm` and `confidence`.

    Parameters
    ----------
    atoms : DataFrame
        As read from the maps.
    spread : Spread
        Of the same atoms, in px of the network.
    card : ModelCard
        Without a calibration on it there is no confidence, and error bars are the usual ones.
    factors : (y, x)
        Pixels of the network for one of the frame.
    calibration : Calibration
        Of the frame; without one there are no error bars in pm.
    """
    found = card.calibration
    variance = spread.variance_px2()
    if found is not None:
        times = atoms["element"].map(lambda name: found.by_element.get(name, 1.0))
        variance = spread.variance_px2(found.floor_px, found.factor) * times.to_numpy(np.float64)
    sigma = np.sqrt(variance)
    out = atoms.assign(
        sigma_map_x_pm=sigma / factors[1] * (calibration.x_pm or math.nan),
        sigma_map_y_pm=sigma / factors[0] * (calibration.y_pm or math.nan),
    )
    if found is not None:
        out["confidence"] = calibrated(out["probability"].to_numpy(), found.slope, found.offset)
    return out


def map_deviation(
    maps: NDArray[np.float32],
    elements: Sequence[str],
    atoms: pd.DataFrame,
    spread: Spread,
    radius_px: Mapping[str, float],
) -> NDArray[np.float32]:
    """Return the standard deviation of each pixel of the maps, told by the maps themselves.

    A pixel that is in a disc with the probability p varies by p (1 - p). On the rim of a disc part
    of that is no doubt, since a rim covers its pixels in part: the part that a perfectly known disc
    shows too is taken off.

    Parameters
    ----------
    maps : (C, Y, X) array
    elements : sequence of str
        Name of each channel.
    atoms : DataFrame
        As read from these maps.
    spread : Spread
        Of the same atoms.
    radius_px : mapping
        Radius of each element's discs, in px of the maps.

    Returns
    -------
    (C, Y, X) float32 array
    """
    variance = np.clip(maps, 0.0, 1.0)
    variance *= 1.0 - variance
    names = atoms["element"].to_numpy()
    xy = atoms[["x_map_px", "y_map_px"]].to_numpy(np.float64)
    for channel, name in enumerate(elements):
        rows = np.flatnonzero(names == name)
        if len(rows):
            certain = np.float32(np.median(spread.certain[rows]))
            near = draw_discs(xy[rows], radius_px[name] + 1.0, maps.shape[1:])
            variance[channel] *= 1.0 - certain * near
    return np.sqrt(variance, out=variance)
