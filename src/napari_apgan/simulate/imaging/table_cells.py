"""Multislice of small periodic cells: where the tables of columns come from.

The potentials are abTEM's (Lobato's scattering factors, infinite projection). The propagation is
done here, because a table wants something a general program does not offer: every probe position
sees its own thermal disorder, drawn slice by slice from a pool of slices that are also moved by
whole cells, so that a few passes average over hundreds of configurations, and the signal of every
ring of the detector is read at many depths of one pass.

A tilted column stands upright in coordinates that move along with it: between two slices the wave
is shifted by minus tilt times distance (the usual treatment of small tilts in multislice, Kirkland,
Advanced Computing in Electron Microscopy, section 6.7).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_apgan.elements import SYMBOLS
from napari_apgan.simulate.structures.base import THERMAL_PM, USUAL_THERMAL_PM

from .transfer import interaction, wavelength_pm

Floats = NDArray[np.float64]
Waves = NDArray[np.complex64]

#: Slices of every layer, each with other thermal displacements; even, as they come in pairs of
#: opposite displacements.
POOL = 12


@dataclass(frozen=True, slots=True)
class Beam:
    """A probe without aberrations, focused on the entrance surface, and a detector of rings.

    Parameters
    ----------
    voltage_kv, aperture_mrad : float
    rings_mrad : tuple of float
        Edges of the rings: half the aperture, the aperture, then outwards.
    """

    voltage_kv: float = 200.0
    aperture_mrad: float = 22.0
    rings_mrad: tuple[float, ...] = (0.0, 11.0, 22.0, 35.0, 70.0, 100.0, 200.0)


#: The beam of the tables.
BEAM = Beam()


@dataclass(frozen=True, slots=True)
class Cell:
    """A crystal that repeats.

    Parameters
    ----------
    name : str
    size_pm : (float, float)
        Period in x and y.
    period_pm : float
        Period along the beam; the layers share it equally.
    layers : tuple of tuple of (symbol, x, y)
        Atoms of each layer at fractions of the period.
    columns : tuple of (name, x, y)
        Columns of the cell; those that a mirror makes equal have one name.
    repeats : (int, int)
        Cells that the waves extend over.
    scan : (int, int)
        Probe positions along x and y over one cell; even.
    mirrored : bool
        Whether the crystal has mirrors in x and y through the origin, which spare positions.
    """

    name: str
    size_pm: tuple[float, float]
    period_pm: float
    layers: tuple[tuple[tuple[str, float, float], ...], ...]
    columns: tuple[tuple[str, float, float], ...]
    repeats: tuple[int, int] = (2, 2)
    scan: tuple[int, int] = (14, 14)
    mirrored: bool = True

    def atoms_of(self, name: str) -> list[int]:
        """Return the atomic numbers of one period of a column, in order of depth."""
        x, y = next((x, y) for n, x, y in self.columns if n == name)
        return [
            SYMBOLS.index(symbol) + 1
            for layer in self.layers
            for symbol, u, v in layer
            if abs(u - x) + abs(v - y) < 1e-6
        ]


def _perovskite(name: str, a: str, size_pm: float) -> Cell:
    return Cell(
        name,
        (size_pm, size_pm),
        size_pm,
        (
            ((a, 0.0, 0.0), ("O", 0.5, 0.5)),
            (("Ti", 0.5, 0.5), ("O", 0.5, 0.0), ("O", 0.0, 0.5)),
        ),
        ((a, 0.0, 0.0), ("Ti", 0.5, 0.5), ("O", 0.5, 0.0), ("O", 0.0, 0.5)),
    )


#: Half the length (fraction of the period) of the dumbbell of silicon along [110].
_HALF_DUMBBELL = 0.125
CELLS = (
    _perovskite("SrTiO3 [001]", "Sr", 390.5),
    _perovskite("PbTiO3 [001]", "Pb", 390.5),
    Cell(
        "Si [110]",
        (384.0, 543.1),
        384.0,
        (
            (("Si", 0.0, _HALF_DUMBBELL), ("Si", 0.0, 1 - _HALF_DUMBBELL)),
            (("Si", 0.5, 0.5 - _HALF_DUMBBELL), ("Si", 0.5, 0.5 + _HALF_DUMBBELL)),
        ),
        (
            ("Si", 0.0, _HALF_DUMBBELL),
            ("Si", 0.0, 1 - _HALF_DUMBBELL),
            ("Si", 0.5, 0.5 - _HALF_DUMBBELL),
            ("Si", 0.5, 0.5 + _HALF_DUMBBELL),
        ),
        scan=(14, 20),
    ),
    Cell(
        "Au [110]",
        (407.8, 288.4),
        288.4,
        ((("Au", 0.0, 0.0),), (("Au", 0.5, 0.5),)),
        (("Au", 0.0, 0.0), ("Au", 0.5, 0.5)),
        repeats=(2, 3),
        scan=(16, 12),
    ),
)


def grid_of(cell: Cell, beam: Beam) -> tuple[int, int]:
    """Return the grid (y, x) that carries scattering to the outermost ring inside two thirds."""
    reach = beam.rings_mrad[-1] * 1e-3 / wavelength_pm(beam.voltage_kv) * 1.5
    sides = (cell.size_pm[1] * cell.repeats[1], cell.size_pm[0] * cell.repeats[0])
    return (_even_fast(2 * reach * sides[0]), _even_fast(2 * reach * sides[1]))


def _even_fast(least: float) -> int:
    """Return the next number of grid points that a Fourier transform likes and 12 divides."""
    number = math.ceil(least / 12)
    while fft.next_fast_len(number) != number:
        number += 1
    return 12 * number


@dataclass(frozen=True, slots=True)
class Optics:
    """Spatial frequencies of a cell's grid and what is made of them; (Y, X) arrays."""

    ky: Floats
    kx: Floats
    limit: NDArray[np.bool_]
    aperture: Floats
    ring: NDArray[np.float32]


@lru_cache(maxsize=1)
def optics_of(cell: Cell, beam: Beam) -> Optics:
    """Return frequencies (1/pm), band limit, aperture (soft over one pixel) and rings of a cell."""
    rows, columns = grid_of(cell, beam)
    height, width = cell.size_pm[1] * cell.repeats[1], cell.size_pm[0] * cell.repeats[0]
    ky = np.fft.fftfreq(rows, height / rows)[:, None].astype(np.float64)
    kx = np.fft.fftfreq(columns, width / columns)[None].astype(np.float64)
    angle = 1e3 * wavelength_pm(beam.voltage_kv) * np.hypot(ky, kx)
    limit = (np.abs(ky) < rows / height / 3) & (np.abs(kx) < columns / width / 3)
    step = 1e3 * wavelength_pm(beam.voltage_kv) / math.sqrt(height * width)
    aperture = np.clip((beam.aperture_mrad - angle) / step + 0.5, 0.0, 1.0)
    # A frequency belongs to two rings in the share in which their edge cuts its pixel.
    inside = [np.clip((edge - angle) / step + 0.5, 0.0, 1.0) for edge in beam.rings_mrad[1:]]
    disc = np.stack([np.zeros_like(angle), *inside])
    ring = np.diff(disc, axis=0).reshape(len(inside), -1).T.astype(np.float32)
    return Optics(ky, kx, limit, aperture, ring)


def sampled_transfer(cell: Cell, beam: Beam) -> Floats:
    """Return the Fourier transform of the probe's intensity as the waves' grid samples it.

    A cell of a few lattice constants knows the aperture only at few frequencies, which makes its
    probe a little sharper than that of a disc.

    Returns
    -------
    (NY, NX) array
        At the frequencies of the scan, in the order of the FFT; 1 at frequency 0.
    """
    aperture = optics_of(cell, beam).aperture
    overlap = fft.ifft2(np.abs(fft.fft2(aperture)) ** 2).real
    nx, ny = cell.scan
    rows = np.rint(np.fft.fftfreq(ny, 1 / ny)).astype(int) * cell.repeats[1]
    columns = np.rint(np.fft.fftfreq(nx, 1 / nx)).astype(int) * cell.repeats[0]
    sampled: Floats = overlap[np.ix_(rows % len(overlap), columns % overlap.shape[1])]
    transfer: Floats = sampled / overlap[0, 0]
    return transfer


def slices_of(cell: Cell, beam: Beam, rng: np.random.Generator) -> list[Waves]:
    """Return transmission functions of each layer, (POOL, Y, X), with thermal displacements."""
    import abtem
    from ase import Atoms

    rows, columns = grid_of(cell, beam)
    limit = optics_of(cell, beam).limit
    height, width = cell.size_pm[1] * cell.repeats[1], cell.size_pm[0] * cell.repeats[0]
    thickness = cell.period_pm / len(cell.layers)
    made = []
    for layer in cell.layers:
        symbols, x, y = [], [], []
        for symbol, u, v in layer:
            for i in range(cell.repeats[0]):
                for j in range(cell.repeats[1]):
                    symbols.append(symbol)
                    x.append((u + i) * cell.size_pm[0])
                    y.append((v + j) * cell.size_pm[1])
        spread = np.array([THERMAL_PM.get(s, USUAL_THERMAL_PM) for s in symbols])
        pool = np.empty((POOL, rows, columns), dtype=np.complex64)
        half = rng.normal(size=(POOL // 2, 2, len(symbols))) * spread
        # Displacements of both signs, so that no pool is displaced as a whole.
        for number, thermal in enumerate(np.concatenate([half, -half])):
            places = np.stack(
                [(x + thermal[0]) % width, (y + thermal[1]) % height, np.full(len(x), 1.0)], axis=1
            )
            atoms = Atoms(symbols, places / 100, cell=np.array([width, height, thickness]) / 100)
            potential = abtem.Potential(
                atoms, gpts=(columns, rows), slice_thickness=thickness / 100, device="cpu"
            )
            projected = potential.build(lazy=False).array.sum(axis=0).T
            wave = np.exp(
                1e2j * interaction(beam.voltage_kv) * np.asarray(projected, dtype=np.float64)
            )
            pool[number] = fft.ifft2(fft.fft2(wave) * limit)
        made.append(pool)
    return made


def cell_image(
    cell: Cell,
    tilt_mrad: float,
    nodes_pm: Floats,
    *,
    passes: int,
    rng: np.random.Generator,
    beam: Beam = BEAM,
) -> Floats:
    """Return the signal of every ring at some thicknesses, scanned over one cell.

    Parameters
    ----------
    cell : Cell
    tilt_mrad : float
        Shift of the columns in x per depth.
    nodes_pm : (T,) array
        Thicknesses, rounded to whole periods.
    passes : int
        How often every position is computed, each time with other thermal displacements.
    rng : numpy Generator
        Draws the thermal displacements of the slices; their order is the same in every call.
    beam : Beam, optional

    Returns
    -------
    (T, R, NY, NX) array
        Fraction of the electrons; position (0, 0) is the origin of the cell at the entrance.
    """
    nx, ny = cell.scan
    multislice = _Multislice(cell, beam, np.rint(nodes_pm / cell.period_pm).astype(int), rng)
    image = np.zeros((len(nodes_pm), len(beam.rings_mrad) - 1, ny, nx))
    both = cell.mirrored and tilt_mrad != 0
    leans = (1, -1) if both else (1,)
    propagators = [multislice.propagator(lean * tilt_mrad) for lean in leans]
    computed = (ny // 2 + 1, nx // 2 + 1) if cell.mirrored else (ny, nx)
    for row, column in np.ndindex(*computed):
        at = (column / nx * cell.size_pm[0], row / ny * cell.size_pm[1])
        for one_pass in range(passes):
            # Leaning the other way is the mirror image. It meets the same disorder, mirrored, so
            # that an upright column is seen exactly where it is and disorder cannot feign a lean.
            for lean, propagator in zip(leans, propagators, strict=True):
                signal = multislice.signals(propagator, at, (row, column, one_pass))
                image[:, :, row, (lean * column) % nx] += signal
    # Columns of the scan that are their own mirror image were reached twice.
    image[..., [0, nx // 2]] /= len(leans)
    if cell.mirrored:
        for row in range(ny // 2 + 1, ny):
            image[:, :, row] = image[:, :, ny - row]
    if cell.mirrored and not both:
        for column in range(nx // 2 + 1, nx):
            image[:, :, :, column] = image[:, :, :, nx - column]
    return image / passes


class _Multislice:
    """Sends probes through a cell.

    Parameters
    ----------
    cell : Cell
    beam : Beam
    every : (T,) int array
        Numbers of periods after which the signal is read.
    rng : numpy Generator
    """

    def __init__(
        self, cell: Cell, beam: Beam, every: NDArray[np.int_], rng: np.random.Generator
    ) -> None:
        self._cell, self._beam, self._every = cell, beam, every
        self._optics = optics_of(cell, beam)
        self._slices = slices_of(cell, beam, rng)
        repeats = np.array(cell.repeats[::-1])
        self._repeats, self._cell_px = repeats, np.array(self._optics.limit.shape) // repeats
        self._amplitude = self._optics.aperture / np.sqrt((self._optics.aperture**2).sum())

    def propagator(self, tilt_mrad: float) -> Waves:
        """Return what carries a wave from slice to slice, along columns that lean in x."""
        optics = self._optics
        step = self._cell.period_pm / len(self._cell.layers)
        wavelength = wavelength_pm(self._beam.voltage_kv)
        phase = -math.pi * wavelength * step * (optics.ky**2 + optics.kx**2)
        phase = phase + 2 * math.pi * optics.kx * tilt_mrad * 1e-3 * step
        made: Waves = (np.exp(1j * phase) * optics.limit).astype(np.complex64)
        return made

    def signals(
        self, propagator: Waves, at_pm: tuple[float, float], disorder: tuple[int, int, int]
    ) -> Floats:
        """Return (T, R) signals of a probe at (x, y); `disorder` numbers the order of slices.

        The last of its numbers is the pass. Every second pass meets the opposite displacements of
        the pass before.
        """
        optics = self._optics
        *place, one_pass = disorder
        rng = np.random.default_rng((*place, one_pass // 2))
        ramp = np.exp(-2j * math.pi * (optics.kx * at_pm[0] + optics.ky * at_pm[1]))
        wave = (self._amplitude * ramp).astype(np.complex64)
        signals = np.empty((len(self._every), optics.ring.shape[1]))
        for period in range(int(self._every.max()) + 1):
            for node in np.flatnonzero(self._every == period):
                signals[node] = (np.abs(wave.ravel()) ** 2) @ optics.ring
            for pool in self._slices:
                shift = rng.integers(self._repeats) * self._cell_px
                chosen = (rng.integers(POOL) + one_pass % 2 * (POOL // 2)) % POOL
                slab = np.roll(pool[chosen], tuple(shift.tolist()), axis=(0, 1))
                wave = fft.ifft2(wave, overwrite_x=True)
                wave *= slab
                wave = fft.fft2(wave, overwrite_x=True)
                wave *= propagator
        return signals
