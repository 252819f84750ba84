"""The cell of a structure file, laid on what an image repeats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_apgan.errors import UserError

from .cell import Cell, make_cell
from .landscape import Landscape
from .period import WEAKEST_SITE, MeanCell, fold, height_in, window
from .resolution import resolved_px

Floats = NDArray[np.float64]

#: Translations of the image that are tried, in whole steps of the shortest ones.
STEPS = 3
#: Lengths may differ by this factor from the pixel size, and by this part from each other.
SCALE, SHAPE = 1.3, 0.06
#: Exponent of the atomic number by which columns are weighed (incoherent images).
Z_POWER = 1.7
#: Columns weaker than this part of the strongest are not expected to show.
UNSEEN = 0.04
#: Columns that should be at least this bright, against the strongest, belong whether seen or not.
SURELY_SEEN = 0.3
#: Columns up to this many times the resolved distance apart are one where no valley parts them,
#: that falls below this part of the lower one.
MERGED, PARTED = 2.5, 0.9
#: Steps of the search for the origin along each translation.
SEARCH = 24


@dataclass(frozen=True, slots=True)
class Projection:
    """Columns of a structure along a zone axis.

    Parameters
    ----------
    plane_pm : (2, 2) array
        Rows: shortest translations of the projection, in pm.
    fraction : (C, 2) array
        Places of the columns in units of them.
    names : tuple of str
        What each holds, such as ``Ti/O``; the heaviest first.
    weight : (C,) array
        How bright it should be: the sum of Z^1.7 for each length of the beam.
    """

    plane_pm: Floats
    fraction: Floats
    names: tuple[str, ...]
    weight: Floats


def project_structure(path: Path, zone: tuple[int, int, int] = (0, 0, 1)) -> Projection:
    """Read a structure file and look along a zone axis.

    Parameters
    ----------
    path : Path
        Any file that ASE reads, .cif for example.
    zone : (int, int, int)
        Direction [uvw] of the beam.

    Raises
    ------
    UserError
        When ASE is not installed, the file cannot be read or has no cell, or there are no columns
        along the zone axis.
    """
    # What reads structures brings in much that a window need not wait for.
    from napari_apgan.simulate.structures.columns import mean_by
    from napari_apgan.simulate.structures.crystal import Crystal, cut_along, name_groups
    from napari_apgan.simulate.structures.fromfile import read_structure

    made = read_structure(Path(path))
    if abs(float(np.linalg.det(made.cell_pm))) < 1.0:
        raise UserError(f"{Path(path).name} has no unit cell: give a crystal's file, a .cif.")
    fraction = made.position_pm @ np.linalg.inv(made.cell_pm)
    cut = cut_along(Crystal(made.cell_pm, fraction, made.species, made.occupancy), zone)
    count = int(cut.group.max()) + 1
    middle = mean_by(cut.group, cut.site_pm[:, :2], count)
    light = made.occupancy @ made.species.astype(np.float64) ** Z_POWER
    weight = np.bincount(cut.group, light, count).astype(np.float64)
    names = name_groups(made.species, made.occupancy, cut.group)
    return Projection(
        np.asarray(cut.plane_pm, dtype=np.float64),
        middle @ np.linalg.inv(cut.plane_pm),
        tuple(str(n) for n in names),
        weight,
    )


def cell_of_structure(
    landscape: Landscape, projection: Projection, found: Cell
) -> tuple[Cell, tuple[str, ...]]:
    """Lay a structure's cell on the image.

    Among whole multiples of the image's own translations those are taken that have the shape of the
    structure's, and the size that the pixel size asks for. Of all ways to lay it on them the one is
    taken whose columns stand on the brightest places of the mean cell, weighed as bright as they
    should be.

    Parameters
    ----------
    landscape : Landscape
    projection : Projection
    found : Cell
        Of :func:`~.lattice.propose` or :func:`~.pick.pick_cell`; gives place and translations.

    Returns
    -------
    cell : Cell
        Elements are the heaviest of each column.
    notes : tuple of str
        Columns that are too weak to show, or too close to be told apart.

    Raises
    ------
    UserError
        When the structure does not fit the image.
    """
    bases, scale = _fitting_bases(landscape, projection, found.basis)
    reach = float(np.clip(4.0 * np.linalg.norm(bases[0], axis=1).max(), 28.0, 200.0))
    part = window(landscape, np.asarray(found.origin), reach)
    best, answer = -math.inf, None
    for basis in bases:
        mean = fold(landscape, part, basis, np.asarray(found.origin))
        grid = np.stack(np.meshgrid(*[np.arange(SEARCH) / SEARCH] * 2), axis=-1).reshape(-1, 2)
        places = (projection.fraction[None] + grid[:, None]).reshape(-1, 2)
        height = height_in(mean, places).reshape(len(grid), -1)
        score = height @ (projection.weight / projection.weight.sum())
        k = int(score.argmax())
        if score[k] > best + 1e-9:
            best, answer = float(score[k]), (basis, grid[k])
    if answer is None or best <= 0:
        raise UserError(
            "The columns of the structure fall on no peaks of the image: check the zone axis, or "
            "whether atoms are bright or dark."
        )
    basis, shift = answer
    mean = fold(landscape, part, basis, np.asarray(found.origin))
    groups, notes = _visible(projection, mean, shift, resolved_px(landscape))
    place = np.array([_middle(projection, group) for group in groups]) + shift
    height = height_in(mean, place)
    titles = [_title(projection, group) for group in groups]
    made = make_cell(
        basis,
        np.asarray(found.origin),
        place,
        np.maximum(height, 1e-3 * height.max()),
        elements=titles,
    )
    if landscape.frame.calibration.known and abs(scale - 1) > 0.03:
        notes.append(
            f"By this structure the pixel size is {100 * (scale - 1):+.0f} % off: check it."
        )
    return made, tuple(notes)


def _fitting_bases(
    landscape: Landscape, projection: Projection, basis: Floats
) -> tuple[list[Floats], float]:
    """Return all bases (rows in px) that have the structure's shape, and the pixel size's factor.

    They differ by turns and mirrors of the lattice.
    """
    i, j = (g.ravel() for g in np.mgrid[-STEPS : STEPS + 1, -STEPS : STEPS + 1])
    steps = np.column_stack([i, j])[(i != 0) | (j != 0)] @ basis
    length = np.linalg.norm(steps, axis=1)
    a, b = np.linalg.norm(projection.plane_pm, axis=1)
    cosine = float(projection.plane_pm[0] @ projection.plane_pm[1]) / (a * b)
    ratio = length[None] / length[:, None]
    enclosed = (steps @ steps.T) / (length[:, None] * length[None])
    sine = np.sqrt(np.maximum(1 - enclosed**2, 0))
    off = np.hypot(np.log(ratio * a / b), enclosed - cosine)
    pixel = landscape.frame.calibration.mean_pm
    area = np.maximum(length[:, None] * length[None] * sine, 1e-9)
    wanted = a * b * math.sqrt(max(1 - cosine**2, 0.0))
    if pixel is not None:
        factor = np.sqrt(wanted / area) / pixel
        fits = (off < SHAPE) & (np.abs(np.log(factor)) < math.log(SCALE))
        ranked = off + np.abs(np.log(factor))
    else:
        factor = np.ones_like(area)
        fits, ranked = off < SHAPE, off + 0.2 * np.log(area)
    if not fits.any():
        raise UserError(
            "No lattice of the image has the shape and size of this structure's cell along that "
            "zone axis: check the zone axis and the pixel size."
        )
    at = np.unravel_index(int(np.where(fits, ranked, np.inf).argmin()), fits.shape)
    same = fits & (np.abs(np.log(area / area[at])) < 0.02)
    rows, columns = np.nonzero(same)
    order = np.argsort(off[rows, columns], kind="stable")
    bases = [
        np.array([steps[r], steps[c]]) for r, c in zip(rows[order], columns[order], strict=True)
    ]
    return bases, float(factor[at])


def _visible(
    projection: Projection, mean: MeanCell, shift: Floats, limit_px: float
) -> tuple[list[list[int]], list[str]]:
    """Return the columns that can show, those that show as one in a group, and sentences.

    Columns show as one when they are closer than the image resolves, or not much farther apart and
    no valley parts them.
    """
    notes: list[str] = []
    height = height_in(mean, projection.fraction + shift)
    share = projection.weight / projection.weight.max()
    strong = (share >= UNSEEN) & ((height > WEAKEST_SITE * height.max()) | (share > SURELY_SEEN))
    if not strong.all():
        lost = sorted({projection.names[k] for k in np.flatnonzero(~strong)})
        notes.append(f"Columns of {', '.join(lost)} are too weak to show and are left out.")
    groups: list[list[int]] = []
    along = np.linspace(0.0, 1.0, 13)[:, None]
    for k in np.argsort(-share, kind="stable").tolist():
        if not strong[k]:
            continue
        own = None
        for group in groups:
            step = projection.fraction[k] - projection.fraction[group[0]]
            step -= np.rint(step)
            apart = float(np.linalg.norm(step @ mean.basis))
            line = height_in(mean, projection.fraction[group[0]] + shift + along * step)
            one = line.min() > PARTED * min(line[0], line[-1])
            if apart < limit_px or (one and apart < MERGED * limit_px):
                own = group
                notes.append(
                    f"{projection.names[group[0]]} and {projection.names[k]} stand {apart:.1f} px "
                    "apart and show as one in this image: they are taken as one atom."
                )
                break
        if own is None:
            groups.append([k])
        else:
            own.append(k)
    return groups, list(dict.fromkeys(notes))


def _middle(projection: Projection, group: list[int]) -> Floats:
    """Return where a group of columns shows, in units of the translations."""
    step = projection.fraction[group] - projection.fraction[group[0]]
    step -= np.rint(step)
    weight = projection.weight[group]
    middle: Floats = projection.fraction[group[0]] + weight @ step / weight.sum()
    return middle


def _title(projection: Projection, group: list[int]) -> str:
    """Return the heaviest element of each column of a group, each once."""
    return "/".join(dict.fromkeys(projection.names[k].split("/")[0] for k in group))
