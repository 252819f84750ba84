"""Random two-dimensional lattices and scattered atoms, so that nothing is tied to one crystal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .specimen import Floats
from .zoo_random import chance, log_uniform, smooth_field, wave

Bools = NDArray[np.bool_]

#: Beyond the frame, in px: atoms there light it too.
MARGIN_PX = 32
#: Sites fainter than this part of the brightest are not drawn at all: nobody could label them.
FAINTEST = 0.12
#: Neighbours of two grains closer than this part of the spacing cannot both be there.
CROWDED = 0.6


@dataclass(frozen=True, slots=True)
class Sites:
    """Atoms of one view, before they are imaged.

    Parameters
    ----------
    kind : str
        What it is, in a word.
    xy_px : (N, 2) array
        x, y on the frame, also outside of it.
    weight : (N,) array
        Brightness, the usual one 1.
    width_px : float
        Standard deviation of the peaks.
    spacing_px : float
        Distance of nearest neighbours of the ideal lattice, or the mean one of scattered atoms.
    film : (Y, X) float32 array, optional
        Thickness, 0..1, of the film that lone atoms lie on; it has edges.
    """

    kind: str
    xy_px: Floats
    weight: Floats
    width_px: float
    spacing_px: float
    film: NDArray[np.float32] | None = None


def draw_cell(rng: np.random.Generator) -> tuple[str, Floats, Floats, Floats]:
    """Draw a unit cell.

    Returns
    -------
    kind : str
    cell : (2, 2) array
        Lattice vectors as rows, in no unit.
    basis : (K, 2) array
        Positions in the cell, in its vectors.
    weight : (K,) array
    """
    kinds = ["honeycomb", "perovskite", "square", "hexagonal", "oblique", "dumbbell", "random"]
    kind = str(rng.choice(kinds, p=[0.2, 0.22, 0.08, 0.12, 0.1, 0.08, 0.2]))
    hexagon = np.array([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    faint = log_uniform(rng, 1.1 * FAINTEST, 1.0)
    if kind == "honeycomb":
        second = 1.0 if chance(rng, 0.5) else max(faint, 0.2)
        return kind, hexagon, np.array([[0, 0], [1 / 3, 1 / 3]]), np.array([1.0, second])
    if kind == "hexagonal":
        return kind, hexagon, np.zeros((1, 2)), np.ones(1)
    if kind == "square":
        return kind, np.diag([1.0, rng.uniform(1.0, 1.1)]), np.zeros((1, 2)), np.ones(1)
    if kind == "perovskite":
        # The second sublattice sits in or near the middle of the cage of the first.
        middle = 0.5 + rng.normal(0, 0.03, 2) * chance(rng, 0.5)
        cell = np.diag([1.0, rng.uniform(0.95, 1.15)])
        return kind, cell, np.array([[0, 0], middle]), np.array([1.0, faint])
    angle = rng.uniform(math.radians(60), math.radians(120))
    cell = np.array([[1.0, 0.0], np.array([math.cos(angle), math.sin(angle)])])
    cell[1] *= rng.uniform(0.8, 1.8)
    if kind == "oblique":
        return kind, cell, np.zeros((1, 2)), np.ones(1)
    if kind == "dumbbell":
        cell = np.diag([1.0, rng.uniform(1.0, 1.6)])
        apart, turn = rng.uniform(0.28, 0.45), rng.uniform(0, math.pi)
        pair = np.array([[0, 0], [apart * math.cos(turn), apart * math.sin(turn)]])
        centred = np.concatenate([pair, pair + 0.5]) if chance(rng, 0.5) else pair
        return kind, cell, centred, np.resize([1.0, max(faint, 0.25)], len(centred))
    count = int(rng.integers(2, 5))
    basis = np.zeros((0, 2))
    for _ in range(40):
        if len(basis) == count:
            break
        new = rng.random(2)
        away = new - basis
        away -= np.rint(away)
        if not len(basis) or np.hypot(*(away @ cell).T).min() > 0.38:
            basis = np.concatenate([basis, new[None]])
    weights = np.array([log_uniform(rng, 1.3 * FAINTEST, 1.0) for _ in basis])
    return kind, cell, basis, weights / weights.max()


def nearest_distance(cell: Floats, basis: Floats) -> float:
    """Return the distance of nearest neighbours of a lattice."""
    steps = np.array([[i, j] for i in (-2, -1, 0, 1, 2) for j in (-2, -1, 0, 1, 2)])
    apart = (basis[:, None, None] - basis[None, :, None] + steps) @ cell
    distance = np.hypot(apart[..., 0], apart[..., 1])
    return float(distance[distance > 1e-6].min())


def fill_frame(
    cell: Floats, basis: Floats, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int_]]:
    """Repeat a cell over a frame and its margin, in a random rotation and place.

    Returns
    -------
    (N, 2) array
        x, y in px.
    (N,) int array
        Site of the basis.
    """
    turn = rng.uniform(0, 2 * math.pi)
    c, s = math.cos(turn), math.sin(turn)
    strain = np.eye(2) + rng.uniform(-0.03, 0.03, (2, 2))
    vectors = cell @ strain @ np.array([[c, s], [-s, c]])
    rows, columns = shape
    middle = np.array([columns, rows]) / 2
    reach = middle + MARGIN_PX
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * reach @ np.linalg.inv(vectors)
    low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 1
    i, j = np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1]))
    cells = np.column_stack([i.ravel(), j.ravel()]) + rng.random(2)
    xy = ((cells[:, None] + basis) @ vectors).reshape(-1, 2)
    site = np.tile(np.arange(len(basis)), len(cells))
    inside = (np.abs(xy) <= reach).all(axis=1)
    return xy[inside] + middle, site[inside]


def lattice_sites(
    shape: tuple[int, int], spacing_px: tuple[float, float], rng: np.random.Generator
) -> Sites:
    """Draw a crystal with whatever may be wrong with it."""
    kind, cell, basis, base_weight = draw_cell(rng)
    spacing = log_uniform(rng, *spacing_px)
    cell = cell * (spacing / nearest_distance(cell, basis))
    xy, site = fill_frame(cell, basis, shape, rng)
    if chance(rng, 0.2):
        xy, site = _with_boundary(xy, site, cell, basis, shape, spacing, rng)
    weight = base_weight[site]
    weight = weight * _brightness(xy, site, len(basis), spacing, rng)
    keep = _kept(xy, spacing, shape, rng)
    xy, weight = xy[keep], weight[keep]
    size = max(shape)
    for axis in (0, 1):
        bend = (
            0.04
            * spacing
            * rng.random()
            * wave(xy, log_uniform(rng, 3 * spacing, max(size, 6 * spacing)), rng)
        )
        xy[:, axis] += bend
    xy += rng.normal(0, 1, xy.shape) * spacing * 0.06 * rng.random() ** 2
    weight = np.maximum(weight, FAINTEST * weight.max(initial=FAINTEST))
    # A faint sublattice is seen only where the peaks beside it are narrow.
    widest = 0.36 if base_weight.min() > 0.5 else 0.27
    if kind == "honeycomb" and base_weight.min() > 0.5:
        widest = 0.44  # atoms run together, and the middles of rings stand out
    width = max(spacing * rng.uniform(0.12, widest), 0.7)
    return Sites(kind, xy, weight, width, spacing)


def _with_boundary(
    xy: Floats,
    site: NDArray[np.int_],
    cell: Floats,
    basis: Floats,
    shape: tuple[int, int],
    spacing: float,
    rng: np.random.Generator,
) -> tuple[Floats, NDArray[np.int_]]:
    """Put another grain of the same crystal beside the first."""
    other, other_site = fill_frame(cell, basis, shape, rng)
    turn, bend = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.15)
    size = max(shape)
    middle = np.array([shape[1], shape[0]]) / 2 + rng.uniform(-0.3, 0.3, 2) * size
    seed = int(rng.integers(2**31))

    def beyond(points: Floats) -> Bools:
        away = (points - middle) @ np.array([math.cos(turn), math.sin(turn)])
        side: Bools = away > bend * size * wave(points, size, np.random.default_rng(seed))
        return side

    first, second = ~beyond(xy), beyond(other)
    both = np.concatenate([xy[first], other[second]])
    sites = np.concatenate([site[first], other_site[second]])
    close = cKDTree(both).query_pairs(CROWDED * spacing, output_type="ndarray")
    keep = np.ones(len(both), dtype=np.bool_)
    keep[close[:, 1]] = False
    return both[keep], sites[keep]


def _brightness(
    xy: Floats, site: NDArray[np.int_], n_sites: int, spacing: float, rng: np.random.Generator
) -> Floats:
    """Return a factor for each atom: scatter, thickness, dopants and layers of another species."""
    factor = np.exp(rng.normal(0, 0.15 * rng.random(), len(xy)))
    if chance(rng, 0.4):
        factor *= np.exp(0.4 * rng.random() * wave(xy, log_uniform(rng, 60, 400), rng))
    if chance(rng, 0.2):
        doped = (rng.random(len(xy)) < 0.15 * rng.random()) & (site == rng.integers(n_sites))
        factor[doped] *= log_uniform(rng, 0.25, 2.5)
    if chance(rng, 0.2):
        turn = rng.uniform(0, 2 * math.pi)
        across = xy @ np.array([math.cos(turn), math.sin(turn)])
        period = spacing * log_uniform(rng, 4, 40)
        layer = (across / period) % 1 < rng.uniform(0.2, 0.6)
        factor[layer & (site == rng.integers(n_sites))] *= log_uniform(rng, 0.3, 1.0)
    return factor


def _kept(xy: Floats, spacing: float, shape: tuple[int, int], rng: np.random.Generator) -> Bools:
    """Tell which sites hold an atom: vacancies, holes, vacuum, islands."""
    missing = 0.3 * rng.random() if chance(rng, 0.06) else 0.05 * rng.random() ** 2
    keep = rng.random(len(xy)) >= missing
    if chance(rng, 0.25):
        field = wave(xy, log_uniform(rng, 6 * spacing, 40 * spacing), rng)
        keep &= field > np.quantile(field, rng.uniform(0.05, 0.75))
    elif chance(rng, 0.1):
        rows, columns = shape
        away = np.hypot(*(xy - rng.random(2) * (columns, rows)).T)
        inside = away < rng.uniform(0.15, 0.45) * max(shape)
        keep &= inside if chance(rng, 0.5) else ~inside
    return keep


def scattered_sites(shape: tuple[int, int], rng: np.random.Generator) -> Sites:
    """Draw single heavy atoms that lie anywhere, alone or in clusters."""
    width = log_uniform(rng, 0.9, 4.5)
    rows, columns = (n + 2 * MARGIN_PX for n in shape)
    spacing = width * log_uniform(rng, 5.0, 30.0)
    count = max(int(rows * columns / spacing**2), 3)
    xy = rng.random((count, 2)) * (columns, rows) - MARGIN_PX
    if chance(rng, 0.4):  # clusters: atoms near others
        near = rng.integers(count, size=count // 2)
        xy[: count // 2] = xy[near] + rng.normal(0, 6 * width, (count // 2, 2))
    apart = rng.uniform(3.0, 4.5) * width
    order, keep = rng.permutation(count), np.ones(count, dtype=np.bool_)
    xy = xy[order]
    close = cKDTree(xy).query_pairs(apart, output_type="ndarray")
    keep[close.max(axis=1)] = False
    weight = np.exp(rng.normal(0, 0.3 * rng.random(), count))
    film = draw_film(shape, rng) if chance(rng, 0.5) else None
    if film is not None:
        column, row = np.clip(np.rint(xy).astype(int), 0, np.array(shape[::-1]) - 1).T
        keep &= film[row, column] > 0.3
    return Sites("scattered", xy[keep], weight[keep], width, spacing, film)


def draw_film(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a film with edges: thick here, nothing there, thickness 0..1."""
    field = smooth_field(shape, max(shape) * rng.uniform(0.2, 1.0), rng)
    edge = rng.uniform(0.02, 0.5)
    bend = rng.uniform(-1.0, 0.6)
    film: NDArray[np.float32] = (field - np.float32(bend)) / np.float32(edge)
    return np.clip(film, 0, 1, out=film)


def no_sites(shape: tuple[int, int], rng: np.random.Generator) -> Sites:
    """Draw a frame without any atom: vacuum, film, dirt."""
    width = log_uniform(rng, 0.9, 5.0)
    film = draw_film(shape, rng) if chance(rng, 0.5) else None
    return Sites("empty", np.zeros((0, 2)), np.zeros(0), width, 4 * width, film)
