"""Series lie on each other again, and their mean is sharp."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_apgan.bench.drifting import drifting
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, Source
from napari_apgan.label.register import NO_MATCH, RegisterSettings, register
from napari_apgan.label.series import FramesOf, average
from napari_apgan.serving import Cancelled


@pytest.mark.parametrize(("snr", "missing", "worst"), [(2.35, 0.0, 0.12), (0.3, 0.3, 0.4)])
def test_the_drift_is_found_to_a_fraction_of_a_pixel(
    snr: float, missing: float, worst: float
) -> None:
    series = drifting(1, snr=snr, missing=missing)
    found = register(series.frames)
    assert np.hypot(*(found.shift_px - series.drift).T).max() < worst
    assert found.matched.all()
    assert found.sure.all()
    xy = series.sites[:3]
    np.testing.assert_allclose(found.in_mean(found.moved(xy, 2), 2), xy, atol=1e-9)


def test_a_lattice_without_an_end_is_followed_step_by_step_and_said_to_repeat() -> None:
    series = drifting(2, kind="crystal", snr=2.0, step=0.8, vanishing=0.0)
    found = register(series.frames)
    assert np.hypot(*(found.shift_px - series.drift).T).max() < 0.3
    doubted = [t for t in range(len(found)) if t != found.reference]
    assert not found.sure[doubted].any()
    assert all("repeats" in found.reason[t] for t in doubted)


def test_a_jump_by_a_period_is_believed_where_the_edge_of_the_particle_shows_it() -> None:
    series = drifting(3, snr=2.0, step=0.3)
    after = slice(7, None)
    jump = 11
    moved = [
        replace(f, data=np.roll(f.data, jump, axis=1), valid=f.valid) for f in series.frames[after]
    ]
    found = register([*series.frames[:7], *moved])
    expected = series.drift.copy()
    expected[after, 0] += jump
    assert np.hypot(*(found.shift_px - expected).T).max() < 0.3


def test_frames_that_show_something_else_are_left_out_of_the_mean() -> None:
    series = drifting(4, snr=1.0)
    rng = np.random.default_rng(0)
    frames = list(series.frames)
    for t in (2, 8):
        noise = rng.normal(size=frames[t].shape).astype(np.float32)
        frames[t] = replace(frames[t], data=noise)
    found = register(frames)
    assert not found.matched[[2, 8]].any()
    assert found.reason[2] == found.reason[8] == NO_MATCH
    assert found.matched.sum() == len(frames) - 2
    mean = average(frames, found)
    assert mean.counts.max() <= len(frames) - 2 + 1e-6


def test_the_mean_weighs_only_measured_pixels_and_has_their_noise() -> None:
    series = drifting(5, snr=0.5, missing=0.4, n_frames=12, vanishing=0.0)
    rubbish = [
        Frame(np.where(f.valid, f.data, np.float32(1e5)), f.valid, index=f.index)
        for f in series.frames
    ]
    found = register(series.frames)
    mean = average(series.frames, found)
    np.testing.assert_allclose(average(rubbish, found).frame.data, mean.frame.data, atol=1e-4)
    clean = drifting(5, snr=1e9, n_frames=12, vanishing=0.0).frames[6].data
    inner = np.s_[16:-16, 16:-16]
    single = series.frames[6]
    noise = float((single.data - clean)[single.valid].std())
    assert float((mean.frame.data - clean)[inner].std()) < 0.5 * noise


def test_smooth_distortions_are_followed_when_asked() -> None:
    series = drifting(6, snr=2.0, kind="crystal", vanishing=0.0, bend=0.8, step=0.5)
    inside = (np.abs(series.sites - 48) < 32).all(axis=1)

    def error(settings: RegisterSettings) -> float:
        found = register(series.frames, settings)
        start = found.reference
        sites = found.in_mean(series.places[start][inside], start)
        off = [series.places[t][inside] - found.moved(sites, t) for t in range(len(series.frames))]
        return float(np.sqrt(np.mean(np.square(off))))

    rigid = error(RegisterSettings())
    assert error(RegisterSettings(nonrigid=True, control_px=32)) < 0.5 * rigid


def test_a_source_is_read_frame_by_frame() -> None:
    series = drifting(7, n_frames=5)
    source = Source("movie", np.stack([f.data for f in series.frames]), missing="none")
    frames = FramesOf(source, 1)
    assert len(frames) == 4
    assert [f.index for f in frames[1:]] == [2, 3, 4]
    seen: list[int] = []
    found = register(frames, progress=lambda done, total, _: seen.append(total - done))
    assert len(found) == 4
    assert min(seen) >= 0


def test_what_cannot_be_registered_is_said() -> None:
    series = drifting(8, n_frames=3)
    with pytest.raises(UserError, match="at least two frames"):
        register(series.frames[:1])
    small = Frame(series.frames[0].data[:40], series.frames[0].valid[:40])
    with pytest.raises(UserError, match="another size"):
        register([series.frames[0], series.frames[1], small])
    blank = replace(series.frames[1], data=np.zeros_like(series.frames[1].data))
    with pytest.raises(UserError, match="blank"):
        register([series.frames[0], blank, series.frames[2]])
    with pytest.raises(UserError, match="another series"):
        average(series.frames[:2], register(series.frames))
    with pytest.raises(Cancelled):
        register(series.frames, cancelled=lambda: True)
