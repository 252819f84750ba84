"""Labels carried from the mean of a series to its frames: which part is right, what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.spatial import cKDTree

from napari_apgan.atoms import by_frame, make_atoms, positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.io import open_source, read_atoms
from napari_apgan.label.carry_series import Carried, carry, is_background
from napari_apgan.label.register import RegisterSettings, Registration, register
from napari_apgan.label.series import Average, FramesOf, average
from napari_apgan.label.snapping import snap

from .drifting import Drifting, drifting
from .training import Machine, table, this_machine

Floats = NDArray[np.float64]

#: A carried label is right within this part of the distance to the next atom.
TOLERANCE = 0.25
HMM = "hmm_series/hmm_series"
#: Its table counts from the corner of the first pixel: peaks of the noise-free frames lie this much
#: (px, to 0.005) before the positions that it gives, along x and along y.
HMM_CORNER = 0.5
#: Electrons in the brightest pixel of the noisy copy of the simulated particle.
FEW_COUNTS = 30
#: Seed of the simulated series.
SEED = 40


class Line(BaseModel):
    """One series.

    Parameters
    ----------
    case : str
    frames : int
    labels : int
        Of the mean, times the frames.
    carried, right : int
        Labels carried over, and those of them with a true atom within the tolerance.
    gone : int
        Places of labels at which a frame has no atom.
    gone_carried : int
        Those of them that were carried over all the same.
    lost : int
        True atoms under a label that was left out though the frame shows them inside.
    taught : int
        Those of them that training would take for background: the others are ignored.
    error_px : float
        Root mean square distance of the right ones to the truth.
    drift_px : float
        Largest error of the registration; NaN where the truth has none.
    reasons : mapping
        Why labels were left out, and how many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    frames: int
    labels: int
    carried: int
    right: int
    gone: int
    gone_carried: int
    lost: int
    taught: int
    error_px: float
    drift_px: float
    reasons: dict[str, int]


class TransferResult(BaseModel):
    """What :func:`bench_transfer` measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: Machine
    lines: tuple[Line, ...]

    def report(self) -> str:
        """Return the table with what it needs to be read."""
        heads = [
            "series",
            "frames",
            "labels",
            "carried",
            "right",
            "gone, carried all the same",
            "there, left out",
            "of these background",
            "error, rms px",
            "drift off by, px",
            "left out because",
        ]
        rows = [
            [
                line.case,
                str(line.frames),
                str(line.labels),
                f"{line.carried} ({_percent(line.carried, line.labels)})",
                _percent(line.right, line.carried),
                f"{line.gone_carried} of {line.gone}",
                str(line.lost),
                str(line.taught),
                f"{line.error_px:.2f}",
                "–" if np.isnan(line.drift_px) else f"{line.drift_px:.2f}",
                ", ".join(f"{n} {why}" for why, n in line.reasons.items()) or "–",
            ]
            for line in self.lines
        ]
        return f"{table(heads, rows)}\n\n{self.machine}."


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"


@dataclass(frozen=True, slots=True)
class _Series:
    """A series whose truth is known.

    Parameters
    ----------
    places : list of (N, 2) array
        Where every atom is in each frame, in one order.
    there : (T, N) bool array
        Whether it is there.
    drift : (T, 2) array, optional
    """

    case: str
    frames: Sequence[Frame]
    places: list[Floats]
    there: NDArray[np.bool_]
    drift: Floats | None = None
    settings: RegisterSettings | None = None


def bench_transfer(
    data: Path | None, *, progress: Callable[[str], None] | None = None
) -> TransferResult:
    """Register each series, label its mean, carry the labels over, and compare with the truth.

    Parameters
    ----------
    data : Path, optional
        Folder of the real images, with `hmm_series`; simulated series alone when left out.
    progress : callable, optional
        Called with the name of each case.

    Raises
    ------
    UserError
        When a file cannot be read.
    """
    if data is not None and not data.is_dir():
        raise UserError(f"There is no folder {data} with the real images.")
    cases = [*([] if data is None else _particles(data)), *_simulated()]
    lines = []
    for make in cases:
        series = make()
        if progress is not None:
            progress(series.case)
        lines.append(_measure(series))
    return TransferResult(machine=this_machine(), lines=tuple(lines))


def _measure(series: _Series) -> Line:
    found = register(series.frames, series.settings)
    mean = average(series.frames, found)
    labels = _labels_of(mean, series, found)
    result = carry(series.frames, found, mean, labels)
    drift = float("nan")
    if series.drift is not None:
        off = found.shift_px - (series.drift - series.drift[found.reference])
        drift = float(np.hypot(*off[found.matched].T).max())
    return _counted(series, labels, result, drift)


def _labels_of(mean: Average, series: _Series, found: Registration) -> pd.DataFrame:
    """Label the mean by snapping, as a user does, near every atom's average place."""
    average_place = np.mean(
        [found.in_mean(place, t) for t, place in enumerate(series.places)], axis=0
    )
    rows, columns = mean.frame.shape
    inside = ((average_place > 3) & (average_place < (columns - 4, rows - 4))).all(axis=1)
    reach = 0.4 * _spacing(average_place)
    spots = [snap(mean.frame, x, y, radius_px=reach) for x, y in average_place[inside]]
    return make_atoms([(s.x, s.y) for s in spots], "Pt", sublattice=_names(inside))


def _spacing(places_px: Floats) -> float:
    """Return the usual distance to the nearest neighbour in px."""
    distance = np.asarray(cKDTree(places_px).query(places_px, k=2)[0])
    return float(np.median(distance[:, 1]))


def _names(inside: NDArray[np.bool_]) -> list[str]:
    """Let each label remember the number of its atom."""
    return [str(n) for n in np.flatnonzero(inside)]


def _counted(series: _Series, labels: pd.DataFrame, result: Carried, drift_px: float) -> Line:
    """Hold what was carried over against the truth."""
    atom_of = labels["sublattice"].astype(int).to_numpy()
    tolerance = TOLERANCE * _spacing(series.places[0])
    kept, lost = by_frame(result.transfer.atoms), by_frame(result.transfer.left_out)
    right = gone_carried = lost_there = taught = 0
    squares: list[float] = []
    for t, place in enumerate(series.places):
        rows, columns = series.frames[t].shape
        mine = kept.get(t, result.transfer.atoms[:0])
        number = mine["sublattice"].astype(int).to_numpy()
        far = np.hypot(*(positions(mine) - place[number]).T)
        good = series.there[t][number] & (far <= tolerance)
        right += int(good.sum())
        squares += (far[good] ** 2).tolist()
        gone_carried += int((~series.there[t][number]).sum())
        gone = lost.get(t, result.transfer.left_out[:0])
        out = atom_of[gone["row"].to_numpy(int)]
        shown = ((place[out] > -0.5) & (place[out] < (columns - 0.5, rows - 0.5))).all(axis=1)
        lost_there += int((series.there[t][out] & shown).sum())
        taught += int((series.there[t][out] & shown & is_background(gone)).sum())
    counts = result.transfer.counts()
    carried = counts.pop("")
    return Line(
        case=series.case,
        frames=len(series.frames),
        labels=len(labels) * len(series.frames),
        carried=carried,
        right=right,
        gone=int((~series.there[:, atom_of]).sum()),
        gone_carried=gone_carried,
        lost=lost_there,
        taught=taught,
        error_px=float(np.sqrt(np.mean(squares))) if squares else float("nan"),
        drift_px=drift_px,
        reasons=counts,
    )


def _particles(data: Path) -> list[Callable[[], _Series]]:
    """Return the particle whose columns stray, without noise and with few counts."""

    def make(few: bool) -> _Series:
        source = open_source(data / f"{HMM}.npz", dataset="b")
        truth = read_atoms(data / f"{HMM}.csv")
        frames = FramesOf(source)[:]
        if few:
            rng = np.random.default_rng(SEED)
            scale = FEW_COUNTS / max(float(f.data.max()) for f in frames)
            frames = [
                replace(f, data=rng.poisson(np.maximum(f.data * scale, 0)).astype(np.float32))
                for f in frames
            ]
        tables = by_frame(truth)
        places = [positions(tables[t]) - HMM_CORNER for t in range(len(frames))]
        # The tables are not in one order: each atom of a frame is the nearest of the first one's.
        ordered = [place[cKDTree(place).query(places[0])[1]] for place in places]
        words = f"at most {FEW_COUNTS} counts a pixel" if few else "without noise"
        there = np.ones((len(frames), len(places[0])), dtype=bool)
        return _Series(f"hmm_series: columns that stray, {words}", frames, ordered, there)

    return [lambda: make(False), lambda: make(True)]


def _simulated() -> list[Callable[[], _Series]]:
    """Return series that drift, with atoms that come and go."""

    def one(case: str, settings: RegisterSettings | None, made: Callable[[], Drifting]) -> _Series:
        series = made()
        return _Series(
            f"simulated: {case}",
            series.frames,
            list(series.places),
            series.there,
            series.drift,
            settings,
        )

    bent = RegisterSettings(nonrigid=True, control_px=32)

    def particle(snr: float, **more: float) -> Callable[[], Drifting]:
        return lambda: drifting(SEED, n_frames=16, snr=snr, **more)  # type: ignore[arg-type]

    def crystal(snr: float, bend: float = 0.0) -> Callable[[], Drifting]:
        return lambda: drifting(SEED, kind="crystal", n_frames=16, step=0.8, snr=snr, bend=bend)

    cases = [
        ("particle, SNR 2.35, 5 % gone", None, particle(2.35)),
        ("particle, SNR 1, 5 % gone", None, particle(1.0)),
        ("particle, SNR 0.3, 5 % gone", None, particle(0.3)),
        ("particle, SNR 0.1, 5 % gone", None, particle(0.1)),
        ("particle, SNR 1, 30 % gone", None, particle(1.0, vanishing=0.3)),
        ("particle, SNR 1, 30 % of the pixels missing", None, particle(1.0, missing=0.3)),
        ("particle, SNR 2.35, atoms stray by 0.7 px", None, particle(2.35, moving=0.7)),
        ("crystal, SNR 1, 5 % gone", None, crystal(snr=1.0)),
        ("crystal bent by 0.8 px, SNR 2.35, shifts alone", None, crystal(snr=2.35, bend=0.8)),
        ("crystal bent by 0.8 px, SNR 2.35, distortions", bent, crystal(snr=2.35, bend=0.8)),
    ]
    return [lambda c=case: one(*c) for case in cases]  # type: ignore[misc]
