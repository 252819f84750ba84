"""Rows of columns beside an interface, and their bias across it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_apgan.atoms import make_atoms
from napari_apgan.bench.precision.interfaces import NO_ROW, find_interface, row_biases

PERIOD = 14.0
SPACING = PERIOD / np.sqrt(2)


def multilayer(turn: float = 0.0) -> tuple[NDArray[np.float64], list[str], list[str], list[int]]:
    """Twelve layers, six of Pb above six of Sr, Ti between; and the row of each Ti."""
    sites, elements, sublattices, rows = [], [], [], []
    for x in range(10):
        for y in range(12):
            sites.append((x, y))
            elements.append("Pb" if y < 6 else "Sr")
            sublattices.append("A")
            rows.append(NO_ROW)
            if x < 9 and y < 11:
                sites.append((x + 0.5, y + 0.5))
                elements.append("Ti")
                sublattices.append("B")
                rows.append(5 - y if abs(5 - y) <= 2 else NO_ROW)
    c, s = np.cos(turn), np.sin(turn)
    return PERIOD * np.array(sites) @ np.array([[c, s], [-s, c]]), elements, sublattices, rows


@pytest.mark.parametrize("turn", [0.0, 0.4, 2.0])
def test_rows_are_counted_from_the_interface_towards_pb(turn: float) -> None:
    sites, elements, sublattices, rows = multilayer(turn)
    found = find_interface(make_atoms(sites, elements, sublattice=sublattices), sites, SPACING)
    assert found.row.tolist() == rows
    up = np.array([np.sin(turn), -np.cos(turn)])
    assert np.allclose(found.towards[found.row != NO_ROW], up)


def test_a_crystal_of_one_kind_has_no_interface() -> None:
    sites, elements, sublattices, _ = multilayer()
    one = ["Pb" if e == "Sr" else e for e in elements]
    found = find_interface(make_atoms(sites, one, sublattice=sublattices), sites, SPACING)
    assert (found.row == NO_ROW).all()


def test_the_bias_of_a_row_is_its_mean_error_across_the_interface() -> None:
    sites, elements, sublattices, _ = multilayer(0.4)
    found = find_interface(make_atoms(sites, elements, sublattice=sublattices), sites, SPACING)
    rng = np.random.default_rng(0)
    along = found.towards[:, ::-1] * (-1.0, 1.0)
    error = 3.0 * along + rng.normal(0, 0.5, sites.shape)
    error[found.row == 0] += 2.0 * found.towards[found.row == 0]
    biases = row_biases(error, found.row, found.towards)
    assert list(biases) == ["-2", "-1", "0", "+1", "+2"]
    assert biases["0"].n == 9
    assert abs(biases["0"].value - 2.0) < 4 * biases["0"].error
    assert abs(biases["+1"].value) < 4 * biases["+1"].error
    assert 0.05 < biases["0"].error < 0.4
