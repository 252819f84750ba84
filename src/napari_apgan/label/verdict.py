"""Which labels of a series' mean each frame keeps, judged by what all its frames show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.atoms import concat, empty_atoms, positions, with_calibration
from napari_apgan.frames import Calibration

from .evidence import Seen
from .register import Registration

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: An atom stands on measured pixels when this part of its peak does.
LEAST_MEASURED = 0.25
#: Rounds of deciding which atoms are there and how high they are when they are.
ROUNDS = 4
#: Relative standard error of a height from which one frame cannot tell of an atom.
MOST_DOUBT = 0.35
DOUBTFUL = "too noisy to tell whether it is there"
OUTSIDE = "outside the frame"
NOT_MEASURED = "not measured in this frame"
VANISHED = "vanished: the frame shows no peak there"
UNPLACED = "the frame could not be placed"


class TransferSettings(BaseModel):
    """How labels are carried over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vanishing: float = Field(
        0.05,
        gt=0,
        lt=0.9,
        title="Expected to be gone",
        description="Which part of the atoms is expected to be absent from a frame.",
    )
    farthest: float = Field(
        0.25,
        gt=0,
        le=0.5,
        title="Farthest move",
        description="Atoms further from their place than this part of the distance to the next "
        "atom are left out.",
    )
    keep_doubtful: bool = Field(
        True,
        title="Keep the doubtful",
        description="Whether atoms that one noisy frame cannot tell of are kept where the mean has "
        "them.",
    )


@dataclass(frozen=True, slots=True)
class Transfer:
    """What became of the labels.

    Parameters
    ----------
    atoms : DataFrame
        Atom table of all frames, `origin` "detected"; `amplitude` is the height over that usual
        for the atom, `flag` is set where the frame was too noisy to tell.
    left_out : DataFrame
        Columns `frame`, `row` (of the mean's table), `element`, `x_px`, `y_px` (where the atom was
        looked for, or was found when it moved), `height` (what the frame shows there, over what is
        usual for the atom), `reason`.
    snapped : bool
        Whether positions are each frame's own: only where atoms scatter more about the mean than
        noise makes them.
    moving_px : float
        Standard deviation of the atoms about their places along one axis, noise taken away.
    """

    atoms: pd.DataFrame
    left_out: pd.DataFrame
    snapped: bool
    moving_px: float

    def counts(self) -> dict[str, int]:
        """Return how many labels were carried over (""), and left out for each reason."""
        kinds = self.left_out["reason"].str.split(":").str[0]
        return {"": len(self.atoms), **{str(k): int(n) for k, n in kinds.value_counts().items()}}


@dataclass(frozen=True, slots=True)
class InFrame:
    """What is kept of one frame: its number, its scale, its atoms, and peaks beside them.

    `beside` maps an atom's row to x, y and height of the highest peak near it that no atom
    explains; `seen` is None where the frame could not be placed.
    """

    number: int
    calibration: Calibration
    seen: Seen | None
    beside: dict[int, tuple[float, float, float]]


def judge(
    registration: Registration,
    atoms: pd.DataFrame,
    frames: list[InFrame],
    heights: Floats,
    limit: Floats,
    width: float,
    sign: float,
    settings: TransferSettings,
) -> Transfer:
    """Decide of every atom in every frame.

    Parameters
    ----------
    registration : Registration
    atoms : DataFrame
        Labels of the mean.
    frames : list of InFrame
        What each frame of the registration shows of them.
    heights : (N,) array
        Of the atoms in the mean, positive.
    limit : (N,) array
        How far each may have moved, in px.
    width : float
        Of a peak, in px.
    sign : float
        -1 where atoms are dark.
    settings : TransferSettings

    Returns
    -------
    Transfer
    """
    placed = [one.seen for one in frames if one.seen is not None]
    usual, odds = _usual_heights(placed, heights, sign, settings.vanishing)
    moving, noise = _scatter(placed, usual, sign, width)
    snapped = bool(moving > noise)
    distinct = len({one.number for one in frames}) == len(frames)
    kept: list[pd.DataFrame] = []
    lost: list[pd.DataFrame] = []
    for t, one in enumerate(frames):
        number = one.number if distinct else t
        labelled = registration.moved(positions(atoms), t)
        if one.seen is None:
            unplaced = np.full(len(atoms), UNPLACED, dtype=object)
            lost.append(_left_out(atoms, labelled, unplaced, number, np.full(len(atoms), np.nan)))
            continue
        reasons, at, doubtful = _reasons(
            one, registration.shape, usual, odds, limit, sign, settings
        )
        good = reasons == ""
        place = at if snapped else np.where(good[:, None], labelled, at)
        place = np.where(doubtful[:, None], labelled, place)
        height = sign * one.seen.amplitude / usual
        table = atoms[good].assign(
            frame=number,
            x_px=place[good, 0],
            y_px=place[good, 1],
            amplitude=height[good],
            origin="detected",
            flag=np.where(doubtful[good], DOUBTFUL, ""),
        )
        kept.append(with_calibration(table, one.calibration))
        lost.append(_left_out(atoms, place, reasons, number, height))
    table = concat(kept) if kept else empty_atoms()
    table["id"] = np.arange(len(table))
    return Transfer(table, pd.concat(lost, ignore_index=True), snapped, moving)


def _reasons(
    frame: InFrame,
    shape: tuple[int, int],
    usual: Floats,
    odds: float,
    limit: Floats,
    sign: float,
    settings: TransferSettings,
) -> tuple[NDArray[np.object_], Floats, Bools]:
    """Return for each atom why it is left out ("" when it is not), its place, and who is doubtful.

    A height r in units of the usual one, with error s, speaks for an atom when
    ``(r - 1)² / 2 s² < r² / 2 s² + odds``, that is ``r > 1/2 - odds s²``.
    """
    one = frame.seen
    assert one is not None
    expected = one.xy_px - one.moved_px
    ratio = sign * one.amplitude / usual
    error = one.amplitude_error / usual
    there = ratio > 0.5 - odds * error**2
    doubtful = ~(error < MOST_DOUBT)
    reasons = np.full(len(ratio), "", dtype=object)
    at = one.xy_px.copy()
    far = np.hypot(*one.moved_px.T)
    for i in np.flatnonzero(~there & ~doubtful).tolist():
        x, y, height = frame.beside.get(i, (*expected[i].tolist(), 0.0))
        at[i] = x, y
        peak = height > max(0.6 * usual[i], 5 * one.amplitude_error[i])
        away = float(np.hypot(*(at[i] - expected[i])))
        reasons[i] = f"moved: a peak is {away:.1f} px away" if peak else VANISHED
        if not peak:
            at[i] = expected[i]
    for i in np.flatnonzero(there & ~doubtful & (far > limit)).tolist():
        reasons[i] = f"moved: a peak is {far[i]:.1f} px away"
    if not settings.keep_doubtful:
        reasons[doubtful] = DOUBTFUL
    reasons[one.measured < LEAST_MEASURED] = NOT_MEASURED
    x_px, y_px = expected.T
    off = (x_px < -0.5) | (y_px < -0.5) | (x_px > shape[1] - 0.5) | (y_px > shape[0] - 0.5)
    reasons[off] = OUTSIDE
    return reasons, at, doubtful


def _usual_heights(
    seen: list[Seen], heights: Floats, sign: float, vanishing: float
) -> tuple[Floats, float]:
    """Return each atom's height where it is there, and the log odds that it is."""
    odds = float(np.log((1 - vanishing) / vanishing))
    if not seen:
        return heights, odds
    height = sign * np.stack([one.amplitude for one in seen])
    error = np.stack([one.amplitude_error for one in seen])
    weight = np.where(
        np.stack([one.measured for one in seen]) >= LEAST_MEASURED,
        1 / np.maximum(error, 1e-12) ** 2,
        0.0,
    )
    usual = heights.copy()
    for _ in range(ROUNDS):
        relative = error / usual
        there = height / usual > 0.5 - odds * relative**2
        share = np.where(there, weight, 0.0)
        total = share.sum(axis=0)
        found = (share * height).sum(axis=0) / np.maximum(total, 1e-30)
        usual = np.where(total > 0, np.maximum(found, 0.5 * heights), usual)
    return usual, odds


def _scatter(seen: list[Seen], usual: Floats, sign: float, width: float) -> tuple[float, float]:
    """Return how far atoms stray along one axis, noise taken away, and the noise itself."""
    if not seen:
        return 0.0, 0.0
    clear = np.concatenate(
        [(sign * one.amplitude > 0.5 * usual) & (one.measured > 0.9) for one in seen]
    )
    if clear.sum() < 8:
        return 0.0, width
    moved = np.concatenate([one.moved_px for one in seen])[clear]
    noise = np.concatenate([one.position_error_px for one in seen])[clear]
    square = (1.4826 * float(np.median(np.abs(moved)))) ** 2
    noise_square = float(np.median(noise**2))
    return float(np.sqrt(max(square - noise_square, 0.0))), float(np.sqrt(noise_square))


def _left_out(
    atoms: pd.DataFrame, place: Floats, reasons: NDArray[np.object_], frame: int, height: Floats
) -> pd.DataFrame:
    gone = reasons != ""
    return pd.DataFrame(
        {
            "frame": frame,
            "row": np.flatnonzero(gone),
            "element": atoms["element"].to_numpy()[gone],
            "x_px": place[gone, 0],
            "y_px": place[gone, 1],
            "height": height[gone],
            "reason": reasons[gone],
        }
    )
