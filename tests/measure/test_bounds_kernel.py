"""Bounds of atoms that look like a kernel, with the displacements' prior, and of mean distances."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame
from napari_apgan.measure import Kernel, bayesian_pm, cramer_rao_pm, mean_radial_pm
from napari_apgan.measure.joint import middle
from napari_apgan.measure.kernels import Profile

PIXEL_PM = 20.0
SIDE = 48


def blank(valid=None, matrix=None):
    valid = np.ones((SIDE, SIDE), bool) if valid is None else valid
    calibration = Calibration.from_pixel_size(PIXEL_PM, origin="user")
    if matrix is not None:
        calibration = Calibration(matrix_pm=matrix, origin="user")
    return Frame(np.zeros((SIDE, SIDE), np.float32), valid, calibration)


def ringed():
    """A kernel with a dark ring around its peak."""
    profile = Profile(1.2, 14)
    r = profile.centers_px
    weights = np.exp(-(r**2) / 8) - 0.3 * np.exp(-((r - 5) ** 2) / 5)
    return Kernel(profile, weights / middle(weights), {"C": 0.0})


def brute(kernel, xy, amplitude, sigma, valid, prior=0.0):
    """Bounds from numerical derivatives of the drawn image by all parameters."""
    from scipy.interpolate import BSpline

    spline = BSpline.basis_element(np.arange(-2, 3), extrapolate=False)
    y, x = np.mgrid[:SIDE, :SIDE]
    step = kernel.profile.step_px

    def image(p):
        total = np.zeros((SIDE, SIDE))
        for u, v, a in p:
            r = np.hypot(x - u, y - v) / step
            for n, w in enumerate(kernel.weights):
                total += a * w * np.nan_to_num(spline(r - n))
                if n:
                    total += a * w * np.nan_to_num(spline(r + n))
        return total

    table = np.column_stack([xy, amplitude])
    columns = []
    for k in range(table.size):
        change = np.zeros(table.size)
        change[k] = 1e-4
        up, down = (image(table + s * change.reshape(table.shape)) for s in (1, -1))
        columns.append(((up - down) / 2e-4 / sigma)[valid])
    fisher = np.array(columns) @ np.array(columns).T
    which = np.arange(table.size).reshape(table.shape)[:, :2].ravel()
    fisher[which, which] += prior
    full = np.diag(np.linalg.inv(fisher)).reshape(table.shape)[:, :2]
    return PIXEL_PM * np.sqrt(full)


XY = np.array([[16.2, 20.1], [22.4, 21.0], [19.1, 26.4], [33.0, 30.7], [27.0, 26.3]])


def test_neighbours_enter_as_in_the_full_fisher_matrix():
    kernel, amplitude = ringed(), np.array([3.0, 2.5, 3.0, 2.0, 3.0])
    atoms = make_atoms(XY, "C", amplitude=amplitude)
    whole = np.ones((SIDE, SIDE), bool)
    bound = cramer_rao_pm(blank(), atoms, noise=0.5, kernel=kernel, unknown=("amplitude",))
    np.testing.assert_allclose(bound, brute(kernel, XY, amplitude, 0.5, whole), rtol=0.02)
    alone = cramer_rao_pm(blank(), atoms.iloc[:1], noise=0.5, kernel=kernel)
    assert (bound[0] > 1.02 * alone[0]).any()


def test_missing_pixels_and_uneven_noise_enter_where_they_are():
    kernel, amplitude = ringed(), np.full(5, 3.0)
    rng = np.random.default_rng(0)
    valid = rng.random((SIDE, SIDE)) >= 0.3
    sigma = np.linspace(0.3, 0.8, SIDE)[None, :] * np.ones((SIDE, 1))
    atoms = make_atoms(XY, "C", amplitude=amplitude)
    bound = cramer_rao_pm(blank(valid), atoms, noise=sigma, kernel=kernel, unknown=("amplitude",))
    np.testing.assert_allclose(bound, brute(kernel, XY, amplitude, sigma, valid), rtol=0.08)


def test_a_prior_adds_its_precision():
    kernel, amplitude = ringed(), np.full(5, 3.0)
    atoms = make_atoms(XY, "C", amplitude=amplitude)
    whole = np.ones((SIDE, SIDE), bool)
    args = {"noise": 2.0, "kernel": kernel, "unknown": ("amplitude",)}
    bound = bayesian_pm(blank(), atoms, prior_pm=8.0, **args)
    expected = brute(kernel, XY, amplitude, 2.0, whole, prior=(PIXEL_PM / 8.0) ** 2)
    np.testing.assert_allclose(bound, expected, rtol=0.03)
    assert (bound < cramer_rao_pm(blank(), atoms, **args)).all()
    assert (bound < 8.0).all()
    # Where nothing is measured, what is known beforehand remains.
    dark = blank(np.zeros((SIDE, SIDE), bool) | (np.arange(SIDE) > 46))
    np.testing.assert_allclose(bayesian_pm(dark, atoms, prior_pm=8.0, **args), 8.0, rtol=1e-3)


def test_gaussians_take_a_prior_too():
    atoms = make_atoms([[20.2, 19.7]], "C", amplitude=5.0, width_px=2.5)
    free = cramer_rao_pm(blank(), atoms, noise=0.6)
    held = bayesian_pm(blank(), atoms, noise=0.6, prior_pm=3.0)
    np.testing.assert_allclose(held**-2.0, free**-2.0 + 3.0**-2, rtol=1e-6)
    with pytest.raises(UserError, match="positive"):
        bayesian_pm(blank(), atoms, noise=0.6, prior_pm=0.0)


def test_mean_distances_are_those_of_drawn_errors():
    rng = np.random.default_rng(1)
    deviations = np.array([[3.0, 3.0], [5.0, 1.0], [1.0, 5.0], [2.0, 0.0]])
    drawn = rng.normal(size=(200_000, 1, 2)) * deviations
    np.testing.assert_allclose(
        mean_radial_pm(deviations), np.hypot(*drawn.transpose(2, 0, 1)).mean(axis=0), rtol=0.01
    )
    assert mean_radial_pm(np.array([[3.0, 3.0]]))[0] == pytest.approx(3 * np.sqrt(np.pi / 2))
    assert np.isinf(mean_radial_pm(np.array([[np.inf, np.inf]]))[0])
