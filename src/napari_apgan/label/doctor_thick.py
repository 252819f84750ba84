"""Areas, mostly thick ones, where a light element can hardly be told from the background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.regions import Region

from .doctor_areas import hull, padded
from .doctor_atoms import Patient
from .doctor_types import Fix, Suspect

Floats = NDArray[np.float64]

#: A light element is doubtful where its peaks stand out of the noise by less than this.
DOUBTFUL_SIGMAS = 2.0
#: Atoms whose mean decides that.
TOGETHER = 9


def doubtful_areas(patient: Patient) -> list[Suspect]:
    """Find areas where the lightest element's peaks hardly stand out, mostly thick ones.

    Each atom is judged with the nearest ones of its element: their median height over what the
    pixels' noise there gives a height.
    """
    e = patient.evidence
    names = [n for n in e.populations if (e.kinds == n).sum() >= TOGETHER]
    if len(names) < 2:
        return []
    typical = {n: abs(float(np.median(e.common[e.kinds == n]))) for n in names}
    light = min(typical, key=lambda n: typical[n])
    if typical[light] > 0.7 * max(typical.values()):  # none is much lighter than the others
        return []
    mine = np.flatnonzero(e.kinds == light)
    xy, p = e.xy[mine], e.populations[light]
    around = np.asarray(cKDTree(xy).query(xy, k=TOGETHER)[1])
    noise = e.pixel_noise[mine] / np.sqrt((p.kernel**2).sum())
    clear = np.median(e.height[mine][around], axis=1) / np.maximum(noise, 1e-9)
    doubtful = clear < DOUBTFUL_SIGMAS / patient.strictness
    if doubtful.sum() < 3:
        return []
    thin = float(np.quantile(e.background, 0.2))
    out = []
    for group in _groups(xy[doubtful], 1.6 * _spacing(xy)):
        rows = mine[doubtful][group]
        if len(rows) < 3:
            continue
        place = e.xy[rows]
        rise = float(np.median(e.background[rows])) / max(thin, 1e-9)
        sigmas = float(np.median(clear[doubtful][group]))
        why = f", where the background is {rise:.1f} times that of thin areas" if rise > 1.2 else ""
        x, y = place.mean(axis=0).tolist()
        area = Region(
            id=0, kind="ignore", polygon=hull(padded(place, e.spacing_px), patient.frame.shape)
        )
        out.append(
            Suspect(
                "doubtful area",
                0.4,
                f"{len(rows)} {light} hardly stand out here ({sigmas:.1f} times the noise)"
                f"{why}: label {light} in thinner areas, or leave this one out.",
                x,
                y,
                Fix("set region", "Ignore this area", region=area),
                tuple(patient.ids[rows].tolist()),
                region_id=-1,
            )
        )
    return out


def _spacing(xy: Floats) -> float:
    return float(np.median(np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]))


def _groups(xy: Floats, reach: float) -> list[list[int]]:
    """Return which points hang together by steps of at most `reach`."""
    near: Any = cKDTree(xy).query_ball_point(xy, reach)
    seen: set[int] = set()
    groups = []
    for start in range(len(xy)):
        if start in seen:
            continue
        group, todo = [], [start]
        seen.add(start)
        while todo:
            one = todo.pop()
            group.append(one)
            fresh = [k for k in near[one] if k not in seen]
            seen.update(fresh)
            todo += fresh
        groups.append(group)
    return groups
