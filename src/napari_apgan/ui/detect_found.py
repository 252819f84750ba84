"""What a detection found, thinned by the slider: the least sure go first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import positions

if TYPE_CHECKING:
    from napari_apgan.label import Candidates

Floats = NDArray[np.float64]


class Found(Protocol):
    """Atoms that nobody has labelled yet, in the order of how sure they are."""

    #: How many the slider goes over, and how many to show at first.
    total: int
    first: int

    def atoms_px(self, strongest: int) -> Floats:
        """Return the (N, 2) atoms that so many of the surest tell of."""

    def table(self, strongest: int) -> pd.DataFrame:
        """Return the same as an atom table."""


def apart_from(xy: Floats, taken: Floats) -> NDArray[np.bool_]:
    """Tell which atoms have no label yet; `taken` are the labels' (N, 2) x, y."""
    from scipy.spatial import cKDTree

    if not len(xy) or not len(taken):
        return np.ones(len(xy), bool)
    far: NDArray[np.bool_] = np.asarray(cKDTree(taken).query(xy)[0]) > radius_px(xy)
    return far


def radius_px(xy: Floats) -> float:
    """Return the usual radius of discs on atoms at these places."""
    from napari_apgan.maps import default_radius_px

    return default_radius_px(pd.DataFrame(xy, columns=["x_px", "y_px"]))


class FoundTable:
    """Atoms of a table that have no label yet, by their probability or else their amplitude.

    Parameters
    ----------
    table : DataFrame
    taken : (N, 2) array
        Where labels are.
    """

    def __init__(self, table: pd.DataFrame, taken: Floats) -> None:
        new = table[apart_from(positions(table), taken)]
        strength = new["probability"].to_numpy(dtype=float)
        if not np.isfinite(strength).any():
            strength = np.abs(new["amplitude"].to_numpy(dtype=float))
        # By rank: sure atoms have probabilities near 1, which no slider could tell apart.
        order = np.argsort(-np.nan_to_num(strength), kind="stable")
        self._table = new.iloc[order].reset_index(drop=True)
        self._xy = positions(self._table)
        self.total = self.first = len(self._table)

    def atoms_px(self, strongest: int) -> Floats:
        """Return the (N, 2) atoms that so many of the surest tell of."""
        return self._xy[:strongest]

    def table(self, strongest: int) -> pd.DataFrame:
        """Return the same as an atom table."""
        return self._table.iloc[:strongest]


@dataclass(eq=False)
class FoundSpots:
    """Spots, or the atoms between rings, that have no label yet.

    Parameters
    ----------
    spots : Candidates
    taken : (N, 2) array
        Where labels are.
    """

    spots: Candidates
    taken: Floats
    total: int = field(init=False)
    first: int = field(init=False)

    def __post_init__(self) -> None:
        self.total, self.first = len(self.spots.xy), self.spots.first

    def atoms_px(self, strongest: int) -> Floats:
        """Return the (N, 2) atoms that so many of the surest tell of."""
        xy = self.spots.atoms_px(strongest)
        return xy[apart_from(xy, self.taken)]

    def table(self, strongest: int) -> pd.DataFrame:
        """Return the same as an atom table."""
        table = self.spots.table(strongest)
        return table[apart_from(positions(table), self.taken)]
