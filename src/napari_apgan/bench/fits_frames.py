"""Scanned frames whose truth is known, and the best that can be told of positions on them.

Every frame is scanned with jitter: rows are shifted by a random walk that forgets. What that costs
enters the bound. With row r of an atom telling its x with variance 1 / w_r (w_r the sum of the
squared derivative along the row over the variance of the noise) and rows moved together with
covariance C, the best x has variance ``1 / (1ᵀ (diag(1 / w) + C)⁻¹ 1)``; y is not touched to first
order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import concat, make_atoms, positions
from napari_apgan.frames import Calibration, Frame
from napari_apgan.measure import Kernel, cramer_rao_pm
from napari_apgan.measure.kernels import Profile

Floats = NDArray[np.float64]

PIXEL_PM = 10.0
CALIBRATION = Calibration.from_pixel_size(PIXEL_PM, origin="user")
WIDTH_PX, HEIGHT, NOISE, LEVEL = 2.0, 100.0, 5.0, 50.0
#: Displacements from the sites along each axis, and how far starts are off, px.
DISPLACED_PX, START_PX = 0.5, 0.4
#: Jitter of the rows, px, and the correlation of one with the next.
JITTER_PX, MEMORY = 0.03, 0.7
#: Tails: part of the height, and width in widths of the core.
TAIL, TAIL_WIDTHS = 0.1, 2.7
#: Height of weak columns over strong ones.
WEAK = 0.4
#: Atoms nearer to the border than so many widths are not judged.
MARGIN_WIDTHS = 3.0
SIDE_PX = 224
SEED = 4100


@dataclass(frozen=True, slots=True)
class FitCase:
    """What stands on a frame.

    Parameters
    ----------
    name : str
    words : str
    cell_px : float
        Side of the square cell of strong columns.
    weak : bool
        Whether a weak column stands in the middle of each.
    tails : bool
        Whether peaks have tails.
    missing : float
        Part of the pixels that were not measured.
    """

    name: str
    words: str
    cell_px: float
    weak: bool = False
    tails: bool = False
    missing: float = 0.0


CASES: tuple[FitCase, ...] = (
    FitCase("single", "peaks 7 widths apart", 14.0),
    FitCase("overlapping", "peaks 3.5 widths apart", 7.0),
    FitCase("tailed", "strong and weak columns with tails", 15.0, weak=True, tails=True),
    FitCase(
        "missing pixels", "the same, 30 % not measured", 15.0, weak=True, tails=True, missing=0.3
    ),
)


@dataclass(frozen=True, eq=False)
class Scanned:
    """A frame, what stands on it (`beyond` its border too), and the sites of the former."""

    frame: Frame
    atoms: pd.DataFrame
    beyond: pd.DataFrame
    sites: Floats


def scan(case: FitCase, seed: int, side: int = SIDE_PX) -> Scanned:
    """Make a frame with known positions."""
    rng = np.random.default_rng(seed)
    line = np.arange(-2 * case.cell_px, side + 2 * case.cell_px, case.cell_px)
    strong = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    sites = [strong, strong + case.cell_px / 2] if case.weak else [strong]
    heights = [HEIGHT, WEAK * HEIGHT]
    turn = np.radians(7.0)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    offset = rng.uniform(0, case.cell_px, 2)
    tables, places = [], []
    for kind, rest in enumerate(sites):
        site = (rest - side / 2) @ matrix.T + side / 2 + offset
        xy = site + rng.normal(0, DISPLACED_PX, site.shape)
        tables.append(make_atoms(xy, "AB"[kind], amplitude=heights[kind], width_px=WIDTH_PX))
        places.append(site)
    atoms, site = concat(tables), np.concatenate(places)
    shift = np.zeros(side)
    kick = rng.normal(0, JITTER_PX, side)
    shift[0] = kick[0]
    for row in range(1, side):
        shift[row] = MEMORY * shift[row - 1] + np.sqrt(1 - MEMORY**2) * kick[row]
    shift -= shift.mean()  # a shift of the whole frame is no error of a fit
    moved = _draw(atoms, side, shift, case.tails)
    noisy = moved + rng.normal(0, NOISE, moved.shape)
    valid = rng.random(moved.shape) >= case.missing
    xy = positions(atoms)
    inside = ((xy > -0.5) & (xy < side - 0.5)).all(axis=1)
    beyond: pd.DataFrame = atoms.iloc[np.flatnonzero(~inside)].reset_index(drop=True)
    return Scanned(
        Frame(np.where(valid, noisy, 0).astype(np.float32), valid, CALIBRATION),
        atoms[inside].reset_index(drop=True).assign(id=np.arange(int(inside.sum()))),
        beyond,
        site[inside],
    )


def _parts(tails: bool) -> list[tuple[float, float]]:
    """Return height and width (in widths of the core) of the Gaussians of a peak."""
    return [(1 - TAIL, 1.0), (TAIL, TAIL_WIDTHS)] if tails else [(1.0, 1.0)]


def _draw(atoms: pd.DataFrame, side: int, shift: Floats, tails: bool) -> Floats:
    """Add the peaks up, each row moved to the right by its shift."""
    image = np.full((side, side), LEVEL)
    x, y = positions(atoms).T
    height = atoms["amplitude"].to_numpy()
    columns = np.arange(side)
    for part, widths in _parts(tails):
        scale = -0.5 / (widths * WIDTH_PX) ** 2
        along_y = part * height[:, None] * np.exp(scale * (y[:, None] - columns) ** 2)
        for row in range(side):
            near = np.flatnonzero(along_y[:, row] > 1e-6 * HEIGHT)
            along_x = np.exp(scale * (x[near, None] + shift[row] - columns) ** 2)
            image[row] += along_y[near, row] @ along_x
    return image


def true_kernel(case: FitCase) -> Kernel:
    """Return what single columns of a case look like."""

    def shape(r: Floats) -> Floats:
        parts = [p * np.exp(-0.5 * (r / (w * WIDTH_PX)) ** 2) for p, w in _parts(case.tails)]
        total: Floats = np.sum(parts, axis=0)
        return total

    reach = round((5.5 * TAIL_WIDTHS if case.tails else 7.0) * WIDTH_PX)
    return Kernel.of_shape(shape, Profile(0.5 * WIDTH_PX, reach), ["A", "B"])


def bound_px(case: FitCase, made: Scanned) -> Floats:
    """Return the (N, 2) bounds in px: what single atoms look like is taken as known."""
    kernel = true_kernel(case)
    everything = concat([made.atoms, made.beyond])
    bound = cramer_rao_pm(made.frame, everything, noise=NOISE, kernel=kernel)[: len(made.atoms)]
    out: Floats = bound / PIXEL_PM
    for height in made.atoms["amplitude"].unique().tolist():
        own = (made.atoms["amplitude"] == height).to_numpy()
        out[own, 0] = np.hypot(out[own, 0], _by_jitter(kernel, height, case.missing))
    return out


def _by_jitter(kernel: Kernel, height: float, missing: float) -> float:
    """Return what the jitter adds to the best standard error along x, px."""
    stamp = kernel.stamps(["A"])[0]
    stamp = height * stamp / stamp.max()
    told = (np.gradient(stamp, axis=1) ** 2).sum(axis=1) * (1 - missing) / NOISE**2
    rows = np.flatnonzero(told > 1e-4 * told.max())
    apart = np.abs(rows[:, None] - rows[None])
    together = np.diag(1 / told[rows]) + JITTER_PX**2 * MEMORY**apart
    best = 1 / np.linalg.inv(together).sum()
    return float(np.sqrt(max(best - 1 / told[rows].sum(), 0.0)))
