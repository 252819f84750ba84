"""Score predicted atoms against the truth: detection, precision, gain and skill, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.regions import LEARNED, LEFT_OUT, Region

from .matching import match
from .results import Estimate, Row, Score
from .surroundings import off_edge

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

ALL = "all"
ANY_ELEMENT = "location only"
NO_INFORMATION = "no information"
RESAMPLES = 500
#: Flags of true columns whose element is not scored begin so.
MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class FrameToScore:
    """One frame's part of a score.

    Parameters
    ----------
    predicted, truth : DataFrame
        Atom tables of the same frame.
    region : (Y, X) bool array or sequence of Region, optional
        Where to count; everywhere by default.
    undisplaced : DataFrame, optional
        Undisplaced site of each row of `truth`, in the same order.
    calibration : Calibration
    shape : (int, int), optional
        (rows, columns) of the frame. Atoms on its very edge then count neither way: see
        :data:`~napari_apgan.measure.surroundings.EDGE_PX`.
    """

    predicted: pd.DataFrame
    truth: pd.DataFrame
    region: Bools | Sequence[Region] | None = None
    undisplaced: pd.DataFrame | None = None
    calibration: Calibration = field(default_factory=Calibration)
    shape: tuple[int, int] | None = None

    def counts(self, xy: Floats) -> Bools:
        """Tell which (N, 2) positions lie where atoms are counted."""
        inside = region_mask_of(xy, self.region)
        if self.shape is not None:
            inside &= off_edge(xy, self.shape)
        return inside


@dataclass(frozen=True, slots=True)
class _Matched:
    """What one row is computed from: counts, and the errors and displacements of matched atoms.

    Errors (N, 2) in px and pm (None when a pixel size is unknown), displacements (N, 2) in px.
    """

    n_true: int
    n_pred: int
    error_px: Floats
    error_pm: Floats | None
    shift_px: Floats | None

    @staticmethod
    def join(parts: Sequence[_Matched]) -> _Matched:
        """Put the frames together."""

        def stacked(arrays: list[Floats | None]) -> Floats | None:
            known = [a for a in arrays if a is not None]
            return np.concatenate(known) if known and len(known) == len(arrays) else None

        error = stacked([p.error_px for p in parts])
        return _Matched(
            sum(p.n_true for p in parts),
            sum(p.n_pred for p in parts),
            np.empty((0, 2)) if error is None else error,
            stacked([p.error_pm for p in parts]),
            stacked([p.shift_px for p in parts]),
        )

    def row(self, name: str, seed: int, *, detection: bool = True) -> Row:
        """Compute the row."""
        n = len(self.error_px)
        rng = np.random.default_rng(seed)
        out: dict[str, Any] = _detection(self.n_true, self.n_pred, n, rng) if detection else {}
        if n:
            # Poisson weights: the bootstrap whose draws need no gathering.
            weights = rng.poisson(1.0, (RESAMPLES, n)).astype(np.float32) if n > 1 else None
            out |= _errors(self.error_px, "px", weights)
            if self.error_pm is not None:
                out |= _errors(self.error_pm, "pm", weights)
            if self.shift_px is not None:
                out |= _gain_and_skill(self.error_px, self.shift_px, weights)
        return Row(name=name, n_true=self.n_true, n_pred=self.n_pred, n_matched=n, **out)


def _estimate(values: Floats) -> Estimate | None:
    """Make an estimate of a statistic: its value first, its bootstrap samples after it."""
    value, samples = float(values[0]), values[1:]
    if not np.isfinite(value):
        return None
    samples = samples[np.isfinite(samples)]
    if not len(samples):
        return Estimate(value=value)
    low, high = np.percentile(samples, [2.5, 97.5])
    return Estimate(value=value, error=float(samples.std()), low=float(low), high=float(high))


def _detection(
    n_true: int, n_pred: int, n: int, rng: np.random.Generator
) -> dict[str, Estimate | None]:
    """Precision, recall and F1.

    The bootstrap draws atoms, true and predicted, with replacement: each draw is a match, a missed
    atom or a false one.
    """
    counts = np.array([n, n_true - n, n_pred - n])
    if not counts.sum():
        return {}
    draws = rng.multinomial(counts.sum(), counts / counts.sum(), RESAMPLES)
    hit, missed, false = np.concatenate([counts[None], draws]).astype(np.float64).T
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": _estimate(hit / (hit + false)),
            "recall": _estimate(hit / (hit + missed)),
            "f1": _estimate(2 * hit / (2 * hit + missed + false)),
        }


def _moments(columns: Sequence[Floats], weights: NDArray[np.float32] | None) -> Floats:
    """Return (len(columns), 1 + RESAMPLES) means of columns: plain first, then resampled."""
    values = np.column_stack(columns)
    means = values.mean(axis=0, keepdims=True)
    if weights is not None:
        total = weights.sum(axis=1, keepdims=True, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            drawn = (weights @ values) / np.where(total > 0, total, np.nan)
        means = np.concatenate([means, drawn])
    moments: Floats = means.T
    return moments


def _errors(
    error: Floats, unit: str, weights: NDArray[np.float32] | None
) -> dict[str, Estimate | None]:
    """Mean, standard deviation and root mean square of the radial error, and the bias."""
    squared = np.square(error).sum(axis=1)
    mean, power, x, y = _moments([np.sqrt(squared), squared, error[:, 0], error[:, 1]], weights)
    return {
        f"error_mean_{unit}": _estimate(mean),
        f"error_std_{unit}": _estimate(np.sqrt(np.maximum(power - mean**2, 0.0))),
        f"rmse_{unit}": _estimate(np.sqrt(power)),
        f"bias_x_{unit}": _estimate(x),
        f"bias_y_{unit}": _estimate(y),
    }


def _gain_and_skill(
    error: Floats, shift: Floats, weights: NDArray[np.float32] | None
) -> dict[str, Estimate | None]:
    """Gain and skill against the displacement from the undisplaced site.

    The gain is the least-squares slope of estimated (shift + error) on true displacement, through
    each axis's own mean: a constant offset of the frame is bias, not gain.
    """
    ex, ey, sx, sy = error[:, 0], error[:, 1], shift[:, 0], shift[:, 1]
    columns = [ex, ey, sx, sy, sx * ex + sy * ey, sx**2 + sy**2, ex**2 + ey**2]
    mex, mey, msx, msy, product, power, squared = _moments(columns, weights)
    covariance = product - msx * mex - msy * mey
    variance = power - msx**2 - msy**2
    tiny = 1e-12
    with np.errstate(invalid="ignore", divide="ignore"):
        gain = np.where(variance > tiny, 1.0 + covariance / variance, np.nan)
        skill = np.where(power > tiny, 1.0 - squared / power, np.nan)
    return {"gain": _estimate(gain), "skill": _estimate(skill)}


def region_mask_of(xy: Floats, region: Bools | Sequence[Region] | None) -> Bools:
    """Whether each position counts: inside a mask, or by the regions as for `learn_mask`.

    Parameters
    ----------
    xy : (N, 2) array
    region : (Y, X) bool array, sequence of Region, or None
        None counts every position; a sequence without a complete region counts all that is not
        ignored.
    """
    if region is None:
        return np.ones(len(xy), dtype=bool)
    if isinstance(region, np.ndarray):
        rows, cols = region.shape
        x, y = np.rint(xy).astype(int).T
        inside = (x >= 0) & (x < cols) & (y >= 0) & (y < rows)
        out = np.zeros(len(xy), dtype=bool)
        out[inside] = region[y[inside], x[inside]]
        return out
    out = np.full(len(xy), not any(r.kind == "complete" for r in region))
    for r in region:
        if r.kind in LEARNED:
            out |= r.contains(xy)
    for r in region:
        if r.kind in LEFT_OUT:
            out &= ~r.contains(xy)
    return out


def score(
    predicted: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    tolerance_px: float,
    calibration: Calibration | None = None,
    region: Bools | Sequence[Region] | None = None,
    undisplaced: pd.DataFrame | None = None,
    seed: int = 0,
) -> Score:
    """Score the predicted atoms of one frame.

    Atoms are matched over the whole frame, then counted inside the region: a true atom just
    inside, found just outside, is a match and no miss; a predicted atom inside whose true atom lies
    outside counts neither way. True columns whose flag begins with ``mixed`` (no species dominates)
    match any element.

    Parameters
    ----------
    predicted, truth : DataFrame
        Atom tables of the same frame.
    tolerance_px : float
        Largest distance of a match.
    calibration : Calibration, optional
        For the figures in pm.
    region : (Y, X) bool array or sequence of Region, optional
        Where to count.
    undisplaced : DataFrame, optional
        Undisplaced site of each row of `truth`, in the same order; gives gain, skill and the row
        ``no information``.
    seed : int
        Of the bootstrap.

    Raises
    ------
    UserError
        When the undisplaced sites are not as many as the true atoms, or the tolerance is not
        positive.
    """
    frame = FrameToScore(predicted, truth, region, undisplaced, calibration or Calibration())
    return score_frames([frame], tolerance_px=tolerance_px, seed=seed)


def score_frames(frames: Sequence[FrameToScore], *, tolerance_px: float, seed: int = 0) -> Score:
    """Score several frames together, each with its own calibration; see :func:`score`."""
    if not frames:
        raise UserError("There is no frame to score.")
    for frame in frames:
        if frame.undisplaced is not None and len(frame.undisplaced) != len(frame.truth):
            raise UserError(
                f"There are {len(frame.undisplaced)} undisplaced sites for {len(frame.truth)} "
                "true atoms: one is needed for each."
            )
    frames = [_with_open_elements(f, tolerance_px) for f in frames]
    names = sorted(
        {n for f in frames for table in (f.predicted, f.truth) for n in table["element"]}
    )
    matched = [_match_frame(f, names, tolerance_px) for f in frames]

    def row(label: str, chosen: str | None) -> Row:
        pairs = zip(frames, matched, strict=True)
        return _Matched.join([_counted(f, m, chosen) for f, m in pairs]).row(label, seed)

    anywhere = [match(positions(f.predicted), positions(f.truth), tolerance_px) for f in frames]
    location = _Matched.join([_counted(f, m, None) for f, m in zip(frames, anywhere, strict=True)])
    baseline = None
    if all(f.undisplaced is not None for f in frames):
        baseline = _Matched.join([_unmoved(f) for f in frames]).row(
            NO_INFORMATION, seed, detection=False
        )
    sizes = [f.calibration.mean_pm for f in frames]
    known = [s for s in sizes if s is not None]
    return Score(
        tolerance_px=tolerance_px,
        pixel_size_pm=float(np.mean(known)) if len(known) == len(sizes) else None,
        elements=[row(n, n) for n in names],
        overall=row(ALL, None),
        location_only=location.row(ANY_ELEMENT, seed),
        no_information=baseline,
    )


def match_atoms(frame: FrameToScore, tolerance_px: float) -> tuple[Ints, Ints]:
    """Match the atoms of a frame as :func:`score` does: elements agree, mixed columns are open.

    Returns
    -------
    rows_p, rows_t : (K,) int arrays
        Rows of `predicted` and of `truth` that belong together.
    """
    frame = _with_open_elements(frame, tolerance_px)
    names = sorted(set(frame.predicted["element"]) | set(frame.truth["element"]))
    return _match_frame(frame, names, tolerance_px)


def _with_open_elements(frame: FrameToScore, tolerance_px: float) -> FrameToScore:
    """Give true columns of mixed composition the element that was predicted for them.

    Their place is scored; which of the elements a column shared by two is called is not.
    """
    flags = frame.truth["flag"].to_numpy().astype(str)
    mixed = np.flatnonzero(np.char.startswith(flags, MIXED))
    if not len(mixed):
        return frame
    pure = np.flatnonzero(~np.char.startswith(flags, MIXED))
    p, t = positions(frame.predicted), positions(frame.truth)
    p_name, t_name = (table["element"].to_numpy() for table in (frame.predicted, frame.truth))
    # What belongs to a pure column of its own element is not free for a mixed one.
    free = np.ones(len(p), dtype=bool)
    for name in set(p_name):
        pi, ti = np.flatnonzero(p_name == name), pure[t_name[pure] == name]
        taken, _ = match(p[pi], t[ti], tolerance_px)
        free[pi[taken]] = False
    left = np.flatnonzero(free)
    a, b = match(p[left], t[mixed], tolerance_px)
    element = t_name.astype(object)
    element[mixed[b]] = p_name[left[a]]
    return replace(frame, truth=frame.truth.assign(element=element))


def _match_frame(
    frame: FrameToScore, names: Sequence[str], tolerance_px: float
) -> tuple[Ints, Ints]:
    """Match each element for itself over the whole frame; rows of `predicted` and `truth`."""
    p, t = positions(frame.predicted), positions(frame.truth)
    p_name, t_name = (table["element"].to_numpy() for table in (frame.predicted, frame.truth))
    rows_p, rows_t = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for name in names:
        pi, ti = np.flatnonzero(p_name == name), np.flatnonzero(t_name == name)
        a, b = match(p[pi], t[ti], tolerance_px)
        rows_p.append(pi[a])
        rows_t.append(ti[b])
    return np.concatenate(rows_p), np.concatenate(rows_t)


def _counted(frame: FrameToScore, matched: tuple[Ints, Ints], chosen: str | None) -> _Matched:
    """Keep what lies in the region and, when one is chosen, what is of that element."""
    p, t = positions(frame.predicted), positions(frame.truth)
    i, j = matched
    p_counts, t_counts = frame.counts(p), frame.counts(t)
    # The true atom decides whether a match counts.
    p_counts[i] = t_counts[j]
    if chosen is not None:
        p_counts &= frame.predicted["element"].to_numpy() == chosen
        t_counts &= frame.truth["element"].to_numpy() == chosen
    kept = p_counts[i] & t_counts[j]
    i, j = i[kept], j[kept]
    error = p[i] - t[j]
    sites = frame.undisplaced
    return _Matched(
        int(t_counts.sum()),
        int(p_counts.sum()),
        error,
        frame.calibration.to_pm(error) if frame.calibration.known else None,
        None if sites is None else (t - positions(sites))[j],
    )


def _unmoved(frame: FrameToScore) -> _Matched:
    """Take the undisplaced lattice as the answer, atom by atom."""
    assert frame.undisplaced is not None
    t = positions(frame.truth)
    shift = (t - positions(frame.undisplaced))[frame.counts(t)]
    error_pm = frame.calibration.to_pm(-shift) if frame.calibration.known else None
    return _Matched(len(shift), len(shift), -shift, error_pm, shift)
