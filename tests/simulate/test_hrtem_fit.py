"""Aberrations from a patch of perfect graphene, against frames imaged with known ones."""

import math

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import make_frame
from napari_apgan.simulate.imaging import image
from napari_apgan.simulate.imaging.settings import Aberrations, ImagingSettings
from napari_apgan.simulate.match.harmonics import Honeycomb
from napari_apgan.simulate.match.hrtem_fit import LATTICE_PM, fit_lens
from napari_apgan.simulate.scene import View, place
from napari_apgan.simulate.specimen import Specimen

from .honeycombs import sites_of

GIVEN = ImagingSettings(
    mode="hrtem", focal_spread_nm=3.0, aperture_mrad=40.0, aberrations=Aberrations(c3_um=-20.0)
)


def graphene(reach_pm):
    vectors = LATTICE_PM * np.array([[1.0, 0.0], [0.5, math.sqrt(3) / 2]])
    box = (-reach_pm, -reach_pm, reach_pm, reach_pm)
    sites = sites_of(Honeycomb(vectors, np.zeros(2), 0.0), box)
    n = len(sites)
    return Specimen(
        xyz_pm=np.c_[sites, np.zeros(n)],
        number=np.full(n, 6),
        column=np.arange(n),
        thermal_pm=np.full(n, 6.5),
        site_pm=sites,
        sublattice=np.full(n, "A"),
        grain=np.zeros(n, dtype=np.int_),
    )


def patch(snr, *, seed=0, label_error_px=0.2, **aberrations):
    """Image graphene; return the noisy frame and its labelled atoms."""
    rng = np.random.default_rng(seed)
    lens = Aberrations(c3_um=-20.0, **aberrations)
    settings = GIVEN.model_copy(update={"aberrations": lens})
    scene = place(graphene(4500), View(rotation_rad=0.3), (144, 144), 23.0)
    ideal = image(scene, settings, rng)
    noisy = ideal + rng.normal(0, ideal.std() / math.sqrt(snr), ideal.shape)
    xy = scene.columns.xy_px
    inside = ((xy > 10) & (xy < 134)).all(axis=1)
    labels = xy[inside] + rng.normal(0, label_error_px, (inside.sum(), 2))
    return make_frame(1000 * noisy, missing="none"), labels


def test_aberrations_are_found_where_outer_rings_are_visible():
    frame, atoms = patch(
        50, c1_nm=-6, a1_nm=3, a1_deg=40, b2_nm=60, b2_deg=100, a2_nm=50, a2_deg=20
    )
    fit = fit_lens(frame, atoms, GIVEN)
    lens = fit.aberrations
    assert fit.rings >= 3
    assert fit.certain
    assert lens.c1_nm == pytest.approx(-6, abs=0.3)
    assert lens.a1_nm == pytest.approx(3, abs=0.3)
    assert lens.a1_deg == pytest.approx(40, abs=4)
    assert lens.b2_nm == pytest.approx(60, abs=10)
    assert lens.a2_nm == pytest.approx(50, abs=10)
    assert lens.c3_um == -20
    assert fit.misfit == pytest.approx(1.0, abs=0.35)
    assert fit.pixel_size_pm == pytest.approx(23.0, rel=1e-3)
    assert fit.contrast == pytest.approx(1.0, abs=0.1)


def test_the_true_defocus_is_among_the_answers_at_the_noise_of_real_frames():
    frame, atoms = patch(2.35, c1_nm=-10)
    fit = fit_lens(frame, atoms, GIVEN)
    answers = [fit.aberrations.c1_nm, *fit.others_nm]
    assert min(abs(c + 10) for c in answers) < 1.0
    assert fit.others_nm == () or "nearly as well" in fit.sentence


def test_one_ring_alone_leaves_the_defocus_open_and_says_so():
    frame, atoms = patch(0.22, c1_nm=10)
    fit = fit_lens(frame, atoms, GIVEN)
    assert fit.rings == 1
    assert not fit.certain
    assert "leaves the defocus open" in fit.sentence


def test_a_patch_without_contrast_is_refused():
    _, atoms = patch(50, c1_nm=10)
    noise = np.random.default_rng(3).normal(size=(144, 144))
    with pytest.raises(UserError, match="noise"):
        fit_lens(make_frame(noise, missing="none"), atoms, GIVEN)
