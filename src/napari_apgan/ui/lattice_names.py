"""Which element a sublattice becomes at first: a guess that the user sees and changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from napari_apgan.atoms import positions
from napari_apgan.elements import SYMBOLS

#: A label within this part of the distance of sites stands on the site.
ON_SITE = 0.3
#: A class with this part of the height of the one before may be of the same element, as the two
#: sublattices of graphene are.
_ALIKE = 0.8


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
    classes: Sequence[str],
    known: Sequence[str],
    current: str,
    examples: Mapping[str, str],
    strength: Mapping[str, float],
) -> dict[str, str]:
    """Guess what classes are, the strongest first.

    By labels on them where there are any. Of several elements the heaviest is the strongest, and
    what is left is the lightest. With more elements than classes the strongest is the current one
    and the weakest the lightest. Classes as strong as the one before are the same.

    Parameters
    ----------
    classes : sequence of str
        The strongest first.
    known : sequence of str
        Elements of the project.
    current : str
        What a click adds.
    examples : mapping
        Of :func:`examples_on`.
    strength : mapping
        Usual height of each class.
    """
    guess = dict(examples)
    left = [c for c in classes if c not in guess]
    free = sorted((e for e in known if e not in guess.values()), key=_weight, reverse=True)
    if len(left) == len(free) or len(left) > len(free) >= 2:
        return guess | {c: free[min(n, len(free) - 1)] for n, c in enumerate(left)}
    for number, name in enumerate(left):
        before = left[number - 1] if number else ""
        if not number:
            guess[name] = current if current in free else (free[0] if free else name)
        elif strength[name] >= _ALIKE * strength[before]:
            guess[name] = guess[before]
        elif number == len(left) - 1 and free and free[-1] not in guess.values():
            guess[name] = free[-1]
        else:
            guess[name] = name
    return guess


def _weight(element: str) -> int:
    """Return the atomic number of the heaviest symbol in a name; -1 for a name of another kind."""
    parts = [part.strip() for part in element.split("/")]
    return max(SYMBOLS.index(part) if part in SYMBOLS else -1 for part in parts)
