"""Aberrations have the signs, factors and azimuths that their docstrings state."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_apgan.simulate.imaging.aberrations import abtem_parameters, gradient, phase
from napari_apgan.simulate.imaging.settings import Aberrations
from napari_apgan.simulate.imaging.transfer import interaction, wavelength_pm

EVERY = Aberrations(
    c1_nm=-7.0,
    a1_nm=3.0,
    a1_deg=20.0,
    b2_nm=40.0,
    b2_deg=-50.0,
    a2_nm=60.0,
    a2_deg=33.0,
    c3_um=-20.0,
    s3_um=1.5,
    s3_deg=77.0,
    a3_um=2.5,
    a3_deg=11.0,
)
LAMBDA = wavelength_pm(80.0)


def test_each_name_has_its_haider_factor() -> None:
    """At azimuth zero χ·λ/2π is C1 α²/2, A1 α²/2, B2 α³, A2 α³/3, C3 α⁴/4, S3 α⁴, A3 α⁴/4."""
    alpha = 0.03
    k = np.array(alpha / LAMBDA)
    expected = {
        Aberrations(c1_nm=1): 1e3 * alpha**2 / 2,
        Aberrations(a1_nm=1): 1e3 * alpha**2 / 2,
        Aberrations(b2_nm=1): 1e3 * alpha**3,
        Aberrations(a2_nm=1): 1e3 * alpha**3 / 3,
        Aberrations(c3_um=1): 1e6 * alpha**4 / 4,
        Aberrations(s3_um=1): 1e6 * alpha**4,
        Aberrations(a3_um=1): 1e6 * alpha**4 / 4,
    }
    for aberrations, path in expected.items():
        chi = phase(aberrations, k, np.array(0.0), LAMBDA)
        assert chi == pytest.approx(2 * math.pi / LAMBDA * path, rel=1e-12)


def test_azimuths_turn_from_x_towards_y() -> None:
    turn = np.radians(np.arange(360.0))
    for name, symmetry in (("a1_nm", 2), ("b2_nm", 1), ("a2_nm", 3), ("s3_um", 2), ("a3_um", 4)):
        aberrations = Aberrations(**{name: 1.0, name[:2] + "_deg": 25.0})
        chi = phase(aberrations, 0.005 * np.cos(turn), 0.005 * np.sin(turn), LAMBDA)
        highest = np.flatnonzero(chi > chi.max() * (1 - 1e-9))
        assert len(highest) == symmetry
        assert 25 in highest % (360 // symmetry)


def test_the_gradient_is_the_slope_of_the_phase() -> None:
    kx, ky = np.random.default_rng(0).uniform(-0.01, 0.01, (2, 200))
    step = 1e-7
    found = gradient(EVERY, kx, ky, LAMBDA)
    along_x = phase(EVERY, kx + step, ky, LAMBDA) - phase(EVERY, kx - step, ky, LAMBDA)
    along_y = phase(EVERY, kx, ky + step, LAMBDA) - phase(EVERY, kx, ky - step, LAMBDA)
    slope = (along_x + 1j * along_y) / (2 * step)
    assert np.abs(found - slope).max() < 1e-6 * np.abs(slope).max()


def test_abtem_agrees_about_every_aberration() -> None:
    abtem = pytest.importorskip("abtem")
    with abtem.config.set({"precision": "float64"}):
        ctf = abtem.transfer.Aberrations(
            aberration_coefficients=abtem_parameters(EVERY), energy=80e3, gpts=(48, 32), extent=5.0
        )
        theirs = np.asarray(ctf._evaluate_kernel()).T
    kx = np.fft.fftfreq(48, 500 / 48)[None]
    ky = np.fft.fftfreq(32, 500 / 32)[:, None]
    inside = np.hypot(kx, ky) < 0.012
    ours = np.exp(-1j * phase(EVERY, kx, ky, 100 * abtem.core.energy.energy2wavelength(80e3)))
    assert np.abs(ours - theirs)[inside].max() < 1e-9
    assert np.ptp(np.angle(ours[inside])) > 6


def test_electrons_have_the_tabulated_wavelength_and_interaction() -> None:
    """Values of Kirkland's table: 4.176, 2.508, 1.969 pm; σ(100 kV) = 0.9244 mrad/(V Å)."""
    for voltage, expected in ((80.0, 4.1757), (200.0, 2.5079), (300.0, 1.9687)):
        assert wavelength_pm(voltage) == pytest.approx(expected, rel=1e-4)
    assert interaction(100.0) * 100 == pytest.approx(0.9244e-3, rel=1e-4)
