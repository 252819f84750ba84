"""Suspects of places and areas: missed atoms, regions, discs that touch, thick areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError, cKDTree

from napari_apgan.regions import Region, learn_mask

from .doctor_atoms import Patient
from .doctor_evidence import heights
from .doctor_lattice import empty_sites
from .doctor_radii import CLOSEST
from .doctor_types import Fix, Point, Suspect

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Names = NDArray[np.object_]

#: A peak where the lattice expects an atom is one from this height on, and one elsewhere from this.
ON_SITE, ELSEWHERE = 0.4, 0.55
#: In standard deviations of what stands where no atom is labelled.
ON_SITE_SIGMAS, ELSEWHERE_SIGMAS = 2.5, 4.5
#: Where noise alone comes that near to a usual height, no peak says anything.
HOPELESS = 1.0
#: Part of a region's atoms without a label, and how many, that make it incomplete.
INCOMPLETE, INCOMPLETE_ATOMS = 0.03, 3


def missed(patient: Patient, regions: Sequence[Region]) -> list[Suspect]:
    """Find peaks without a label: on empty sites of the lattice, and in complete regions."""
    e = patient.evidence
    sites, site_kinds, _ = empty_sites(e.xy, e.kinds, patient.mates, e.spacing_px)
    complete = learn_mask(regions, patient.frame.shape)
    free = _free_places(patient, regions, e.unlabelled)
    taken: set[int] = set()
    out = []
    for k in np.flatnonzero(free).tolist():
        x, y = e.unlabelled[k].tolist()
        kind = str(e.unlabelled_kind[k])
        site = _nearest(sites, (x, y), 0.4 * e.spacing_px)
        inside = bool(complete[round(y), round(x)])
        if site is not None and str(site_kinds[site]) in e.populations:
            kind = str(site_kinds[site])
        if site is None and not inside:
            continue
        p = e.populations[kind]
        if site is None and not p.resolved:
            continue
        height = (
            float(e.unlabelled_height[k])
            if kind == e.unlabelled_kind[k]
            else float(heights(patient.flat, np.array([[x, y]]), p.kernel)[0])
        )
        least, sigmas = (
            (ON_SITE, ON_SITE_SIGMAS) if site is not None else (ELSEWHERE, ELSEWHERE_SIGMAS)
        )
        chance = max(p.noise, min(p.blank_spread, p.spread))
        least = max(least, sigmas * chance, 1 - 4 * p.spread) * patient.strictness
        if site is not None:
            least = min(least, 0.95)
        if height < least or least > HOPELESS:
            continue
        if site is not None:
            taken.add(site)
        out.append(_missed_at(regions, x, y, kind, height, on_site=site is not None))
    return out + _unseen_sites(patient, regions, sites, site_kinds, taken)


def _missed_at(
    regions: Sequence[Region], x: float, y: float, kind: str, height: float, *, on_site: bool
) -> Suspect:
    where = "on an empty site of the lattice" if on_site else "inside a complete region"
    return Suspect(
        "missed",
        float(np.clip(0.45 + 0.3 * height + 0.15 * on_site, 0.45, 0.9)),
        f"A peak {where} has no label; it is {height:.0%} as high as the usual {kind}.",
        x,
        y,
        Fix("add", f"Add {kind} here", points=(Point(x, y, kind),)),
        region_id=_region_at(regions, x, y),
    )


def _unseen_sites(
    patient: Patient, regions: Sequence[Region], sites: Floats, kinds: Names, taken: set[int]
) -> list[Suspect]:
    """Find empty sites that look like the labelled ones, where neither shows a peak."""
    e = patient.evidence
    out = []
    free = _free_places(patient, regions, sites)
    for k in np.flatnonzero(free).tolist():
        p = e.populations.get(str(kinds[k]))
        if k in taken or p is None or p.resolved:
            continue
        x, y = sites[k].tolist()
        height = float(heights(patient.flat, sites[k : k + 1], p.kernel)[0])
        if height < max(ON_SITE, 1 - 2.0 * p.spread) * patient.strictness:
            continue
        out.append(
            Suspect(
                "missed",
                0.5,
                f"This site of the lattice has no label, and looks like those of {kinds[k]} that "
                "have one.",
                x,
                y,
                Fix(
                    "add",
                    f"Add {kinds[k]} here",
                    points=(Point(x, y, str(kinds[k])),),
                ),
                region_id=_region_at(regions, x, y),
            )
        )
    return out


def _free_places(patient: Patient, regions: Sequence[Region], places: Floats) -> Bools:
    """Tell where an atom could be added: on the frame, not ignored, not too close to a label."""
    e = patient.evidence
    if not len(places):
        return np.zeros(0, dtype=bool)
    margin = 0.35 * e.spacing_px
    limit = np.array(patient.frame.shape[::-1]) - 1 - margin
    free = ((places >= margin) & (places <= limit)).all(axis=1)
    free &= np.asarray(cKDTree(e.xy).query(places)[0]) >= CLOSEST * e.spacing_px
    ignored = _ignored(regions, patient.frame.shape)
    column, row = np.rint(places[free]).astype(int).T
    free[free] = ~ignored[row, column]
    return free


def _ignored(regions: Sequence[Region], shape: tuple[int, int]) -> Bools:
    out = np.zeros(shape, dtype=bool)
    for region in regions:
        if region.kind != "complete":
            out |= region.mask(shape)
    return out


def _nearest(sites: Floats, place: tuple[float, float], reach: float) -> int | None:
    if not len(sites):
        return None
    apart = np.hypot(*(sites - np.array(place)).T)
    best = int(apart.argmin())
    return best if apart[best] <= reach else None


def _region_at(regions: Sequence[Region], x: float, y: float) -> int | None:
    for region in regions:
        if region.kind == "complete" and region.contains(np.array([[x, y]]))[0]:
            return region.id
    return None


def incomplete(patient: Patient, regions: Sequence[Region], found: list[Suspect]) -> list[Suspect]:
    """Find complete regions that lack several atoms; one key adds them all."""
    out = []
    for region in regions:
        if region.kind != "complete":
            continue
        lacking = [s for s in found if s.kind == "missed" and s.region_id == region.id]
        have = int(region.contains(patient.evidence.xy).sum())
        if len(lacking) < max(INCOMPLETE_ATOMS, INCOMPLETE * (have + len(lacking))):
            continue
        x, y = np.mean([(s.x, s.y) for s in lacking], axis=0).tolist()
        points = tuple(p for s in lacking for p in s.fix.points)
        out.append(
            Suspect(
                "incomplete region",
                float(np.clip(0.6 + len(lacking) / (have + len(lacking)), 0.6, 0.95)),
                f"This region counts as complete with {have} labels, but {len(lacking)} more peaks "
                "in it have none: a training would learn that they are background.",
                x,
                y,
                Fix("add", f"Add all {len(lacking)}", points=points),
                region_id=region.id,
            )
        )
    return out


def in_ignored_area(patient: Patient, regions: Sequence[Region]) -> list[Suspect]:
    """Find labels inside contamination and other areas where nothing may be learned."""
    out = []
    for region in regions:
        if region.kind == "complete":
            continue
        for k in np.flatnonzero(region.contains(patient.evidence.xy)).tolist():
            name = str(patient.evidence.kinds[k])
            out.append(
                Suspect(
                    "in ignored area",
                    0.5,
                    f"This label of {name} lies in an area marked “{region.kind}”: "
                    + (
                        "delete it, or rub the area out there."
                        if region.kind == "vacuum"
                        else "it is not learned from."
                    ),
                    float(patient.evidence.xy[k, 0]),
                    float(patient.evidence.xy[k, 1]),
                    patient.delete(k),
                    (int(patient.ids[k]),),
                )
            )
    return out


def outside_regions(patient: Patient, regions: Sequence[Region]) -> list[Suspect]:
    """Find labels that lie just outside every complete region, where no training sees them."""
    e = patient.evidence
    complete = [r for r in regions if r.kind == "complete"]
    if not complete or not len(e.xy):
        return []
    covered = np.any([r.contains(e.xy) for r in regions], axis=0)
    out = []
    for region in complete:
        edge = cKDTree(_along(region, 0.5 * e.spacing_px))
        near = ~covered & (np.asarray(edge.query(e.xy)[0]) < 1.2 * e.spacing_px)
        if near.sum() < 2:
            continue
        covered |= near
        corners = [np.asarray(region.polygon), padded(e.xy[near], e.spacing_px)]
        grown = hull(np.concatenate(corners), patient.frame.shape)
        x, y = e.xy[near].mean(axis=0).tolist()
        out.append(
            Suspect(
                "outside region",
                0.35,
                f"{near.sum()} labels lie just outside this region: no training learns from them.",
                x,
                y,
                Fix(
                    "set region",
                    "Extend the region to them",
                    region=region.model_copy(update={"polygon": grown}),
                ),
                tuple(patient.ids[near].tolist()),
                region_id=region.id,
            )
        )
    return out


def _along(region: Region, step: float) -> Floats:
    """Return points on a region's edge, at most a step apart."""
    corners = np.asarray(region.polygon)
    parts = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        n = max(2, int(np.hypot(*(b - a)) / max(step, 0.5)) + 1)
        parts.append(a + np.linspace(0, 1, n)[:, None] * (b - a))
    return np.concatenate(parts)


def padded(xy: Floats, spacing_px: float) -> Floats:
    """Return points half a spacing around each position."""
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = 0.5 * spacing_px * np.column_stack([np.cos(turn), np.sin(turn)])
    around: Floats = (xy[:, None] + ring[None]).reshape(-1, 2)
    return around


def hull(xy: Floats, shape: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """Return the corners of the convex hull, kept on the frame."""
    xy = np.clip(xy, -0.5, np.array(shape[::-1]) - 0.5)
    try:
        corners = xy[ConvexHull(xy).vertices]
    except QhullError:  # all on one line, at the frame's edge
        low, high = xy.min(axis=0) - 1, xy.max(axis=0) + 1
        corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
    return tuple((float(x), float(y)) for x, y in corners)


def discs_touch(
    patient: Patient, radius_px: float | Mapping[str, float], spared: Bools
) -> list[Suspect]:
    """Find discs of the output map that touch; cheap, for a radius that follows a slider."""
    e = patient.evidence
    if len(e.xy) < 2:
        return []
    radius = np.array(
        [float(radius_px[k] if isinstance(radius_px, Mapping) else radius_px) for k in e.kinds]
    )
    pairs = cKDTree(e.xy).query_pairs(2 * float(radius.max()), output_type="ndarray")
    apart = np.hypot(*(e.xy[pairs[:, 0]] - e.xy[pairs[:, 1]]).T)
    touching = apart < radius[pairs].sum(axis=1)
    touching &= ~(spared[pairs[:, 0]] & spared[pairs[:, 1]])  # doubled labels have their own line
    if not touching.any():
        return []
    pairs, apart = pairs[touching], apart[touching]
    fits = float(np.clip(0.45 * np.quantile(apart, 0.02), 1.0, None))
    both = e.xy[pairs].mean(axis=1)
    x, y = both[int(apart.argmin())].tolist()
    names = list(e.populations)
    smaller = {
        n: min(fits, float(radius_px[n] if isinstance(radius_px, Mapping) else radius_px))
        for n in names
    }
    return [
        Suspect(
            "discs touch",
            float(np.clip(0.3 + len(pairs) / max(len(e.xy), 1), 0.3, 0.7)),
            f"The discs of {len(pairs)} pairs of atoms touch on the output map (the closest are "
            f"{patient.length(float(apart.min()))} apart): a network learns them as one.",
            x,
            y,
            Fix("set radius", f"Use a radius of {fits:.1f} px", radius_px=smaller),
            tuple(patient.ids[np.unique(pairs)].tolist()),
            region_id=-1,
        )
    ]
