"""The columns of the tables: what one answer to all test frames is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import positions
from napari_apgan.bench.counting import Counts
from napari_apgan.measure.calibration import coverage, reliability
from napari_apgan.measure.matching import match
from napari_apgan.measure.score import FrameToScore, match_atoms, region_mask_of
from napari_apgan.measure.surroundings import NEIGHBOUR_REACH, in_border_band, near

from .gains import Gain
from .interfaces import row_biases
from .marks import BORDER_PX, DEFECT_REACH, Marks
from .methods.method import MAP, OFFERED, ONLY, READ
from .rows import Columns, ElementColumns, Errors

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: Error bars of each kind of positions, along x and y in pm.
SIGMAS: dict[str, tuple[str, str]] = {
    MAP: ("sigma_map_x_pm", "sigma_map_y_pm"),
    OFFERED: ("sigma_x_pm", "sigma_y_pm"),
    ONLY: ("sigma_x_pm", "sigma_y_pm"),
    READ: ("sigma_map_x_pm", "sigma_map_y_pm"),
}
#: How probable it is that an atom is real, as a prediction says it.
CONFIDENCE = "confidence"
#: How flags of fits that failed begin.
FAILED = "fit"
#: Atoms this near (px) to the frame's edge do not count: on which side of it their centres lie,
#: and so whether they are atoms of the frame, is less than the errors of the best position.
EDGE_PX = 1.0


@dataclass(frozen=True, slots=True)
class _Matches:
    """Matched atoms, one row each: errors and displacements in pm, bounds, error bars, places."""

    error: Floats
    shift: Floats
    cramer_rao: Floats
    bayesian: Floats
    sigma: Floats
    flagged: Bools
    element: NDArray[np.str_]
    row: Ints
    towards: Floats

    def of(self, which: Bools) -> _Matches:
        return _Matches(*(getattr(self, name)[which] for name in self.__slots__))

    @staticmethod
    def join(parts: Sequence[_Matches]) -> _Matches:
        return _Matches(
            *(np.concatenate([getattr(p, name) for p in parts]) for name in _Matches.__slots__)
        )

    def errors(self) -> Errors:
        """Summarise them."""
        n = len(self.error)
        if not n:
            return Errors()
        radial = np.hypot(*self.error.T)
        power = float(np.square(self.shift).sum())
        shift, error = self.shift - self.shift.mean(axis=0), self.error - self.error.mean(axis=0)
        varied = float(np.square(shift).sum())
        crb, over_crb = _ratio(radial, self.cramer_rao)
        bayes, over_bayes = _ratio(radial, self.bayesian)
        bars = coverage(self.error, self.sigma)
        bias_x, bias_y = self.error.mean(axis=0).tolist()
        return Errors(
            n=n,
            mean_pm=float(radial.mean()),
            std_pm=float(radial.std()),
            rms_pm=float(np.sqrt(np.square(radial).mean())),
            bias_x_pm=bias_x,
            bias_y_pm=bias_y,
            skill=1.0 - float(np.square(radial).sum()) / power if power > 0 else None,
            gain=1.0 + float((shift * error).sum()) / varied if varied > 0 else None,
            cramer_rao_pm=crb,
            bayesian_pm=bayes,
            over_cramer_rao=over_crb,
            over_bayesian=over_bayes,
            coverage=bars["within_68"],
            coverage_95=bars["within_95"],
        )


def _ratio(radial: Floats, bound: Floats) -> tuple[float | None, float | None]:
    """Return the mean bound, and the mean error over it, of the atoms that have a bound."""
    known = np.isfinite(bound)
    if not known.any():
        return None, None
    limit = float(bound[known].mean())
    return limit, float(radial[known].mean()) / limit if limit > 0 else None


@dataclass(frozen=True, slots=True)
class FrameAnswer:
    """What is counted on one test frame; made by :func:`answer`, pooled by :func:`pool`."""

    counts: Mapping[str, Counts]
    elements: Mapping[str, Counts]
    vacancies: Counts
    n_vacancies: int
    vacuum_nm2: float
    in_vacuum: int
    matches: _Matches
    confidence: Floats
    real: Bools
    fitted: bool = field(default=False)


def answer(
    predicted: pd.DataFrame, marks: Marks, *, label: str, tolerance_px: float
) -> FrameAnswer:
    """Hold one answer against one frame.

    Parameters
    ----------
    predicted : DataFrame
        Atom table.
    marks : Marks
    label : str
        Kind of the positions (:data:`SIGMAS`), which says where their error bars are.
    tolerance_px : float
        Largest distance of a match.
    """
    pair = marks.pair
    truth, frame = pair.pair.atoms, pair.pair.frame
    i, j = match_atoms(FrameToScore(predicted, truth), tolerance_px)
    p, t = positions(predicted), positions(truth)
    hit, wrong = np.zeros(len(t), dtype=np.bool_), np.ones(len(p), dtype=np.bool_)
    hit[j], wrong[i] = True, False
    # The true atom decides whether a match counts.
    ours_count = ~in_border_band(t, frame.shape, EDGE_PX)
    theirs_count = ~in_border_band(p, frame.shape, EDGE_PX)
    theirs_count[i] = ours_count[j]
    kept = ours_count[j]
    places: dict[str, tuple[Bools, Bools]] = {
        "all": (np.ones(len(t), dtype=np.bool_), np.ones(len(p), dtype=np.bool_)),
        "lacking": (marks.lacking, near(p, t[marks.lacking], marks.spacing_px / 2)),
        "near defects": (
            marks.near_defect,
            near(p, marks.defect_px, DEFECT_REACH * marks.spacing_px),
        ),
        "border": (marks.border, in_border_band(p, frame.shape, BORDER_PX)),
    }
    names = truth["element"].to_numpy(str), predicted["element"].to_numpy(str)
    return FrameAnswer(
        counts={
            k: _count(hit, wrong, ours & ours_count, theirs & theirs_count)
            for k, (ours, theirs) in places.items()
        },
        elements={
            str(e): _count(hit, wrong, (names[0] == e) & ours_count, (names[1] == e) & theirs_count)
            for e in np.unique(names[0])
        },
        vacancies=_vacancies(p, marks, tolerance_px),
        n_vacancies=len(pair.vacancies),
        vacuum_nm2=marks.vacuum_nm2,
        in_vacuum=int(region_mask_of(p, marks.vacuum).sum()),
        matches=_matches(predicted, marks, (i[kept], j[kept]), label, tolerance_px),
        confidence=_confidence(predicted)[theirs_count],
        real=~wrong[theirs_count],
        fitted=label not in (MAP, READ),
    )


def _confidence(predicted: pd.DataFrame) -> Floats:
    """Return how probable each atom is said to be; NaN where nothing is said."""
    if CONFIDENCE not in predicted:
        return np.full(len(predicted), np.nan)
    return predicted[CONFIDENCE].to_numpy(np.float64)


def _calibration(frames: Sequence[FrameAnswer]) -> float | None:
    """Return how far confidences are from the share of atoms that are real, of a mean atom."""
    said = np.concatenate([f.confidence for f in frames])
    real = np.concatenate([f.real for f in frames])
    known = np.isfinite(said)
    return reliability(said[known], real[known]).ece if known.any() else None


def _count(hit: Bools, wrong: Bools, ours: Bools, theirs: Bools) -> Counts:
    return Counts(
        matched=int((hit & ours).sum()),
        false=int((wrong & theirs).sum()),
        missed=int((~hit & ours).sum()),
    )


def _vacancies(p: Floats, marks: Marks, tolerance_px: float) -> Counts:
    """Count filled empty sites (as `matched`), and empty ones beside a missed atom (as `missed`).

    An atom that belongs to a true one, whatever it is called, fills nothing.
    """
    t, empty = positions(marks.pair.pair.atoms), positions(marks.pair.vacancies)
    i, j = match(p, t, tolerance_px)
    free, lost = np.delete(p, i, axis=0), np.delete(t, j, axis=0)
    filled = np.zeros(len(empty), dtype=np.bool_)
    filled[match(free, empty, tolerance_px)[1]] = True
    torn = near(empty, lost, NEIGHBOUR_REACH * marks.spacing_px) & ~filled
    return Counts(matched=int(filled.sum()), missed=int(torn.sum()))


def _matches(
    predicted: pd.DataFrame, marks: Marks, rows: tuple[Ints, Ints], label: str, tolerance_px: float
) -> _Matches:
    (i, j), pair = rows, marks.pair
    t, sites = positions(pair.pair.atoms)[j], positions(pair.undisplaced)[j]
    calibration = pair.pair.frame.calibration
    to_pm = calibration.to_pm
    # A blind guess within the tolerance is off by two thirds of it: bounds of atoms of which the
    # frame shows a mere edge are larger, and would lift the mean that others are held against.
    blind = 2 / 3 * tolerance_px * (calibration.mean_pm or np.inf)
    sigma = np.full((len(i), 2), np.nan)
    for axis, name in enumerate(SIGMAS[label]):
        if name in predicted:
            sigma[:, axis] = predicted[name].to_numpy(np.float64)[i]
    return _Matches(
        error=to_pm(positions(predicted)[i] - t),
        shift=to_pm(t - sites),
        cramer_rao=np.minimum(marks.limits.cramer_rao_pm[j], blind),
        bayesian=np.minimum(marks.limits.bayesian_pm[j], blind),
        sigma=sigma,
        flagged=np.char.startswith(predicted["flag"].to_numpy(str)[i], FAILED),
        element=pair.pair.atoms["element"].to_numpy(str)[j],
        row=marks.interface.row[j],
        towards=marks.interface.towards[j],
    )


def pool(
    frames: Sequence[FrameAnswer],
    gains: Mapping[str, Gain] | None = None,
    by_amplitude: Mapping[str, Mapping[str, Gain]] | None = None,
) -> Columns:
    """Put the frames of a test together; all atoms weigh the same."""
    counts = {k: _total([f.counts[k] for f in frames]) for k in frames[0].counts}
    names = sorted({e for f in frames for e in f.elements})
    matches = _Matches.join([f.matches for f in frames])
    vacancies = _total([f.vacancies for f in frames])
    empty, area = sum(f.n_vacancies for f in frames), sum(f.vacuum_nm2 for f in frames)
    every = counts["all"]
    fitted = frames[0].fitted
    return Columns(
        n_frames=len(frames),
        n_true=every.there,
        n_predicted=every.found,
        f1=_f1(every),
        precision=every.precision if every.found else None,
        recall=every.recall if every.there else None,
        f1_lacking=_f1(counts["lacking"]),
        f1_near_defects=_f1(counts["near defects"]),
        f1_border=_f1(counts["border"]),
        n_lacking=counts["lacking"].there,
        n_near_defects=counts["near defects"].there,
        n_border=counts["border"].there,
        n_vacancies=empty,
        filled=vacancies.matched / empty if empty else None,
        missed=vacancies.missed / empty if empty else None,
        vacuum_nm2=area,
        false_per_nm2=sum(f.in_vacuum for f in frames) / area if area > 0 else None,
        errors=matches.errors(),
        confidence_error=_calibration(frames),
        unflagged=matches.of(~matches.flagged).errors() if fitted else None,
        flagged=float(matches.flagged.mean()) if fitted and len(matches.flagged) else None,
        elements={
            e: _element(_total([f.elements[e] for f in frames if e in f.elements]), matches, e)
            for e in names
        },
        interface=row_biases(matches.error, matches.row, matches.towards),
        gains=dict(gains or {}),
        gains_by_amplitude={k: dict(v) for k, v in (by_amplitude or {}).items()},
    )


def _element(counts: Counts, matches: _Matches, name: str) -> ElementColumns:
    return ElementColumns(
        n_true=counts.there, f1=_f1(counts), errors=matches.of(matches.element == name).errors()
    )


def _total(parts: Sequence[Counts]) -> Counts:
    return sum(parts, Counts())


def _f1(counts: Counts) -> float | None:
    """Return the F1; None where nothing was found or there."""
    return counts.f1 if counts.found or counts.there else None
