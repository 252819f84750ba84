"""Clean views: closer to the truth than the raw frame, and blind to missing pixels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.label.filter_kinds import (
    FILTERS,
    BandpassSettings,
    FilterName,
    GaussianSettings,
    StackedSettings,
)
from napari_apgan.label.filters import filter_frame, filter_series
from napari_apgan.serving import Cancelled
from napari_apgan.simulate import make_sample

SHAPE = (112, 128)
SINGLE: list[FilterName] = [name for name, kind in FILTERS.items() if not kind.series]


@pytest.fixture(scope="module")
def scene() -> tuple[Frame, np.ndarray]:
    """A noisy frame and the image without noise."""
    sample = make_sample(seed=3, n_frames=1, shape=SHAPE, snr=0.5, jitter=False, pattern="none")
    return sample.pairs[0].frame, sample.expected[0]


def error(view: np.ndarray, truth: np.ndarray) -> float:
    """Rms error over the truth's contrast, background left aside."""
    off = view - truth
    return float(np.nanstd(off) / truth.std())


@pytest.mark.parametrize("name", SINGLE)
def test_a_view_is_nearer_to_the_truth_than_the_frame(
    scene: tuple[Frame, np.ndarray], name: FilterName
) -> None:
    frame, truth = scene
    view = filter_frame(frame, name)
    assert view.dtype == np.float32
    assert view.shape == frame.shape
    assert error(view, truth) < 0.65 * error(frame.data, truth)


@pytest.mark.parametrize("name", SINGLE)
def test_what_stands_in_a_missing_pixel_changes_nothing(
    scene: tuple[Frame, np.ndarray], name: FilterName
) -> None:
    frame, _ = scene
    valid = np.random.default_rng(0).random(SHAPE) > 0.3
    valid[40:90, 30:90] = False
    zeros = Frame(np.where(valid, frame.data, np.float32(0)), valid)
    rubbish = Frame(np.where(valid, frame.data, np.float32(1e6)), valid)
    view = filter_frame(zeros, name)
    np.testing.assert_array_equal(view, filter_frame(rubbish, name))
    assert np.isnan(view[65, 60])  # 25 px from anything measured
    assert np.isfinite(view[valid]).all()
    assert np.isfinite(view[:38]).all()


def test_the_background_filters_leave_an_image_without_noise_as_it_is() -> None:
    yy, xx = np.mgrid[:96, :96]
    lattice = (np.cos(2 * np.pi * xx / 8) * np.cos(2 * np.pi * yy / 12)).astype(np.float32)
    frame = Frame(lattice, np.ones(lattice.shape, bool))
    for name in ("wiener", "absf", "nonlinear"):
        assert error(filter_frame(frame, name), lattice) < 0.02


def test_a_band_pass_keeps_its_band_and_nothing_else() -> None:
    yy, xx = np.mgrid[:120, :120]
    inside = np.cos(2 * np.pi * xx / 10)
    outside = np.cos(2 * np.pi * yy / 3) + np.cos(2 * np.pi * (xx + yy) / 60)
    frame = Frame((5 + inside + outside).astype(np.float32), np.ones(xx.shape, bool))
    view = filter_frame(frame, "bandpass", BandpassSettings(smallest_px=5, largest_px=25))
    assert np.std(view[8:-8, 8:-8] - view.mean() - inside[8:-8, 8:-8]) < 0.08
    assert view.mean() == pytest.approx(5, abs=0.05)


def test_tiles_agree_with_the_whole_where_the_background_is_the_same() -> None:
    yy, xx = np.mgrid[:200, :260]
    image = 3 + np.cos(2 * np.pi * xx / 9) + np.cos(2 * np.pi * yy / 11)
    frame = Frame(image.astype(np.float32), np.ones(image.shape, bool))
    seen: list[tuple[int, int]] = []
    settings = BandpassSettings(smallest_px=4, largest_px=0)
    whole = filter_frame(frame, "bandpass", settings)
    tiled = filter_frame(
        frame,
        "bandpass",
        settings,
        largest_whole=128,
        progress=lambda done, total, _: seen.append((done, total)),
    )
    assert np.abs(whole - tiled)[16:-16, 16:-16].max() < 0.05
    assert seen[-1][0] == seen[-1][1] == 6


@pytest.mark.parametrize("noise_part", [1.5, 0.4])
def test_the_stacked_filter_beats_single_frames_and_follows_what_changes(
    noise_part: float,
) -> None:
    sample = make_sample(seed=4, n_frames=1, shape=(80, 96), snr=None, jitter=False, pattern="none")
    truth = sample.expected[0].astype(np.float32)
    gone = truth.copy()
    x, y = sample.pairs[0].atoms[["x_px", "y_px"]].to_numpy()[20].round().astype(int)
    gone[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5] = truth.min()
    rng = np.random.default_rng(1)
    noise = noise_part * truth.std()
    frames = [
        Frame(
            ((truth if t < 12 else gone) + rng.normal(0, noise, truth.shape)).astype(np.float32),
            np.ones(truth.shape, bool),
        )
        for t in range(24)
    ]
    stacked = filter_series(frames, StackedSettings(frames=16))
    single = filter_frame(frames[3], "wiener")
    assert error(stacked[3], truth) < 0.6 * error(single, truth)
    if noise_part < 1:  # one atom of many is seen to go only where noise does not hide it
        before, after = stacked[2, y, x], stacked[21, y, x]
        assert before - after > 0.6 * (truth[y, x] - gone[y, x])


def test_work_ends_when_it_is_cancelled_and_wrong_orders_are_refused(
    scene: tuple[Frame, np.ndarray],
) -> None:
    frame, _ = scene
    with pytest.raises(Cancelled):
        filter_frame(frame, "nonlinear", cancelled=lambda: True)
    with pytest.raises(UserError, match="needs a series"):
        filter_frame(frame, "stacked")
    with pytest.raises(UserError, match="at least two frames"):
        filter_series([frame])
    with pytest.raises(ValueError, match="flatten by more"):
        GaussianSettings(narrow_px=3, wide_px=2)


def test_every_filter_has_what_a_form_shows() -> None:
    for name, kind in FILTERS.items():
        assert kind.name == name
        assert kind.title
        assert kind.sentence.endswith(".")
        for field in kind.settings.model_fields.values():
            assert field.title
            assert field.description
