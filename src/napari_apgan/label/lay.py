"""A lattice as the user asks for it: estimated, from three picks, or from a structure file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, field_validator

from napari_apgan.elements import Polarity
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Progress
from napari_apgan.regions import Region

from .cell import Cell
from .landscape import survey
from .lattice import Proposal, propose
from .pick import pick_cell
from .unitcell import cell_of_structure, project_structure

XY = tuple[float, float]

PICKS_FAILED = (
    "From the three atoms picked no lattice grows: what the image repeats by itself is shown "
    "instead."
)


class LatticeOptions(BaseModel):
    """What a lattice is laid by.

    Parameters
    ----------
    polarity : {"bright", "dark"}
        How the atoms look.
    picks : three (x, y), optional
        An atom and two of its neighbours, in px; without them the lattice is estimated.
    structure : Path, optional
        A structure file, which says what stands where in the cell.
    zone : (int, int, int)
        Direction [uvw] of the beam in it.
    areas : tuple of polygons
        Where atoms are wanted, each a tuple of corners (x, y) in px; everywhere without any.
    grains : bool
        Whether to go on with other lattices after the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    polarity: Polarity = "bright"
    picks: tuple[XY, XY, XY] | None = None
    structure: Path | None = None
    zone: tuple[int, int, int] = (0, 0, 1)
    areas: tuple[tuple[XY, ...], ...] = ()
    grains: bool = True

    @field_validator("zone")
    @classmethod
    def _some_direction(cls, zone: tuple[int, int, int]) -> tuple[int, int, int]:
        if not any(zone):
            raise ValueError("a zone axis needs a number other than 0")
        return zone


def lay_lattice(
    frame: Frame,
    options: LatticeOptions,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Proposal:
    """Propose lattices on a frame.

    Parameters
    ----------
    frame : Frame
    options : LatticeOptions
    progress, cancelled : callable, optional

    Raises
    ------
    UserError
        When the frame is too small, the picks give no cell, the structure does not fit, or the
        cell is finer than the image resolves.
    """
    if progress is not None:
        progress(0, 0, "looking for peaks")
    landscape = survey(frame, polarity=options.polarity)
    area = None
    if options.areas:
        area = np.zeros(frame.shape, dtype=np.bool_)
        for corners in options.areas:
            area |= Region(id=0, polygon=corners).mask(frame.shape)
    cell: Cell | None = None
    notes: tuple[str, ...] = ()
    if options.picks is not None or options.structure is not None:
        # What the image itself repeats says how much a noisy frame is to be smoothed.
        first = propose(landscape, area=area, grains=False, cancelled=cancelled)
        if options.picks is not None:
            cell, note = pick_cell(first.landscape, *options.picks)
            notes = (note,) if note else ()
        elif not first.lattices:
            raise UserError(first.notes[0])
        else:
            cell = first.lattices[0].cell
        landscape = first.landscape
    if options.structure is not None and cell is not None:
        if progress is not None:
            progress(0, 0, "laying the structure on the image")
        structure = project_structure(options.structure, options.zone)
        cell, more = cell_of_structure(landscape, structure, cell)
        notes = (*notes, *more)
    proposal = propose(
        landscape, cell, area=area, grains=options.grains, progress=progress, cancelled=cancelled
    )
    if options.picks is not None and not proposal.lattices:
        by_itself = propose(
            landscape, area=area, grains=options.grains, progress=progress, cancelled=cancelled
        )
        if by_itself.lattices:
            proposal, notes = by_itself, (PICKS_FAILED,)
    return replace(proposal, notes=(*notes, *proposal.notes))
