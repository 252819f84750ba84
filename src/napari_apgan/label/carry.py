"""Labels carried from one frame of a series to the next: the drift first, then each to its peak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.maps import default_radius_px

from .correlate import Reference, Sizes, candidates, choose, prepare, reduction
from .snapping import snap_many

Floats = NDArray[np.float64]

#: A label's peak lies within this part of the usual distance to the next atom.
FARTHEST = 0.4
#: Drift from one frame to the next is at most this part of the frame.
MOST_DRIFT = 0.4
OUTSIDE = "outside the frame"
NO_PEAK = "without a peak"
TAKEN = "on atoms labelled there already"
SHARED = "on the peak of another"


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of the labels.

    Parameters
    ----------
    atoms : DataFrame
        Atom table for the other frame, `origin` "detected".
    left_out : dict
        Reason -> how many.
    drift_px : (float, float)
        x and y: what is at p here is at p + drift there.
    sure : bool
        Whether only this drift fits; on a lattice one period more may fit as well.
    """

    atoms: pd.DataFrame
    left_out: dict[str, int]
    drift_px: tuple[float, float]
    sure: bool

    def sentence(self, frame: int) -> str:
        """Say it to the user; `frame` is the number of the other frame, from 1."""
        n, lost = len(self.atoms), sum(self.left_out.values())
        text = f"{n} label{'s' * (n != 1)} copied to frame {frame}"
        if lost:
            reasons = ", ".join(f"{k} {reason}" for reason, k in self.left_out.items())
            text += f", {lost} left out ({reasons})"
        text += f"; drift {self.drift_px[0]:+.1f}, {self.drift_px[1]:+.1f} px."
        if not self.sure:
            text += " The lattice repeats: one period more would fit as well, so look at the edges."
        return text


def drift(here: Frame, there: Frame) -> tuple[Floats, bool]:
    """Find by how much the specimen moved from one frame to another, to about a pixel.

    Returns
    -------
    shift : (2,) array
        x and y in px: what is at p here is at p + shift there.
    sure : bool

    Raises
    ------
    UserError
        When the frames differ in size or show nothing in common.
    """
    if here.shape != there.shape:
        raise UserError("The two frames have different sizes: nothing was copied.")
    sizes = Sizes.of(here)
    reach = MOST_DRIFT * min(here.shape)
    reference = Reference(prepare(here, sizes), reduction(here.shape, sizes), reach)
    found = candidates(reference, prepare(there, sizes), sizes)
    if not found.any:
        raise UserError(
            "The other frame shows too little in common with this one: nothing was copied."
        )
    best, rival = choose(found, np.zeros(2), sizes)
    shift: Floats = found.shift_px[best]
    return shift, not rival


def carry(
    here: Frame,
    there: Frame,
    atoms: pd.DataFrame,
    polarities: Mapping[str, Polarity],
    taken: Floats | None = None,
) -> Carried:
    """Carry the labels of a frame to another one of the series.

    Each is moved by the drift and goes to the nearest peak there. Left out are those that leave the
    frame, find no peak nearby, find the same as another one, or stand where a label stands already.

    Parameters
    ----------
    here, there : Frame
    atoms : DataFrame
        Labels of `here`.
    polarities : mapping
        Element -> "bright" or "dark"; bright where it is not named.
    taken : (M, 2) array, optional
        Labels of `there`, x, y in px.

    Returns
    -------
    Carried

    Raises
    ------
    UserError
        When the drift cannot be told.
    """
    shift, sure = drift(here, there)
    expected = positions(atoms) + shift
    limit = FARTHEST * 4 * default_radius_px(atoms) if len(atoms) > 1 else np.inf
    place, found = expected.copy(), np.zeros(len(atoms), dtype=bool)
    kinds = np.array([polarities.get(str(e), "bright") for e in atoms["element"]], dtype=object)
    for polarity in sorted(set(kinds)):
        mine = kinds == polarity
        place[mine], found[mine] = snap_many(there, expected[mine], polarity=polarity)
    away = np.hypot(*(place - expected).T)
    reasons = np.full(len(atoms), "", dtype=object)
    reasons[~found | (away > limit)] = NO_PEAK
    rows, columns = there.shape
    x, y = expected.T
    reasons[(x < -0.5) | (y < -0.5) | (x > columns - 0.5) | (y > rows - 0.5)] = OUTSIDE
    apart = default_radius_px(atoms)
    if taken is not None and len(taken) and len(place):
        near = np.asarray(cKDTree(taken).query(place)[0]) < apart
        reasons[near & (reasons == "")] = TAKEN
    _share(place, away, reasons, 0.5 * apart)
    good = reasons == ""
    table = make_atoms(
        place[good],
        atoms["element"].to_numpy()[good].tolist(),
        origin="detected",
        sublattice=atoms["sublattice"].to_numpy()[good],
        grain=atoms["grain"].to_numpy()[good],
    )
    left = Counter(str(r) for r in reasons if r)
    return Carried(table, dict(left), (float(shift[0]), float(shift[1])), sure)


def _share(place: Floats, away: Floats, reasons: NDArray[np.object_], apart: float) -> None:
    """Leave a peak that several labels found to the one that came from nearest."""
    rows = np.flatnonzero(reasons == "")
    if len(rows) < 2:
        return
    for a, b in cKDTree(place[rows]).query_pairs(apart):
        first, second = rows[a], rows[b]
        if reasons[first] or reasons[second]:
            continue
        reasons[first if away[first] > away[second] else second] = SHARED
