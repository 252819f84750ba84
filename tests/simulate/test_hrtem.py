"""Fast HRTEM: exact places, exact transfer, and abTEM's answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from napari_apgan.simulate.imaging import Aberrations, ImagingSettings, image
from napari_apgan.simulate.imaging.hrtem import hrtem_image, record, wave_grid
from napari_apgan.simulate.imaging.potentials import (
    KEPT,
    VOLT_PM2,
    projected_potential,
    scattering_factor_pm,
)
from napari_apgan.simulate.imaging.transfer import interaction
from napari_apgan.simulate.scene import Scene, View, place
from napari_apgan.simulate.specimen import Specimen, no_names

RNG = np.random.default_rng(0)
BRIGHT = ImagingSettings(aberrations=Aberrations(c1_nm=10.0, c3_um=-20.0))


def scene_of(
    xyz_pm: list[tuple[float, float, float]],
    number: int | list[int],
    *,
    side: int = 48,
    pixel_size_pm: float = 20.0,
) -> Scene:
    """Return a scene of resting atoms; x and y count from the centre of the frame."""
    count = len(xyz_pm)
    numbers = np.broadcast_to(np.asarray(number, dtype=np.int_), count)
    specimen = Specimen(
        np.reshape(np.asarray(xyz_pm, dtype=np.float64), (-1, 3)),
        numbers,
        np.full(count, -1),
        np.zeros(count),
        np.zeros((0, 2)),
        no_names(),
        np.zeros(0, dtype=np.int_),
    )
    return place(specimen, View(), (side, side), pixel_size_pm)


def test_atoms_are_drawn_between_the_points_of_the_grid() -> None:
    rng = np.random.default_rng(1)
    shape, sampling = (60, 72), 11.5
    xy = rng.uniform(-5, 70, (12, 2))
    number = np.array([6] * 6 + [14] * 6)
    thermal = np.full(12, 7.0)
    share = rng.uniform(0.2, 1.0, 12)
    ky = np.fft.fftfreq(shape[0], sampling)[:, None]
    kx = np.fft.fftfreq(shape[1], sampling)[None]
    k2 = kx**2 + ky**2
    exact = np.zeros(shape, dtype=complex)
    for (x, y), z, part in zip(xy, number, share, strict=True):
        waves = np.exp(-2j * np.pi * sampling * (kx * x + ky * y))
        damped = scattering_factor_pm(int(z), k2) * np.exp(-2 * np.pi**2 * 7.0**2 * k2)
        exact += part * damped * waves * VOLT_PM2 / sampling**2
    drawn = np.fft.fft2(projected_potential(xy, number, thermal, shape, sampling, share=share))
    edge = KEPT / 2 / sampling
    low = k2 < (0.97 * edge) ** 2
    assert np.abs(drawn - exact)[low].max() < 1e-5 * np.abs(exact).max()
    assert np.abs(drawn)[k2 > edge**2].max() < 1e-5 * np.abs(exact).max()


def test_the_scattering_factors_are_the_published_ones() -> None:
    """Mean inner potentials scale with f(0); Lobato & Van Dyck give 2.45 Å for C, 10.6 for Au."""
    zero = np.zeros(1)
    assert scattering_factor_pm(6, zero)[0] == pytest.approx(245.0, rel=0.03)
    assert scattering_factor_pm(79, zero)[0] == pytest.approx(1060.0, rel=0.03)
    # Far out the nucleus alone scatters: f -> Z / (2 π² a0 k²), k = 2 sin(θ/2)/λ.
    far = np.array([0.06**2])
    mott = 6 / (2 * np.pi**2 * 52.9177 * far[0])
    assert scattering_factor_pm(6, far)[0] == pytest.approx(mott, rel=0.05)


def test_an_image_lies_on_its_atom() -> None:
    """Atoms on both sides of the central pixel make images that mirror each other exactly."""
    for x, y in ((6.2, -3.7), (130.0, 55.5)):
        one = hrtem_image(scene_of([(x, y, 0.0)], 14, side=49), BRIGHT, RNG)
        other = hrtem_image(scene_of([(-x, -y, 0.0)], 14, side=49), BRIGHT, RNG)
        contrast = np.abs(one - 1).max()
        assert np.abs(one - other[::-1, ::-1]).max() < 1e-3 * contrast
        row, column = np.unravel_index(np.abs(one - 1).argmax(), one.shape)
        assert abs(column - 24 - x / 20) < 0.6
        assert abs(row - 24 - y / 20) < 0.6


def test_vacuum_is_one_and_the_sign_follows_the_focus() -> None:
    empty = hrtem_image(scene_of([], 6), BRIGHT, RNG)
    np.testing.assert_allclose(empty, 1.0, atol=1e-6)
    atom = scene_of([(-10.0, -10.0, 0.0)], 6)
    dark = ImagingSettings(aberrations=Aberrations(c1_nm=-6.0, c3_um=10.0))
    assert hrtem_image(atom, BRIGHT, RNG)[23, 23] > 1.02
    assert image(atom, dark, RNG)[23, 23] < 0.98


def test_atoms_outside_the_frame_count_and_wrap_nowhere() -> None:
    inside = scene_of([(0.0, 0.0, 0.0)], 78, side=64)
    # The same atom, seen by a frame that begins just after it, and by one far away.
    moved = replace(inside, xyz_pm=inside.xyz_pm - [32.5 * 20 + 30, 0, 0])
    near = hrtem_image(moved, BRIGHT, RNG)
    assert np.abs(near[:, :8] - 1).max() > 0.05
    assert np.abs(near[:, -8:] - 1).max() < 2e-3


def test_many_foci_give_the_same_image_as_a_few_with_an_envelope() -> None:
    lens = Aberrations(c1_nm=-8.0, c3_um=-20.0, a1_nm=2.0, a1_deg=40.0, b2_nm=50.0)
    settings = ImagingSettings(aberrations=lens)
    coherent = settings.model_copy(update={"focal_spread_nm": 0.0})
    grid = wave_grid((40, 40), 23.0, settings)
    xy = np.random.default_rng(3).uniform(0, grid.shape[0], (150, 2))
    atoms = np.full(150, 42)
    potential = projected_potential(xy, atoms, np.zeros(150), grid.shape, grid.sampling_pm)
    wave = np.exp(1j * interaction(80.0) * potential).astype(np.complex64)
    steps = np.linspace(-4, 4, 41)
    weights = np.exp(-(steps**2) / 2) / np.exp(-(steps**2) / 2).sum()
    exact = sum(
        weight * record(wave.copy(), grid, coherent, focus_pm=3e3 * step)
        for step, weight in zip(steps, weights, strict=True)
    )
    fast = record(wave.copy(), grid, settings)
    assert np.abs(fast - exact).max() < 0.01 * exact.std()


def test_angular_spread_blurs_a_defocused_image() -> None:
    """A weak object: tilts of the illumination drawn at random average to the envelope."""
    lens = Aberrations(c1_nm=40.0)
    settings = ImagingSettings(
        aberrations=lens, focal_spread_nm=0.0, angular_spread_mrad=1.0, aperture_mrad=25.0
    )
    still = settings.model_copy(update={"angular_spread_mrad": 0.0})
    atom = scene_of([(0.0, 0.0, 0.0)], 6, side=65, pixel_size_pm=25.0)
    damped, sharp = hrtem_image(atom, settings, RNG), hrtem_image(atom, still, RNG)
    # Defocus turns a tilt θ into a shift C1 θ of the image of a weak object.
    shift = 40e3 * 1e-3 * np.random.default_rng(5).normal(size=(1500, 2)) / 25.0
    ky, kx = np.fft.fftfreq(65)[:, None], np.fft.fftfreq(65)[None]
    mean = np.mean([np.exp(-2j * np.pi * (kx * x + ky * y)) for x, y in shift], axis=0)
    blurred = np.fft.ifft2(np.fft.fft2(sharp - 1) * mean).real + 1
    assert np.abs(damped - blurred)[16:-16, 16:-16].max() < 0.06 * np.abs(sharp - 1).max()
    assert np.abs(damped - sharp).max() > 0.2 * np.abs(sharp - 1).max()


def test_raising_the_specimen_is_the_same_as_refocusing() -> None:
    """C1 counts from the mean depth, so a second, far atom shifts the focus of the first."""
    lens = BRIGHT.aberrations
    pair = scene_of([(-240.0, 0.0, 0.0), (240.0, 0.0, 4000.0)], 6, side=64)
    both = hrtem_image(pair, BRIGHT, RNG) - 1
    expected = np.zeros_like(both)
    # The upper atom is 2 nm above the mean; its wave goes 2 nm farther.
    for x, c1 in ((-240.0, lens.c1_nm + 2.0), (240.0, lens.c1_nm - 2.0)):
        refocused = lens.model_copy(update={"c1_nm": c1})
        alone = BRIGHT.model_copy(update={"aberrations": refocused})
        expected += hrtem_image(scene_of([(x, 0.0, 0.0)], 6, side=64), alone, RNG) - 1
    assert np.abs(both - expected).max() < 0.03 * np.abs(expected).max()


def test_settings_that_cannot_be_are_refused_in_a_sentence() -> None:
    for wrong, words in (
        ({"mode": "haadf", "aperture_mrad": 120.0}, "too wide"),
        ({"mode": "haadf", "aperture_mrad": 20.0, "inner_mrad": 250.0}, "must begin inside"),
    ):
        with pytest.raises(ValidationError, match=words):
            ImagingSettings.model_validate(wrong)
    assert ImagingSettings.usual("haadf").detector_mrad == pytest.approx((70.4, 200.2))
    assert ImagingSettings.usual("abf").detector_mrad == pytest.approx((11.0, 22.0))


def test_fast_and_abtem_agree_on_graphene() -> None:
    pytest.importorskip("abtem")
    from napari_apgan.simulate.imaging.compare import (
        LENSES,
        SHEETS,
        abtem_image,
        compare_images,
        graphene_scene,
    )

    for name, lens in (("defects", LENSES[4]), ("rippled", LENSES[0])):
        scene = graphene_scene(SHEETS[name], side=48)
        settings = ImagingSettings(aberrations=lens)
        fast = hrtem_image(scene, settings, RNG)
        found = compare_images(name, scene, settings, fast, abtem_image(scene, settings))
        assert found.correlation > 0.9995, found
        assert found.gain == pytest.approx(1.0, abs=0.015), found
        assert np.hypot(*found.shift_pm) < 0.15, found
        assert found.shift_rms_pm < 0.4, found
