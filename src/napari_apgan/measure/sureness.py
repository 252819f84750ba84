"""Hold the confidence and the error bars of predictions against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from napari_apgan.atoms import positions

from .calibration import ReliabilityCurve, coverage, reliability
from .score import FrameToScore, match_atoms

Floats = NDArray[np.float64]

#: Positions and their error bars: read from the map, and offered.
_BARS = {
    "map": (("x_map_px", "y_map_px"), ("sigma_map_x_pm", "sigma_map_y_pm")),
    "offered": (("x_px", "y_px"), ("sigma_x_pm", "sigma_y_pm")),
}


class Sureness(BaseModel):
    """How right a prediction is about itself.

    Parameters
    ----------
    confidence : ReliabilityCurve
        Of the atoms' confidence; of their probability where they have none.
    error_bars : mapping
        `map` and `offered`: how often the errors along x and y lie within their error bars, as
        :func:`napari_apgan.measure.calibration.coverage` returns it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: ReliabilityCurve
    error_bars: dict[str, dict[str, Any]]

    def table(self) -> str:
        """Return it as lines of text."""
        lines = ["confidence      atoms   real [95 %]"]
        for each in self.confidence.bins:
            if each.observed is not None:
                lines.append(
                    f"{each.predicted:.2f}        {each.n:9d}   {each.observed:.2f} "
                    f"[{each.observed_low:.2f}, {each.observed_high:.2f}]"
                )
        if self.confidence.ece is not None:
            lines.append(f"expected calibration error {self.confidence.ece:.3f}")
        for name, found in self.error_bars.items():
            if found["n"]:
                lines.append(
                    f"{name} positions: {100 * found['within_68']:.1f} % within one error "
                    f"bar (68.3 is right), {100 * found['within_95']:.1f} % within 1.96 "
                    f"(95.0 is right), {found['n']} errors"
                )
        return "\n".join(lines)


def judge(frames: Sequence[FrameToScore], *, tolerance_px: float) -> Sureness:
    """Judge confidence and error bars on frames whose truth is known.

    Atoms are matched as :func:`napari_apgan.measure.score` does. Fits that failed and atoms cut by
    the border, which carry a flag, do not count for the error bars.
    """
    confidence: list[Floats] = [np.empty(0)]
    real = [np.empty(0, dtype=bool)]
    errors: dict[str, list[Floats]] = {name: [np.empty((0, 2))] for name in _BARS}
    sigmas: dict[str, list[Floats]] = {name: [np.empty((0, 2))] for name in _BARS}
    for frame in frames:
        i, j = match_atoms(frame, tolerance_px)
        table = frame.predicted
        counts = frame.counts(positions(table))
        true = np.zeros(len(table), dtype=bool)
        true[i] = True
        sure = table["confidence"].to_numpy(np.float64)
        sure = np.where(np.isfinite(sure), sure, table["probability"].to_numpy(np.float64))
        confidence.append(sure[counts])
        real.append(true[counts])
        good = (counts & (table["flag"] == "").to_numpy())[i]
        truth = positions(frame.truth)[j[good]]
        if not frame.calibration.known:
            continue
        for name, (places, bars) in _BARS.items():
            at = table[list(places)].to_numpy(np.float64)[i[good]]
            errors[name].append(frame.calibration.to_pm(at - truth))
            sigmas[name].append(table[list(bars)].to_numpy(np.float64)[i[good]])
    return Sureness(
        confidence=reliability(np.concatenate(confidence), np.concatenate(real)),
        error_bars={
            name: dict(coverage(np.concatenate(errors[name]), np.concatenate(sigmas[name])))
            for name in _BARS
        },
    )
