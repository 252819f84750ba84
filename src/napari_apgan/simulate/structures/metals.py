"""Metals: their lattices, and the facets that their particles grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations, product
from typing import Literal

import numpy as np

from napari_apgan.elements import SYMBOLS
from napari_apgan.simulate.specimen import Floats

from .crystal import Crystal

Metal = Literal[
    "Pt", "Au", "Pd", "Ag", "Cu", "Ir", "Ni", "Rh", "Al", "Co", "Ru", "Re", "Os", "Ti", "Mg", "Zn"
]
#: Lattice parameters in pm at room temperature, a of fcc metals and (a, c) of hcp ones: CRC
#: Handbook of Chemistry and Physics, 95th ed. (2014), section 12, "Crystal structures and lattice
#: parameters of elements".
FCC_PM: dict[str, float] = {
    "Pt": 392.4,
    "Au": 407.8,
    "Pd": 389.1,
    "Ag": 408.6,
    "Cu": 361.5,
    "Ir": 383.9,
    "Ni": 352.4,
    "Rh": 380.3,
    "Al": 404.9,
}
HCP_PM: dict[str, tuple[float, float]] = {
    "Co": (250.7, 407.0),
    "Ru": (270.6, 428.2),
    "Re": (276.1, 445.6),
    "Os": (273.4, 431.9),
    "Ti": (295.1, 468.4),
    "Mg": (320.9, 521.1),
    "Zn": (266.5, 494.7),
}
#: Families of facets and their surface energies relative to the closest-packed one, typical of
#: L. Vitos, A. V. Ruban, H. L. Skriver and J. Kollár, Surf. Sci. 411 (1998) 186. Facets stand in
#: proportion to them from the middle (Wulff's construction).
FCC_FACETS: tuple[tuple[tuple[int, int, int], float], ...] = (((1, 1, 1), 1.0), ((1, 0, 0), 1.18))
HCP_FACETS: tuple[tuple[tuple[int, int, int], float], ...] = (
    ((0, 0, 1), 1.0),
    ((1, 0, 0), 1.09),
    ((1, 0, 1), 1.10),
)
#: Facets stand nearer or farther by up to this share, since particles are seldom at equilibrium.
FACET_SPREAD = 0.08


def metal_crystal(metal: str, alloy: str | None = None, share: float = 0.0) -> Crystal:
    """Return an fcc or hcp crystal, of one metal or of two at random.

    Parameters
    ----------
    metal : str
    alloy : str, optional
    share : float
        Share of the atoms that are `alloy`; lengths follow Vegard's law.
    """
    second = alloy if alloy is not None and share > 0 else metal
    scale = 1 + share * (_radius_pm(second) / _radius_pm(metal) - 1)
    if metal in FCC_PM:
        lattice = np.eye(3) * FCC_PM[metal]
        fraction = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    else:
        a, c = HCP_PM[metal]
        lattice = np.array([[a, 0, 0], [-a / 2, a * math.sqrt(3) / 2, 0], [0, 0, c]])
        fraction = np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]])
    names = [metal] if second == metal else [metal, second]
    shares = [1.0] if second == metal else [1 - share, share]
    species = np.array([SYMBOLS.index(s) + 1 for s in names])
    return Crystal(lattice * scale, fraction, species, np.tile(shares, (len(fraction), 1)))


def _radius_pm(metal: str) -> float:
    """Return the cube root of the volume of an atom."""
    if metal in FCC_PM:
        return FCC_PM[metal] / 4 ** (1 / 3)
    a, c = HCP_PM[metal]
    return float((a**2 * c * math.sqrt(3) / 4) ** (1 / 3))


def facet_planes(metal: str, crystal: Crystal, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the (F, 3) outer normals, in Cartesian axes, and (F,) relative distances of facets."""
    families = FCC_FACETS if metal in FCC_PM else HCP_FACETS
    normals, distances = [], []
    for family, energy in families:
        for index in equivalent_planes(family, metal in FCC_PM):
            normal = np.linalg.inv(crystal.lattice_pm) @ np.array(index)
            normals.append(normal / np.linalg.norm(normal))
            distances.append(energy * (1 + rng.uniform(-FACET_SPREAD, FACET_SPREAD)))
    return np.array(normals), np.array(distances)


def equivalent_planes(index: Sequence[int], cubic: bool) -> list[tuple[int, ...]]:
    """Return the planes (hkl) that the symmetry makes of one, the opposite ones too."""
    if cubic:
        signed = product(*((-i, i) for i in index))
        return sorted({p for s in signed for p in permutations(s)})
    # The six-fold axis takes (h k i l) to (-i -h -k l); only (h 0 l) and (0 0 l) are needed here.
    h, k, third = index
    planes = set()
    for _ in range(6):
        planes |= {(h, k, third), (h, k, -third)}
        h, k = h + k, -h
    return sorted(planes)


def nearest_pm(crystal: Crystal) -> float:
    """Return the distance of nearest neighbours (pm)."""
    around = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    others = (crystal.fraction[None] + around[:, None]).reshape(-1, 3) - crystal.fraction[0]
    distance = np.linalg.norm(others @ crystal.lattice_pm, axis=1)
    return float(distance[distance > 1].min())
