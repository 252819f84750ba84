"""Drift and shear move the truth, jitter and flyback do not; lost pixels are counted exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label
from scipy.optimize import least_squares

from napari_apgan.simulate.degradation import DegradationSettings, Distortion, degrade, margin_px
from napari_apgan.simulate.degradation.missing import scan_trajectory

PIXEL_PM = 25.0
SIGMA = 1.5


def peaks(xy, shape, sigma=SIGMA):
    """Gaussian peaks of height 1 at (N, 2) positions x, y."""
    y, x = (np.arange(n)[None, :] for n in shape)
    along_y = np.exp(-((y - xy[:, 1:2]) ** 2) / (2 * sigma**2))
    along_x = np.exp(-((x - xy[:, 0:1]) ** 2) / (2 * sigma**2))
    return along_y.T @ along_x


def fit(image, xy, radius=5):
    """Fit a free elliptic, tilted Gaussian at each position; returns x, y, and the height."""
    found = []
    for x0, y0 in xy:
        col, row = round(x0), round(y0)
        y, x = np.mgrid[row - radius : row + radius + 1, col - radius : col + radius + 1]
        patch = image[row - radius : row + radius + 1, col - radius : col + radius + 1]

        def residual(p, y=y, x=x, patch=patch):
            dx, dy = x - p[0], y - p[1]
            return (p[2] * np.exp(-p[3] * dx**2 - p[4] * dy**2 - p[5] * dx * dy) - patch).ravel()

        bend = 1 / (2 * SIGMA**2)
        found.append(least_squares(residual, [x0, y0, 1.0, bend, bend, 0.0]).x[:3])
    return np.array(found)


def grid(shape, step=24.0, border=14.0):
    y, x = (np.arange(border, n - border, step) + 0.37 for n in shape)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("binning", [1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_peaks_are_where_drift_and_shear_put_the_truth(seed, binning):
    settings = DegradationSettings(drift_pm=120.0, shear_percent=3.0, binning=binning)
    shape = (128, 144)
    margin = margin_px(settings, shape, PIXEL_PM)
    rng = np.random.default_rng(seed)
    xy = grid(shape)
    fine_shape = tuple((n + 2 * margin) * binning for n in shape)
    fine_xy = (xy + margin) * binning + (binning - 1) / 2
    ideal = peaks(fine_xy, fine_shape, SIGMA * binning)
    frame = degrade(ideal, settings, rng, pixel_size_pm=PIXEL_PM, margin_px=margin)
    truth = frame.distortion.apply(xy)
    assert np.hypot(*(truth - xy).T).max() > 1.0
    found = fit(frame.image, truth)
    assert np.hypot(*(found[:, :2] - truth).T).max() < 0.01
    # Binning averages over a pixel: peaks lose 1 / (24 s²) of their height along each axis.
    lost = 0.0 if binning == 1 else (1 - 1 / binning**2) / (12 * SIGMA**2)
    np.testing.assert_allclose(found[:, 2], 1.0 - lost, atol=0.006)
    assert frame.valid.all()


def test_a_distortion_is_inverted_to_rounding():
    distortion = Distortion((200, 150), (6.0, -5.0), (0.5, 0.8), (0.03, -0.02))
    xy = np.random.default_rng(0).uniform(0, 150, (500, 2))
    np.testing.assert_allclose(distortion.seen(distortion.apply(xy)), xy, atol=1e-9)
    assert np.array_equal(Distortion((200, 150)).apply(xy), xy)


def test_the_drift_between_first_and_last_row_is_as_long_as_asked():
    settings = DegradationSettings(drift_pm=100.0)
    frame = degrade(
        np.ones((64, 64)), settings, np.random.default_rng(3), pixel_size_pm=PIXEL_PM, margin_px=8
    )
    assert np.hypot(*frame.record.drift_pm) == pytest.approx(100.0)
    ends = np.array([[24.0, 0.0], [24.0, 47.0]])
    moved = ends - frame.distortion.seen(ends)
    path = (moved[1] - moved[0]) * PIXEL_PM
    np.testing.assert_allclose(path, frame.record.drift_pm, atol=1e-9)


def test_without_a_margin_what_was_not_simulated_is_not_valid():
    settings = DegradationSettings(drift_pm=400.0)
    frame = degrade(np.ones((64, 64)), settings, np.random.default_rng(3), pixel_size_pm=PIXEL_PM)
    assert frame.record.unseen_fraction == pytest.approx(1 - frame.valid.mean())
    assert 0.01 < frame.record.unseen_fraction < 0.4
    assert not frame.image[~frame.valid].any()


def row_shifts(image, period):
    """Shift of each row from the phase of its fundamental frequency, in px."""
    wave = np.exp(-2j * np.pi * np.arange(image.shape[1]) / period)
    return np.angle(image @ wave) * period / (2 * np.pi)


@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_rows_jitter_with_the_strength_and_memory_asked_for(memory):
    period, rows = 16.0, 8000
    stripe = 2 + np.cos(2 * np.pi * np.arange(64) / period)
    expected = np.tile(stripe, (rows, 1))
    settings = DegradationSettings(jitter_pm=6.0, jitter_memory=memory)
    frame = degrade(expected, settings, np.random.default_rng(0), pixel_size_pm=PIXEL_PM)
    shift = row_shifts(frame.image.astype(float), period)
    assert shift.std() * PIXEL_PM == pytest.approx(6.0, rel=0.05)
    measured = np.corrcoef(shift[1:], shift[:-1])[0, 1]
    assert measured == pytest.approx(memory, abs=0.03)
    assert frame.record.jitter_memory == pytest.approx(measured, abs=0.01)
    assert frame.record.jitter_rms_pm == pytest.approx(shift.std() * PIXEL_PM, rel=0.02)


def test_jitter_and_flyback_leave_the_truth_and_the_amplitude():
    settings = DegradationSettings(jitter_pm=5.0, flyback_px=12)
    xy = grid((128, 128), border=26.0)
    frame = degrade(
        peaks(xy, (128, 128)), settings, np.random.default_rng(0), pixel_size_pm=PIXEL_PM
    )
    np.testing.assert_array_equal(frame.distortion.apply(xy), xy)
    still = degrade(
        peaks(xy, (128, 128)),
        DegradationSettings(),
        np.random.default_rng(0),
        pixel_size_pm=PIXEL_PM,
    )
    assert frame.image.std() == pytest.approx(still.image.std(), rel=0.002)


def test_flyback_stretches_the_start_of_rows_alone():
    ramp = np.tile(np.arange(128.0), (128, 1))
    settings = DegradationSettings(flyback_px=12)
    frame = degrade(ramp, settings, np.random.default_rng(0), pixel_size_pm=PIXEL_PM)
    shift = frame.image - ramp
    assert shift[:, 0].mean() == pytest.approx(12 / 9, rel=0.1)
    assert np.abs(shift[:, 40:100]).max() < 1e-3
    assert (np.diff(frame.image, axis=1)[:, 1:] > 0.5).all()  # never folded


@pytest.mark.parametrize("loss", ["random", "trajectory"])
@pytest.mark.parametrize("fraction", [0.3, 0.7, 0.123])
def test_the_lost_fraction_is_exact(loss, fraction):
    settings = DegradationSettings(loss=loss, lost_fraction=fraction)
    frame = degrade(np.ones((90, 70)), settings, np.random.default_rng(1), pixel_size_pm=PIXEL_PM)
    assert (~frame.valid).sum() == round(fraction * 90 * 70)
    assert frame.record.lost_fraction == (~frame.valid).mean()
    assert not frame.image[~frame.valid].any()
    assert (frame.image[frame.valid] == 1.0).all()


def test_a_trajectory_is_one_connected_path_that_reaches_all_of_the_frame():
    shape = (96, 128)
    kept = np.zeros(shape, dtype=bool)
    order = scan_trajectory(shape, round(0.3 * 96 * 128), np.random.default_rng(0))
    kept.flat[order] = True
    assert len(np.unique(order)) == round(0.3 * 96 * 128)
    assert label(kept, np.ones((3, 3)))[1] == 1
    blocks = kept.reshape(6, 16, 8, 16).mean(axis=(1, 3))
    assert blocks.min() > 0.02
    # Random pixels have 0.3 kept neighbours on average; a path has runs.
    assert kept[:, 1:][kept[:, :-1]].mean() > 0.4


def test_dead_pixels_and_lines_read_nothing():
    settings = DegradationSettings(dead_pixels=0.01, dead_lines=3, loss="random")
    frame = degrade(np.ones((100, 100)), settings, np.random.default_rng(0), pixel_size_pm=PIXEL_PM)
    record = frame.record
    assert len(set(record.dead_rows)) == 3
    assert not frame.valid[list(record.dead_rows)].any()
    assert record.dead_pixels == 100
    assert record.lost_fraction == 0.3
    assert record.missing_fraction == pytest.approx(1 - frame.valid.mean())
    assert record.missing_fraction < 0.3 + 0.01 + 0.03
