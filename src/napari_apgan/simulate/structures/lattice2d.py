"""Flat networks of bonds: honeycombs, duals of triangulations, and their relaxation.

The model of the relaxation is a valence force field: bonds keep their length and angles 120°, as in
Jain, Barkema, Mousseau, Fang and van Huis, J. Phys. Chem. C 119 (2015) 9646, whose in-plane energy
is ``3/16 α/d² Σ(r² - d²)² + 3/8 β d² Σ(θ - 2π/3)²`` with α = 26.06 eV/Å² and β = 5.511 eV/Å²,
fitted to defects in graphene (Keating's form with a better angle term).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

from napari_apgan.simulate.specimen import Floats, Ints

#: Distance of neighbours in graphene (pm) and the lattice constant that follows.
CC_PM = 142.0
LATTICE_PM = CC_PM * math.sqrt(3)
#: Stiffness of bonds and angles; only their ratio matters for positions.
STRETCH, BEND = 26.06, 5.511
#: The relaxation ends when no atom moves more than this (pm), or after so many steps.
STILL_PM, STEPS = 0.02, 40
#: Old factors of the equations serve as long as each step is shorter than this part of the last.
SHRINK = 0.5

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Network:
    """Atoms in a plane and their bonds.

    Parameters
    ----------
    xy_pm : (N, 2) array
    bonds : (B, 2) int array
        Each bond once.
    rest_pm : (B,) array
        Length of each bond without stress.
    grain : (N,) int array
        Which grain an atom belongs to.
    turn_rad : (G,) array
        Orientation of each grain: an atom of sublattice A has bonds at this angle and 120° and
        240° from it.
    """

    xy_pm: Floats
    bonds: Ints
    rest_pm: Floats
    grain: Ints
    turn_rad: Floats

    def __len__(self) -> int:
        return len(self.xy_pm)

    def vectors(self, first: Ints, second: Ints) -> Floats:
        """Return the (K, 2) vectors from atoms `first` to atoms `second`."""
        step: Floats = self.xy_pm[second] - self.xy_pm[first]
        return step

    def bond_count(self) -> Ints:
        """Return the (N,) number of bonds of each atom."""
        return np.bincount(self.bonds.ravel(), minlength=len(self)).astype(np.int_)


def honeycomb(reach_pm: float) -> Network:
    """Return perfect graphene over a disc, with zigzag rows along x; a ring is at the origin."""
    half = math.ceil(reach_pm / (LATTICE_PM * math.sqrt(3) / 2)) + 2
    i, j = np.meshgrid(np.arange(-2 * half, 2 * half), np.arange(-half, half), indexing="ij")
    cells = np.stack([i + 0.5 * j, j * math.sqrt(3) / 2], axis=-1).reshape(-1, 2) * LATTICE_PM
    up = np.array([0.0, CC_PM])
    xy = np.concatenate([cells + up, cells - up])
    xy = xy[np.hypot(*xy.T) <= reach_pm]
    grain = np.zeros(len(xy), dtype=np.int_)
    return trim(bond_near(xy, grain, np.array([math.pi / 2])))


def bond_near(xy_pm: Floats, grain: Ints, turn_rad: Floats, bond_pm: float = CC_PM) -> Network:
    """Return the network with bonds between atoms within 1.2 bond lengths."""
    bonds = (
        scipy.spatial.cKDTree(xy_pm)
        .query_pairs(1.2 * bond_pm, output_type="ndarray")
        .astype(np.int_)
    )
    return Network(xy_pm, bonds, np.full(len(bonds), bond_pm), grain, turn_rad)


def steady(network: Network, keep: Bools) -> Bools:
    """Return which of the kept atoms stay when those on a single bond, or on none, fall off."""
    stays = keep.copy()
    while True:
        bonds = network.bonds[stays[network.bonds].all(axis=1)]
        falls = stays & (np.bincount(bonds.ravel(), minlength=len(network)) < 2)
        if not falls.any():
            return stays
        stays &= ~falls


def trim(network: Network) -> Network:
    """Return the network without atoms that hang on a single bond or on none."""
    return keep_atoms(network, steady(network, np.ones(len(network), dtype=np.bool_)))


def keep_atoms(network: Network, keep: Bools) -> Network:
    """Return the network without some atoms and their bonds."""
    number = np.cumsum(keep) - 1
    whole = keep[network.bonds].all(axis=1)
    return replace(
        network,
        xy_pm=network.xy_pm[keep],
        bonds=number[network.bonds[whole]],
        rest_pm=network.rest_pm[whole],
        grain=network.grain[keep],
    )


def sublattice_phase(network: Network) -> NDArray[np.complex128]:
    """Return (N,) numbers: near 1 on sublattice A, near -1 on B, small where neither is defined.

    An atom with three bonds at angles φ has the mean of ``exp(3i(φ - turn))``.
    """
    first, second = network.bonds.T
    step = network.vectors(first, second)
    angle = np.arctan2(step[:, 1], step[:, 0])
    total = np.zeros(len(network), dtype=np.complex128)
    for atoms, along in ((first, angle), (second, angle + math.pi)):
        wave = np.exp(3j * (along - network.turn_rad[network.grain[atoms]]))
        total += np.bincount(atoms, wave.real, len(network))
        total += 1j * np.bincount(atoms, wave.imag, len(network))
    return total / np.maximum(network.bond_count(), 1)


def neighbour_table(network: Network) -> tuple[Ints, Ints]:
    """Return the angles of the network as (A,) middle atoms and (A, 2) outer atoms."""
    ends = np.concatenate([network.bonds, network.bonds[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    middle, outer = ends.T
    start = np.searchsorted(middle, np.arange(len(network)))
    count = np.bincount(middle, minlength=len(network))
    middles, outers = [], []
    for i, j in ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3)):
        has = np.flatnonzero(count > j)
        middles.append(has)
        outers.append(np.column_stack([outer[start[has] + i], outer[start[has] + j]]))
    return np.concatenate(middles), np.concatenate(outers)


def relax(network: Network, free: Bools | None = None) -> Network:
    """Let bonds and angles settle, by damped Gauss-Newton steps (Levenberg and Marquardt).

    Parameters
    ----------
    network : Network
    free : (N,) bool array, optional
        Which atoms may move; all when empty.

    Returns
    -------
    Network
        With new positions; the mean position is kept where all atoms are free.
    """
    free = np.ones(len(network), dtype=np.bool_) if free is None else free
    # Where defects are few, they settle among themselves first: that is where steps are large and
    # factors must be renewed, and small systems are fast.
    strained = _near_strain(network) & free
    if strained.sum() < 0.5 * free.sum():
        network = _settle(network, strained)
    return _settle(network, free)


def _near_strain(network: Network) -> Bools:
    """Return which atoms lie near a bond that is far from its length."""
    first, second = network.bonds.T
    wrong = np.abs(np.hypot(*network.vectors(first, second).T) / network.rest_pm - 1) > 0.02
    near: Bools = np.zeros(len(network), dtype=np.bool_)
    if wrong.any():
        middle = network.xy_pm[network.bonds[wrong]].mean(axis=1)
        near |= scipy.spatial.cKDTree(middle).query(network.xy_pm)[0] < 3 * LATTICE_PM
    return near


def _settle(network: Network, free: Bools) -> Network:
    system = _Springs(network, free)
    if not system.unknowns:
        return network
    energy, jacobian, residual = system.linearise(network)
    damping, factor, last = 1e-5, None, math.inf
    for _ in range(STEPS):
        if factor is None:
            factor = _factorise((jacobian.T @ jacobian).tocsc(), damping)
        step: Floats = -factor.solve(jacobian.T @ residual)
        trial = system.moved(network, step)
        trial_energy, trial_jacobian, trial_residual = system.linearise(trial)
        if trial_energy > energy:
            damping, factor = damping * 10, None
            if damping > 1e4:
                break
            continue
        network, energy = trial, trial_energy
        jacobian, residual = trial_jacobian, trial_residual
        size = float(np.abs(step).max())
        if size < STILL_PM:
            break
        if size > SHRINK * last:
            # The old factors serve while the steps shrink fast; they cost far more than a step.
            damping, factor = max(damping * 0.1, 1e-8), None
        last = size
    return network


def _factorise(normal: scipy.sparse.csc_array, damping: float) -> scipy.sparse.linalg.SuperLU:
    """Factorise a symmetric positive matrix after adding damping to its diagonal."""
    lift = (
        damping
        * float(normal.diagonal().mean())
        * scipy.sparse.eye_array(normal.shape[0], format="csc")
    )
    return scipy.sparse.linalg.splu(
        (normal + lift).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )


class _Springs:
    """The residuals of a network, whose squares add up to its energy, and their derivatives."""

    def __init__(self, network: Network, free: Bools) -> None:
        number = np.full(len(network), -1)
        number[free] = np.arange(int(free.sum()))
        self.free, self.unknowns = free, 2 * int(free.sum())
        middle, outer = neighbour_table(network)
        touched = free[middle] | free[outer].any(axis=1)
        self.middle, self.outer = middle[touched], outer[touched]
        moves = free[network.bonds].any(axis=1)
        self.first, self.second = network.bonds[moves].T
        self.rest = network.rest_pm[moves]
        self.n_bonds, n_angles = len(self.first), len(self.middle)
        # Rows of the Jacobian: bonds, then angles; each row touches x and y of two or three atoms.
        atoms = [self.first, self.second, self.middle, self.outer[:, 0], self.outer[:, 1]]
        bond_row, angle_row = np.arange(self.n_bonds), self.n_bonds + np.arange(n_angles)
        of_row = [bond_row, bond_row, angle_row, angle_row, angle_row]
        row = np.concatenate([np.repeat(r, 2) for r in of_row])
        column = np.concatenate(
            [np.column_stack([2 * number[a], 2 * number[a] + 1]).ravel() for a in atoms]
        )
        self.used = column >= 0
        self.row, self.column = row[self.used], column[self.used]
        self.shape = (self.n_bonds + n_angles, self.unknowns)

    def linearise(self, network: Network) -> tuple[float, scipy.sparse.csr_array, Floats]:
        """Return the energy, the Jacobian and the residuals."""
        along = network.vectors(self.first, self.second)
        stretch = math.sqrt(3 / 16 * STRETCH) / self.rest
        bond = stretch * ((along**2).sum(axis=1) - self.rest**2)
        d_bond = 2 * stretch[:, None] * along
        one = network.vectors(self.middle, self.outer[:, 0])
        two = network.vectors(self.middle, self.outer[:, 1])
        cross = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
        dot = (one * two).sum(axis=1)
        bend = math.sqrt(3 / 8 * BEND) * CC_PM
        angle = bend * (np.arctan2(np.abs(cross), dot) - 2 * math.pi / 3)
        # A vector turns by (its normal) · shift / length²; the sign tells which way opens it.
        sign = np.where(cross >= 0, bend, -bend)[:, None]
        d_one = sign * np.column_stack([one[:, 1], -one[:, 0]]) / (one**2).sum(axis=1)[:, None]
        d_two = sign * np.column_stack([-two[:, 1], two[:, 0]]) / (two**2).sum(axis=1)[:, None]
        parts = [-d_bond, d_bond, -d_one - d_two, d_one, d_two]
        data = np.concatenate([p.ravel() for p in parts])[self.used]
        residual = np.concatenate([bond, angle])
        jacobian = scipy.sparse.csr_array((data, (self.row, self.column)), shape=self.shape)
        return float(residual @ residual), jacobian, residual

    def moved(self, network: Network, step: Floats) -> Network:
        """Return the network after a step of the free atoms."""
        xy = network.xy_pm.copy()
        xy[self.free] += step.reshape(-1, 2)
        return replace(network, xy_pm=xy)
