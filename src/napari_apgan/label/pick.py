"""A cell from an atom and two of its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_apgan.errors import UserError

from .cell import Cell, reduced
from .landscape import Landscape
from .period import Period, cell_at, find_period, window
from .resolution import too_close

Floats = NDArray[np.float64]


def pick_cell(
    landscape: Landscape, atom: ArrayLike, first: ArrayLike, second: ArrayLike
) -> tuple[Cell, str]:
    """Make a cell of an atom and two of its neighbours.

    The three are snapped to peaks. Where the steps between them do not bring the image onto itself
    (neighbours of another sublattice, as the nearest ones in graphene), the cell around the atom is
    found from the image instead.

    Parameters
    ----------
    landscape : Landscape
    atom, first, second : (2,) array
        x, y in px.

    Returns
    -------
    cell : Cell
    note : str
        What differs from what was picked; empty when nothing does.

    Raises
    ------
    UserError
        When the picks lie on one line or on each other, or closer than the image resolves.
    """
    clicks = np.array([atom, first, second], dtype=np.float64)
    apart = np.linalg.norm(clicks - np.roll(clicks, 1, axis=0), axis=1).min()
    reach = min(max(3.0, 2.5 * landscape.sigma_px), 0.4 * float(apart))
    picks = np.array([_snapped(landscape, click, reach) for click in clicks])
    basis = reduced(picks[1:] - picks[0])
    cell = Cell((0.0, 0.0), (0.0, 0.0)).turned(basis, picks[0])
    finest = too_close(landscape, cell)
    if finest is not None:
        raise UserError(finest)
    reach = float(np.clip(4.5 * max(cell.lengths_px), 28.0, 160.0))
    found = find_period(landscape, window(landscape, picks[0], reach))
    note = ""
    if found is not None:
        whole = basis @ np.linalg.inv(found.basis)
        if np.abs(whole - np.rint(whole)).max() < 0.15:
            basis = np.rint(whole) @ found.basis
        else:
            basis = found.basis
            note = (
                "The atoms picked are of different kinds, so that the steps between them do not "
                "repeat: the cell was taken from the image around them."
            )
    made = cell_at(landscape, picks[0], Period(basis, 1.0), reach)
    return (cell if made is None else made), note


def _snapped(landscape: Landscape, xy: Floats, reach: float) -> Floats:
    """Return the strong and near peak that a pick means, or the pick."""
    tree = landscape.peaks.tree
    if tree is None:
        return xy
    near = np.asarray(tree.query_ball_point(xy, reach), dtype=np.int64)
    if not len(near):
        return xy
    apart = np.linalg.norm(landscape.peaks.xy[near] - xy, axis=1)
    score = landscape.peaks.strength[near] * np.exp(-((apart / reach) ** 2))
    best: Floats = landscape.peaks.xy[near[int(score.argmax())]]
    return best
