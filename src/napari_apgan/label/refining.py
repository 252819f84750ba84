"""Labels refined on the raw frame: which could be fitted, and which not and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_apgan.elements import Polarity
from napari_apgan.frames import Frame
from napari_apgan.measure import Shape, refine

#: What a fit's flag begins with, and what each says in a count.
FAILED = "fit: "
REASONS: dict[str, str] = {
    "fit: cut by the border": "too close to the edge",
    "fit: too few pixels were measured there": "with too few measured pixels",
    "fit: no peak there on the raw image": "without a peak there",
    "fit: moved too far from the map's position": "moved too far",
    "fit: the peak has no width of an atom": "of no atom's width",
    "fit: the peak is too long for an atom": "too long for an atom",
    "fit: no solution": "without a solution",
}
#: Columns that a fit changes.
CHANGED = (
    "x_px",
    "y_px",
    "sigma_x_pm",
    "sigma_y_pm",
    "amplitude",
    "intensity",
    "intensity_error",
    "background",
    "width_px",
    "flag",
)


@dataclass(frozen=True, eq=False)
class Refined:
    """Fitted labels.

    Parameters
    ----------
    table : DataFrame
        The labels asked for, in their order, with new values in :data:`CHANGED`. Those that could
        not be fitted stay where they were, and say why in `flag`.
    failed : dict of str to int
        How many failed, by the words of :data:`REASONS`.
    moved_px : float
        Root mean square distance that the fitted ones moved; NaN where none was fitted.
    """

    table: pd.DataFrame
    failed: dict[str, int]
    moved_px: float

    @property
    def sentence(self) -> str:
        """What came of it."""
        n, bad = len(self.table), sum(self.failed.values())
        said = f"{n - bad:,} of {n:,} atoms fitted"
        if n > bad:
            said += f", moved by {self.moved_px:.2f} px (rms)"
        if not bad:
            return f"{said}."
        reasons = ", ".join(f"{count:,} {why}" for why, count in self.failed.items())
        return f"{said}. {bad:,} of {n:,} could not be fitted: {reasons}."


def refine_labels(
    frame: Frame,
    labels: pd.DataFrame,
    *,
    ids: Collection[int] | None = None,
    polarity: Polarity | Mapping[str, Polarity] = "bright",
    shape: Shape = "profile",
) -> Refined:
    """Refine labels on the raw frame, all together, since neighbours pull at each other.

    Parameters
    ----------
    frame : Frame
    labels : DataFrame
        All labels of the frame.
    ids : collection of int, optional
        Which of them are wanted; all by default. The others help, and are left as they are.
    polarity : {"bright", "dark"} or mapping
        For all atoms, or by element.
    shape : {"profile", "gaussian", "ellipse"}
        As :func:`napari_apgan.measure.refine` takes it.
    """
    start = labels.reset_index(drop=True).copy()
    # A label stands where it was put, not where a map once had it.
    start[["x_map_px", "y_map_px"]] = np.nan
    said = start["flag"].to_numpy(dtype=object)
    start["flag"] = ["" if f.startswith(FAILED) else f for f in said]
    fitted = refine(frame, start, polarity=polarity, shape=shape)
    wanted = np.ones(len(start), bool) if ids is None else start["id"].isin(set(ids)).to_numpy()
    table, before = fitted[wanted].reset_index(drop=True), start[wanted]
    flags = table["flag"].to_numpy(dtype=object)
    bad = np.array([f.startswith(FAILED) for f in flags], dtype=bool)
    counts = Counter(REASONS.get(f, f.removeprefix(FAILED)) for f in flags[bad])
    step = table[["x_px", "y_px"]].to_numpy() - before[["x_px", "y_px"]].to_numpy()
    moved = float(np.sqrt((step[~bad] ** 2).sum(axis=1).mean())) if (~bad).any() else np.nan
    return Refined(table, dict(counts.most_common()), moved)
