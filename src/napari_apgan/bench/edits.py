"""How long one edit takes with very many atoms on the screen, the whole turn and a pan beside it.

A real window, the workbench docked, a square lattice of labels. The time of an edit is the
processor time of the window's thread between the act and its return: journal, table, layers and
the words of the dock. The whole turn is what the clock says until the canvas is drawn again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

#: What an edit is held to (ms of Python).
LIMIT_MS = 40.0


class EditTimes(BaseModel):
    """What was measured: medians over the repeats, in ms.

    Parameters
    ----------
    atoms : int
        Labels on the screen.
    repeats : int
    python_ms : dict
        Act -> processor time of the window's thread; without ``pan``, which is no edit.
    turn_ms : dict
        Act -> wall-clock time until the canvas is drawn.
    renderer : str
        Who drew it, as OpenGL says.
    cores : int
        Of this computer.
    """

    model_config = ConfigDict(frozen=True)

    atoms: int
    repeats: int
    python_ms: dict[str, float]
    turn_ms: dict[str, float]
    renderer: str
    cores: int

    @property
    def quick(self) -> bool:
        """Whether every edit kept the limit."""
        return max(self.python_ms.values()) <= LIMIT_MS

    def table(self) -> str:
        """Write the result as lines of text."""
        lines = [
            f"{self.atoms:,} atoms, median of {self.repeats}, {self.cores} cores, "
            f"drawn by {self.renderer}",
            f"  {'':16}{'Python':>10}{'whole turn':>14}",
        ]
        for act, turn in self.turn_ms.items():
            python = f"{self.python_ms[act]:.1f} ms" if act in self.python_ms else ""
            lines.append(f"  {act:16}{python:>10}{f'{turn:.1f} ms':>14}")
        verdict = "kept" if self.quick else "NOT kept"
        return "\n".join([*lines, f"  limit {LIMIT_MS:.0f} ms of Python for an edit: {verdict}"])


def summarise(
    python_s: Mapping[str, Sequence[float]],
    turn_s: Mapping[str, Sequence[float]],
    *,
    atoms: int,
    renderer: str,
    cores: int,
) -> EditTimes:
    """Turn times in seconds into a result."""
    return EditTimes(
        atoms=atoms,
        repeats=min(len(v) for v in turn_s.values()),
        python_ms={k: 1e3 * float(np.median(v)) for k, v in python_s.items()},
        turn_ms={k: 1e3 * float(np.median(v)) for k, v in turn_s.items()},
        renderer=renderer,
        cores=cores,
    )


def measure(atoms: int = 20_000, repeats: int = 15) -> EditTimes:
    """Open a window with so many labels, and time edits.

    Raises
    ------
    UserError
        When no window can be opened.
    """
    from napari_apgan.ui.edit_times import run  # the only way to a window is through `ui`

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return run(atoms, repeats, Path(folder))
