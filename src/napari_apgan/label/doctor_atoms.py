"""Suspects among the labels one by one: doubled, beside the peak, on nothing, alone, misnamed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_apgan.frames import Frame

from .doctor_evidence import Evidence, own_peak, robust_spread
from .doctor_lattice import Mates, expected_places
from .doctor_radii import close_pairs, limits_px
from .doctor_types import IGNORE, Fix, Point, Suspect

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Peaks farther from their label than this many standard deviations of one axis (1 in 3000 of a
#: Rayleigh distribution) and than this part of the spacing are suspect.
OFF_SIGMAS, OFF_SPACING = 4.0, 0.14
#: A peak nearer than this many of them holds a label where it is, whatever the lattice expects.
LIKELY_SIGMAS = 2.2
#: Where the image cannot tell, labels this many medians and this part of the spacing off the place
#: that the lattice expects are suspect.
STRAY_MEDIANS, STRAY_SPACING = 3.2, 0.26
#: An atom whose nearest neighbour is this many spacings away stands alone.
ALONE = 1.9
#: Of a height: labels below have no peak worth the name.
LOW = 0.4
#: Odds (natural logarithm) from which another element is taken as more likely.
LOG_ODDS = 6.0
#: Odds of the sublattice from which an element is foreign there: the height need hardly add to it.
FOREIGN_ODDS = 4.5
#: What intensity alone may say at most: thickness and background deceive it.
MOST_ODDS = 12.0


@dataclass(frozen=True, slots=True)
class Patient:
    """One frame with its labels, as the checks see it.

    Parameters
    ----------
    frame : Frame
    ids : (N,) array
    evidence : Evidence
    mates : Mates
    strictness : float
        1 over the sensitivity: thresholds are multiplied by it.
    flat : (Y, X) array
        The image less its slow background.
    """

    frame: Frame
    ids: Ints
    evidence: Evidence
    mates: Mates
    strictness: float
    flat: Floats

    @property
    def inner(self) -> Bools:
        """Labels whose peak lies on the frame whole enough to be judged."""
        margin = 0.35 * self.evidence.spacing_px
        limit = np.array(self.frame.shape[::-1]) - 1 - margin
        xy = self.evidence.xy
        inside: Bools = np.all((xy >= margin) & (xy <= limit), axis=1)
        return inside

    def length(self, px: float) -> str:
        """Say a length in px, and in pm where the pixel size is known."""
        size = self.frame.calibration.mean_pm
        return f"{px:.1f} px" if size is None else f"{px:.1f} px ({px * size:.0f} pm)"

    def delete(self, *rows: int) -> Fix:
        """Return the fix that deletes the labels of these rows."""
        names = " and ".join(str(self.evidence.kinds[r]) for r in rows)
        return Fix("delete", f"Delete {names}", tuple(int(self.ids[r]) for r in rows))


def too_close(patient: Patient) -> tuple[list[Suspect], Bools]:
    """Find pairs of labels closer than two atoms stand; second, the labels in such a pair."""
    e = patient.evidence
    names = list(e.populations)
    limits = limits_px(e.xy, e.kinds, names, e.spacing_px, patient.frame.calibration.mean_pm)
    scaled = {k: v * min(1 / patient.strictness, 1.3) for k, v in limits.items()}
    involved = np.zeros(len(e.xy), dtype=bool)
    own = own_peak(e.xy, e.peak)
    out = []
    for a, b in close_pairs(e.xy, e.kinds, scaled).tolist():
        involved[[a, b]] = True
        worse, better = (a, b) if _beside(e, a) > _beside(e, b) else (b, a)
        apart = float(np.hypot(*(e.xy[a] - e.xy[b])))
        first, second = sorted((str(e.kinds[a]), str(e.kinds[b])))
        fix = patient.delete(worse)
        others: tuple[Fix, ...] = (patient.delete(better), IGNORE)
        if own[worse] and np.hypot(*(e.peak[worse] - e.xy[better])) > scaled[first, second]:
            # It has a peak of its own: a slip towards its neighbour.
            to = Point(float(e.peak[worse, 0]), float(e.peak[worse, 1]), str(e.kinds[worse]))
            others = (fix, *others)
            fix = Fix("move", "Move to its peak", (int(patient.ids[worse]),), (to,))
        out.append(
            Suspect(
                "too close",
                0.95 if apart < 0.35 * e.spacing_px else 0.8,
                f"{first} and {second} stand {patient.length(apart)} apart; less than "
                f"{patient.length(scaled[first, second])} is one atom labelled twice, or a slip.",
                float(e.xy[worse, 0]),
                float(e.xy[worse, 1]),
                fix,
                (int(patient.ids[worse]), int(patient.ids[better])),
                others,
            )
        )
    return out, involved


def _beside(e: Evidence, row: int) -> float:
    """How badly a label sits: distance to its peak in spacings, less its height."""
    off = float(np.hypot(*(e.peak[row] - e.xy[row])))
    return (off if np.isfinite(off) else e.spacing_px) / e.spacing_px - 0.1 * float(e.height[row])


def off_peak(patient: Patient, spared: Bools) -> list[Suspect]:
    """Find labels beside their peak, and labels on nothing."""
    e, z = patient.evidence, patient.strictness
    out = []
    off = np.hypot(*(e.peak - e.xy).T)
    own = own_peak(e.xy, e.peak)
    places = expected_places(e.xy, patient.mates, e.spacing_px)
    astray = np.nan_to_num(np.hypot(*(places - e.xy).T))
    usual = astray[astray > 0]
    stray_limit = max(
        STRAY_SPACING * e.spacing_px, STRAY_MEDIANS * float(np.median(usual)) if len(usual) else 0.0
    )
    free = cKDTree(e.unlabelled) if len(e.unlabelled) else None
    for k in np.flatnonzero(patient.inner & ~spared).tolist():
        name = str(e.kinds[k])
        p = e.populations[name]
        limit = z * max(OFF_SIGMAS * p.offset_px, OFF_SPACING * e.spacing_px, 0.6)
        moved = p.resolved and np.isfinite(off[k]) and off[k] > limit and own[k]
        gain = float(e.peak_height[k] - e.height[k]) if np.isfinite(off[k]) else 0.0
        if moved and gain > 1.0 * z * p.spread and e.peak_height[k] > LOW:
            x, y = e.peak[k].tolist()
            out.append(_beside_peak(patient, k, x, y, off[k], gain / max(p.spread, 0.05)))
            continue
        decided = p.resolved and own[k] and off[k] <= LIKELY_SIGMAS * p.offset_px
        if not decided and astray[k] > z * stray_limit:
            x, y = places[k].tolist()
            out.append(_off_lattice(patient, k, x, y, float(astray[k])))
            continue
        low = e.height[k] < LOW and e.height[k] < 1 - 4.0 * z * p.spread
        if not low:
            continue
        near = free.query(e.xy[k], distance_upper_bound=0.9 * e.spacing_px) if free else (np.inf, 0)
        if np.isfinite(near[0]) and e.unlabelled_height[int(near[1])] > 0.6:
            x, y = e.unlabelled[int(near[1])].tolist()
            out.append(_beside_peak(patient, k, x, y, float(near[0]), 6.0))
            continue
        out.append(
            Suspect(
                "nothing there",
                0.8 if e.height[k] < 0.2 else 0.6,
                f"The image shows {max(e.height[k], 0):.0%} of the usual peak of {name} under this "
                "label: an empty site, or a slip.",
                float(e.xy[k, 0]),
                float(e.xy[k, 1]),
                patient.delete(k),
                (int(patient.ids[k]),),
            )
        )
    return out


def _off_lattice(patient: Patient, row: int, x: float, y: float, off: float) -> Suspect:
    e = patient.evidence
    name, number = str(e.kinds[row]), int(patient.ids[row])
    return Suspect(
        "off peak",
        float(np.clip(0.3 + off / e.spacing_px, 0.4, 0.7)),
        f"Its neighbours in the lattice expect this {name} {patient.length(off)} beside the label, "
        "and the image shows no clear peak under it that would hold it there.",
        float(e.xy[row, 0]),
        float(e.xy[row, 1]),
        Fix("move", "Move to the lattice site", (number,), (Point(x, y, name),)),
        (number,),
        (patient.delete(row), IGNORE),
    )


def _beside_peak(
    patient: Patient, row: int, x: float, y: float, off: float, sigmas: float
) -> Suspect:
    e = patient.evidence
    name, number = str(e.kinds[row]), int(patient.ids[row])
    return Suspect(
        "off peak",
        float(np.clip(0.4 + 0.05 * sigmas + 0.5 * off / e.spacing_px, 0.4, 0.9)),
        f"The peak lies {patient.length(off)} beside this label of {name}.",
        float(e.xy[row, 0]),
        float(e.xy[row, 1]),
        Fix("move", "Move to the peak", (number,), (Point(x, y, name),)),
        (number,),
        (patient.delete(row), IGNORE),
    )


def no_neighbour(patient: Patient) -> list[Suspect]:
    """Find labels far from all others, where nearly all others have neighbours."""
    e = patient.evidence
    if len(e.xy) < 20:
        return []
    nearest = np.asarray(cKDTree(e.xy).query(e.xy, k=2)[0])[:, 1]
    if (nearest < 1.4 * e.spacing_px).mean() < 0.85:  # single atoms, which stand as they like
        return []
    return [
        Suspect(
            "no neighbour",
            0.7 if e.height[k] < 0.6 else 0.5,
            f"The nearest label is {patient.length(nearest[k])} away, where "
            f"{patient.length(e.spacing_px)} is usual.",
            float(e.xy[k, 0]),
            float(e.xy[k, 1]),
            patient.delete(k),
            (int(patient.ids[k]),),
        )
        for k in np.flatnonzero(nearest > ALONE * e.spacing_px * patient.strictness).tolist()
    ]


def wrong_element(patient: Patient, spared: Bools) -> list[Suspect]:
    """Find labels whose height and place in the lattice both fit another element better."""
    e = patient.evidence
    names = [n for n in e.populations if (e.kinds == n).sum() >= 5]
    if len(names) < 2:
        return []
    place = _log_place(e, patient.mates, names)
    usual_here = np.array(names, dtype=object)[place.argmax(axis=0)]
    known = {}
    for name in names:
        mine = e.kinds == name
        # Misnamed atoms would widen what is usual: those that the lattice contradicts stay out.
        sure = mine & ((usual_here == name) | (place.max(axis=0) - place[names.index(name)] < 1))
        known[name] = e.common[sure if sure.sum() >= 5 else mine]
    chance = np.stack([_log_chance(e.common, known[n]) for n in names])
    out = []
    for k in np.flatnonzero(patient.inner & ~spared).tolist():
        if str(e.kinds[k]) not in names:
            continue
        own = names.index(str(e.kinds[k]))
        bright = np.clip(chance[:, k] - chance[own, k], -MOST_ODDS, MOST_ODDS)
        both = bright + place[:, k] - place[own, k]
        best = int(both.argmax())
        sited = place[best, k] - place[own, k] > FOREIGN_ODDS
        least = 0.5 if sited else 1.5
        if best == own or both[best] < LOG_ODDS * patient.strictness or bright[best] < least:
            continue
        other = names[best]
        usual, theirs = float(np.median(known[names[own]])), float(np.median(known[other]))
        lattice = place[best, k] > place[own, k] + 1
        out.append(
            Suspect(
                "wrong element",
                float(np.clip(0.5 + 0.025 * both[best], 0.5, 0.95)),
                f"Labelled {names[own]}, but its peak is {e.common[k] / _nonzero(usual):.2f} times "
                f"the usual one ({other}: {theirs / _nonzero(usual):.2f})"
                + (f", and {other} stands on this sublattice here." if lattice else "."),
                float(e.xy[k, 0]),
                float(e.xy[k, 1]),
                Fix(
                    "change element",
                    f"Make it {other}",
                    (int(patient.ids[k]),),
                    (Point(float(e.xy[k, 0]), float(e.xy[k, 1]), other),),
                ),
                (int(patient.ids[k]),),
            )
        )
    return out


def _nonzero(value: float) -> float:
    return value if abs(value) > 1e-6 else 1e-6


def _log_chance(values: Floats, known: Floats) -> Floats:
    """Log density of a Student t of 4 degrees around the known ones: outliers are no surprise."""
    spread = max(robust_spread(known), 0.03)
    z = (values - float(np.median(known))) / spread
    chance: Floats = -2.5 * np.log1p(z**2 / 4) - np.log(spread)
    return chance


def _log_place(e: Evidence, mates: Mates, names: list[str]) -> Floats:
    """Log of the share of each element among an atom's mates, (E, N); 0 without a lattice."""
    out = np.zeros((len(names), len(e.xy)))
    if mates.index.shape[1] < 4:
        return out
    there = mates.index >= 0
    who = np.where(there, mates.index, 0)
    for row, name in enumerate(names):
        out[row] = ((e.kinds[who] == name) & there).sum(axis=1)
    enough = there.sum(axis=1) >= 3
    # Mates are sure of themselves only in numbers: half a vote for what nobody saw.
    logs = np.log((out + 0.25) / (there.sum(axis=1) + 0.25 * len(names)))
    placed: Floats = np.where(enough, 1.5 * logs, 0.0)
    return placed
