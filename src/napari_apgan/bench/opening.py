"""How long the workbench takes to open once napari is up, in fresh processes.

What napari itself needs is measured beside it, since both grow on a slow or busy computer.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_apgan.errors import UserError

#: What opening is held to on a quiet computer (s).
LIMIT_S = 1.0
#: One process takes no longer than this (s).
_PATIENCE_S = 120.0


class Opening(BaseModel):
    """What one process measured.

    Parameters
    ----------
    napari_s, napari_cpu_s : float
        From the start of importing napari to its first window; on the clock, and of the processor.
    workbench_s, workbench_cpu_s : float
        From there to the workbench being drawn.
    """

    model_config = ConfigDict(frozen=True)

    napari_s: float
    napari_cpu_s: float
    workbench_s: float
    workbench_cpu_s: float


class OpeningResult(BaseModel):
    """What was measured, process by process.

    Parameters
    ----------
    runs : tuple of Opening
    """

    model_config = ConfigDict(frozen=True)

    runs: tuple[Opening, ...]

    def median(self, name: str) -> float:
        """Return the median over the processes of a field of :class:`Opening`, in seconds."""
        return float(statistics.median(getattr(run, name) for run in self.runs))

    @property
    def quick(self) -> bool:
        """Whether the workbench kept the limit."""
        return self.median("workbench_s") < LIMIT_S

    def table(self) -> str:
        """Write the result as lines of text."""
        lines = [
            f"opening, median of {len(self.runs)} fresh processes (processor time in brackets)"
        ]
        for name, title in (("napari", "napari"), ("workbench", "workbench after it")):
            clock, cpu = self.median(f"{name}_s"), self.median(f"{name}_cpu_s")
            each = " ".join(f"{getattr(run, f'{name}_s'):.2f}" for run in self.runs)
            lines.append(f"  {title:<19} {clock:.2f} s ({cpu:.2f} s)   each: {each}")
        verdict = "kept" if self.quick else "NOT kept"
        return "\n".join([*lines, f"  limit for the workbench < {LIMIT_S:.0f} s: {verdict}"])


def measure(runs: int = 5) -> OpeningResult:
    """Open napari and the workbench in fresh processes, one after another.

    Without a screen on Linux, a virtual one (xvfb-run) is used.

    Parameters
    ----------
    runs : int
        How many processes.

    Raises
    ------
    UserError
        When no window can be opened.
    """
    return OpeningResult(runs=tuple(_measure_once() for _ in range(runs)))


def _measure_once() -> Opening:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = {"APGAN_HOME": folder, "NAPARI_CONFIG": str(Path(folder) / "napari.yaml")}
        command = [*_screen(), sys.executable, "-P", "-m", "napari_apgan.ui.opening"]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **home},
                capture_output=True,
                text=True,
                timeout=_PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UserError(
                f"No window came within {_PATIENCE_S:.0f} s: look whether napari opens at all."
            ) from error
    lines = done.stdout.strip().splitlines()
    try:
        return Opening.model_validate(json.loads(lines[-1]))
    except (IndexError, ValueError, ValidationError) as error:
        said = done.stderr.strip().splitlines()
        raise UserError(
            "No window could be opened, so nothing was measured: check that napari starts "
            f"({said[-1] if said else 'it said nothing'})."
        ) from error


def _screen() -> list[str]:
    """Return what puts a virtual screen before a command where there is no screen."""
    has_screen = any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    xvfb = shutil.which("xvfb-run")
    if not sys.platform.startswith("linux") or has_screen or xvfb is None:
        return []
    return [xvfb, "-a", "-s", "-screen 0 1920x1080x24"]
