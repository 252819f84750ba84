"""Reliability curves and coverage of error bars tell right from wrong."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.measure.calibration import (
    calibrated,
    coverage,
    fit_probability,
    reliability,
    wilson_interval,
)


def test_probabilities_that_come_true_as_often_as_they_say_are_reliable() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20_000)
    curve = reliability(p, rng.uniform(size=p.size) < p)
    assert curve.n == 20_000
    assert curve.ece is not None
    assert curve.ece < 0.02
    for each in curve.bins:
        assert each.observed_low is not None
        assert each.observed_high is not None
        assert each.predicted == pytest.approx((each.low + each.high) / 2, abs=0.01)
    inside = [b.observed_low <= b.predicted <= b.observed_high for b in curve.bins]  # type: ignore[operator]
    assert sum(inside) >= 8  # nineteen of twenty would be, on average


def test_overconfident_probabilities_show_the_distance() -> None:
    curve = reliability([0.95, 0.95, 0.95, 0.95], [True, True, False, False], bins=2)
    assert [b.n for b in curve.bins] == [0, 4]
    assert curve.bins[0].observed is None
    assert curve.bins[1].observed == pytest.approx(0.5)
    assert curve.ece == pytest.approx(0.45)
    assert curve.brier == pytest.approx((2 * 0.05**2 + 2 * 0.95**2) / 4)


def test_a_probability_of_one_belongs_to_the_last_bin_and_what_is_no_number_to_none() -> None:
    curve = reliability([0.0, 1.0, np.nan], [0, 1, 1], bins=[0.0, 0.5, 1.0])
    assert [b.n for b in curve.bins] == [1, 1]
    assert curve.ece == 0.0


def test_nothing_to_judge_gives_no_figures() -> None:
    assert reliability([], []).ece is None
    assert coverage([], [])["within_68"] is None


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(UserError, match="3 probabilities and 2 outcomes"):
        reliability([0.1, 0.2, 0.3], [1, 0])
    with pytest.raises(UserError, match="must rise"):
        reliability([0.1], [1], bins=[0.0, 0.0, 1.0])
    with pytest.raises(UserError, match="error bars"):
        coverage(np.zeros((3, 2)), np.ones(3))


def test_wilson_interval_is_the_textbook_one() -> None:
    # Eight of ten: Agresti and Coull, Am. Stat. 52, 119 (1998) give the formula.
    low, high = wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == pytest.approx(1.0)


def test_right_error_bars_cover_68_and_95_percent_and_halved_ones_less() -> None:
    rng = np.random.default_rng(1)
    sigma = rng.uniform(2, 9, (5000, 2))
    error = rng.normal(0, sigma)
    right, halved = coverage(error, sigma), coverage(error, sigma / 2)
    assert right["n"] == 10_000
    assert right["within_68"] == pytest.approx(0.683, abs=0.015)
    assert right["within_95"] == pytest.approx(0.95, abs=0.01)
    assert right["ratio"] == pytest.approx(1.0, abs=0.03)
    assert halved["within_68"] == pytest.approx(0.383, abs=0.02)
    assert halved["ratio"] == pytest.approx(2.0, abs=0.06)


def test_errors_without_an_error_bar_are_left_out() -> None:
    found = coverage([1.0, 1.0, 1.0, 1.0], [2.0, 0.0, np.nan, 0.5])
    assert found["n"] == 2
    assert found["within_68"] == 0.5


def test_a_fitted_slope_and_offset_undo_overconfidence() -> None:
    rng = np.random.default_rng(2)
    odds = rng.normal(1.0, 1.5, 4000)
    truth = rng.uniform(size=4000) < 1 / (1 + np.exp(-odds))
    claimed = 1 / (1 + np.exp(-2.0 * odds - 0.7))
    slope, offset = fit_probability(claimed, truth)
    assert slope == pytest.approx(0.5, abs=0.06)
    before, after = (
        reliability(claimed, truth),
        reliability(calibrated(claimed, slope, offset), truth),
    )
    assert before.ece is not None
    assert after.ece is not None
    assert after.ece < 0.03 < 0.1 < before.ece


def test_few_outcomes_leave_probabilities_nearly_as_they_are() -> None:
    assert fit_probability([], []) == (1.0, 0.0)
    slope, offset = fit_probability([0.9, 0.95, 0.99], [True, True, True])
    assert 0.9 < slope < 1.3
    assert abs(offset) < 0.3
