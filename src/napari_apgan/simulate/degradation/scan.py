"""Distortions of a scan: drift and shear, which move the atoms, and row jitter and flyback.

Drift and shear are slow and smooth: an atom is where it appears, so the truth moves with them.
Row jitter and flyback differ from row to row: they are noise, and the truth stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .settings import DegradationSettings

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Departure of the drift's path from a straight line at mid-frame, relative to its length.
BEND = 0.1
#: Largest displacement at the start of a row, relative to the length of the flyback. The
#: displacement decays over a third of that length, so that the image is stretched by a third at
#: most and never folds.
FLYBACK_STRENGTH = 1 / 9
#: Spread of the flyback's strength from row to row.
FLYBACK_SPREAD = 0.3
#: B-spline order of the resampling: at half the Nyquist frequency it passes 99.8 %.
SPLINE_ORDER: Literal[5] = 5
#: Pixels may look this far (px) beyond what was simulated.
EDGE_PX = 0.5


@dataclass(frozen=True, slots=True)
class Distortion:
    """Slow distortion of a frame: where undistorted positions are recorded.

    The probe's row t (0 at the first, 1 at the last) sees, at the recorded position p, the
    specimen at ``u = centre + shear (p - centre) - drift(t)`` with
    ``drift(t) = (t - 1/2) path + 4 t (t - 1) bend``.

    Parameters
    ----------
    shape : (int, int)
        (rows, columns) of the frame.
    path_px : (float, float)
        Shift x, y of the specimen from the first row to the last.
    bend_px : (float, float)
        Departure of the path from a straight line at mid-frame.
    shear : (float, float)
        x per y and y per x.
    """

    shape: tuple[int, int]
    path_px: tuple[float, float] = (0.0, 0.0)
    bend_px: tuple[float, float] = (0.0, 0.0)
    shear: tuple[float, float] = (0.0, 0.0)

    @property
    def still(self) -> bool:
        """Whether it moves nothing."""
        return not any((*self.path_px, *self.bend_px, *self.shear))

    def _centre(self) -> Floats:
        return (np.array([self.shape[1], self.shape[0]]) - 1) / 2

    def _matrix(self) -> Floats:
        return np.array([[1.0, self.shear[0]], [self.shear[1], 1.0]])

    def _drift(self, y_px: Floats) -> Floats:
        t = y_px / max(self.shape[0] - 1, 1)
        straight = (t - 0.5)[..., None] * np.asarray(self.path_px)
        drift: Floats = straight + (4 * t * (t - 1))[..., None] * np.asarray(self.bend_px)
        return drift

    def seen(self, xy_px: Floats) -> Floats:
        """Return the specimen's position (..., 2) seen at each recorded one, x and y in px."""
        xy = np.asarray(xy_px, dtype=np.float64)
        centre = self._centre()
        where: Floats = centre + (xy - centre) @ self._matrix().T - self._drift(xy[..., 1])
        return where

    def apply(self, xy_px: Floats) -> Floats:
        """Return where undistorted positions (N, 2), x and y in px, are in the recorded frame.

        Solves :meth:`seen` for the recorded position by fixed-point iteration; the drift of one
        row is far below one row, so that each step gains digits.
        """
        xy = np.array(xy_px, dtype=np.float64).reshape(-1, 2)
        if self.still or not len(xy):
            return xy
        centre, inverse = self._centre(), np.linalg.inv(self._matrix())
        recorded = xy
        for _ in range(60):
            moved = centre + (xy - centre + self._drift(recorded[:, 1])) @ inverse.T
            change = float(np.abs(moved - recorded).max())
            recorded = moved
            if change < 1e-11:
                break
        return recorded


@dataclass(frozen=True, slots=True)
class RowShifts:
    """Random shifts along x that are noise: of whole rows, and of their starts.

    Parameters
    ----------
    jitter_px : (Y,) array
    flyback_px : int
        Length of the distorted start.
    strength_px : (Y,) array
        Displacement at the start of each row.
    """

    jitter_px: Floats
    flyback_px: int
    strength_px: Floats

    @property
    def still(self) -> bool:
        """Whether it moves nothing."""
        return not (self.jitter_px.any() or self.strength_px.any())

    def at(self, row: NDArray[np.int_], x_px: Floats) -> Floats:
        """Return the (R, C) shifts (px) of rows (R,) at columns (C,)."""
        shift: Floats = np.repeat(self.jitter_px[row][:, None], len(x_px), axis=1)
        if self.flyback_px:
            decay = np.exp(-3.0 * np.maximum(x_px, 0.0) / self.flyback_px)
            shift += self.strength_px[row][:, None] * decay
        return shift


def draw_distortion(
    settings: DegradationSettings,
    shape: tuple[int, int],
    pixel_size_pm: float,
    rng: np.random.Generator,
) -> Distortion:
    """Draw drift (its length as asked, in a random direction) and shear (up to the largest)."""
    path = bend = shear = (0.0, 0.0)
    if settings.drift_pm:
        length = settings.drift_pm / pixel_size_pm
        path = _vector(length, rng)
        bend = _vector(length * BEND * rng.uniform(0.0, 1.0), rng)
    if settings.shear_percent:
        most = settings.shear_percent / 100
        shear = (float(rng.uniform(-most, most)), float(rng.uniform(-most, most)))
    return Distortion(shape, path, bend, shear)


def _vector(length: float, rng: np.random.Generator) -> tuple[float, float]:
    angle = rng.uniform(0.0, 2 * math.pi)
    return length * math.cos(angle), length * math.sin(angle)


def draw_rows(
    settings: DegradationSettings, rows: int, pixel_size_pm: float, rng: np.random.Generator
) -> RowShifts:
    """Draw the row jitter, a first-order autoregressive series, and the flyback's strengths."""
    jitter, strength = np.zeros(rows), np.zeros(rows)
    if settings.jitter_pm:
        kicks = rng.normal(0.0, settings.jitter_pm / pixel_size_pm, rows)
        memory = settings.jitter_memory
        fresh = math.sqrt(1 - memory**2)
        jitter[0] = kicks[0]
        for row in range(1, rows):
            jitter[row] = memory * jitter[row - 1] + fresh * kicks[row]
    if settings.flyback_px:
        spread = np.clip(rng.normal(1.0, FLYBACK_SPREAD, rows), 0.0, 2.0)
        strength = settings.flyback_px * FLYBACK_STRENGTH * spread
    return RowShifts(jitter, settings.flyback_px, strength)


def memory_of(jitter_px: Floats) -> float | None:
    """Return the correlation of neighbouring rows' shifts; None where nothing jitters."""
    if len(jitter_px) < 3 or not jitter_px.any():
        return None
    return float(np.dot(jitter_px[1:], jitter_px[:-1]) / np.dot(jitter_px, jitter_px))


def margin_px(settings: DegradationSettings, shape: tuple[int, int], pixel_size_pm: float) -> int:
    """Return how far beyond the frame (recorded px) the ideal image must reach.

    Drift and shear bring in what lies outside; an image with this margin leaves no pixel unseen.

    Parameters
    ----------
    settings : DegradationSettings
    shape : (int, int)
        (rows, columns) of the recorded frame.
    pixel_size_pm : float
        Of the recorded frame.
    """
    drift = (0.5 + BEND) * settings.drift_pm / pixel_size_pm
    shear = settings.shear_percent / 100 * max(shape) / 2
    jitter = 4 * settings.jitter_pm / pixel_size_pm
    flyback = 2 * FLYBACK_STRENGTH * settings.flyback_px
    reach = drift + shear + jitter + flyback
    return math.ceil(reach) + SPLINE_ORDER if reach else 0


@dataclass(frozen=True, slots=True)
class Resampler:
    """Where each fine pixel of the recorded frame looks in the ideal image.

    Parameters
    ----------
    row, column : (Y*b, X*b) arrays
        Fractional indices into the ideal image.
    unseen : (Y*b, X*b) bool array
        Pixels whose slow distortion leads out of the ideal image.
    """

    row: Floats
    column: Floats
    unseen: Bools

    def image(self, ideal: Floats) -> Floats:
        """Return an image seen through the distortion."""
        from scipy.ndimage import map_coordinates

        where = np.stack([self.row, self.column])
        moved: Floats = map_coordinates(ideal, where, order=SPLINE_ORDER, mode="mirror")
        return moved

    def mask(self, ideal: Bools) -> Bools:
        """Return a mask seen through the distortion, by its nearest pixel."""
        rows, columns = ideal.shape
        row = np.clip(np.rint(self.row).astype(np.int_), 0, rows - 1)
        column = np.clip(np.rint(self.column).astype(np.int_), 0, columns - 1)
        seen: Bools = ideal[row, column]
        return seen


def make_resampler(
    distortion: Distortion, rows: RowShifts, *, binning: int, margin: int
) -> Resampler | None:
    """Prepare the resampling of an ideal image; None where nothing moves.

    Parameters
    ----------
    distortion : Distortion
    rows : RowShifts
        One shift for each recorded row: the fine rows that are binned into it share it.
    binning : int
        Fine pixels of the ideal image per recorded one, along each axis.
    margin : int
        How far (recorded px) the ideal image reaches beyond the frame on each side.
    """
    if distortion.still and rows.still:
        return None
    height, width = distortion.shape
    half = (binning - 1) / 2
    fine_y, fine_x = np.arange(height * binning), np.arange(width * binning)
    y, x = (fine_y - half) / binning, (fine_x - half) / binning
    recorded = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1)
    seen = recorded if distortion.still else distortion.seen(recorded)
    low = -(margin + EDGE_PX) - EDGE_PX
    high = np.array([width, height]) - 1 - low
    outside: Bools = (seen < low) | (seen > high)
    unseen: Bools = np.asarray(outside.any(axis=-1))
    column = (seen[..., 0] + rows.at(fine_y // binning, x) + margin) * binning + half
    row = (seen[..., 1] + margin) * binning + half
    return Resampler(row, column, unseen)
