"""Bias of the columns beside an interface, row by row: where a fit invents polarization.

At the interface of two perovskites the A sites on the two sides of a B column differ in brightness.
Tails of the brighter ones draw the B column towards them unless the fit knows about tails, and in
an unpolarized crystal that looks like polarization.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.spatial import cKDTree

from napari_apgan.measure.surroundings import NEIGHBOUR_REACH

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Rows of B columns counted on each side of the one at the interface.
ROWS = 2
#: Number of columns that belong to none of them.
NO_ROW = 99
#: The sublattices whose names the structures of perovskites give.
OUTER, INNER = "A", "B"


@dataclass(frozen=True, slots=True)
class Interface:
    """Where atoms stand beside the interfaces of a frame.

    Parameters
    ----------
    row : (N,) int array
        0 for B columns with both kinds of A columns beside them, then outwards; positive towards
        the element that comes first in the alphabet; :data:`NO_ROW` elsewhere.
    towards : (N, 2) array
        Unit vector from the second to the first element's side.
    """

    row: Ints
    towards: Floats

    @staticmethod
    def none(n: int) -> Interface:
        """Return that of a frame without interfaces."""
        return Interface(np.full(n, NO_ROW), np.zeros((n, 2)))


class RowBias(BaseModel):
    """Mean error of a row's columns across the interface, in pm, with its standard error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    error: float
    n: int


def find_interface(atoms: pd.DataFrame, sites: Floats, spacing_px: float) -> Interface:
    """Find the rows of B columns along the interfaces between two kinds of A columns.

    Parameters
    ----------
    atoms : DataFrame
        Atom table with `element` and `sublattice`.
    sites : (N, 2) array
        Undisplaced sites x, y in px.
    spacing_px : float
        Distance of an A column from the nearest B column.
    """
    out = Interface.none(len(atoms))
    sublattice, element = atoms["sublattice"].to_numpy(str), atoms["element"].to_numpy(str)
    outer, inner = np.flatnonzero(sublattice == OUTER), np.flatnonzero(sublattice == INNER)
    names = np.unique(element[outer])
    if len(names) != 2 or not len(inner):
        return out
    centre, side = _both_kinds(sites, outer, inner, element == names[0], spacing_px)
    if not len(centre):
        return out
    # A columns stand at the corners, B columns in the middles of squares.
    period = np.sqrt(2.0) * spacing_px
    nearest = cKDTree(sites[centre]).query(sites[inner])[1]
    step = sites[inner] - sites[centre[nearest]]
    along = np.einsum("ni,ni->n", step, side[nearest]) / period
    beside = np.abs(np.einsum("ni,ni->n", step, side[nearest][:, ::-1] * (-1.0, 1.0))) / period
    row = np.rint(along).astype(np.int64)
    ours = (np.abs(row) <= ROWS) & (beside < 0.5)
    out.row[inner[ours]] = row[ours]
    out.towards[inner[ours]] = side[nearest][ours]
    return out


def _both_kinds(
    sites: Floats, outer: NDArray[np.intp], inner: NDArray[np.intp], first: NDArray[np.bool_],
    spacing_px: float,
) -> tuple[NDArray[np.intp], Floats]:  # fmt: skip
    """Return the B columns between both kinds of A columns, two of each, and their directions."""
    beside = cKDTree(sites[outer]).query_ball_point(sites[inner], NEIGHBOUR_REACH * spacing_px)
    centre, side = [], []
    for b, near in zip(inner.tolist(), beside, strict=True):
        around = outer[near]
        ours = around[first[around]]
        theirs = around[~first[around]]
        if len(ours) == len(theirs) == 2:
            step = sites[ours].mean(axis=0) - sites[theirs].mean(axis=0)
            length = float(np.hypot(*step))
            if length > 0.5 * spacing_px:  # not the corners of a step, which face each other
                centre.append(b)
                side.append(step / length)
    return np.array(centre, dtype=np.intp), np.array(side).reshape(-1, 2)


def row_biases(error_pm: Floats, row: Ints, towards: Floats) -> dict[str, RowBias]:
    """Return the bias of each row across the interface.

    Parameters
    ----------
    error_pm : (N, 2) array
        Found minus true positions.
    row : (N,) int array
    towards : (N, 2) array
    """
    across = np.einsum("ni,ni->n", error_pm, towards)
    found = {}
    for k in range(-ROWS, ROWS + 1):
        ours = across[row == k]
        if len(ours) > 1:
            found[f"{k:+d}" if k else "0"] = RowBias(
                value=float(ours.mean()),
                error=float(ours.std(ddof=1) / np.sqrt(len(ours))),
                n=len(ours),
            )
    return found
