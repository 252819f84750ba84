"""Labels read from a file become labels of a project: on which frames, and as one edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.atoms import conform, positions
from napari_apgan.errors import UserError
from napari_apgan.maps import default_radius_px
from napari_apgan.project import AddAtoms, Batch, Edit, Project, compose


@dataclass(frozen=True, slots=True)
class Placed:
    """Labels of a file as they would come into a source.

    Parameters
    ----------
    atoms : DataFrame
        Atom table; `frame` is the frame of the source.
    outside : int
        Atoms left out because they lie outside the image.
    doubled : int
        Left out because a label stands there already.
    elsewhere : int
        Left out because they are of frames that the source does not have.
    """

    atoms: pd.DataFrame
    outside: int = 0
    doubled: int = 0
    elsewhere: int = 0

    def sentence(self) -> str:
        """Say what would be added, and what not."""
        n, frames = len(self.atoms), self.atoms["frame"].nunique()
        words = f"{n:,} label{'s' * (n != 1)}"
        if frames > 1:
            words += f" on {frames} frames"
        left = [
            f"{self.outside:,} outside the image" if self.outside else "",
            f"{self.doubled:,} where a label stands" if self.doubled else "",
            f"{self.elsewhere:,} of other frames" if self.elsewhere else "",
        ]
        left_out = ", ".join(words for words in left if words)
        return f"{words}; left out: {left_out}." if left_out else f"{words}."


def place(
    table: pd.DataFrame,
    *,
    shape: tuple[int, int],
    n_frames: int,
    frame: int,
    labels: Callable[[int], pd.DataFrame],
) -> Placed:
    """Say where the atoms of a file go.

    Atoms of several frames go to the frames of those numbers; those of one frame to the frame
    that is shown.

    Parameters
    ----------
    table : DataFrame
        Atom table, as :func:`napari_apgan.io.imports.read` returns it.
    shape : (int, int)
        (rows, columns) of the image.
    n_frames : int
    frame : int
        The frame that is shown.
    labels : callable
        Returns the labels that a frame has.
    """
    numbers = table["frame"].to_numpy()
    elsewhere = 0
    if len(np.unique(numbers)) > 1:
        known = table["frame"].isin(range(n_frames))
        elsewhere = int((~known).sum())
        table = table[known]
    else:
        table = table.assign(frame=frame)
    xy = positions(table)
    limit = np.array(shape[::-1]) - 0.5
    inside: NDArray[np.bool_] = np.all((xy >= -0.5) & (xy <= limit), axis=1)
    outside = int((~inside).sum())
    table = table[inside]
    free = np.ones(len(table), dtype=bool)
    for number in np.unique(table["frame"].to_numpy()):
        here = (table["frame"] == number).to_numpy()
        there = labels(int(number))
        if len(there):
            near = np.asarray(cKDTree(positions(there)).query(positions(table[here]))[0])
            free[here] = near > 0.5 * default_radius_px(there)
    doubled = int((~free).sum())
    return Placed(conform(table[free].reset_index(drop=True)), outside, doubled, elsewhere)


def scaled(table: pd.DataFrame, drawn: tuple[int, int], shape: tuple[int, int]) -> pd.DataFrame:
    """Bring positions on a map of one (rows, columns) to an image of another, of the same form.

    Raises
    ------
    UserError
        When the forms differ.
    """
    if drawn == shape:
        return table
    factor = np.array([shape[1] / drawn[1], shape[0] / drawn[0]])
    if abs(factor[0] / factor[1] - 1) > 0.01:
        raise UserError(
            f"The map has {drawn[1]}x{drawn[0]} px and the image {shape[1]}x{shape[0]}: they do "
            "not show the same area."
        )
    xy = (positions(table) + 0.5) * factor - 0.5
    return table.assign(x_px=xy[:, 0], y_px=xy[:, 1])


def import_edit(project: Project, source_id: str, table: pd.DataFrame, file: str) -> Edit | None:
    """Make the one edit that adds labels to frames of a source, with the elements they need.

    Parameters
    ----------
    project : Project
    source_id : str
    table : DataFrame
        Atom table; `frame` says where each goes, its ids are not kept.
    file : str
        Name of the file, for *Undo: …*.
    """
    if table.empty:
        return None
    first = project.record(source_id).next_id
    numbered = compose.tidy_elements(conform(table.assign(id=np.arange(first, first + len(table)))))
    more = compose.with_elements(project, list(dict.fromkeys(numbered["element"].tolist())))
    edits: list[Edit] = [more] if more is not None else []
    for number, rows in numbered.groupby("frame", sort=True):
        edits.append(AddAtoms.of(source_id, int(str(number)), rows.reset_index(drop=True)))
    return Batch(name=f"import {file}", edits=tuple(edits))
