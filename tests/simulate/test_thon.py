"""Defocus and astigmatism from the rings of an amorphous film."""

import math

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.simulate.match.lens import amorphous_box
from napari_apgan.simulate.match.thon import fit_thon

WAVELENGTH_PM = 2.508  # 200 kV


def film(c1_nm, a1_nm, a1_deg, c3_um, *, pixel_pm=30.0, size=256, noise=0.7, seed=0):
    """Make a frame of white noise seen through sin(chi) of a weak phase object."""
    rng = np.random.default_rng(seed)
    f = np.fft.fftfreq(size, pixel_pm * 1e-3)
    ky, kx = np.meshgrid(f, f, indexing="ij")
    k2, azimuth = kx**2 + ky**2, np.arctan2(ky, kx)
    wavelength = WAVELENGTH_PM * 1e-3
    defocus = c1_nm + a1_nm * np.cos(2 * (azimuth - math.radians(a1_deg)))
    chi = math.pi * wavelength * k2 * (defocus + 0.5 * wavelength**2 * c3_um * 1e3 * k2)
    transfer = np.sin(chi) * np.exp(-k2 / 36)
    image = np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) * transfer).real
    image = image / image.std() + noise * rng.normal(size=image.shape)
    return make_frame(image, Calibration.from_pixel_size(pixel_pm, origin="file"), missing="none")


@pytest.mark.parametrize(("a1_nm", "a1_deg"), [(0.0, 0.0), (9.0, 30.0)])
def test_defocus_and_astigmatism_are_found(a1_nm, a1_deg):
    fit = fit_thon(
        film(-60.0, a1_nm, a1_deg, 150.0),
        wavelength_pm=WAVELENGTH_PM,
        c3_um=150.0,
        largest_c1_nm=90,
    )
    assert fit.c1_nm == pytest.approx(-60.0, abs=1.5)
    assert fit.sign_known
    assert fit.a1_nm == pytest.approx(a1_nm, abs=2.0)
    if a1_nm:
        assert abs((fit.a1_deg - a1_deg + 90) % 180 - 90) < 8


def test_without_spherical_aberration_the_sign_stays_open():
    fit = fit_thon(film(-60.0, 0.0, 0.0, 0.0), wavelength_pm=WAVELENGTH_PM, largest_c1_nm=90)
    assert abs(fit.c1_nm) == pytest.approx(60.0, abs=1.5)
    assert not fit.sign_known
    assert "cannot be told" in fit.sentence


def test_noise_has_no_rings():
    image = np.random.default_rng(1).normal(size=(256, 256))
    frame = make_frame(image, Calibration.from_pixel_size(30.0, origin="file"), missing="none")
    with pytest.raises(UserError, match="No Thon rings"):
        fit_thon(frame, wavelength_pm=WAVELENGTH_PM, largest_c1_nm=90)


def test_a_small_box_and_an_unknown_pixel_size_are_refused():
    frame = film(-60.0, 0.0, 0.0, 0.0)
    with pytest.raises(UserError, match="96 x 96"):
        fit_thon(frame, wavelength_pm=WAVELENGTH_PM, box=(0, 0, 64, 256))
    bare = make_frame(frame.data, missing="none")
    with pytest.raises(UserError, match="pixel size"):
        fit_thon(bare, wavelength_pm=WAVELENGTH_PM)


def test_a_quadrant_of_film_beside_crystal_is_found():
    frame = film(-60.0, 0.0, 0.0, 0.0, size=256)
    y, x = np.mgrid[:256, :256]
    lattice = 4 * np.cos(2 * np.pi * x / 9.3) * np.cos(2 * np.pi * y / 11.1)
    mixed = frame.data + np.where((x < 128) & (y < 128), 0.0, lattice)
    assert amorphous_box(make_frame(mixed, missing="none")) == (0, 0, 128, 128)
    assert amorphous_box(make_frame(frame.data + lattice, missing="none")) is None
