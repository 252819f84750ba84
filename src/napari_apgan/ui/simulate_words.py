"""What Simulate says of a frame, and the command that does the same."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from napari_apgan.settings import write_atomically
from napari_apgan.simulate.examples import EXAMPLES
from napari_apgan.simulate.protocol import Previewed
from napari_apgan.simulate.settings import SimulationSettings
from napari_apgan.train.words import duration


def preview_words(reply: Previewed) -> str:
    """Say what a frame came to: ``0.4 s · SNR 2.31 · 2,100 e/Å² · 30 % of the pixels lost``."""
    noise = reply.record.get("degradation") or {}
    parts = [duration(reply.seconds)]
    if noise.get("snr") is not None:
        parts.append(f"SNR {noise['snr']:.3g}")
    if noise.get("dose_e_per_a2") is not None:
        parts.append(f"{_rounded(noise['dose_e_per_a2'])} e/Å²")
    if noise.get("snr") is None and noise.get("dose_e_per_a2") is None:
        parts.append("no counting noise")
    lost = noise.get("lost_fraction") or 0.0
    if lost:
        parts.append(f"{lost:.0%} of the pixels lost")
    return " · ".join(parts)


def _rounded(value: float) -> str:
    """Write a number to three digits, in full: ``18,400``."""
    return f"{float(f'{value:.3g}'):,.12g}"


def command_of(settings: SimulationSettings, count: int, seed: int, folder: Path) -> str:
    """Return the command that makes the same pairs.

    Settings that no example has are written to a file of the folder, which the command reads.

    Parameters
    ----------
    settings : SimulationSettings
    count, seed : int
    folder : Path
        Made where it is needed.
    """
    name = next((n for n, example in EXAMPLES.items() if example == settings), "")
    if name:
        what = [name]
    else:
        text = settings.model_dump_json(indent=2)
        digits = hashlib.sha256(text.encode()).hexdigest()[:8]
        path = folder / f"{settings.structure.kind}-{digits}.json"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
        what = [str(path)]
    kind = name or settings.structure.kind
    return joined(
        ["apgan", "simulate", *what, "-n", str(count), "--seed", str(seed), "-o", f"{kind}-pairs"]
    )


def joined(parts: Sequence[str]) -> str:
    """Join words into a line for the terminal of this system."""
    return subprocess.list2cmdline(parts) if sys.platform == "win32" else shlex.join(parts)
