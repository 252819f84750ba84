"""Noise has the strength asked for, and everything drawn is on record."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError

from napari_apgan.errors import UserError
from napari_apgan.simulate.degradation import DegradationSettings, degrade

PIXEL_PM = 25.0


def lattice(shape=(256, 256), *, period=12.0, sigma=2.0, height=0.1, floor=0.02):
    """Gaussian peaks on a square lattice over a floor, by outer products."""
    lines = []
    for n in shape:
        x = np.arange(n)
        centres = np.arange(-period, n + 2 * period, period) + 0.3
        lines.append(np.exp(-((x - centres[:, None]) ** 2) / (2 * sigma**2)).sum(axis=0))
    return floor + height * np.outer(*lines)


def run(expected, rng=0, pixel_size_pm=PIXEL_PM, material=None, margin_px=0, **settings):
    return degrade(
        expected,
        DegradationSettings(**settings),
        np.random.default_rng(rng),
        pixel_size_pm=pixel_size_pm,
        material=material,
        margin_px=margin_px,
    )


CHAINS = {
    "counting": {},
    "camera": {"mtf": 0.2},
    "binned": {"binning": 2},
    "binned camera": {"binning": 2, "mtf": 0.3, "readout": 15.0},
    "readout": {"readout": 8.0},
    "gaussian": {"noise": "gaussian", "mtf": 0.4},
    "scan": {"jitter_pm": 5.0, "flyback_px": 6},
    "grey levels": {"gain": 3.0, "offset": 100.0},
}


@pytest.mark.parametrize("snr", [0.22, 2.35])
@pytest.mark.parametrize("chain", CHAINS)
def test_frames_have_the_snr_asked_for(chain, snr):
    settings = CHAINS[chain]
    fine = settings.get("binning", 1)
    # Peaks of the same size in recorded pixels.
    expected = lattice((256 * fine, 256 * fine), period=12.0 * fine, sigma=2.0 * fine)
    frame = run(expected, snr=snr, **settings)
    noise = frame.image.astype(float) - frame.noise_free
    assert frame.noise_free.var() / noise.var() == pytest.approx(snr, rel=0.02)
    assert frame.record.snr == pytest.approx(snr, rel=0.02)
    assert frame.record.snr_expected == pytest.approx(snr, rel=1e-6)
    assert frame.record.std_ratio == pytest.approx(np.sqrt(frame.record.snr))


def test_snr_is_defined_over_the_material():
    expected = lattice()
    expected[:, 128:] = 0.02
    material = np.zeros(expected.shape, dtype=bool)
    material[:, :128] = True
    frame = run(expected, snr=2.0, material=material)
    noise = (frame.image - frame.noise_free)[material]
    assert frame.noise_free[material].var() / noise.var() == pytest.approx(2.0, rel=0.02)
    whole = run(expected, snr=2.0)
    assert whole.record.dose_e_per_a2 > 1.15 * frame.record.dose_e_per_a2


def test_a_background_is_no_signal_and_adds_noise():
    plain = run(lattice(), snr=2.0)
    hazy = run(lattice(), snr=2.0, background=1.0, contamination=0.2)
    assert hazy.record.snr == pytest.approx(2.0, rel=0.02)
    assert hazy.record.dose_e_per_a2 > 1.2 * plain.record.dose_e_per_a2
    assert hazy.noise_free.mean() > plain.noise_free.mean()
    assert hazy.record.contaminated_fraction == pytest.approx(0.2, abs=0.001)


@pytest.mark.parametrize("settings", [{}, {"mtf": 0.3}, {"binning": 2}])
def test_a_dose_gives_its_electrons_within_poisson_error(settings):
    expected = np.full((256, 256), 0.4)
    frame = run(expected, dose=50.0, **settings)
    size_a = PIXEL_PM / 100
    per_pixel = 50.0 * size_a**2 * 0.4
    assert frame.record.electrons_per_px == pytest.approx(per_pixel, rel=1e-6)
    total = per_pixel * frame.image.size
    assert abs(frame.image.sum(dtype=float) - total) < 4 * np.sqrt(total)


def test_counts_follow_poisson_statistics_and_gaussian_noise_does_not():
    expected = np.repeat([[0.05], [0.8]], [128, 128], axis=0) * np.ones((256, 256))
    counted = run(expected, dose=200.0).image
    for half in (counted[:128], counted[128:]):
        assert half.var() == pytest.approx(half.mean(), rel=0.03)
    assert np.array_equal(counted, np.rint(counted))
    white = run(expected, dose=200.0, noise="gaussian").image
    assert white[:128].var() == pytest.approx(white[128:].var(), rel=0.05)


def test_a_camera_correlates_neighbouring_pixels_and_keeps_the_mean():
    flat = np.full((256, 256), 1.0)
    sharp, blurred = (run(flat, dose=800.0, mtf=m).image.astype(float) for m in (1.0, 0.2))
    assert blurred.mean() == pytest.approx(sharp.mean(), rel=0.005)
    correlation = [np.corrcoef(i[:, 1:].ravel(), i[:, :-1].ravel())[0, 1] for i in (sharp, blurred)]
    assert abs(correlation[0]) < 0.02
    assert correlation[1] > 0.3


def test_the_mtf_is_as_asked_at_nyquist_and_falls_as_documented():
    stripes = np.ones((64, 64))
    stripes[:, ::2] = 3.0
    inner = run(stripes, mtf=0.25).noise_free[:, 20:44]
    assert np.ptp(inner) == pytest.approx(2.0 * 0.25, rel=0.02)
    wave = np.cos(np.pi / 2 * (np.arange(64) + 0.5))  # half the Nyquist frequency, even at borders
    passed = run(np.tile(2 + wave, (64, 1)), mtf=0.25).noise_free - 2
    np.testing.assert_allclose(passed, np.tile(wave / (1 + 3 / 4), (64, 1)), atol=1e-6)


def test_readout_gain_offset_saturation_and_rounding():
    flat = np.full((128, 128), 2.0)
    still = run(flat, gain=10.0, offset=5.0)
    assert np.all(still.image == 25.0)
    read = run(flat, readout=0.3, gain=10.0)
    assert read.image.std() == pytest.approx(3.0, rel=0.03)
    full = run(lattice(), dose=1e4, saturation=40.0, gain=2.0)
    assert full.image.max() == 80.0
    assert full.record.saturated_fraction == pytest.approx((full.image == 80.0).mean())
    assert 0 < full.record.saturated_fraction < 0.5
    whole = run(lattice(), dose=1e4, mtf=0.3, whole_levels=True)
    assert np.array_equal(whole.image, np.rint(whole.image))


def test_without_dose_or_snr_nothing_is_counted():
    expected = lattice()
    frame = run(expected)
    np.testing.assert_allclose(frame.image, expected, rtol=1e-6)
    assert frame.record.snr is None
    assert frame.record.dose_e_per_a2 is None
    np.testing.assert_allclose(
        run(np.kron(expected, np.ones((2, 2))), binning=2).image, expected, rtol=1e-6
    )


def test_the_same_seed_gives_the_same_frame_and_another_does_not():
    settings = {
        "snr": 1.0,
        "jitter_pm": 4.0,
        "drift_pm": 60.0,
        "background": 0.3,
        "contamination": 0.1,
        "loss": "trajectory",
    }
    first, again, other = (run(lattice(), seed, **settings) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    assert first.record == again.record
    assert not np.array_equal(first.image, other.image)


def test_the_record_survives_json():
    frame = run(lattice(), snr=1.0, drift_pm=80.0, dead_lines=2, loss="random", jitter_pm=3.0)
    text = frame.record.model_dump_json()
    assert type(frame.record).model_validate_json(text) == frame.record
    assert json.loads(text)["lost_fraction"] == pytest.approx(0.3, abs=1e-5)


def test_a_bright_field_background_varies_about_zero_and_a_dark_field_one_adds():
    bright = run(np.full((64, 64), 1.0) + lattice((64, 64)), background=0.5)
    dark = run(lattice((64, 64)), background=0.5)
    assert bright.image.mean() == pytest.approx(1.0 + lattice((64, 64)).mean(), rel=0.01)
    assert (dark.image >= lattice((64, 64)).astype(np.float32) - 1e-6).all()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"dose": -3.0}, "The dose (electrons per Å²) cannot be -3.0: it must be greater than 0."),
        ({"snr": 0.0}, "The SNR cannot be 0.0: it must be greater than 0."),
        ({"dose": float("nan")}, "The dose (electrons per Å²) cannot be nan"),
        ({"loss": "some"}, "must be 'none', 'random' or 'trajectory'."),
        ({"lost_fraction": 1.0}, "The fraction of lost pixels cannot be 1.0"),
        ({"snr": 1.0, "dose": 2.0}, "cannot both be asked for: give one of them."),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(settings, sentence):
    with pytest.raises(ValidationError) as caught:
        DegradationSettings(**settings)
    (problem,) = caught.value.errors()
    message = problem["msg"].removeprefix("Value error, ")
    assert sentence in message
    assert "\n" not in message
    assert message.endswith(".")


@pytest.mark.parametrize(
    ("image", "settings", "sentence"),
    [
        (np.ones((32, 32)), {"snr": 1.0}, "no contrast"),
        (np.full((32, 32), np.nan), {}, "not numbers"),
        (np.ones((33, 32)), {"binning": 2}, "cannot be binned"),
        (np.ones(32), {}, "two dimensions"),
        (lattice((16, 16)), {"dead_lines": 16}, "fewer dead lines"),
        (lattice((8, 8)), {"loss": "random", "lost_fraction": 0.999}, "leaves none"),
    ],
)
def test_images_that_cannot_be_degraded_are_refused(image, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        run(image, **settings)


def test_an_snr_over_no_material_is_refused():
    with pytest.raises(UserError, match="No pixel"):
        run(lattice((32, 32)), material=np.zeros((32, 32), dtype=bool), snr=1.0)
