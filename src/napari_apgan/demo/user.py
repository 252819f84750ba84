"""A user who clicks: what the demonstration does where a person would use the mouse.

The user knows which element a column is (from the truth, as an expert knows it from the structure)
but not where exactly: every click lands 1 px (standard deviation) beside the column and is snapped
to the image, so labels carry the errors that labels have.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import concat, make_atoms, positions
from napari_apgan.frames import Frame
from napari_apgan.label import snap
from napari_apgan.measure import match
from napari_apgan.measure.surroundings import off_edge
from napari_apgan.regions import Region

CLICK_SPREAD_PX = 1.0


def click_atoms(frame: Frame, truth: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Label true atoms by clicking near them.

    Returns
    -------
    DataFrame
        Atom table with the snapped positions; where the snap finds nothing, the click itself.
    """
    inside = np.array([frame.shape[1] - 1, frame.shape[0] - 1])
    clicked = positions(truth) + rng.normal(0, CLICK_SPREAD_PX, (len(truth), 2))
    clicked = np.clip(clicked, 0, inside)
    snapped = [snap(frame, x, y, polarity="bright") for x, y in clicked.tolist()]
    xy = np.array([(s.x, s.y) for s in snapped]).reshape(-1, 2)
    return make_atoms(xy, list(truth["element"]), origin="human")


def correct(
    frame: Frame,
    predicted: pd.DataFrame,
    truth: pd.DataFrame,
    tolerance_px: float,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Correct predicted atoms: remove false ones, name wrong ones rightly, click missed ones.

    Positions of atoms that were found stay as predicted: a user does not move what looks right.
    Nor does a user remove what is on the very edge of the frame, where an atom just outside shows.

    Returns
    -------
    atoms : DataFrame
    acts : dict
        How many were ``removed``, ``renamed`` and ``added``.
    """
    found, true = match(positions(predicted), positions(truth), tolerance_px)
    kept = predicted.iloc[found].reset_index(drop=True)
    names = truth["element"].to_numpy()[true]
    renamed = kept["element"].to_numpy() != names
    kept = kept.assign(element=names, origin=np.where(renamed, "corrected", "predicted"), flag="")
    others = predicted.drop(predicted.index[found])
    at_edge = others[~off_edge(positions(others), frame.shape)].assign(flag="")
    missed = truth.drop(truth.index[true])
    added = click_atoms(frame, missed, rng)
    acts = {
        "removed": len(others) - len(at_edge),
        "renamed": int(renamed.sum()),
        "added": len(missed),
    }
    return concat([kept, at_edge, added]), acts


def inside_of(atoms: pd.DataFrame, region: Region) -> pd.DataFrame:
    """Return the atoms that lie inside a region."""
    chosen: NDArray[np.bool_] = region.contains(positions(atoms))
    return atoms[chosen].reset_index(drop=True)
