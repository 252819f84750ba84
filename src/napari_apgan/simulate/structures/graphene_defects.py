"""Defects of graphene: lines of pentagons and octagons, holes, vacancies, foreign atoms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import scipy

from napari_apgan.simulate.specimen import Floats, Ints

from .lattice2d import (
    CC_PM,
    LATTICE_PM,
    Bools,
    Network,
    bond_near,
    keep_atoms,
    relax,
    steady,
    trim,
)

#: Height of the edge rows above a line of pentagon pairs and octagons, before the relaxation.
EDGE_PM = math.sqrt(CC_PM**2 - ((LATTICE_PM - CC_PM) / 2) ** 2)
#: Rows of atoms in a zigzag chain lie CC/2 apart, chains repeat every 3/2 CC.
CHAIN_PM, CHAINS_PM = CC_PM / 2, 1.5 * CC_PM
#: Length (pm) that a foreign atom asks of its bonds to carbon in projection. The sheet gives way by
#: about two thirds: N ends at 141 to 142 and B at 148 to 149, as in density functional theory
#: (Panchakarla et al., Adv. Mater. 21 (2009) 4726); Si would have more than the sheet lets it.
DOPANT_PM: dict[str, float] = {"N": 141.0, "B": 151.5, "Si": 165.0}
#: Si with three neighbours stands above the sheet, so that its bonds are this long in space (pm)
#: (Zhou et al., Phys. Rev. Lett. 109 (2012) 206803; Ramasse et al., Nano Lett. 13 (2013) 4989).
SILICON_BOND_PM = 175.0
#: Length asked of the weak bond that closes a pentagon beside a vacancy; the sheet stretches it to
#: the 202 pm of Ma et al., New J. Phys. 6 (2004) 68.
WEAK_BOND_PM = 194.0
#: Atoms within this of a vacancy (pm) follow when it closes its pentagon.
VACANCY_REACH_PM = 900.0


def lines_585(reach_pm: float, heights_pm: Floats, shifted: Ints) -> Network:
    """Join half sheets along lines of pentagon pairs and octagons, parallel to x.

    Two zigzag edges face each other and share a dimer at every second atom: the extended defect of
    Lahiri et al., Nat. Nanotechnol. 5 (2010) 326, with a period of two lattice constants. The
    sheets on both sides have the same orientation and are shifted by a third of a cell.

    Parameters
    ----------
    reach_pm : float
    heights_pm : (K,) array
        Rising heights y; all but the first move to where whole chains fit.
    shifted : (K,) int array
        0 or 1: at which of the two places along the edge each line's dimers sit.

    Returns
    -------
    Network
        Not yet relaxed; the dimers count to the grain below them.
    """
    depth = math.ceil(2 * reach_pm / CHAINS_PM) + 2
    start, height = 0.0, float(heights_pm[0])
    below = _chains(start, 0.0, depth, reach_pm)
    parts = [np.column_stack([below[:, 0], height - EDGE_PM - below[:, 1]])]
    grains = [np.zeros(len(below), dtype=np.int_)]
    for k, shift in enumerate(shifted.tolist()):
        dimers = _dimers(start + (shift + 0.5) * LATTICE_PM, height, reach_pm)
        last = k + 1 == len(heights_pm)
        room = 2 * reach_pm if last else float(heights_pm[k + 1]) - height - 2 * EDGE_PM
        chains = max(1, round((room - CHAIN_PM) / CHAINS_PM) + 1)
        above = _chains(start, height + EDGE_PM, chains, reach_pm)
        parts += [dimers, above]
        grains += [np.full(len(dimers), k), np.full(len(above), k + 1)]
        # The upper edge of the slab is where its last chain ends.
        start += 0.5 * chains * LATTICE_PM
        height += 2 * EDGE_PM + CHAIN_PM + (chains - 1) * CHAINS_PM
    xy, grain = np.concatenate(parts), np.concatenate(grains)
    inside = np.hypot(*xy.T) <= reach_pm
    turns = np.full(len(heights_pm) + 1, math.pi / 2)
    return trim(bond_near(xy[inside], grain[inside], turns))


def _chains(start_pm: float, height_pm: float, count: int, reach_pm: float) -> Floats:
    """Return zigzag chains along x, the lowest with its lower atoms at start and height."""
    half = math.ceil(reach_pm / LATTICE_PM) + 1
    along = np.arange(-half, half + 1)
    j = np.arange(count)[:, None]
    # Only the part of the start that is less than a cell matters.
    low_x = (along + np.mod(start_pm / LATTICE_PM + j / 2, 1.0)) * LATTICE_PM
    high_x = (along + np.mod(start_pm / LATTICE_PM + (j + 1) / 2, 1.0)) * LATTICE_PM
    low_y = np.broadcast_to(height_pm + j * CHAINS_PM, low_x.shape)
    low = np.stack([low_x, low_y], axis=-1)
    high = np.stack([high_x, low_y + CHAIN_PM], axis=-1)
    return np.concatenate([low.reshape(-1, 2), high.reshape(-1, 2)])


def _dimers(middle_pm: float, height_pm: float, reach_pm: float) -> Floats:
    half = math.ceil(reach_pm / (2 * LATTICE_PM)) + 1
    middle = np.mod(middle_pm, 2 * LATTICE_PM) + 2 * LATTICE_PM * np.arange(-half, half + 1)
    x = np.concatenate([middle - CC_PM / 2, middle + CC_PM / 2])
    return np.column_stack([x, np.full(len(x), height_pm)])


def outside_holes(
    xy_pm: Floats, count: int, radius_pm: float, within_pm: float, rng: np.random.Generator
) -> Bools:
    """Return which positions lie outside of some holes of irregular outline.

    Parameters
    ----------
    xy_pm : (N, 2) array
    count : int
    radius_pm : float
        Mean radius of a hole.
    within_pm : float
        The middles of the holes lie within this of the origin.
    rng : numpy Generator
    """
    outside = np.ones(len(xy_pm), dtype=np.bool_)
    order = np.arange(2, 8)
    for _ in range(count):
        angle, out = rng.uniform(0.0, 2 * math.pi), within_pm * math.sqrt(rng.uniform())
        from_middle = xy_pm - [out * math.cos(angle), out * math.sin(angle)]
        around = np.arctan2(from_middle[:, 1], from_middle[:, 0])
        waves = rng.normal(0.0, 0.25, len(order)) / np.sqrt(order)
        phase = rng.uniform(0.0, 2 * math.pi, len(order))
        outline = 1 + np.cos(around[:, None] * order + phase) @ waves
        outside &= np.hypot(*from_middle.T) > radius_pm * np.clip(outline, 0.3, 1.7)
    return outside


def draw_dopants(network: Network, share: float, rng: np.random.Generator) -> Bools:
    """Choose atoms with three bonds to be foreign ones, never two that are bonded."""
    chosen: Bools = (rng.uniform(size=len(network)) < share) & (network.bond_count() == 3)
    pairs = network.bonds[chosen[network.bonds].all(axis=1)]
    chosen[pairs.max(axis=1)] = False
    return chosen


def set_bonds(network: Network, atoms: Bools, element: str) -> Network:
    """Return the network with the bond lengths that some foreign atoms ask for."""
    touched = atoms[network.bonds].any(axis=1)
    return replace(network, rest_pm=np.where(touched, DOPANT_PM[element], network.rest_pm))


def silicon_height(network: Network, atoms: Bools) -> Floats:
    """Return how far above the sheet (pm) each Si atom stands for the length of its bonds."""
    first, second = network.bonds.T
    length = np.hypot(*network.vectors(first, second).T)
    total = np.bincount(first, length, len(network)) + np.bincount(second, length, len(network))
    flat = total / np.maximum(network.bond_count(), 1)
    height: Floats = np.sqrt(np.maximum(SILICON_BOND_PM**2 - flat**2, 0.0))
    return np.where(atoms, height, 0.0)


def take_atoms(network: Network, share: float, rng: np.random.Generator) -> tuple[Network, Bools]:
    """Take single atoms away, and close a pentagon beside each vacancy.

    Only atoms whose neighbours all have three bonds are taken: what is missing at the rim of a hole
    belongs to the hole. Atoms left with a single bond go too and count as vacancies. Two of the
    three atoms around a lone vacancy draw together by a weak bond, as in the ground state (a
    pentagon beside a ring of nine).

    Returns
    -------
    left : Network
        Without the atoms, closed beside the vacancies and relaxed there.
    kept : (N,) bool array
        Which atoms of the network are left.
    """
    full = network.bond_count() == 3
    amid = full.copy()
    for one, other in (network.bonds.T, network.bonds[:, ::-1].T):
        amid[one[~full[other]]] = False
    kept = steady(network, ~((rng.uniform(size=len(network)) < share) & amid))
    left = keep_atoms(network, kept)
    weak = _weak_bonds(network, kept, rng)
    number = np.cumsum(kept) - 1
    closed = replace(
        left,
        bonds=np.concatenate([left.bonds, number[weak]]),
        rest_pm=np.concatenate([left.rest_pm, np.full(len(weak), WEAK_BOND_PM)]),
    )
    gone = network.xy_pm[~kept]
    free: Bools = np.zeros(len(closed), dtype=np.bool_)
    if len(gone):
        free |= scipy.spatial.cKDTree(gone).query(closed.xy_pm)[0] < VACANCY_REACH_PM
    return relax(closed, free), kept


def _weak_bonds(network: Network, kept: Bools, rng: np.random.Generator) -> Ints:
    """Return (K, 2) pairs of atoms, one beside each vacancy whose three neighbours are left."""
    around: dict[int, list[int]] = {int(i): [] for i in np.flatnonzero(~kept)}
    for i, j in network.bonds.tolist():
        for gone, other in ((i, j), (j, i)):
            if gone in around and kept[other]:
                around[gone].append(other)
    taken: set[int] = set()
    pairs = []
    for others in around.values():
        if len(others) == 3 and taken.isdisjoint(others):
            pair = rng.permutation(others)[:2].tolist()
            taken |= set(others)
            pairs.append(pair)
    return np.array(pairs, dtype=np.int_).reshape(-1, 2)
