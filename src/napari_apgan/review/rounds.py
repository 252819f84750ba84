"""What a round of corrections changed, and whether another one is worth it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.measure import match

from .lattice import nearest_distance

#: Criterion of stability, see :meth:`RoundChange.stable`.
STABLE_CHANGED = 0.02
STABLE_MOVED_PX = 0.15
STABLE_MOVED_SIGMA = 0.5
FEWEST_ATOMS = 50

STABLE_SENTENCE = "Positions are stable. You can stop."


class RoundChange(BaseModel):
    """How the predictions of two models on the same frames differ.

    Parameters
    ----------
    n_before, n_after, n_matched : int
        Atoms of the earlier and later prediction, and those found in both, whatever their element.
    n_appeared, n_vanished : int
        Atoms in only one of them.
    n_relabelled : int
        Matched atoms whose element changed.
    moved_px, moved_p95_px : float, optional
        Median and 95th percentile of the distance that matched atoms moved.
    moved_pm, moved_p95_pm : float, optional
        The same in pm, when the pixel size is known.
    sigma_pm : float, optional
        Median standard error (radial) of the later positions, when there is one.
    agreement : float, optional
        F1 of the later prediction against the user's labels, when some were given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_before: int = Field(ge=0)
    n_after: int = Field(ge=0)
    n_matched: int = Field(ge=0)
    n_appeared: int = Field(ge=0)
    n_vanished: int = Field(ge=0)
    n_relabelled: int = Field(ge=0)
    moved_px: float | None = None
    moved_p95_px: float | None = None
    moved_pm: float | None = None
    moved_p95_pm: float | None = None
    sigma_pm: float | None = None
    agreement: float | None = None

    @property
    def changed_share(self) -> float:
        """Share of the atoms that appeared, vanished or changed their element."""
        changed = self.n_appeared + self.n_vanished + self.n_relabelled
        total = self.n_matched + self.n_appeared + self.n_vanished
        return changed / total if total else 0.0

    @property
    def stable(self) -> bool:
        """Whether another round can hardly change anything.

        At least 50 atoms in both predictions; at most 2 % of the atoms appeared, vanished or
        changed their element; and the median movement is below 0.15 px or below half the median
        standard error of a position: less than what the image itself leaves open.
        """
        if self.n_matched < FEWEST_ATOMS or self.moved_px is None:
            return False
        if self.changed_share > STABLE_CHANGED:
            return False
        within_error = (
            self.moved_pm is not None
            and self.sigma_pm is not None
            and self.moved_pm < STABLE_MOVED_SIGMA * self.sigma_pm
        )
        return self.moved_px < STABLE_MOVED_PX or within_error

    @property
    def sentence(self) -> str:
        """What to tell the user."""
        if self.stable:
            return STABLE_SENTENCE
        if self.n_matched < FEWEST_ATOMS:
            return (
                f"Only {self.n_matched} atoms are in both rounds: too few to tell whether the "
                "positions are stable."
            )
        moved = (
            f"{self.moved_pm:.1f} pm" if self.moved_pm is not None else f"{self.moved_px:.2f} px"
        )
        return (
            f"Positions moved by {moved}; {self.changed_share:.1%} of the atoms appeared, vanished "
            "or changed their element: another round helps."
        )


def compare_rounds(
    previous: pd.DataFrame | Sequence[pd.DataFrame],
    new: pd.DataFrame | Sequence[pd.DataFrame],
    *,
    calibration: Calibration | Sequence[Calibration] | None = None,
    tolerance_px: float | None = None,
    agreement: float | None = None,
) -> RoundChange:
    """Compare the predictions of two rounds on the same frames.

    Parameters
    ----------
    previous, new : DataFrame or sequence of DataFrame
        Atom tables, one a frame, in the same order.
    calibration : Calibration or sequence, optional
        Of the frames.
    tolerance_px : float, optional
        Atoms farther apart are not the same; by default 0.4 of the frame's median distance
        between neighbours.
    agreement : float, optional
        Kept in the result.

    Raises
    ------
    UserError
        When the numbers of frames differ.
    """
    before = [previous] if isinstance(previous, pd.DataFrame) else list(previous)
    after = [new] if isinstance(new, pd.DataFrame) else list(new)
    if calibration is None or isinstance(calibration, Calibration):
        scales = [calibration or Calibration()] * len(after)
    else:
        scales = list(calibration)
    if not len(before) == len(after) == len(scales):
        raise UserError("Two rounds can only be compared on the same frames.")
    moved_px: list[float] = []
    moved_pm: list[float] = []
    sigma_pm: list[float] = []
    n_relabelled = n_matched = 0
    for old, young, scale in zip(before, after, scales, strict=True):
        a, b = positions(old), positions(young)
        i, j = match(a, b, tolerance_px or _tolerance_px(a, b))
        n_matched += len(i)
        steps = b[j] - a[i]
        moved_px += np.hypot(*steps.T).tolist()
        if scale.known:
            moved_pm += np.hypot(*scale.to_pm(steps).T).tolist()
        changed = old["element"].to_numpy(object)[i] != young["element"].to_numpy(object)[j]
        n_relabelled += int(np.sum(changed))
        sigma = np.hypot(young["sigma_x_pm"].to_numpy(float), young["sigma_y_pm"].to_numpy(float))
        sigma_pm += sigma[np.isfinite(sigma)].tolist()
    n_before, n_after = sum(map(len, before)), sum(map(len, after))
    return RoundChange(
        n_before=n_before,
        n_after=n_after,
        n_matched=n_matched,
        n_appeared=n_after - n_matched,
        n_vanished=n_before - n_matched,
        n_relabelled=n_relabelled,
        moved_px=_quantile(moved_px, 0.5),
        moved_p95_px=_quantile(moved_px, 0.95),
        moved_pm=_quantile(moved_pm, 0.5),
        moved_p95_pm=_quantile(moved_pm, 0.95),
        sigma_pm=_quantile(sigma_pm, 0.5),
        agreement=agreement,
    )


def _tolerance_px(*tables: np.ndarray) -> float:
    """Return 0.4 of the smaller median spacing; 1 px where there is none."""
    medians = []
    for xy in tables:
        nearest = nearest_distance(xy)
        nearest = nearest[np.isfinite(nearest)]
        if len(nearest):
            medians.append(float(np.median(nearest)))
    return max(0.4 * min(medians), 0.5) if medians else 1.0


def _quantile(values: Sequence[float], q: float) -> float | None:
    return float(np.quantile(values, q)) if len(values) else None
