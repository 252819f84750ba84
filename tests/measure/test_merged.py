"""Discs that ran into one are two atoms; wide, faint and round ones stay one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_apgan.atoms import positions
from napari_apgan.maps import draw_discs
from napari_apgan.measure import find_atoms, match

RADIUS = 1.5


def read(channel):
    return positions(find_atoms(channel[None].astype(np.float32), ["C"], radius_px=RADIUS))


def filled(first, second):
    """Draw two discs and fill their gap, as networks do with atoms nearer than usual."""
    line = first + np.linspace(0, 1, 40)[:, None] * (second - first)
    discs = draw_discs(np.stack([first, second]), RADIUS, (30, 30))
    return 0.85 * np.maximum(discs, draw_discs(line, 1.0, (30, 30)))


@given(angle=st.floats(0, np.pi), apart=st.floats(3.0, 3.9), x=st.floats(13, 16))
def test_two_discs_with_nothing_between_them_are_two_atoms(angle, apart, x):
    middle = np.array([x, 15.3])
    half = 0.5 * apart * np.array([np.cos(angle), np.sin(angle)])
    found = read(filled(middle - half, middle + half))
    assert len(found) == 2
    assert len(match(found, np.stack([middle - half, middle + half]), 0.9)[0]) == 2


@pytest.mark.parametrize("blur", [(0.3, 1.2), (0.5, 2.0)])
def test_an_atom_whose_place_is_unsure_stays_one(blur):
    disc = draw_discs(np.array([[15.2, 14.7]]), RADIUS, (30, 30))
    found = find_atoms(
        gaussian_filter(disc, blur).astype(np.float32)[None],
        ["C"],
        radius_px=RADIUS,
        threshold=0.2,
    )
    assert len(found) == 1


def test_a_disc_drawn_too_large_stays_one():
    assert len(read(draw_discs(np.array([[15.2, 14.7]]), 1.5 * RADIUS, (30, 30)))) == 1


def test_neighbours_keep_their_own_pixels():
    first, second = np.array([13.0, 15.0]), np.array([16.5, 15.0])
    others = np.array([[9.0, 18.0], [20.5, 12.0], [20.5, 18.0], [9.0, 12.0]])
    channel = np.maximum(filled(first, second), draw_discs(others, RADIUS, (30, 30)))
    found = read(channel)
    assert len(found) == 6
    assert len(match(found, np.stack([first, second, *others]), 0.7)[0]) == 6


def test_something_wide_and_long_stays_one():
    line = np.array([13.0, 15.0]) + np.linspace(0, 1, 40)[:, None] * (5.0, 0.0)
    assert len(read(draw_discs(line, 1.6 * RADIUS, (30, 30)))) == 1
