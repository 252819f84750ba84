"""The blur of drawn discs tells how far their positions may be off."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.maps import draw_discs
from napari_apgan.measure import find_atoms
from napari_apgan.measure.calibration import coverage
from napari_apgan.measure.spread import Spread, fit_spread, measure_spread

RADIUS, SHAPE = 3.0, (96, 96)
GRID = np.stack(np.meshgrid(np.arange(9.0, 90, 13), np.arange(9.0, 90, 13)), -1).reshape(-1, 2)


def blurred(sigma_px: float, rng: np.random.Generator, draws: int = 300) -> np.ndarray:
    """The mean of discs whose positions are drawn: what a network answers that knows no better."""
    total = np.zeros(SHAPE, dtype=np.float64)
    for _ in range(draws):
        total += draw_discs(GRID + rng.normal(0, sigma_px, GRID.shape), RADIUS, SHAPE)
    return (total / draws).astype(np.float32)


def table(xy: np.ndarray, **columns: object):
    return make_atoms(xy, "C", x_map_px=xy[:, 0], y_map_px=xy[:, 1], **columns)


@pytest.mark.parametrize("sigma_px", [0.2, 0.4, 0.7])
def test_the_blur_of_discs_is_the_standard_deviation_of_their_positions(sigma_px):
    drawn = blurred(sigma_px, np.random.default_rng(0))
    spread = measure_spread(drawn[None], ["C"], table(GRID), RADIUS)
    # Below a third of a pixel the pixels' own blur, which is no normal one, hides a fifth of it.
    within = 0.25 if sigma_px < 0.3 else 0.15
    assert np.sqrt(np.median(spread.excess_px2)) == pytest.approx(sigma_px, rel=within)
    assert np.median(spread.ratio) == pytest.approx(1.0, abs=0.01)


def test_sharp_discs_have_no_blur_and_the_floor_alone():
    atoms = find_atoms(draw_discs(GRID, RADIUS, SHAPE)[None], ["C"], radius_px=RADIUS)
    spread = measure_spread(draw_discs(GRID, RADIUS, SHAPE)[None], ["C"], atoms, RADIUS)
    np.testing.assert_allclose(spread.excess_px2, 0, atol=2e-3)
    np.testing.assert_allclose(np.sqrt(spread.variance_px2(0.1, 1.0)), 0.1, rtol=0.3)
    assert np.median(spread.certain) > 0.95


def test_an_atom_that_is_drawn_less_surely_than_its_like_has_a_larger_error_bar():
    rng = np.random.default_rng(1)
    mixed = blurred(0.2, rng)
    mixed[:, 60:] = blurred(0.7, rng)[:, 60:]
    variance = measure_spread(mixed[None], ["C"], table(GRID), RADIUS).variance_px2()
    far = GRID[:, 0] > 65
    near = GRID[:, 0] < 55
    assert variance[far].min() > 1.5 * variance[near].max()


def test_a_disc_cut_by_the_border_is_known_less_well_than_a_whole_one():
    xy = np.array([[-0.5, 20.0], [20.0, 20.0], [40.0, 20.0], [60.0, 20.0]])
    drawn = draw_discs(xy, RADIUS, SHAPE)
    variance = measure_spread(drawn[None], ["C"], table(xy), RADIUS).variance_px2()
    assert variance[0] > 1.5 * variance[1:].max()


def test_fitted_floor_and_factor_make_error_bars_cover_what_they_should():
    rng = np.random.default_rng(2)
    spread = Spread(rng.choice([0.02, 0.1, 0.3], 3000), rng.uniform(0.5, 2.0, 3000), np.ones(3000))
    error = rng.normal(0, np.sqrt(spread.variance_px2(0.2, 2.0))[:, None], (3000, 2))
    floor, factor = fit_spread(error, spread)
    sigma = np.sqrt(spread.variance_px2(floor, factor))
    found = coverage(error, np.repeat(sigma[:, None], 2, axis=1))
    assert found["within_68"] == pytest.approx(0.683, abs=0.02)
    assert floor == pytest.approx(0.2, rel=0.3)
    assert factor == pytest.approx(2.0, rel=0.3)


def test_without_atoms_the_usual_values_stay():
    nothing = Spread(np.empty(0), np.empty(0), np.empty(0))
    floor, factor = fit_spread(np.empty((0, 2)), nothing)
    assert floor == pytest.approx(0.1)
    assert factor == pytest.approx(1.0)
    found = measure_spread(np.zeros((1, *SHAPE)), ["C"], table(np.empty((0, 2))), RADIUS)
    assert found.excess_px2.shape == (0,)
