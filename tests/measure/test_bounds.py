"""No unbiased position is better than the bound, and the bound is what theory says it is."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame
from napari_apgan.measure import cramer_rao_pm

PIXEL_PM = 20.0


def blank(shape=(41, 41), valid=None, calibration=None):
    valid = np.ones(shape, dtype=bool) if valid is None else valid
    calibration = calibration or Calibration.from_pixel_size(PIXEL_PM, origin="user")
    return Frame(np.zeros(shape, dtype=np.float32), valid, calibration)


def peaks(xy, amplitude=5.0, width=2.5):
    return make_atoms(xy, "C", amplitude=amplitude, width_px=width)


@pytest.mark.parametrize("width", [1.5, 2.5, 4.0])
def test_one_peak_in_white_noise_has_the_closed_form(width):
    bound = cramer_rao_pm(blank(), peaks([[20.2, 19.7]], 5.0, width), noise=0.6)
    np.testing.assert_allclose(bound, np.sqrt(2 / np.pi) * PIXEL_PM * 0.6 / 5.0, rtol=1e-3)


def test_counts_without_background_give_the_width_over_the_root_of_their_number():
    y, x = np.mgrid[:41, :41]
    expected = 50.0 * np.exp(-((x - 20.2) ** 2 + (y - 19.7) ** 2) / (2 * 2.5**2))
    bound = cramer_rao_pm(blank(), peaks([[20.2, 19.7]], 50.0), noise=np.sqrt(expected + 1e-9))
    np.testing.assert_allclose(bound, PIXEL_PM * 2.5 / np.sqrt(expected.sum()), rtol=1e-3)


def test_missing_pixels_cost_what_they_would_have_told():
    rng = np.random.default_rng(0)
    isolated = np.sqrt(2 / np.pi) * PIXEL_PM * 0.6 / 5.0
    line = np.arange(30, 271, 30.0)
    xy = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    for missing in (0.3, 0.6):
        valid = rng.random((300, 300)) >= missing
        bound = cramer_rao_pm(blank(valid=valid, shape=valid.shape), peaks(xy, 5.0, 4.0), noise=0.6)
        mean = np.sqrt((bound**2).mean())
        assert mean == pytest.approx(isolated / np.sqrt(1 - missing), rel=0.04)
    half = np.ones((41, 41), dtype=bool)
    half[:, :20] = False
    seen = peaks([[19.5, 20.0]])  # its right half
    bound = cramer_rao_pm(blank(valid=half), seen, noise=0.6, unknown=())
    np.testing.assert_allclose(bound, np.sqrt(2) * isolated, rtol=1e-3)
    # Half a peak cannot tell well where it is when its height and width are open too.
    assert cramer_rao_pm(blank(valid=half), seen, noise=0.6)[0, 0] > 2 * bound[0, 0]


def test_neighbours_enter_as_in_the_full_fisher_matrix():
    rng = np.random.default_rng(1)
    xy = np.array([[14.3, 20.1], [19.0, 21.0], [23.1, 17.2], [33.0, 33.0]])
    table = np.column_stack([xy, [5.0, 3.0, 6.0, 4.0], [2.5, 2.2, 2.7, 2.0]])
    sigma, valid = rng.uniform(0.4, 0.8, (41, 41)), rng.random((41, 41)) > 0.2
    y, x = np.mgrid[:41, :41]

    def image(p):
        return sum(a * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * s * s)) for u, v, a, s in p)

    columns = []
    for k in range(table.size):
        step = np.zeros(table.size)
        step[k] = 1e-4
        up, down = (image(table + sign * step.reshape(table.shape)) for sign in (1, -1))
        columns.append(((up - down) / 2e-4 / sigma)[valid])
    full = np.linalg.inv(np.array(columns) @ np.array(columns).T)
    expected = PIXEL_PM * np.sqrt(np.diag(full)).reshape(-1, 4)[:, :2]
    bound = cramer_rao_pm(blank(valid=valid), peaks(xy, *table[:, 2:].T), noise=sigma)
    np.testing.assert_allclose(bound, expected, rtol=1e-3)
    alone = cramer_rao_pm(blank(valid=valid), peaks(xy[:1], 5.0, 2.5), noise=sigma)
    assert bound[0, 0] > 1.1 * alone[0, 0]  # towards the neighbour


def test_unequal_pixels_give_unequal_bounds():
    calibration = Calibration.from_pixel_size(20.0, 30.0, origin="user")
    bound = cramer_rao_pm(blank(calibration=calibration), peaks([[20.0, 20.0]]), noise=0.6)
    assert bound[0, 1] / bound[0, 0] == pytest.approx(1.5, rel=1e-6)


def test_what_no_pixel_sees_has_no_bound():
    valid = np.ones((80, 80), dtype=bool)
    valid[:40] = False
    bound = cramer_rao_pm(
        blank((80, 80), valid), peaks([[40.0, 12.0], [40.0, 60.0], [500.0, 3.0]]), noise=0.6
    )
    assert np.isinf(bound[[0, 2]]).all()
    assert np.isfinite(bound[1]).all()
    same = cramer_rao_pm(blank(), peaks([[20.0, 20.0], [20.0, 20.0]]), noise=0.6)
    assert (same > 1e4).all()  # two atoms at one place cannot be told apart
    assert cramer_rao_pm(blank(), peaks(np.empty((0, 2))), noise=0.6).shape == (0, 2)


def test_what_is_missing_is_said():
    one = peaks([[20.0, 20.0]])
    unknown = Frame(np.zeros((41, 41), np.float32), np.ones((41, 41), bool))
    with pytest.raises(UserError, match="pixel size"):
        cramer_rao_pm(unknown, one, noise=0.6)
    with pytest.raises(UserError, match="fit them"):
        cramer_rao_pm(blank(), make_atoms([[20.0, 20.0]], "C"), noise=0.6)
    with pytest.raises(UserError, match="noise"):
        cramer_rao_pm(blank(), one, noise=0.0)
