"""Simulated frames with exactly known atoms.

Names are looked up when they are first used: the builders and engines behind them bring in much
that a window need not wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_apgan.lazy import lazy_names

if TYPE_CHECKING:
    from .examples import DESCRIPTIONS, EXAMPLES
    from .pairs import SimulatedPair, simulate_pair, simulate_pairs, write_simulated
    from .sample import Sample, make_sample
    from .settings import SimulationSettings
    from .stream import FrameStream

__all__ = [
    "DESCRIPTIONS",
    "EXAMPLES",
    "FrameStream",
    "Sample",
    "SimulatedPair",
    "SimulationSettings",
    "make_sample",
    "simulate_pair",
    "simulate_pairs",
    "write_simulated",
]

__getattr__ = lazy_names(
    __name__,
    {
        "DESCRIPTIONS": "examples",
        "EXAMPLES": "examples",
        "FrameStream": "stream",
        "Sample": "sample",
        "SimulatedPair": "pairs",
        "SimulationSettings": "settings",
        "make_sample": "sample",
        "simulate_pair": "pairs",
        "simulate_pairs": "pairs",
        "write_simulated": "pairs",
    },
)
