"""What is known of each atom before a fit: like amplitudes around it, and the lattice outside.

Atoms of one element are about as high as their neighbours; where one is far from that, it may be
absent, overlooked or something else, and nothing holds it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .joint import Known, State

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Below this part of the amplitude around it an atom is not there.
ABSENT = 0.3
#: The same beside the strongest of the same element around it.
BESIDE_STRONG = 0.15
#: Like atoms from whose amplitudes the usual one is taken, and its least spread.
NEIGHBOURS = 9
LEAST_SPREAD = 0.03
#: Uncertainty of a continued lattice in nearest distances, and of the amplitude there.
OUTSIDE_PLACE = 0.08
OUTSIDE_AMPLITUDE = 0.2
#: Spread of amplitudes that hold each other but loosely.
LOOSE_SPREAD = 0.1
#: Part of the usual amplitude that something unlisted needs to count as an atom.
MISSED_AMPLITUDE = 0.5


@dataclass(frozen=True, slots=True)
class Atoms:
    """Which atoms there are besides what is fitted: (N,) arrays.

    `free`: with nothing known of the place; the others are said by the lattice. `absent`: listed,
    but nothing shows there. `gap`: in the frame but not listed; maybe nothing stands there.
    `anchor` (N, 2): where those that are not free stand.
    """

    free: Bools
    absent: Bools
    gap: Bools
    anchor: Floats

    def with_more(self, xy: Floats) -> Atoms:
        """Add free atoms that are not listed."""
        n = len(xy)
        return Atoms(
            np.concatenate([self.free, np.ones(n, bool)]),
            np.concatenate([self.absent, np.zeros(n, bool)]),
            np.concatenate([self.gap, np.ones(n, bool)]),
            np.concatenate([self.anchor, xy]),
        )


def usual_amplitudes(state: State, atoms: Atoms) -> tuple[Floats, Floats]:
    """Return the amplitude of like atoms around each atom, and how much it differs among them."""
    usual, spread = np.empty(len(state.xy)), np.empty(len(state.xy))
    for e in range(len(state.blur)):
        own = state.element == e
        good = np.flatnonzero(own & atoms.free & ~atoms.absent)
        if not len(good):
            good = np.flatnonzero(own)
        if not len(good):
            continue
        count = min(NEIGHBOURS, len(good))
        near = cKDTree(state.xy[good]).query(state.xy[own], k=list(range(1, count + 1)))[1]
        usual[own] = np.median(state.amplitude[good][near], axis=1)
        around = usual[good] if good.size else usual[own]
        scatter = 1.4826 * float(np.median(np.abs(state.amplitude[good] - around)))
        spread[own] = np.maximum(scatter, LEAST_SPREAD * np.abs(usual[own]))
    return usual, spread


def known_of(state: State, atoms: Atoms, spacing: float, fixed: bool) -> Known:
    """Return what holds the atoms: like amplitudes around them, and the lattice outside."""
    usual, spread = usual_amplitudes(state, atoms)
    size = np.abs(usual) + 1e-6
    if fixed:
        spread = 0.5 * size
    odd = (atoms.gap & ~atoms.free) | atoms.free & (
        atoms.absent | (np.abs(state.amplitude - usual) > 4 * spread)
    )
    spread = np.where(atoms.free, spread, np.maximum(spread, OUTSIDE_AMPLITUDE * size))
    spread = np.where(odd, 10 * size, spread)
    hold = np.where(atoms.free, 0.0, 1.0 / (OUTSIDE_PLACE * spacing) ** 2)
    hold = np.where(atoms.absent, 100.0, hold)
    if fixed:
        hold = np.full(len(hold), 1e8)
    return Known(atoms.anchor, hold, usual, 1.0 / spread**2)


def loosened(known: Known) -> Known:
    """Let amplitudes differ at least by the loose spread."""
    size = np.maximum(np.abs(known.amplitude), 1e-6)
    most = 1.0 / (LOOSE_SPREAD * size) ** 2
    return replace(known, amplitude_precision=np.minimum(known.amplitude_precision, most))


def absent_of(state: State, atoms: Atoms) -> Bools:
    """Say which listed atoms do not show, beside like ones or beside the strongest around.

    Where half of a list stands on nothing, the usual amplitude says little.
    """
    usual = usual_amplitudes(state, atoms)[0]
    height = state.amplitude * np.sign(usual)
    strong = np.zeros(len(usual))
    for e in range(len(state.blur)):
        own = np.flatnonzero((state.element == e) & atoms.free)
        if len(own):
            count = min(NEIGHBOURS, len(own))
            near = cKDTree(state.xy[own]).query(state.xy[own], k=list(range(1, count + 1)))[1]
            strong[own] = np.quantile(height[own][near], 0.9, axis=1)
    return atoms.free & (height < np.maximum(ABSENT * np.abs(usual), BESIDE_STRONG * strong))


def with_filled_gaps(state: State, atoms: Atoms) -> tuple[State, Atoms]:
    """Keep what is not listed where an atom shows, as free as if it were; forget the rest."""
    usual = usual_amplitudes(state, atoms)[0]
    filled = atoms.gap & (state.amplitude * np.sign(usual) > MISSED_AMPLITUDE * np.abs(usual))
    keep = filled | ~atoms.gap
    state = replace(
        state, xy=state.xy[keep], amplitude=state.amplitude[keep], element=state.element[keep]
    )
    return state, Atoms(
        (atoms.free | filled)[keep], atoms.absent[keep], atoms.gap[keep], atoms.anchor[keep]
    )
