"""The embedded sample knows its own truth."""

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.simulate import make_sample


def test_the_same_seed_gives_the_same_frames_and_another_seed_does_not():
    first, again, other = (make_sample(seed=s, n_frames=1, shape=(64, 64)) for s in (3, 3, 4))
    np.testing.assert_array_equal(first[0].frame.data, again[0].frame.data)
    assert not np.array_equal(first[0].frame.data, other[0].frame.data)


def test_columns_are_where_the_noise_free_picture_is_brightest():
    sample = make_sample(seed=1, n_frames=2, snr=None, jitter=False)
    for pair, expected in zip(sample, sample.expected, strict=True):
        atoms = pair.atoms[pair.atoms["element"] == "Pb"]
        xy = np.rint(positions(atoms)).astype(int)
        inner = ((xy >= 3) & (xy < np.array(expected.shape)[::-1] - 3)).all(axis=1)
        assert inner.sum() > 50
        for x, y in xy[inner]:
            patch = expected[y - 3 : y + 4, x - 3 : x + 4]
            top = np.array(np.unravel_index(patch.argmax(), patch.shape)) - 3
            assert np.abs(top).max() <= 1


@pytest.mark.parametrize("snr", [0.5, 3.0])
def test_the_noise_has_the_strength_asked_for(snr):
    sample = make_sample(seed=2, n_frames=1, snr=snr, jitter=False)
    noise = sample[0].frame.data - sample.expected[0]
    assert sample.expected[0].var() / noise.var() == pytest.approx(snr, rel=0.05)


def test_a_dose_sets_the_mean_count():
    sample = make_sample(n_frames=1, dose=7.0)
    assert sample[0].frame.data.mean() == pytest.approx(7.0, rel=0.02)
    assert np.array_equal(sample[0].frame.data, np.rint(sample[0].frame.data))


@pytest.mark.parametrize("pattern", ["wall", "vortex"])
def test_titanium_moves_in_lead_titanate_alone_and_by_the_amplitude_asked_for(pattern):
    sample = make_sample(seed=5, n_frames=2, pattern=pattern, amplitude_pm=25.0)
    for pair, sites in zip(sample, sample.undisplaced, strict=True):
        assert (sites["element"] == pair.atoms["element"]).all()
        shift = pair.frame.calibration.to_pm(positions(pair.atoms) - positions(sites))
        titanium = (pair.atoms["element"] == "Ti").to_numpy()
        assert np.sqrt((shift[~titanium] ** 2).mean()) == pytest.approx(3.0, rel=0.2)
        longest = np.hypot(*shift[titanium].T).max()
        assert 20.0 < longest < 25.0 + 5 * 3.0


def test_frames_differ_in_magnification_and_say_so():
    sample = make_sample(n_frames=4, shape=(64, 64))
    sizes = {pair.frame.calibration.x_pm for pair in sample}
    assert len(sizes) == 4
    assert all(29.0 * 0.97 <= s <= 29.0 * 1.03 for s in sizes)
    assert {"Pb", "Sr", "Ti"} == set(make_sample(n_frames=1)[0].atoms["element"])


def test_jitter_moves_rows_and_not_the_truth():
    still, shaken = (make_sample(n_frames=1, snr=None, jitter=j) for j in (False, 6.0))
    np.testing.assert_allclose(positions(still[0].atoms), positions(shaken[0].atoms))
    assert np.abs(still[0].frame.data - shaken[0].frame.data).max() > 0.02


def test_a_sample_without_frames_is_refused():
    with pytest.raises(UserError, match="at least one frame"):
        make_sample(n_frames=0)
