"""Positions refined on frames whose truth is known, against the bound and against atomap."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.errors import UserError
from napari_apgan.measure import Kernel, Shape, refine, usual_kernel

from .fits_frames import (
    CASES,
    MARGIN_WIDTHS,
    PIXEL_PM,
    SEED,
    SIDE_PX,
    START_PX,
    WIDTH_PX,
    FitCase,
    Scanned,
    bound_px,
    scan,
)
from .training import Machine, say, table, this_machine

Floats = NDArray[np.float64]

#: Asked of every case.
MOST_RATIO, GAIN_OFF, MOST_BIAS, COVERED, COVERED_OFF = 1.10, 0.01, 0.1, 0.68, 0.04


class Line(BaseModel):
    """One case and one way to fit.

    Parameters
    ----------
    case, method : str
    atoms, failed : int
        Judged, and among them those whose fit failed.
    error_pm, bound_pm : float
        Root mean square along an axis.
    ratio : float
        Error over bound.
    gain, gain_error : float
        Slope of found on true displacement, and its standard error among frames.
    bias : float
        Largest mean error of an element along an axis, over the error.
    within : float or None
        Share of errors smaller than the error bar.
    ms_an_atom : float
        Processor time of the fit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    method: str
    atoms: int
    failed: int
    error_pm: float
    bound_pm: float
    ratio: float
    gain: float
    gain_error: float
    bias: float
    within: float | None
    ms_an_atom: float

    @property
    def missed(self) -> list[str]:
        """What was asked and is not reached."""
        asks = {
            "ratio": self.ratio <= MOST_RATIO,
            "gain": abs(self.gain - 1) <= GAIN_OFF,
            "bias": self.bias < MOST_BIAS,
            "within": self.within is not None and abs(self.within - COVERED) <= COVERED_OFF,
        }
        return [name for name, reached in asks.items() if not reached]


class FitsResult(BaseModel):
    """What :func:`bench_fits` measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    frames: int
    lines: tuple[Line, ...]

    def of(self, case: str, method: str) -> Line | None:
        """Return a line."""
        return next((x for x in self.lines if (x.case, x.method) == (case, method)), None)

    def report(self) -> str:
        """Return the table with what it needs to be read."""
        theirs = any(line.method == ATOMAP for line in self.lines)
        heads = [
            *("case", "fit", "atoms", "failed", "error (pm)", "bound (pm)", "ratio", "gain"),
            *("bias / error", "within 1 error bar", "ms an atom", "asked"),
            *(["beside atomap"] if theirs else []),
        ]
        rows = [
            [
                line.case,
                line.method,
                str(line.atoms),
                str(line.failed),
                f"{line.error_pm:.3f}",
                f"{line.bound_pm:.3f}",
                f"{line.ratio:.3f}",
                f"{line.gain:.3f} ± {line.gain_error:.3f}",
                f"{line.bias:.3f}",
                "" if line.within is None else f"{100 * line.within:.1f} %",
                f"{line.ms_an_atom:.2f}",
                "" if line.method not in (OURS, PRIOR) else _asked(line),
                *([self._beside(line)] if theirs else []),
            ]
            for line in self.lines
        ]
        return f"{table(heads, rows)}\n\n{self.frames} frames of each case. {self.machine}."

    def _beside(self, line: Line) -> str:
        """Say how a fit compares with atomap's of the same case."""
        theirs = self.of(line.case, ATOMAP)
        if theirs is None or line is theirs:
            return ""
        times = theirs.ms_an_atom / line.ms_an_atom
        precise = "less" if line.error_pm > theirs.error_pm else "more"
        return f"{times:.0f} times faster, {precise} precise"


def _asked(line: Line) -> str:
    missed = line.missed
    return f"not reached: {', '.join(missed)}" if missed else "reached"


OURS, PRIOR, LOCAL, ATOMAP = "refine", "refine, usual kernel", "refine, Gaussians", "atomap"
#: Frames that the usual kernel is learned from; they are judged by no one.
LESSONS = 4


def bench_fits(
    *,
    frames: int = 16,
    side: int = SIDE_PX,
    usual: bool = True,
    atomap: bool = False,
    cases: Sequence[str] = (),
) -> FitsResult:
    """Refine positions on frames whose truth is known.

    Parameters
    ----------
    frames : int
        Of each case.
    side : int
        Of a frame, px.
    usual : bool
        Whether to refine also with a kernel that four other frames taught, as a trained model has.
    atomap : bool
        Whether atomap refines the first frame of each case from the same starts.
    cases : sequence of str
        Names of some cases; all by default.

    Raises
    ------
    UserError
        When there is no such case, or atomap is asked for and not installed.
    """
    known = {case.name: case for case in CASES}
    unknown = [name for name in cases if name not in known]
    if unknown:
        raise UserError(f"There is no case {unknown[0]!r}: choose of {', '.join(known)}.")
    lines = []
    for case in [known[name] for name in cases] or list(CASES):
        say(f"{case.name}: {case.words}")
        made = [scan(case, SEED + n, side) for n in range(frames)]
        starts = [_start(one, SEED + n) for n, one in enumerate(made)]
        bounds = [bound_px(case, one) for one in made]
        fitted, seconds = _timed(refine_all, made, starts)
        lines.append(_judge(case, OURS, made, bounds, fitted, seconds))
        if usual:
            lessons = [scan(case, SEED + 500 + n, side) for n in range(LESSONS)]
            taught = usual_kernel((one.frame, one.atoms) for one in lessons)
            with_prior = partial(refine_all, prior=taught)
            fitted, seconds = _timed(with_prior, made, starts)
            lines.append(_judge(case, PRIOR, made, bounds, fitted, seconds))
        fitted, seconds = _timed(partial(refine_all, shape="gaussian"), made, starts)
        lines.append(_judge(case, LOCAL, made, bounds, fitted, seconds))
        if atomap:
            theirs, seconds = _timed(_atomap_all, made[:1], starts[:1])
            lines.append(_judge(case, ATOMAP, made[:1], bounds[:1], theirs, seconds))
    return FitsResult(machine=this_machine(), frames=frames, lines=tuple(lines))


def _start(made: Scanned, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed + 1_000_000)
    return make_atoms(
        positions(made.atoms) + rng.normal(0, START_PX, (len(made.atoms), 2)),
        made.atoms["element"].tolist(),
    )


Work = Callable[[Sequence[Scanned], Sequence[pd.DataFrame]], list[pd.DataFrame]]


def _timed(
    work: Work, made: Sequence[Scanned], starts: Sequence[pd.DataFrame]
) -> tuple[list[pd.DataFrame], float]:
    """Return what came of it, and the processor's seconds: others may share the machine."""
    began = time.process_time()
    found = work(made, starts)
    return found, time.process_time() - began


def refine_all(
    made: Sequence[Scanned],
    starts: Sequence[pd.DataFrame],
    prior: Kernel | None = None,
    shape: Shape = "profile",
) -> list[pd.DataFrame]:
    """Refine as the program does, from a single frame or with what models have learned."""
    both = zip(made, starts, strict=True)
    return [refine(one.frame, start, prior=prior, shape=shape) for one, start in both]


def _atomap_all(made: Sequence[Scanned], starts: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Refine as atomap does: each element is a sublattice of its own, the strong one first."""
    from .precision.methods.atomap import atomap_refined

    out = []
    for one, start in zip(made, starts, strict=True):
        parts = [
            atomap_refined(start[start["element"] == name], one.frame, "bright")
            for name in sorted(start["element"].unique())
        ]
        table_of = pd.concat(parts).sort_values("id")
        out.append(table_of.assign(sigma_x_pm=np.nan, sigma_y_pm=np.nan, flag=""))
    return out


def _gain_error(parts: Floats, frame: NDArray[np.intp]) -> float:
    """Return the standard error of the sum of (N, 2) parts.

    The atoms of a frame share the error of its kernel: frames are independent, their atoms need
    not be. Of a few frames alone the atoms say more.
    """
    by_frame = np.bincount(frame, parts.sum(axis=1))
    return float(np.sqrt(max((by_frame**2).sum(), (parts**2).sum())))


def _judge(
    case: FitCase,
    method: str,
    made: Sequence[Scanned],
    bounds: Sequence[Floats],
    fitted: Sequence[pd.DataFrame],
    seconds: float,
) -> Line:
    """Compare with the truth."""
    error, bound, sigma, moved, kind, failed, n = [], [], [], [], [], 0, 0
    number: list[NDArray[np.intp]] = []
    for one, limit, found in zip(made, bounds, fitted, strict=True):
        truth = positions(one.atoms)
        margin, side = MARGIN_WIDTHS * WIDTH_PX, one.frame.shape[0]
        judged = ((truth > margin) & (truth < side - 1 - margin)).all(axis=1)
        good = judged & (found["flag"].to_numpy() == "")
        failed += int((judged & ~good).sum())
        n += int(judged.sum())
        error.append((positions(found) - truth)[good])
        bound.append(limit[good])
        sigma.append(found[["sigma_x_pm", "sigma_y_pm"]].to_numpy()[good] / PIXEL_PM)
        moved.append((truth - one.sites)[good])
        kind.append(one.atoms["element"].to_numpy()[good])
        number.append(np.full(int(good.sum()), len(number)))
    off, best, bar, true, element = (np.concatenate(v) for v in (error, bound, sigma, moved, kind))
    rms, least = np.sqrt((off**2).mean()), np.sqrt((best**2).mean())
    # Displacements are drawn alike for all: strong columns are found better, and count as much.
    gain = float((true * (true + off)).sum() / (true**2).sum())
    gain_error = _gain_error((off - (gain - 1) * true) * true, np.concatenate(number))
    gain_error /= float((true**2).sum())
    bias = max(
        float(np.abs(own.mean(axis=0)).max() / np.sqrt((own**2).mean()))
        for own in (off[element == e] for e in np.unique(element))
    )
    known = np.isfinite(bar).all()
    return Line(
        case=case.name,
        method=method,
        atoms=n,
        failed=failed,
        error_pm=float(PIXEL_PM * rms),
        bound_pm=float(PIXEL_PM * least),
        ratio=float(rms / least),
        gain=gain,
        gain_error=gain_error,
        bias=bias,
        within=float((np.abs(off) < bar).mean()) if known else None,
        ms_an_atom=1e3 * seconds / sum(len(f) for f in fitted),
    )
