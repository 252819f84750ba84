"""The phase that coherent aberrations give to a wave, in Haider's and Krivanek's names.

Krivanek's names number the power and the symmetry:

    χ(α, φ) = 2π/λ · Σ C_nm · α^(n+1) / (n+1) · cos(m (φ - φ_nm))

Haider's (those of CEOS correctors: C1, A1, B2, A2, C3, S3, A3) have other factors:
C12 = A1, C21 = 3 B2, C23 = A2, C32 = 4 S3 and C34 = A3.

* A wave of spatial frequency k, ``exp(2πi k·r)``, has the angle α = λ|k| and is multiplied by
  ``exp(-iχ)``; the specimen multiplies by ``exp(+iσV)``. C1 is negative at underfocus.
* Azimuths are those of k: 0 is the image's +x (right), and they grow towards +y. As y points down
  in the image, that is clockwise on the screen. φ_nm is where χ is largest; programs that give a
  complex coefficient state m times it.

Sources: O. L. Krivanek, N. Dellby, A. R. Lupini, Ultramicroscopy 78 (1999) 1; S. Uhlemann,
M. Haider, Ultramicroscopy 72 (1998) 109; E. J. Kirkland, Advanced Computing in Electron Microscopy
(2020), table 2.2 of both notations.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_apgan.simulate.specimen import Floats

from .settings import Aberrations


class Term(NamedTuple):
    """One aberration as Krivanek writes it.

    Parameters
    ----------
    n, m : int
        Power (less one) and symmetry.
    size_pm : float
        C_nm in pm.
    azimuth_rad : float
        φ_nm.
    """

    n: int
    m: int
    size_pm: float
    azimuth_rad: float


def krivanek(aberrations: Aberrations) -> list[Term]:
    """Return the aberrations in Krivanek's notation, in pm and radians, also those that are 0."""
    a = aberrations
    nm, um = 1e3, 1e6
    return [
        Term(1, 0, a.c1_nm * nm, 0.0),
        Term(1, 2, a.a1_nm * nm, math.radians(a.a1_deg)),
        Term(2, 1, 3 * a.b2_nm * nm, math.radians(a.b2_deg)),
        Term(2, 3, a.a2_nm * nm, math.radians(a.a2_deg)),
        Term(3, 0, a.c3_um * um, 0.0),
        Term(3, 2, 4 * a.s3_um * um, math.radians(a.s3_deg)),
        Term(3, 4, a.a3_um * um, math.radians(a.a3_deg)),
    ]


def abtem_parameters(aberrations: Aberrations) -> dict[str, float]:
    """Return abTEM's names (``C10``, ``C12``, ``phi12``, ...) with lengths in Å, angles in rad.

    abTEM's x is the first axis of its arrays; with x as the columns of an image, azimuths are the
    same as here. Its ``defocus`` is ``-C10``.
    """
    named = {}
    for term in krivanek(aberrations):
        named[f"C{term.n}{term.m}"] = term.size_pm / 100
        if term.m:
            named[f"phi{term.n}{term.m}"] = term.azimuth_rad
    return named


def phase(aberrations: Aberrations, kx: Floats, ky: Floats, wavelength_pm: float) -> Floats:
    """Return χ in radians.

    Parameters
    ----------
    aberrations : Aberrations
    kx, ky : arrays that broadcast together
        Spatial frequency in 1/pm.
    wavelength_pm : float
    """
    angle = wavelength_pm * (kx + 1j * ky)
    square = angle.real**2 + angle.imag**2
    chi = np.zeros(angle.shape)
    for n, m, size, azimuth in krivanek(aberrations):
        if size:
            # α^(n+1) cos(m(φ-φ0)) without angles: n + 1 - m is even.
            lobes = (angle * np.exp(-1j * azimuth)) ** m
            chi += size / (n + 1) * square ** ((n + 1 - m) // 2) * lobes.real
    return 2 * math.pi / wavelength_pm * chi


def gradient(
    aberrations: Aberrations, kx: Floats, ky: Floats, wavelength_pm: float
) -> NDArray[np.complex128]:
    """Return ∂χ/∂kx + i ∂χ/∂ky in pm.

    Divided by 2π it is how far the lens shifts a wave of that frequency in the image plane.

    Parameters
    ----------
    aberrations : Aberrations
    kx, ky : arrays that broadcast together
        Spatial frequency in 1/pm.
    wavelength_pm : float
    """
    angle = wavelength_pm * (kx + 1j * ky)
    back = angle.conj()
    slope = np.zeros(angle.shape, dtype=np.complex128)
    for n, m, size, azimuth in krivanek(aberrations):
        if not size:
            continue
        # With ω = α exp(iφ): Re(c ω^m) |ω|^2p, whose gradient is 2 ∂/∂(conj ω).
        p = (n + 1 - m) // 2
        c = np.exp(-1j * m * azimuth)
        if p:
            slope += size / (n + 1) * p * c * angle ** (p + m) * back ** (p - 1)
        if p + m:
            slope += size / (n + 1) * (p + m) * np.conj(c) * angle**p * back ** (p + m - 1)
    return 2 * math.pi * slope
