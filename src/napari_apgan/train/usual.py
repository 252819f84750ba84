"""What single atoms look like in the training frames: refined positions lean on it.

On a perfect lattice all atoms have the same neighbours, and a frame alone cannot tell what their
tails add to a peak from the peak itself: single displaced atoms would be reported as moved too
little. Labelled frames with displacements and defects can.

Fits begin where the trained network sees the atoms: labels may be a pixel off, incomplete or wrong,
and a fit that begins there learns a kernel that is too wide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from napari_apgan.atoms import positions
from napari_apgan.elements import Element
from napari_apgan.frames import Frame
from napari_apgan.io.pairs import Pair
from napari_apgan.measure import match, usual_kernel
from napari_apgan.models.card import UsualKernel
from napari_apgan.regions import learn_mask

#: So many areas with most atoms are fitted, each in some seconds at the end of a training. One is
#: enough on simulated graphene; where several elements stand in each other's tails, and lenses
#: differ among frames, two are not: weak columns of a multilayer then come out at 0.9.
AREAS, AREAS_OF_SEVERAL = 2, 6
#: An area with more than this part left out by other regions tells too little of tails.
LEAST_FULL = 0.8
#: What the network sees counts where so much of it and of the labels are one, within so many px.
LEAST_AGREED = 0.8
SAME_PX = 3.0

#: Finds the atoms of a frame.
Find = Callable[[Frame], pd.DataFrame]


def usual_of(
    pairs: Sequence[Pair], elements: Sequence[Element], find: Find | None = None
) -> UsualKernel | None:
    """Learn the usual kernel from the complete areas with most labels.

    Parameters
    ----------
    pairs : sequence of Pair
        Of one pixel size. Experimental ones go first where there are any.
    elements : sequence of Element
        With the sign of their atoms.
    find : callable, optional
        What the trained network sees; the labels stand where it sees too little of them, and where
        it is left out.

    Returns
    -------
    UsualKernel, or None
        None where no area has enough atoms.
    """
    real = [p for p in pairs if p.origin != "simulated"]
    areas = [area for pair in real or pairs for area in _areas(pair, {e.name for e in elements})]
    areas.sort(key=lambda a: -len(a[1]))
    several = any(atoms["element"].nunique() > 1 for _, atoms in areas)
    count = AREAS_OF_SEVERAL if several else AREAS
    chosen = [(frame, _seen(frame, atoms, find)) for frame, atoms in areas[:count]]
    learned = usual_kernel(chosen, polarity={e.name: e.polarity for e in elements})
    if learned is None or not np.isfinite(learned.weights).all():
        return None
    return UsualKernel(
        step_px=learned.profile.step_px,
        reach_px=learned.profile.reach_px,
        weights=tuple(learned.weights.tolist()),
        blur_px2=dict(learned.blur_px2),
    )


def _seen(frame: Frame, labelled: pd.DataFrame, find: Find | None) -> pd.DataFrame:
    """Return what the network sees of labelled atoms, or these where that is not much."""
    if find is None:
        return labelled
    found = find(frame)
    found = found[found["element"].isin(set(labelled["element"]))]
    same = len(match(positions(found), positions(labelled), SAME_PX)[0])
    return found if same > LEAST_AGREED * max(len(found), len(labelled)) else labelled


def _areas(pair: Pair, names: set[str]) -> list[tuple[Frame, pd.DataFrame]]:
    """Cut out the complete regions of a pair that are nearly boxes, with their atoms."""
    mask = learn_mask(pair.regions, pair.frame.shape)
    cut = []
    for region in pair.regions:
        inside = mask & region.mask(pair.frame.shape)
        if not inside.any():
            continue
        rows, columns = (np.flatnonzero(inside.any(axis=a)) for a in (1, 0))
        y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        box = inside[y0:y1, x0:x1]
        if box.mean() < LEAST_FULL:
            continue
        frame = replace(
            pair.frame,
            data=pair.frame.data[y0:y1, x0:x1],
            valid=pair.frame.valid[y0:y1, x0:x1] & box,
        )
        atoms = pair.atoms[pair.atoms["element"].isin(names)]
        xy = positions(atoms) - (x0, y0)
        within = ((xy > -0.5) & (xy < np.array(box.shape[::-1]) - 0.5)).all(axis=1)
        atoms = atoms[within].assign(x_px=xy[within, 0], y_px=xy[within, 1])
        cut.append((frame, atoms.reset_index(drop=True)))
    return cut
