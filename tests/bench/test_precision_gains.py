"""The slope of estimated on true displacements, for every kind of displacement."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.bench.precision.gains import Shifts, gain_of


def test_the_gain_of_one_moved_atom_is_counted_from_those_at_rest() -> None:
    true = np.zeros((5, 2))
    true[0] = (30.0, 0.0)
    error = np.full((5, 2), 2.0)  # the whole frame is off by 2 pm
    error[0] += (-6.0, 0.0)
    got = gain_of([Shifts(true, error)])
    assert got.value == pytest.approx(0.8)
    assert (got.n_moved, got.n_found) == (1, 1)


def test_a_uniform_shift_of_one_sublattice_has_a_gain_and_of_all_atoms_has_none() -> None:
    true = np.tile([[10.0, 0.0], [0.0, 0.0]], (6, 1))
    assert gain_of([Shifts(true, -0.3 * true)]).value == pytest.approx(0.7)
    everything = np.tile([[10.0, 0.0]], (6, 1))
    assert gain_of([Shifts(everything, 0 * everything)]).value is None


def test_a_wall_and_random_shifts_are_counted_from_their_means() -> None:
    wall = np.array([[10.0, 0.0]] * 4 + [[-10.0, 0.0]] * 4)
    assert gain_of([Shifts(wall, -0.2 * wall + 5.0)]).value == pytest.approx(0.8)
    rng = np.random.default_rng(1)
    shift, noise = rng.normal(0, 10, (400, 2)), rng.normal(0, 5, (400, 2))
    got = gain_of([Shifts(shift, -0.4 * shift + noise)])
    assert got.value is not None
    assert got.error is not None
    assert abs(got.value - 0.6) < 3 * got.error
    assert got.error == pytest.approx(5 / np.sqrt(np.square(shift).sum()), rel=0.15)
