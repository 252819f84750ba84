"""Projected potentials of neutral atoms, drawn exactly between the pixels of a grid.

Scattering factors: I. Lobato, D. Van Dyck, Acta Crystallographica A 70 (2014) 636. The table beside
this module holds their coefficients; ``python tools/make_scattering_factors.py`` writes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources

import numpy as np
import scipy.constants as constants
import scipy.fft
from numpy.typing import NDArray

from napari_apgan.simulate.specimen import Floats, Ints

#: Volt pm² of projected potential per pm of scattering factor: h² / (2π m e).
VOLT_PM2 = constants.h**2 / (2 * math.pi * constants.m_e * constants.e) * 1e24
#: Pixels over which an atom is spread before its Fourier transform is put right.
REACH = 8
#: Frequencies are kept up to this share of the grid's highest; the rest only helps the spreading.
KEPT = 2 / 3
#: Points of the largest grid whose factors are remembered.
LARGEST_KEPT = 4_000_000
#: Shape of the spreading kernel (`_spread`), best for `REACH` pixels and `KEPT`.
SHARPNESS = 0.98 * math.pi * REACH * (1 - KEPT / 2)


@lru_cache(maxsize=1)
def _coefficients() -> dict[int, tuple[list[float], list[float]]]:
    path = resources.files(__package__) / "scattering_factors.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    return {int(z): (row["a"], row["b"]) for z, row in table["elements"].items()}


def scattering_factor_pm(number: int, k2: Floats) -> Floats:
    """Return the electron scattering factor of an element in pm (first Born, rest mass).

    Parameters
    ----------
    number : int
        Atomic number, 1 to 103.
    k2 : array
        Squared spatial frequency |k|² in 1/pm².
    """
    total = np.zeros_like(k2)
    for a, b in zip(*_coefficients()[number], strict=True):
        bend = b * 1e4 * k2
        total += 100 * a * (2 + bend) / (1 + bend) ** 2
    return total


def projected_potential(
    xy_px: Floats,
    number: Ints,
    thermal_pm: Floats,
    shape: tuple[int, int],
    sampling_pm: float,
    *,
    share: Floats | None = None,
) -> NDArray[np.float32]:
    """Return the potential of atoms projected along the beam, in V pm; the grid is periodic.

    Each atom's Fourier coefficients are ``f(k) · exp(-2π² u² k²) · exp(-2πi k·r)`` with u its
    root-mean-square thermal displacement per axis, so positions between the pixels are exact to
    one part in 10⁵. Frequencies above two thirds of the grid's highest are zero.

    Parameters
    ----------
    xy_px : (N, 2) array
        Positions on this grid; outside it they wrap around.
    number, thermal_pm : (N,) arrays
    shape : (int, int)
        (rows, columns).
    sampling_pm : float
        Distance of the grid's points.
    share : (N,) array, optional
        How much of each atom counts; all of it by default.
    """
    weight = np.ones(len(number)) if share is None else share
    total: NDArray[np.complex64] | None = None
    for z, u, where in _species(number, thermal_pm):
        # Large grids would fill the memory with what takes them little time.
        small = shape[0] * shape[1] <= LARGEST_KEPT
        factors = (_factors if small else _factors.__wrapped__)(z, u, shape, sampling_pm)
        part = scipy.fft.rfft2(_spread(xy_px[where], weight[where], shape), workers=2)
        part *= factors
        total = part if total is None else total + part
    if total is None:
        return np.zeros(shape, dtype=np.float32)
    potential: NDArray[np.float32] = scipy.fft.irfft2(total, s=shape, workers=2)
    return potential


def _species(number: Ints, thermal_pm: Floats) -> Iterator[tuple[int, float, NDArray[np.bool_]]]:
    """Yield element, thermal displacement (to 0.1 pm) and a mask of each kind of atom."""
    kinds = number * 100_000 + np.round(thermal_pm * 10).astype(np.int_)
    for kind in np.unique(kinds).tolist():
        yield kind // 100_000, kind % 100_000 / 10, kinds == kind


@lru_cache(maxsize=12)
def _factors(
    number: int, thermal_pm: float, shape: tuple[int, int], sampling_pm: float
) -> NDArray[np.float32]:
    """Return what turns the spectrum of spread points into that of the potential."""
    rows, columns = shape
    fy: Floats = np.fft.fftfreq(rows)[:, None].astype(np.float64)
    fx: Floats = np.fft.rfftfreq(columns)[None].astype(np.float64)
    k2 = (fx**2 + fy**2) / sampling_pm**2
    factors = scattering_factor_pm(number, k2) * np.exp(-2 * math.pi**2 * thermal_pm**2 * k2)
    factors *= VOLT_PM2 / sampling_pm**2
    factors /= _kernel_spectrum(fx) * _kernel_spectrum(fy)
    # A cut along a circle, rounded over two percent of the band, so that it does not ring.
    edge = KEPT / 2
    roll = np.clip((edge - np.hypot(fx, fy)) / (0.02 * edge), 0.0, 1.0)
    kept: NDArray[np.float32] = (factors * np.sin(math.pi / 2 * roll) ** 2).astype(np.float32)
    return kept


def _kernel(distance: Floats) -> Floats:
    """Return ``exp(β (√(1 - (2d/w)²) - 1))``, the kernel of Barnett, Magland & af Klinteberg.

    SIAM J. Sci. Comput. 41 (2019) C479; w is :data:`REACH` and β :data:`SHARPNESS`.
    """
    inside = np.clip(1 - (2 / REACH * distance) ** 2, 0.0, None)
    return np.exp(SHARPNESS * (np.sqrt(inside) - 1)) * (inside > 0)


def _kernel_spectrum(f: Floats) -> Floats:
    """Return the Fourier transform of the kernel at frequencies in cycles a pixel."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    distance, weight = nodes * REACH / 2, weights * REACH / 2 * _kernel(nodes * REACH / 2)
    waves = np.cos(2 * math.pi * np.asarray(f)[..., None] * distance)
    spectrum: Floats = waves @ weight
    return spectrum


def _spread(xy_px: Floats, share: Floats, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a grid with each point spread over :data:`REACH` pixels along x and y."""
    rows, columns = shape
    first = np.ceil(xy_px - REACH / 2).astype(np.int_)
    steps = np.arange(REACH)
    at = first[:, None] + steps[:, None]
    values = _kernel(at - xy_px[:, None])
    index = (at[..., 1] % rows)[:, :, None] * columns + (at[..., 0] % columns)[:, None]
    weight = (share[:, None] * values[..., 1])[:, :, None] * values[..., 0][:, None]
    grid = np.bincount(index.ravel(), weight.ravel(), rows * columns)
    return grid.astype(np.float32).reshape(shape)
