"""Amorphous films: random packings with a smallest distance between atoms.

Atoms are sown anywhere, and pairs that came too close are pushed apart. (Sown one to a cell of a
grid, which needs fewer pushes, they keep a Bragg peak hundreds of times above the speckle.) The
packing has the density and the first neighbour distance of the real film, not its bonding.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import OFFSET_PM
from napari_apgan.simulate.specimen import Floats

#: Atoms per nm³ of the usual films: evaporated carbon of 1.9 g/cm³ (Robertson, Mater. Sci. Eng. R
#: 37 (2002) 129, table 1), amorphous silicon of 2.285 g/cm³ (Custer et al., Appl. Phys. Lett. 64
#: (1994) 437), amorphous germanium of 5.2 g/cm³ (2 % below the crystal).
ATOMS_PER_NM3: dict[str, float] = {"C": 95.3, "Si": 49.0, "Ge": 43.1}
#: Smallest distance (pm): just below the bond, 142-152 pm in carbon, 235 pm in Si and 246 pm in Ge.
SMALLEST_PM: dict[str, float] = {"C": 136.0, "Si": 220.0, "Ge": 230.0}
#: Sowing and pushing reaches this packing fraction in a few rounds; denser films would crystallise.
LARGEST_PACKING = 0.40
#: Packed beyond the disc and cut off, since atoms at an edge are pushed outwards.
RIM_PM = 400.0
#: Rounds of finding close pairs, and pushes a round between two searches.
ROUNDS, PUSHES = 8, 4
#: Between a sheet and what lies on it (pm): about the distance of layers in graphite, 335 pm.
GAP_PM = 335.0
#: Patches of dirt are made of waves of about this length (pm).
PATCH_PM, PATCH_WAVES = 4000.0, 24
#: Where no column lies within this (pm) there is no sheet for a patch to lie on.
SHEET_PM = 300.0


def amorphous_film(
    rng: np.random.Generator,
    reach_pm: float,
    thickness_pm: float,
    *,
    element: str = "C",
    atoms_per_nm3: float | None = None,
    smallest_pm: float | None = None,
    within: Callable[[Floats], NDArray[np.bool_]] | None = None,
) -> Floats:
    """Pack a film at random.

    Parameters
    ----------
    rng : numpy Generator
    reach_pm : float
        Radius of the disc that the film covers, centred on the origin.
    thickness_pm : float
        From z = 0 to this; greater than 0.
    element : str
        Gives density and smallest distance where they are not given; known: C, Si, Ge.
    atoms_per_nm3 : float, optional
    smallest_pm : float, optional
        No two atoms come closer.
    within : callable, optional
        From (N, 2) positions in pm to (N,) bool: where there is film, for patches.

    Returns
    -------
    (N, 3) array
        Positions in pm. The density is kept within about 1 %.

    Raises
    ------
    UserError
        The element is unknown and its density or distance is not given, or the packing is too
        dense to be amorphous.
    """
    density = ATOMS_PER_NM3.get(element) if atoms_per_nm3 is None else atoms_per_nm3
    smallest = SMALLEST_PM.get(element) if smallest_pm is None else smallest_pm
    if density is None or smallest is None:
        raise UserError(
            f"No density is known for an amorphous film of {element}; choose "
            f"{', '.join(ATOMS_PER_NM3)}, or give the atoms per nm³ and their smallest distance."
        )
    packing = math.pi / 6 * (smallest * 1e-3) ** 3 * density
    if packing > LARGEST_PACKING:
        raise UserError(
            f"A film of {density:g} atoms per nm³ cannot keep its atoms {smallest:g} pm apart and "
            "stay amorphous; ask for fewer atoms or a smaller distance."
        )
    xyz = _sow(rng, reach_pm, thickness_pm, density)
    inside = np.hypot(xyz[:, 0], xyz[:, 1]) <= reach_pm + RIM_PM
    if within is not None:
        inside &= within(xyz[:, :2])
    xyz = _push_apart(xyz[inside], smallest, thickness_pm)
    xyz = _drop_close(xyz, smallest)
    return xyz[np.hypot(xyz[:, 0], xyz[:, 1]) <= reach_pm]


def _sow(rng: np.random.Generator, reach_pm: float, thickness_pm: float, density: float) -> Floats:
    """Return atoms anywhere in a square slab that holds the disc, `density` of them per nm³."""
    half = reach_pm + RIM_PM
    count = round(4 * half**2 * thickness_pm * 1e-9 * density)
    sown: Floats = rng.uniform([-half, -half, 0.0], [half, half, thickness_pm], (count, 3))
    return sown


def _push_apart(xyz: Floats, smallest_pm: float, thickness_pm: float) -> Floats:
    """Return positions with close pairs pushed apart, kept within the film's thickness."""
    xyz = xyz.copy()
    goal = 1.02 * smallest_pm
    for _ in range(ROUNDS):
        pairs = scipy.spatial.cKDTree(xyz).query_pairs(1.25 * smallest_pm, output_type="ndarray")
        for _ in range(PUSHES):
            apart = xyz[pairs[:, 0]] - xyz[pairs[:, 1]]
            distance = np.maximum(np.sqrt((apart**2).sum(axis=1)), 1e-6)
            close = distance < goal
            first, second = pairs[close].T
            push = apart[close] * (0.5 * (goal / distance[close] - 1))[:, None]
            for axis in range(3):
                xyz[:, axis] += np.bincount(first, push[:, axis], len(xyz))
                xyz[:, axis] -= np.bincount(second, push[:, axis], len(xyz))
            np.clip(xyz[:, 2], 0.0, thickness_pm, out=xyz[:, 2])
        if not np.any(distance < smallest_pm):
            break
    return xyz


def _drop_close(xyz: Floats, smallest_pm: float) -> Floats:
    """Return the positions without the later one of each pair that is still too close."""
    pairs = scipy.spatial.cKDTree(xyz).query_pairs(smallest_pm, output_type="ndarray")
    keep = np.ones(len(xyz), dtype=np.bool_)
    keep[pairs[:, 1]] = False  # of a pair, scipy names the smaller index first
    return xyz[keep]


def view_reach_pm(reach_pm: float) -> float:
    """Return about half the side of the frame that a specimen of some reach is made for.

    The inverse of :func:`napari_apgan.simulate.scene.reach_pm`, for what should lie in the frame.
    """
    return max(0.6 * (reach_pm / 1.16 - 1500.0 - OFFSET_PM), 0.3 * reach_pm)


def lay_patches(
    rng: np.random.Generator,
    reach_pm: float,
    share: float,
    thickness_pm: float,
    sheet_pm: Floats,
) -> Floats:
    """Lay patches of amorphous carbon on a sheet; they thin out towards their rim.

    Parameters
    ----------
    rng : numpy Generator
    reach_pm : float
    share : float
        Part of the disc that is covered, 0..1.
    thickness_pm : float
        Greatest thickness.
    sheet_pm : (M, 2) array
        Where the sheet has columns; its holes stay open.

    Returns
    -------
    (N, 3) array
        With z from 0, where the patches lie on, up to the thickness.
    """
    angle = rng.uniform(0.0, 2 * math.pi, PATCH_WAVES)
    size = 2 * math.pi / (PATCH_PM * rng.uniform(0.5, 1.5, PATCH_WAVES))
    waves = size[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    phases = rng.uniform(0.0, 2 * math.pi, PATCH_WAVES)

    def hill(xy: Floats) -> Floats:
        field: Floats = np.cos(xy @ waves.T + phases).sum(axis=1) / math.sqrt(PATCH_WAVES / 2)
        return field

    # The level is taken over the part of the disc that a frame sees.
    spots = rng.uniform(-1.0, 1.0, (4000, 2)) * view_reach_pm(reach_pm)
    level = float(np.quantile(hill(spots), 1 - share)) if share < 1 else -math.inf
    film = amorphous_film(rng, reach_pm, thickness_pm, within=lambda xy: hill(xy) >= level)
    height = thickness_pm * np.clip(0.3 + hill(film[:, :2]) - level, 0.0, 1.0)
    film = film[film[:, 2] <= height]
    if not len(film) or not len(sheet_pm):
        return film[:0]
    return film[scipy.spatial.cKDTree(sheet_pm).query(film[:, :2])[0] < SHEET_PM]
