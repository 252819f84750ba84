"""Polarization patterns: where the B cations of a ferroelectric leave the middle of their cages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from napari_apgan.errors import UserError
from napari_apgan.simulate.specimen import Floats

from .abo3 import Perovskite
from .thick import ThickStructure

PolarMode = Literal["none", "uniform", "walls", "flux_closure", "vortex", "field"]


class PolarStructure(ThickStructure):
    """A crystal whose B cations and oxygen may be displaced by a polarization pattern.

    Parameters
    ----------
    polar : str
        ``none``; ``uniform``; ``walls``: domains parted by 180° walls; ``flux_closure``: up and
        down domains closed by triangular domains at the ends of each layer; ``vortex``: a row of
        vortices of alternating sense in each layer; ``field``: read from a file.
    amplitude_pm : float, optional
        Largest shift of B from the middle of its cage of A, in pm; empty: that of the bulk crystal
        (PbTiO3 15.7 pm, BaTiO3 9.0 pm).
    direction_deg : float
        Direction of the shift for ``uniform`` and ``walls``, in degrees from x towards y of the
        unrotated crystal; -90 points up.
    wall_width_pm : float
        Full width w of domain walls in pm: across a 180° wall the shift goes as tanh(2 s / w).
    period_nm : float, optional
        Length of two neighbouring domains (walls) or of a pair of vortices along x, in nm; for
        ``field`` the length that the array spans along x. Empty: drawn for each frame.
    field_file : path, optional
        For ``field``: an .npy file of shape (2, rows, columns), x and y components in any unit; its
        longest vector becomes the amplitude. It spans the height of each layer and repeats along x.
    oxygen_ratio : float, optional
        Shift of oxygen over that of B; empty: what the bulk crystal has (PbTiO3 about 3, the same
        way; BaTiO3 -1.1 along the polarization and -0.5 across).
    """

    polar: PolarMode = "none"
    amplitude_pm: float | None = Field(default=None, ge=0, le=100)
    direction_deg: float = -90.0
    wall_width_pm: float = Field(default=600.0, gt=0, le=20_000)
    period_nm: float | None = Field(default=None, gt=0.5, le=1000)
    field_file: Path | None = None
    oxygen_ratio: float | None = Field(default=None, ge=-10, le=10)

    def oxygen_of(self, crystal: Perovskite) -> tuple[float, float]:
        """Return the ratios (along, across) of oxygen's shift to B's."""
        if self.oxygen_ratio is not None:
            return self.oxygen_ratio, self.oxygen_ratio
        return crystal.oxygen

    def amplitude_of(self, crystal: Perovskite, name: str) -> float:
        """Return the amplitude in pm; `UserError` for a crystal that has none by itself."""
        if self.polar == "none":
            return 0.0
        if self.amplitude_pm is not None:
            return self.amplitude_pm
        if crystal.polar_pm is None:
            raise UserError(
                f"{name} is not polar by itself: give the amplitude of the shift in pm, "
                f"or set the polarization to none."
            )
        return crystal.polar_pm


@dataclass(frozen=True, slots=True)
class Pattern:
    """Where a polarization pattern lies.

    Parameters
    ----------
    low, high : (L,) arrays
        Lower and upper y of each layer in pm, in rising order.
    period_pm : float
    phase_pm : float
        Where along x (for walls: across them) the pattern begins.
    stagger : bool
        Every other layer is shifted by half a period, so that touching layers fit.
    """

    low: Floats
    high: Floats
    period_pm: float
    phase_pm: float
    stagger: bool = False

    def locate(self, y: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return for each y where its layer lies and how the pattern is shifted there.

        These are the layer's lower and upper edge, the place between them (0 to 1, at the nearer
        edge outside of layers), and the shift of the pattern along x.
        """
        between = (self.high[:-1] + self.low[1:]) / 2
        layer = np.searchsorted(between, y)
        low, high = self.low[layer], self.high[layer]
        shift = np.where(layer % 2 == 1, self.period_pm / 2, 0.0) * self.stagger + self.phase_pm
        return low, high, np.clip((y - low) / (high - low), 0.0, 1.0), shift


def layered(settings: PolarStructure, edges_pm: Floats, rng: np.random.Generator) -> Pattern:
    """Draw the pattern of polar layers that others part.

    Parameters
    ----------
    settings : PolarStructure
    edges_pm : (L, 2) array
        Lower and upper y of each layer.
    rng : numpy Generator
    """
    height = float((edges_pm[:, 1] - edges_pm[:, 0]).mean())
    # Domains about as wide as the layer is high close the flux best.
    usual = 2 * height * rng.uniform(0.8, 1.25)
    if settings.polar == "walls":
        usual = rng.uniform(4000.0, 6500.0)
    elif settings.polar == "field":
        usual = math.nan  # from the proportions of the array
    period = usual if settings.period_nm is None else settings.period_nm * 1000.0
    phase = rng.uniform() * (height if math.isnan(period) else period)
    return Pattern(edges_pm[:, 0], edges_pm[:, 1], period, phase)


def bulk(settings: PolarStructure, reach_pm: float, rng: np.random.Generator) -> Pattern:
    """Draw the pattern of a crystal without layers.

    Vortices and closure domains are stacked in layers of half a period; an array covers the
    specimen once, its middle at the origin.
    """
    usual, phase = rng.uniform(4000.0, 6500.0), rng.uniform()
    period = usual if settings.period_nm is None else settings.period_nm * 1000.0
    if settings.polar == "field":
        period = 2 * reach_pm if settings.period_nm is None else period
        return Pattern(np.array([-reach_pm]), np.array([reach_pm]), period, -period / 2)
    count = 2 * math.ceil(reach_pm / period) + 2
    low = np.arange(-count, count) * period / 2
    return Pattern(low, low + period / 2, period, phase * period, stagger=True)


def polar_shift(
    settings: PolarStructure,
    pattern: Pattern,
    xy_pm: Floats,
    amplitude_pm: float,
    field: Floats | None = None,
) -> Floats:
    """Return the shift of B at some places.

    Parameters
    ----------
    settings : PolarStructure
    pattern : Pattern
    xy_pm : (N, 2) array
    amplitude_pm : float
        Longest shift of the pattern.
    field : (2, Y, X) array, optional
        For ``field``, in place of the file.

    Returns
    -------
    (N, 2) array
        In pm.
    """
    if settings.polar == "none" or amplitude_pm == 0:
        return np.zeros_like(xy_pm)
    angle = math.radians(settings.direction_deg)
    direction = np.array([math.cos(angle), math.sin(angle)])
    if settings.polar == "uniform":
        unit = np.broadcast_to(direction, xy_pm.shape)
    elif settings.polar == "walls":
        unit = _walls(pattern, xy_pm, direction, settings.wall_width_pm)
    elif settings.polar == "flux_closure":
        unit = _flux_closure(pattern, xy_pm, settings.wall_width_pm)
    elif settings.polar == "vortex":
        unit = _vortices(pattern, xy_pm)
    else:
        unit = _from_array(pattern, xy_pm, _field_of(settings) if field is None else field)
    shift: Floats = amplitude_pm * unit
    return shift


def _nearest_wall(s: Floats, domain_pm: float) -> tuple[Floats, Floats]:
    """Return the distance (pm) from the nearest of equally spaced walls, and its sign.

    The sign is +1 where the shift turns from minus to plus.
    """
    wall = np.round(s / domain_pm)
    return s - wall * domain_pm, np.where(wall % 2 == 0, 1.0, -1.0)


def _walls(pattern: Pattern, xy: Floats, direction: Floats, width_pm: float) -> Floats:
    """Return 180° walls, which run along the polarization and so hold no bound charge.

    The profile is the tanh of Landau-Ginzburg theory (V. A. Zhirnov, Sov. Phys. JETP 35 (1959)
    822).
    """
    across = xy @ np.array([-direction[1], direction[0]]) - pattern.phase_pm
    distance, sign = _nearest_wall(across, pattern.period_pm / 2)
    unit: Floats = (sign * np.tanh(2 * distance / width_pm))[:, None] * direction
    return unit


def _flux_closure(pattern: Pattern, xy: Floats, width_pm: float) -> Floats:
    """Return stripe domains closed by triangles.

    L. Landau and E. Lifshitz, Phys. Z. Sowjetunion 8 (1935) 153; seen in PbTiO3/SrTiO3 by Y. L.
    Tang et al., Science 348 (2015) 547. Across the 90° walls at 45° the component along the wall's
    normal stays and the other turns over as tanh, so the shift is shortest, 71 %, in the wall.
    """
    low, high, up, shift = pattern.locate(xy[:, 1])
    domain = pattern.period_pm / 2
    across, sign = _nearest_wall(xy[:, 0] - shift, domain)
    height = high - low
    triangle = np.minimum(domain, height) / 2
    depth = height * np.minimum(up, 1.0 - up)
    into = (triangle - np.abs(across) - depth) / math.sqrt(2)
    closing = 0.5 * (1.0 + np.tanh(2 * into / width_pm))
    side = np.tanh(2 * height * (up - 0.5) / width_pm)
    along_x = -sign * side * closing
    along_y = sign * np.tanh(2 * across / width_pm) * (1.0 - closing)
    return np.stack([along_x, along_y], axis=1)


def _vortices(pattern: Pattern, xy: Floats) -> Floats:
    """Return vortices as the curl of sin(k x) sin(π y / h).

    It has no divergence, so no bound charge; such arrays: A. K. Yadav et al., Nature 530 (2016)
    198.
    """
    low, high, up, shift = pattern.locate(xy[:, 1])
    along = 2 * math.pi * (xy[:, 0] - shift) / pattern.period_pm
    flat = pattern.period_pm / (2 * (high - low))
    along_x = flat * np.sin(along) * np.cos(math.pi * up)
    along_y = -np.cos(along) * np.sin(math.pi * up)
    unit: Floats = np.stack([along_x, along_y], axis=1) / np.maximum(flat, 1.0)[:, None]
    return unit


def _from_array(pattern: Pattern, xy: Floats, field: Floats) -> Floats:
    from scipy.ndimage import map_coordinates

    field = _checked(field)
    _, rows, columns = field.shape
    low, high, up, _ = pattern.locate(xy[:, 1])
    period = pattern.period_pm
    if math.isnan(period):
        period = float((high - low).mean()) * columns / rows
    x = (xy[:, 0] - pattern.phase_pm) / period * columns - 0.5
    y = up * rows - 0.5
    # Rows end at the layer's edges; columns repeat.
    at = [np.clip(y, 0.0, rows - 1.0), x]
    wrapped = [map_coordinates(c, at, order=1, mode="grid-wrap") for c in field]
    unit: Floats = np.stack(wrapped, axis=1)
    return unit


def _field_of(settings: PolarStructure) -> Floats:
    """Read the field's file."""
    if settings.field_file is None:
        raise UserError("The polarization is to come from a field, but no file is named: give one.")
    try:
        field: Floats = np.load(settings.field_file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{settings.field_file} cannot be read as a field ({error}): "
            "save an array of shape (2, rows, columns) with numpy.save."
        ) from None
    return field


def _checked(field: Floats) -> Floats:
    """Return a field scaled so that its longest vector has length 1."""
    if (
        not isinstance(field, np.ndarray)
        or field.ndim != 3
        or field.shape[0] != 2
        or field.size == 0
        or field.dtype.kind not in "fiu"
    ):
        shape = getattr(field, "shape", "none")
        raise UserError(
            f"A polarization field needs the shape (2, rows, columns) and real numbers, "
            f"but this array has the shape {shape}."
        )
    field = field.astype(np.float64)
    longest = float(np.hypot(*field).max())
    if not np.isfinite(field).all() or longest == 0:
        raise UserError("A polarization field needs finite numbers that are not all zero.")
    scaled: Floats = field / longest
    return scaled
