"""A validation makes error bars and confidence right."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.measure.calibration import calibrated, coverage
from napari_apgan.measure.spread import Spread
from napari_apgan.train.calibrate import Calibrator


def frame(rng: np.random.Generator, sigma_px: float):
    """True atoms on a grid, found with errors, and as many false ones between them."""
    grid = np.stack(np.meshgrid(*[np.arange(5.0, 290, 10)] * 2), -1).reshape(-1, 2)
    found = np.concatenate([grid + rng.normal(0, sigma_px, grid.shape), grid + 5])
    real = np.arange(len(found)) < len(grid)
    # Overconfident: of those called 0.9 no more than half are there.
    probability = np.where(real, 0.9, rng.choice([0.3, 0.9], len(found)))
    predicted = make_atoms(found, "Pb", probability=probability)
    n = len(found)
    return predicted, Spread(np.full(n, 0.01), np.ones(n), np.ones(n)), make_atoms(grid, "Pb")


def test_error_bars_and_confidence_fit_what_was_held_out():
    rng = np.random.default_rng(0)
    calibrator = Calibrator()
    mask = np.ones((300, 300), dtype=bool)
    predicted, spread, labelled = frame(rng, 0.5)
    calibrator.add(predicted, spread, labelled, mask, 2.0)
    found = calibrator.result(0.5)
    assert found.n_atoms == len(predicted)
    sigma = np.sqrt(spread.variance_px2(found.floor_px, found.factor))
    error = rng.normal(0, 0.5, (len(sigma), 2))
    covered = coverage(error, np.repeat(sigma[:, None], 2, axis=1))
    assert covered["within_68"] == pytest.approx(0.683, abs=0.04)
    # Two thirds of what is called 0.9 are real, none of what is called 0.3.
    high, low = calibrated([0.9, 0.3], found.slope, found.offset)
    assert high == pytest.approx(2 / 3, abs=0.05)
    assert low < 0.1


def test_only_what_is_held_out_counts():
    predicted, spread, labelled = frame(np.random.default_rng(1), 0.5)
    calibrator = Calibrator()
    mask = np.zeros((300, 300), dtype=bool)
    calibrator.add(predicted, spread, labelled, mask, 2.0)
    found = calibrator.result(0.5)
    assert found.n_atoms == 0
    assert (found.slope, found.offset) == (1.0, 0.0)
    assert found.floor_px == pytest.approx(0.1)


def test_error_bars_fit_each_element():
    rng = np.random.default_rng(2)
    calibrator = Calibrator()
    mask = np.ones((300, 300), dtype=bool)
    parts = [frame(rng, sigma) for sigma in (0.1, 0.5)]
    for (predicted, spread, labelled), name in zip(parts, ("Pb", "Ti"), strict=True):
        calibrator.add(
            predicted.assign(element=name), spread, labelled.assign(element=name), mask, 2.0
        )
    found = calibrator.result(0.5)
    for (_, spread, _), name, sigma in zip(parts, ("Pb", "Ti"), (0.1, 0.5), strict=True):
        variance = spread.variance_px2(found.floor_px, found.factor) * found.by_element[name]
        error = rng.normal(0, sigma, (len(variance), 2))
        covered = coverage(error, np.repeat(np.sqrt(variance)[:, None], 2, axis=1))
        assert covered["within_68"] == pytest.approx(0.683, abs=0.05)
