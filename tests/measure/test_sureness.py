"""A prediction's own doubts are held against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.frames import Calibration
from napari_apgan.measure import FrameToScore
from napari_apgan.measure.sureness import judge

GRID = np.stack(np.meshgrid(np.arange(20.0) * 10, np.arange(20.0) * 10), -1).reshape(-1, 2)


def frame(*, confident: bool, pm: float | None = 20.0) -> FrameToScore:
    """400 atoms 10 pm off and 100 false ones; error bars right of the map, halved offered."""
    rng = np.random.default_rng(0)
    xy = np.concatenate([GRID + rng.normal(0, 0.5, GRID.shape), GRID[:100] + 5])
    columns = {"confidence": 0.8} if confident else {}
    predicted = make_atoms(
        xy,
        "C",
        x_map_px=xy[:, 0],
        y_map_px=xy[:, 1],
        probability=0.95,
        sigma_map_x_pm=10.0,
        sigma_map_y_pm=10.0,
        sigma_x_pm=5.0,
        sigma_y_pm=5.0,
        **columns,
    )
    scale = Calibration() if pm is None else Calibration.from_pixel_size(pm, origin="user")
    return FrameToScore(predicted, make_atoms(GRID, "C"), calibration=scale)


def test_right_and_halved_error_bars_are_told_apart():
    found = judge([frame(confident=True)], tolerance_px=3.0)
    assert found.error_bars["map"]["n"] == 800
    assert found.error_bars["map"]["within_68"] == pytest.approx(0.683, abs=0.05)
    assert found.error_bars["offered"]["within_68"] == pytest.approx(0.383, abs=0.05)
    assert "map positions" in found.table()


def test_confidence_counts_and_the_probability_where_there_is_none():
    sure, unsure = (judge([frame(confident=c)], tolerance_px=3.0) for c in (True, False))
    assert sure.confidence.ece == pytest.approx(0.0, abs=1e-9)
    assert unsure.confidence.ece == pytest.approx(0.15)
    assert "expected calibration error 0.150" in unsure.table()


def test_without_a_pixel_size_error_bars_in_pm_are_not_judged():
    found = judge([frame(confident=True, pm=None)], tolerance_px=3.0)
    assert found.error_bars["map"]["n"] == 0
    assert found.confidence.n == 500
