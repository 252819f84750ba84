"""The motif of a perfect patch, from its Fourier coefficients."""

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import make_frame
from napari_apgan.simulate.match.harmonics import Honeycomb, fit_honeycomb, measure_harmonics

from .honeycombs import sites_of

BOX = (8.0, 8.0, 72.0, 72.0)


def honeycomb(angle=0.2, length=10.7, strain=0.01, origin=(31.3, 40.8)):
    turns = angle + np.array([0.0, np.pi / 3])
    vectors = length * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    return Honeycomb(vectors @ np.diag([1 + strain, 1 - strain]), np.array(origin), 0.0)


def test_the_lattice_is_found_from_displaced_atoms():
    true = honeycomb()
    rng = np.random.default_rng(0)
    atoms = sites_of(true, BOX) + rng.normal(0, 0.3, sites_of(true, BOX).shape)
    found = fit_honeycomb(rng.permutation(atoms))
    assert found.constant_px == pytest.approx(true.constant_px, rel=3e-3)
    assert found.rms_px == pytest.approx(0.3, rel=0.2)
    # The origin may be another ring's centre, but must be one.
    index = (found.origin - true.origin) @ np.linalg.inv(true.vectors)
    assert np.abs(index - np.rint(index)).max() < 0.02


def test_coefficients_are_exact_without_noise_and_right_within_their_errors_with_it():
    lattice = honeycomb()
    y, x = np.mgrid[:80, :80]
    at = np.stack([x, y], axis=-1) - lattice.origin
    orders = np.array([[0, 1], [1, 0], [1, -1], [1, 1]])
    given = np.array([0.3 - 0.1j, -0.2 + 0.25j, 0.15j, 0.05])
    phase = 2 * np.pi * at @ (orders @ lattice.reciprocal).T
    image = 2.0 + 2 * (given * np.exp(1j * phase)).real.sum(axis=-1)
    atoms = sites_of(lattice, BOX)

    exact = measure_harmonics(make_frame(image, missing="none"), lattice, atoms)
    found = dict(zip(map(tuple, exact.order.tolist()), exact.coefficient, strict=True))
    for order, value in zip(orders.tolist(), given, strict=True):
        conjugate = np.conj(found.get((-order[0], -order[1]), 0))
        assert found.get(tuple(order), conjugate) == pytest.approx(value, abs=1e-5)
    assert found[(0, 0)] == pytest.approx(2.0, abs=1e-5)

    rng = np.random.default_rng(1)
    noisy = make_frame(image + rng.normal(0, 0.5, image.shape), missing="none")
    measured = measure_harmonics(noisy, lattice, atoms)
    assert measured.noise == pytest.approx(0.5, rel=0.05)
    error = (measured.coefficient - exact.coefficient)[1:]
    parts = np.concatenate([error.real, error.imag]) / measured.sigma
    assert parts.std() == pytest.approx(1.0, abs=0.25)


def test_too_few_atoms_and_a_disordered_patch_are_refused():
    rng = np.random.default_rng(2)
    with pytest.raises(UserError, match="at least 24"):
        fit_honeycomb(sites_of(honeycomb(), BOX)[:10])
    with pytest.raises(UserError, match="honeycomb"):
        fit_honeycomb(rng.uniform(0, 80, (90, 2)))
