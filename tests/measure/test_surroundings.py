"""Neighbours that are missing, what is near, and the band along the border."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.measure.surroundings import (
    in_border_band,
    missing_neighbours,
    near,
    nearest_spacing_px,
    off_edge,
)


def square(side: int, spacing: float = 10.0) -> np.ndarray:
    return spacing * np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2)


def test_neighbours_of_a_vacancy_lack_one_and_no_other_does() -> None:
    lattice = square(7)
    outside = np.array([p for p in square(9) - 10.0 if p.min() < 0 or p.max() > 60])
    hole = np.array([30.0, 30.0])
    left = lattice[(lattice != hole).any(axis=1)]
    lacking = missing_neighbours(left, around_px=outside)
    beside = np.hypot(*(left - hole).T) < 10.5
    assert beside.sum() == 4
    assert (lacking[beside] == 1).all()
    assert (lacking[~beside] == 0).all()


def test_without_what_lies_outside_the_border_atoms_lack_neighbours() -> None:
    lacking = missing_neighbours(square(9)).reshape(9, 9)
    assert lacking[0, 0] == 2
    assert lacking[0, 4] == 1
    assert (lacking[1:8, 1:8] == 0).all()


def test_atoms_are_compared_with_their_own_kind() -> None:
    # Chains of pairs: an end has one neighbour, a middle two; each is complete in its own way.
    rows = [np.array([[0.0, y], [10.0, y], [20.0, y]]) for y in (0.0, 50.0, 100.0)]
    xy = np.concatenate(rows)
    kinds = ["end", "middle", "end"] * 3
    assert (missing_neighbours(xy, kinds=kinds) == 0).all()
    assert missing_neighbours(np.delete(xy, 0, axis=0), kinds=kinds[1:])[0] == 1


def test_an_atom_too_many_gives_a_negative_number() -> None:
    lattice = square(7)
    outside = np.array([p for p in square(9) - 10.0 if p.min() < 0 or p.max() > 60])
    lacking = missing_neighbours(np.vstack([lattice, [[35.0, 35.0]]]), around_px=outside)
    assert lacking.min() < 0


def test_near_counts_the_edge_of_its_reach() -> None:
    xy = [[0.0, 0.0], [3.0, 0.0], [3.1, 0.0]]
    assert near(xy, [[0.0, 0.0]], 3.0).tolist() == [True, True, False]
    assert not near(xy, np.empty((0, 2)), 3.0).any()
    assert near(np.empty((0, 2)), xy, 3.0).shape == (0,)


def test_the_border_band_lies_inside_the_frame() -> None:
    xy = [[7.4, 50.0], [7.6, 50.0], [50.0, -0.4], [50.0, -0.6], [99.0, 20.0], [50.0, 72.0]]
    assert in_border_band(xy, (80, 100), 8.0).tolist() == [True, False, True, False, True, True]


def test_the_outermost_row_of_pixels_and_what_lies_outside_are_the_edge() -> None:
    xy = [[0.4, 50.0], [0.6, 50.0], [98.4, 50.0], [98.6, 50.0], [50.0, -3.0], [50.0, 78.6]]
    assert off_edge(xy, (80, 100)).tolist() == [False, True, True, False, False, False]


def test_a_spacing_needs_two_atoms() -> None:
    assert nearest_spacing_px(square(3, 7.5)) == pytest.approx(7.5)
    with pytest.raises(UserError, match="two atoms"):
        nearest_spacing_px([[1.0, 2.0]])
