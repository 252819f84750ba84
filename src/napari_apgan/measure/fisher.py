"""What a frame tells about each atom among its neighbours: Fisher matrices and their inverses.

The 3x3 blocks of the atoms themselves (amplitude, x, y) are summed over the actual pixels. Blocks
between neighbours come from the correlations of the kernels' derivatives at their distance, scaled
on both sides by what missing pixels, border and noise do to the blocks of the two atoms:
``H_ij = L_i N_ij L_jᵀ`` with ``L_i N_ii L_iᵀ = H_ii``, which keeps the whole positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from .canvas import Canvas, Hat, Image, Places

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

#: Atoms inverted together at once; bounds the memory.
CHUNK = 512


@dataclass(frozen=True, slots=True)
class Correlations:
    """Σ_p ∂_α K_e(p) ∂_β K_f(p - d) of the kernels of all pairs of elements, on whole pixels d.

    `images` is (elements, elements, 3, 3, rows, columns), prefiltered for splines.
    """

    canvas: Canvas
    images: NDArray[np.float32]

    @classmethod
    def of(cls, stamps: Floats) -> Correlations:
        """Correlate (elements, 2 R + 1, 2 R + 1) kernels and their derivatives by place."""
        reach = stamps.shape[-1] // 2
        canvas = Canvas((1, 1), 2 * reach + 2)
        ky, kx = canvas.frequencies()
        hats = [[canvas.kernel_hat(s) * f for f in (1.0, -1j * kx, -1j * ky)] for s in stamps]
        filtered = canvas.prefilter()
        n = len(stamps)
        images = np.empty((n, n, 3, 3, *canvas.size), dtype=np.float32)
        middle = (canvas.reach, canvas.reach)
        for e in range(n):
            for f in range(n):
                for a in range(3):
                    for b in range(3):
                        product = hats[e][a] * np.conj(hats[f][b]) * filtered
                        images[e, f, a, b] = np.roll(canvas.back(product), middle, axis=(0, 1))
        return cls(canvas, images)

    def at(self, distance: Floats, e: Ints, f: Ints) -> Floats:
        """Return (M, 3, 3) correlations at (M, 2) distances r_j - r_i of elements e, f."""
        out = np.empty((len(distance), 3, 3))
        for first in range(len(self.images)):
            for second in range(len(self.images)):
                rows = np.flatnonzero((e == first) & (f == second))
                if not len(rows):
                    continue
                value = self.canvas.places(distance[rows]).value
                flat = self.images[first, second].reshape(9, -1)
                out[rows] = (value @ flat.T).reshape(-1, 3, 3)
        return out


def own_blocks(
    canvas: Canvas,
    weight: Image,
    hats: list[Hat],
    places: list[Places],
    rows: list[Ints],
    amplitude: Floats,
) -> Floats:
    """Return the (N, 3, 3) blocks of the Fisher matrix of each atom, over the actual pixels.

    Parameters
    ----------
    canvas : Canvas
    weight : (Y, X) array
        One over the variance of the noise, 0 where a pixel is not valid.
    hats : list
        Transforms of the kernel of each element, not prefiltered.
    places, rows : list
        Of the atoms of each element: where they are, and their numbers.
    amplitude : (N,) array
    """
    seen = canvas.hat(canvas.around(weight))
    filtered = canvas.prefilter()
    ky, kx = canvas.frequencies()
    out = np.zeros((len(amplitude), 3, 3))
    for own, place, hat in zip(rows, places, hats, strict=True):
        stamps = [canvas.back(hat * f) for f in (1.0, -1j * kx, -1j * ky)]
        for i in range(3):
            for j in range(i, 3):
                product = np.conj(canvas.hat(stamps[i] * stamps[j]) * filtered)
                value = place.value @ canvas.back(seen * product).ravel()
                out[own, i, j] = out[own, j, i] = value
    scale = np.stack([np.ones_like(amplitude), amplitude, amplitude], axis=1)
    return out * scale[:, :, None] * scale[:, None, :]


def local_covariances(
    xy: Floats,
    amplitude: Floats,
    element: Ints,
    blocks: Floats,
    prior: Floats,
    correlations: Correlations,
    *,
    neighbours: int = 19,
    reach: float,
    of: Ints | None = None,
) -> Floats:
    """Return (N, 3, 3) covariances of amplitude, x and y of each atom with its neighbours open.

    Parameters
    ----------
    xy, amplitude, element : (N, 2), (N,), (N,) arrays
    blocks : (N, 3, 3) array
        Of the Fisher matrix, over the actual pixels and their noise.
    prior : (N, 3, 3) array
        Precisions of what is known beforehand.
    correlations : Correlations
    neighbours : int
        How many of the nearest atoms, itself among them, are open; the rest is held.
    reach : float
        Distance in px beyond which atoms do not matter.
    of : (M,) int array, optional
        Return those of these atoms alone, (M, 3, 3).
    """
    n = len(xy)
    tree = cKDTree(xy)
    count = min(neighbours, n)
    scale = _scales(blocks, amplitude, element, correlations)
    of = np.arange(n) if of is None else of
    near = np.asarray(
        tree.query(xy[of], k=list(range(1, count + 1)), distance_upper_bound=reach)[1]
    )
    pairs = tree.query_pairs(reach, output_type="ndarray")
    i, j = pairs[:, 0], pairs[:, 1]
    between = correlations.at(xy[j] - xy[i], element[i], element[j])
    between = scale[i] @ between @ np.swapaxes(scale[j], 1, 2)
    own = blocks + prior
    tiny = 1e-9 * np.einsum("nii->n", own).max() / 3 + 1e-30
    own[:, range(3), range(3)] += 1e-9 * np.einsum("nii->ni", own) + 1e-3 * tiny
    # Row 0: nothing (also for neighbours that are not there), then pairs both ways, then atoms.
    table = np.concatenate([np.zeros((1, 3, 3)), between, np.swapaxes(between, 1, 2), own])
    m = len(pairs)
    place = np.arange(1, m + 1)
    rows = np.concatenate([i, j, np.arange(n)])
    columns = np.concatenate([j, i, np.arange(n)])
    number = np.concatenate([place, place + m, 2 * m + 1 + np.arange(n)])
    index = csr_array((number, (rows, columns)), shape=(n, n))
    out = np.empty((len(of), 3, 3))
    for first in range(0, len(of), CHUNK):
        part = near[first : first + CHUNK]
        there = part < n
        who = np.where(there, part, 0)
        which = _lookup(index, who)
        which *= there[:, :, None] & there[:, None, :]
        matrix = table[which].transpose(0, 1, 3, 2, 4).reshape(len(part), 3 * count, 3 * count)
        absent = np.repeat(~there, 3, axis=1)
        matrix[:, range(3 * count), range(3 * count)] += absent
        size = np.sqrt(np.maximum(np.einsum("nii->ni", matrix), 1e-300))
        matrix /= size[:, :, None] * size[:, None, :]
        right = np.zeros((len(part), 3 * count, 3))
        right[:, range(3), range(3)] = 1.0
        solved = np.linalg.solve(matrix + 1e-9 * np.eye(3 * count), right)[:, :3]
        out[first : first + CHUNK] = solved / (size[:, :3, None] * size[:, None, :3])
    return 0.5 * (out + np.swapaxes(out, 1, 2))


def _lookup(index: csr_array, who: Ints) -> Ints:
    """Return (n, k, k) entries of a sparse matrix between all of (n, k) rows."""
    n, k = who.shape
    rows = np.repeat(who, k, axis=1).ravel()
    columns = np.tile(who, (1, k)).ravel()
    return np.asarray(index[rows, columns]).reshape(n, k, k)


def _scales(blocks: Floats, amplitude: Floats, element: Ints, c: Correlations) -> Floats:
    """Return (N, 3, 3) factors L with L N Lᵀ the actual block of each atom, N the ideal one."""
    kinds = np.arange(len(c.images))
    ideal = c.at(np.zeros((len(kinds), 2)), kinds, kinds)
    root = np.linalg.cholesky(0.5 * (ideal + np.swapaxes(ideal, 1, 2)))
    least = 1e-3 * float(np.median(np.abs(amplitude))) + 1e-12
    height = np.where(amplitude < 0, -1.0, 1.0) * np.maximum(np.abs(amplitude), least)
    by = np.stack([np.ones_like(height), height, height], axis=1)
    unit = blocks / (by[:, :, None] * by[:, None, :])
    values, vectors = np.linalg.eigh(unit)
    values = np.maximum(values, 1e-9 * values.max() + 1e-30)
    actual = np.linalg.cholesky(np.einsum("nij,nj,nkj->nik", vectors, values, vectors))
    scales: Floats = by[:, :, None] * (actual @ np.linalg.inv(root)[element])
    return scales
