"""Crystals for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from napari_apgan.elements import SYMBOLS
from napari_apgan.simulate.structures.crystal import Crystal


def make_crystal(lattice_pm: ArrayLike, symbols: Sequence[str], fraction: ArrayLike) -> Crystal:
    """Make a crystal whose sites hold one species each.

    Parameters
    ----------
    lattice_pm : (3, 3) array
        Rows a, b, c.
    symbols : sequence of str
        One a site.
    fraction : (M, 3) array
    """
    names = list(dict.fromkeys(symbols))
    return Crystal(
        np.asarray(lattice_pm, dtype=np.float64),
        np.asarray(fraction, dtype=np.float64).reshape(-1, 3),
        np.array([SYMBOLS.index(s) + 1 for s in names]),
        np.eye(len(names))[[names.index(s) for s in symbols]],
    )
