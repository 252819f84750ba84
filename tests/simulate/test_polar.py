"""Polarization patterns have the walls, amplitudes and fluxes asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_apgan.errors import UserError
from napari_apgan.simulate.structures.perovskite import PerovskiteSettings
from napari_apgan.simulate.structures.polar import Pattern, polar_shift

LAYER = Pattern(np.array([0.0]), np.array([4000.0]), 8000.0, 0.0)


def shift_at(xy, pattern=LAYER, amplitude=20.0, field=None, **chosen):
    return polar_shift(
        PerovskiteSettings(**chosen), pattern, np.atleast_2d(xy).astype(float), amplitude, field
    )


def grid(pattern=LAYER, step=50.0):
    x = np.arange(0.0, pattern.period_pm, step) + step / 2
    y = np.arange(pattern.low[0], pattern.high[0], step) + step / 2
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


@settings(max_examples=30, deadline=None)
@given(st.floats(300.0, 1500.0), st.floats(-180.0, 180.0), st.floats(1.0, 60.0))
def test_the_profile_of_a_wall_is_a_tanh_of_the_width_asked_for(width, direction, amplitude):
    angle = np.deg2rad(direction)
    along, across = [np.cos(angle), np.sin(angle)], np.array([-np.sin(angle), np.cos(angle)])
    s = np.linspace(-1500.0, 1500.0, 61)
    shift = shift_at(
        s[:, None] * across,
        amplitude=amplitude,
        polar="walls",
        wall_width_pm=width,
        direction_deg=direction,
    )
    np.testing.assert_allclose(shift @ along, amplitude * np.tanh(2 * s / width), atol=1e-9)
    np.testing.assert_allclose(shift @ across, 0.0, atol=1e-9)


@pytest.mark.parametrize("polar", ["walls", "flux_closure", "vortex"])
def test_patterns_reach_the_amplitude_and_cancel_over_a_period(polar):
    shift = shift_at(grid(), polar=polar, amplitude=20.0, wall_width_pm=500.0)
    assert np.hypot(*shift.T).max() == pytest.approx(20.0, rel=0.02)
    np.testing.assert_allclose(shift.mean(axis=0), 0.0, atol=1e-9)


def test_vortices_hold_no_charge_and_turn_against_their_neighbours():
    at, h = grid(step=100.0), 1.0
    across = shift_at(at + np.array([h, 0]), polar="vortex") - shift_at(
        at - np.array([h, 0]), polar="vortex"
    )
    upward = shift_at(at + np.array([0, h]), polar="vortex") - shift_at(
        at - np.array([0, h]), polar="vortex"
    )
    np.testing.assert_allclose(across[:, 0] + upward[:, 1], 0.0, atol=1e-6)
    curl = across[:, 1] - upward[:, 0]
    left, right = curl[at[:, 0] < 4000.0], curl[at[:, 0] > 4000.0]
    assert (np.sign(left) == np.sign(left[0])).all()
    assert (np.sign(right) == -np.sign(left[0])).all()


def test_closure_domains_turn_the_flux_at_both_ends_of_the_layer():
    ends = shift_at([[0.0, 1.0], [0.0, 3999.0]], polar="flux_closure", wall_width_pm=300.0)
    np.testing.assert_allclose(ends[:, 0], [20.0, -20.0], rtol=0.01)
    # Half way between two walls and in the middle of the layer: a stripe domain.
    stripe = shift_at([[2000.0, 2000.0]], polar="flux_closure", wall_width_pm=300.0)
    np.testing.assert_allclose(stripe, [[0.0, 20.0]], atol=0.2)


@pytest.mark.parametrize("polar", ["flux_closure", "vortex"])
def test_stacked_layers_of_a_bulk_crystal_fit_where_they_touch(polar):
    low = np.arange(-4, 4) * 2000.0
    stacked = Pattern(low, low + 2000.0, 4000.0, 300.0, stagger=True)
    x = np.linspace(0.0, 8000.0, 41)
    above, below = (
        shift_at(np.column_stack([x, np.full(41, y)]), stacked, polar=polar, wall_width_pm=300.0)
        for y in (2000.001, 1999.999)
    )
    np.testing.assert_allclose(above[:, 0], below[:, 0], atol=0.02)
    if polar == "vortex":
        np.testing.assert_allclose(above[:, 1], below[:, 1], atol=0.02)
    else:  # Stripe domains meet at their tips alone.
        tip = np.abs((x - 300.0) % 2000.0 - 1000.0) < 600.0
        assert np.abs(above[~tip, 1]).max() < 0.2


def test_an_array_spans_the_layer_and_its_longest_vector_is_the_amplitude():
    field = np.zeros((2, 4, 8))
    field[0, 0], field[1, 3, 2] = 1.0, -5.0
    # Pixel (row 3, column 2) has its middle 2.5/8 along x and 3.5/4 up the layer.
    at = [[8000.0 * 2.5 / 8, 3500.0], [8000.0, 500.0], [16000.0 + 2500.0, 3500.0]]
    shift = shift_at(at, polar="field", field=field)
    np.testing.assert_allclose(shift, [[0, -20.0], [4.0, 0], [0, -20.0]], atol=1e-9)


def test_a_file_gives_the_same_shift_as_its_array(tmp_path):
    field = np.random.default_rng(0).normal(size=(2, 5, 7))
    np.save(tmp_path / "field.npy", field)
    at = grid(step=370.0)
    np.testing.assert_array_equal(
        shift_at(at, polar="field", field_file=tmp_path / "field.npy"),
        shift_at(at, polar="field", field=field),
    )


@pytest.mark.parametrize(
    "field",
    [np.zeros((3, 4, 4)), np.ones((4, 4)), np.zeros((2, 4, 4)), np.full((2, 2, 2), np.nan)],
)
def test_an_unusable_array_is_refused_in_one_sentence(field):
    with pytest.raises(UserError, match="polarization field needs"):
        shift_at([[0.0, 0.0]], polar="field", field=field)


def test_a_missing_or_broken_file_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "broken.npy").write_bytes(b"nothing of numpy")
    with pytest.raises(UserError, match="no file is named"):
        shift_at([[0.0, 0.0]], polar="field")
    for name in ("absent.npy", "broken.npy"):
        with pytest.raises(UserError, match="cannot be read as a field"):
            shift_at([[0.0, 0.0]], polar="field", field_file=tmp_path / name)
