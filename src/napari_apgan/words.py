"""Numbers in words, where rounding would say what is not so."""

from __future__ import annotations

import math


def share(value: float) -> str:
    """Write a share of 0 to 1: ``0.97``, and ``0.996`` where two digits would say it was all.

    Only a whole one is ``1.00``: what is nearer to 1 than three digits can say is cut, not rounded.
    """
    if value >= 0.99:
        return "1.00" if value >= 1.0 else f"{math.floor(1000 * value) / 1000:.3f}"
    return f"{value:.2f}"
