"""Which element a sublattice becomes at first: a guess that the user sees and changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from napari_apgan.atoms import positions
from napari_apgan.elements import SYMBOLS

#: A label within this part of the distance of sites stands on the site.
_ON_SITE = 0.3


def examples_on(
    places_px: np.ndarray, classes: np.ndarray, labels: pd.DataFrame, reach_px: float
) -> dict[str, str]:
    """Say which element most labels of a human's hand have on each class of places.

    Parameters
    ----------
    places_px : (N, 2) array
    classes : (N,) str array
    labels : DataFrame
    reach_px : float
        A label belongs to the nearest place within this distance.
    """
    from scipy.spatial import cKDTree

    own = labels[labels["origin"].isin(["human", "corrected"]) & (labels["element"] != "unknown")]
    if own.empty or not len(places_px):
        return {}
    distance, nearest = cKDTree(places_px).query(positions(own))
    on = np.asarray(distance) <= reach_px
    said = pd.DataFrame(
        {
            "class": classes[np.asarray(nearest)[on]],
            "element": own["element"].to_numpy(object)[on],
        }
    )
    return {
        str(name): str(some["element"].value_counts().index[0])
        for name, some in said.groupby("class")
    }


def first_guess(
    classes: Sequence[str], known: Sequence[str], current: str, examples: dict[str, str]
) -> dict[str, str]:
    """Guess what classes are, the strongest first.

    By labels on them where there are any; else, with as many elements as classes, the heaviest is
    the strongest; else the strongest is the current element, and the others are new classes.

    Parameters
    ----------
    classes : sequence of str
        The strongest first.
    known : sequence of str
        Elements of the project.
    current : str
        What a click adds.
    examples : dict
        Of :func:`examples_on`.
    """
    guess = dict(examples)
    left = [c for c in classes if c not in guess]
    free = sorted((e for e in known if e not in guess.values()), key=_weight, reverse=True)
    if len(left) == len(free):
        return guess | dict(zip(left, free, strict=True))
    for number, name in enumerate(left):
        guess[name] = current if number == 0 and not examples and current else name
    return guess


def _weight(element: str) -> int:
    """Return the atomic number of the heaviest symbol in a name; -1 for a name of another kind."""
    parts = [part.strip() for part in element.split("/")]
    return max(SYMBOLS.index(part) if part in SYMBOLS else -1 for part in parts)
