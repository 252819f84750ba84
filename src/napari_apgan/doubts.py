"""Doubts about an element, as they stand in the column `flag` of labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: How the parts of a flag begin that doubt the element: by intensity, by maps.
UNSURE, UNDECIDED = "element unsure", "the maps do not decide"
_JOINED = "; "


def add_doubt(flag: str, doubt: str) -> str:
    """Return a flag with a doubt about the element, in place of earlier ones."""
    rest = without_doubt(flag)
    return f"{rest}{_JOINED}{doubt}" if rest else doubt


def without_doubt(flag: str) -> str:
    """Return what a flag says of other things than the element."""
    parts = [p for p in flag.split(_JOINED) if p and not p.startswith((UNSURE, UNDECIDED))]
    return _JOINED.join(parts)


def doubtful(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which (N,) atoms have a doubt about their element."""
    flags = table["flag"]
    return np.asarray(flags.str.contains(f"{UNSURE}|{UNDECIDED}", regex=True), dtype=np.bool_)
