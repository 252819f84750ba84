"""How fluid the window stays while a training runs: gaps between turns of its event loop.

A real window, the workbench docked, a 1024 px image labelled in one corner, a training in its own
process at low priority, the curve and the preview drawn twice a second. A precise 10 ms timer is
asked for; the time between two of its ticks is a gap.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

#: What the window is held to: 99 of 100 gaps are shorter (ms).
LIMIT_P99_MS = 50.0


class EventLoopResult(BaseModel):
    """What was measured.

    Parameters
    ----------
    seconds : float
        How long.
    ticks : int
        Ticks of the 10 ms timer.
    p50_ms, p99_ms, max_ms : float
        Percentiles and maximum of the time between two ticks.
    curve_hz, canvas_hz : float
        How often the curve and the canvas were painted.
    training_steps : int
        Steps that the training made meanwhile.
    image_px : int
        Side of the image.
    cores : int
        Of this computer.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float
    ticks: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    curve_hz: float
    canvas_hz: float
    training_steps: int
    image_px: int
    cores: int

    @property
    def fluid(self) -> bool:
        """Whether the window kept the limit."""
        return self.p99_ms < LIMIT_P99_MS

    def table(self) -> str:
        """Write the result as lines of text."""
        verdict = "kept" if self.fluid else "NOT kept"
        return "\n".join(
            [
                f"event loop while training, {self.seconds:.0f} s, {self.image_px}² image, "
                f"{self.cores} cores, {self.training_steps} training steps",
                f"  gap p50 {self.p50_ms:.1f} ms   p99 {self.p99_ms:.1f} ms   "
                f"maximum {self.max_ms:.1f} ms",
                f"  redraws: curve {self.curve_hz:.1f} Hz, canvas {self.canvas_hz:.1f} Hz",
                f"  limit p99 < {LIMIT_P99_MS:.0f} ms: {verdict}",
            ]
        )


def summarise(
    tick_times_s: Sequence[float],
    *,
    curve_paints: int,
    canvas_paints: int,
    training_steps: int,
    image_px: int,
    cores: int,
) -> EventLoopResult:
    """Turn the times of the ticks into a result.

    Parameters
    ----------
    tick_times_s : sequence of float
        At least two, rising.
    curve_paints, canvas_paints, training_steps : int
        How many there were between the first and the last tick.
    image_px, cores : int
    """
    times = np.asarray(tick_times_s, dtype=np.float64)
    gaps = np.diff(times) * 1e3
    seconds = float(times[-1] - times[0])
    return EventLoopResult(
        seconds=seconds,
        ticks=len(times),
        p50_ms=float(np.percentile(gaps, 50)),
        p99_ms=float(np.percentile(gaps, 99)),
        max_ms=float(gaps.max()),
        curve_hz=curve_paints / seconds,
        canvas_hz=canvas_paints / seconds,
        training_steps=training_steps,
        image_px=image_px,
        cores=cores,
    )


def measure(
    seconds: float = 25.0,
    *,
    image_px: int = 1024,
    folder: str | Path | None = None,
    redraw_canvas: bool = False,
) -> EventLoopResult:
    """Open a window, train beside it, and measure.

    Parameters
    ----------
    seconds : float
        How long to measure, once the training makes steps.
    image_px : int
        Side of the image.
    folder : path, optional
        Where the project is made; a temporary one by default.
    redraw_canvas : bool
        Also make the canvas draw the whole image twice a second, which measures the graphics
        (with software GL: the processor) more than the training.

    Raises
    ------
    UserError
        When no window can be opened, or the training does not start.
    """
    from napari_apgan.ui.train_eventloop import run  # the only way to a window is through `ui`

    if folder is not None:
        return run(seconds, image_px, Path(folder), redraw_canvas)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        return run(seconds, image_px, Path(temporary), redraw_canvas)
