"""Multilayers of two perovskites, such as PbTiO3/SrTiO3, seen along an in-plane axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from pydantic import Field

from napari_apgan.errors import UserError
from napari_apgan.simulate.specimen import Floats, Ints, Specimen

from .abo3 import PEROVSKITES, Formula, Perovskite, project_cell
from .polar import PolarStructure, layered, polar_shift
from .thick import atomic_number, count_repeats, fill_columns, finish

#: Lattice strain along the stack per strain in the plane: -2 ν / (1 - ν), with Poisson's ratio
#: ν = 0.3 as in most perovskites.
POISSON = -2 * 0.3 / 0.7
#: Shares of the first material below this, or above 1 less this, are rounded to pure.
PURE = 0.01


class MultilayerSettings(PolarStructure):
    """Layers of two perovskites grown on one lattice, stacked along y and seen along [010].

    Polarization lives in the layers of `first`.

    Parameters
    ----------
    first, second : str
        The two materials.
    first_cells, second_cells : (int, int)
        Least and largest number of cells of a layer; each layer draws its own.
    in_plane_pm : float
        Lattice parameter along x and the beam, forced on both; that of SrTiO3 by default. Cells
        grow along y where they are squeezed in the plane.
    first_height_pm, second_height_pm : float, optional
        Height of a cell along y; empty: the bulk crystal's, with the elastic answer to the strain
        in the plane (PbTiO3 on SrTiO3: 415.3 pm).
    intermixing_cells : float
        Standard deviation of the interdiffusion across interfaces in cells along y; 0: sharp. Each
        atom of a column near an interface is drawn by itself.
    decay_cells : float
        How far the polarization reaches into the second material: length in which it falls by e.
    """

    kind: Literal["multilayer"] = "multilayer"
    first: Formula = "PbTiO3"
    second: Formula = "SrTiO3"
    first_cells: tuple[int, int] = (5, 10)
    second_cells: tuple[int, int] = (4, 9)
    in_plane_pm: float = Field(default=390.5, ge=300, le=500)
    first_height_pm: float | None = Field(default=None, ge=300, le=600)
    second_height_pm: float | None = Field(default=None, ge=300, le=600)
    intermixing_cells: float = Field(default=0.0, ge=0, le=10)
    decay_cells: float = Field(default=0.5, ge=0, le=20)


@dataclass(frozen=True, slots=True)
class LayerStack:
    """The layers, row of cells by row of cells.

    Parameters
    ----------
    share : (R,) array
        Share of the first material in each row.
    y_pm : (R + 1,) array
        Where the A planes of the rows lie; row r lies between r and r + 1.
    layers_pm : (L, 2) array
        Lower and upper y of each layer of the first material; interfaces lie in the plane of B
        between an A plane of one material and the next of the other.
    """

    share: Floats
    y_pm: Floats
    layers_pm: Floats


def build_multilayer(
    settings: MultilayerSettings,
    rng: np.random.Generator,
    reach_pm: float,
    *,
    field: Floats | None = None,
) -> Specimen:
    """Build a multilayer that covers a circle of radius `reach_pm`.

    Sublattices are A, B (with O behind it) and O. The undisplaced site of B is the middle of its
    cage of four A columns; that of O its place in the unpolar crystal.

    Parameters
    ----------
    settings : MultilayerSettings
    rng : numpy Generator
    reach_pm : float
    field : (2, Y, X) array, optional
        Polarization field in place of a file.
    """
    first, second = PEROVSKITES[settings.first], PEROVSKITES[settings.second]
    amplitude = settings.amplitude_of(first, settings.first)
    stack = draw_stack(settings, rng, reach_pm)
    pattern = layered(settings, stack.layers_pm, rng)
    across = settings.in_plane_pm
    decay_pm = settings.decay_cells * across
    rows = np.arange(len(stack.y_pm))

    def to_pm(place: Floats) -> Floats:
        y = np.interp(place[:, 1], rows, stack.y_pm)
        return np.stack([place[:, 0] * across, y], axis=1)

    def polar(site: Floats) -> Floats:
        shift = polar_shift(settings, pattern, site, amplitude, field)
        return shift * _polarity(stack, site[:, 1], decay_pm)[:, None]

    cells = _cells(stack, reach_pm, across)
    repeats = count_repeats(settings, to_pm(np.asarray(cells + 0.5, dtype=np.float64)), across, rng)
    # Along [100], which in these crystals is the same as [010], y is the stacking axis c.
    filled = fill_columns(
        project_cell("100"), cells, repeats, across, to_pm, polar, settings.oxygen_of(first)
    )
    is_first = rng.random(len(filled.role)) < stack.share[filled.cell[filled.column, 1]]
    elements = np.array(
        [[atomic_number(s) for s in _sites(crystal)] for crystal in (second, first)]
    )
    return finish(filled, elements[is_first.astype(np.int_), filled.role], settings, rng)


def _sites(crystal: Perovskite) -> tuple[str, str, str]:
    return crystal.a_site, crystal.b_site, "O"


def draw_stack(
    settings: MultilayerSettings, rng: np.random.Generator, reach_pm: float
) -> LayerStack:
    """Draw whole layers that reach from -`reach_pm` to `reach_pm` along y, and beyond."""
    for least, most in (settings.first_cells, settings.second_cells):
        if not 1 <= least <= most <= 1000:
            raise UserError(
                f"A layer of {least} to {most} cells cannot be built: "
                "give the least number of cells first, at least 1."
            )
    heights = cell_heights(settings)
    is_first = bool(rng.random() < 0.5)
    bounds: list[tuple[int, int]] = []
    count, height = 0, 0.0
    # Layers of the first material are wanted on both sides of the frame, whatever is cut off.
    needed = 2 * reach_pm + 2 * max(heights) * (settings.first_cells[1] + settings.second_cells[1])
    while height < needed or len(bounds) < 2:
        low, high = settings.first_cells if is_first else settings.second_cells
        cells = int(rng.integers(low, high + 1))
        if is_first:
            bounds.append((count, count + cells))
        count += cells
        height += cells * heights[0 if is_first else 1]
        is_first = not is_first
    share = _shares(bounds, count, settings.intermixing_cells)
    cage = (share + np.append(share[1:], share[-1])) / 2
    y = np.concatenate([[0.0], np.cumsum(heights[1] + (heights[0] - heights[1]) * cage)])
    slack = y[-1] - 2 * reach_pm - 4 * max(heights)
    y -= reach_pm + 2 * max(heights) + rng.uniform(0.0, slack)
    edges = np.interp(np.array(bounds) - 0.5, np.arange(count + 1), y)
    return LayerStack(share, y, edges)


def cell_heights(settings: MultilayerSettings) -> tuple[float, float]:
    """Return the height in pm of a cell of the first and of the second material."""

    def height(crystal: Perovskite, chosen: float | None) -> float:
        strain = settings.in_plane_pm / crystal.a_pm - 1.0
        return crystal.c_pm * (1.0 + POISSON * strain) if chosen is None else chosen

    return (
        height(PEROVSKITES[settings.first], settings.first_height_pm),
        height(PEROVSKITES[settings.second], settings.second_height_pm),
    )


def _shares(bounds: list[tuple[int, int]], count: int, width_cells: float) -> Floats:
    """Return the share of the first material in each row.

    Steps at the interfaces are blurred by a Gaussian, as interdiffusion does.
    """
    rows, share = np.arange(count), np.zeros(count)
    for low, high in bounds:
        if width_cells == 0:
            share[low:high] = 1.0
            continue
        # An open end of the stack is no interface.
        below = -math.inf if low == 0 else low - 0.5
        above = math.inf if high == count else high - 0.5
        scale = math.sqrt(2) * width_cells
        share += 0.5 * (
            scipy.special.erf((rows - below) / scale) - scipy.special.erf((rows - above) / scale)
        )
    share[share < PURE] = 0.0
    share[share > 1.0 - PURE] = 1.0
    return share


def _polarity(stack: LayerStack, y_pm: Floats, decay_pm: float) -> Floats:
    """Return how much of the polarization there is at each y.

    It is the local share of the first material (one half in the plane of an interface), or what
    reaches over from the next layer.
    """
    share = np.interp(y_pm, stack.y_pm[:-1], stack.share)
    if decay_pm == 0:
        return share
    low, high = stack.layers_pm.T
    outside = np.maximum(low[:, None] - y_pm, y_pm - high[:, None]).min(axis=0)
    reached: Floats = 0.5 * np.exp(-np.maximum(outside, 0.0) / decay_pm)
    return np.maximum(share, reached)


def _cells(stack: LayerStack, reach_pm: float, across_pm: float) -> Ints:
    """Return the (M, 2) indices (along x, row) of the cells that cover a circle."""
    count = math.ceil(reach_pm / across_pm) + 2
    x, row = np.meshgrid(np.arange(-count, count), np.arange(len(stack.share)))
    middle = (stack.y_pm[:-1] + stack.y_pm[1:]) / 2
    half_diagonal = 0.5 * math.hypot(across_pm, float(np.diff(stack.y_pm).max()))
    near = np.hypot((x + 0.5) * across_pm, middle[row]) <= reach_pm + half_diagonal
    cells: Ints = np.stack([x[near], row[near]], axis=1)
    return cells
