"""A PbTiO3/SrTiO3 multilayer seen along [010]: columns, their sites, and what polarizes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: In-plane lattice parameter in pm: SrTiO3, to which PbTiO3 is strained.
IN_PLANE_PM = 390.5
#: Cell height along the stack in pm; PbTiO3 is tetragonal.
HEIGHT_PM = {"Pb": 415.0, "Sr": 390.5}
#: HAADF intensity goes as about Z^1.7; seen along [010] an O column hides behind each Ti column.
Z_POWER = 1.7
SCATTERING = {"Pb": 82.0**Z_POWER, "Sr": 38.0**Z_POWER, "Ti": 22.0**Z_POWER + 8.0**Z_POWER}


@dataclass(frozen=True, slots=True)
class Columns:
    """Atomic columns.

    Parameters
    ----------
    xy : (N, 2) array
        Positions x, y.
    site : (N, 2) array
        Undisplaced lattice sites x, y, in the same unit.
    element : (N,) str array
    height : (N,) array
        Peak heights; a Pb column is about 1.
    """

    xy: Floats
    site: Floats
    element: NDArray[np.str_]
    height: Floats


def build_multilayer(
    rng: np.random.Generator,
    reach_pm: float,
    *,
    pattern: Literal["wall", "vortex", "none"],
    amplitude_pm: float,
    random_shift_pm: float = 3.0,
    random_height: float = 0.04,
) -> Columns:
    """Build columns (pm, origin at the centre) that cover a circle.

    Parameters
    ----------
    rng : numpy Generator
    reach_pm : float
        Radius to cover.
    pattern : {"wall", "vortex", "none"}
        ``wall``: domains polarized up and down the stack, parted by 180° walls. ``vortex``: an
        array of vortices that close the flux within each PbTiO3 layer.
    amplitude_pm : float
        Largest displacement of Ti.
    random_shift_pm : float
        Standard deviation of every column's own shift, per axis.
    random_height : float
        Relative standard deviation of peak heights.

    Returns
    -------
    Columns
        In pm.
    """
    kinds, bottoms, layer = _stack(rng, reach_pm)
    heights = np.array([HEIGHT_PM[k] for k in kinds])
    n_across = int(np.ceil(reach_pm / IN_PLANE_PM)) + 1
    across = np.arange(-n_across, n_across + 1) * IN_PLANE_PM

    a_site = np.stack(np.meshgrid(across, bottoms), axis=-1)
    # Ti sits in the middle of its cage of four A columns.
    b_site = (
        a_site + np.stack([np.full_like(heights, IN_PLANE_PM / 2), heights / 2], axis=-1)[:, None]
    )
    b_shift = _polarize(b_site, kinds, layer, pattern, amplitude_pm, rng)

    site = np.concatenate([a_site.reshape(-1, 2), b_site.reshape(-1, 2)])
    shift = np.concatenate([np.zeros_like(a_site).reshape(-1, 2), b_shift.reshape(-1, 2)])
    shift = shift + rng.normal(0.0, random_shift_pm, shift.shape)
    element = np.concatenate([np.repeat(kinds, len(across)), np.full(b_site[..., 0].size, "Ti")])
    height = np.array([SCATTERING[e] for e in element.tolist()]) / SCATTERING["Pb"]
    height = height * np.maximum(1.0 + rng.normal(0.0, random_height, len(height)), 0.5)
    near = np.hypot(*site.T) <= reach_pm
    return Columns((site + shift)[near], site[near], element[near], height[near])


def _stack(
    rng: np.random.Generator, reach_pm: float
) -> tuple[NDArray[np.str_], Floats, NDArray[np.int_]]:
    """Return kind, lower edge (pm) and layer number of each row of cells, bottom to top."""
    kinds: list[str] = []
    layer: list[int] = []
    kind = str(rng.choice(["Pb", "Sr"]))
    while sum(HEIGHT_PM[k] for k in kinds) < 2 * reach_pm + HEIGHT_PM["Pb"]:
        cells = int(rng.integers(4, 9))
        layer += [layer[-1] + 1 if layer else 0] * cells
        kinds += [kind] * cells
        kind = "Sr" if kind == "Pb" else "Pb"
    edges = np.cumsum([0.0, *(HEIGHT_PM[k] for k in kinds)])
    return np.array(kinds), edges[:-1] - edges[-1] / 2, np.array(layer)


def _polarize(
    site: Floats,
    kinds: NDArray[np.str_],
    layer: NDArray[np.int_],
    pattern: str,
    amplitude_pm: float,
    rng: np.random.Generator,
) -> Floats:
    """Return the (rows, columns, 2) displacement of Ti from the middle of its cage, in pm."""
    shift = np.zeros_like(site)
    period = 2 * IN_PLANE_PM * rng.uniform(5.0, 8.0)
    phase = rng.uniform(0.0, period)
    for number in np.unique(layer[kinds == "Pb"]):
        rows = np.flatnonzero(layer == number)
        along = 2 * np.pi * (site[rows, :, 0] + phase) / period
        low, high = site[rows[0], 0, 1] - HEIGHT_PM["Pb"] / 2, site[rows[-1], 0, 1]
        high += HEIGHT_PM["Pb"] / 2
        if pattern == "wall":
            # sin divided by a wall half-width of about one cell: a row of tanh-like 180° walls.
            steep = period / (2 * np.pi * IN_PLANE_PM)
            shift[rows, :, 1] = amplitude_pm * np.tanh(steep * np.sin(along))
        elif pattern == "vortex":
            # The curl of a stream function has no divergence: no bound charge, closed flux.
            up = np.pi * (site[rows, :, 1] - low) / (high - low)
            across = np.sin(along) * np.cos(up) / (high - low) * period / 2
            upward = -np.cos(along) * np.sin(up)
            field = np.stack([across, upward], axis=-1)
            field /= np.maximum(np.hypot(*np.moveaxis(field, -1, 0)).max(), 1.0)
            shift[rows] = amplitude_pm * field
    return shift
