"""The image alone tells how far atoms lie apart, where it shows a lattice."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_apgan.atoms import positions
from napari_apgan.frames import Frame, make_frame
from napari_apgan.io import open_source, read_atoms
from napari_apgan.label import estimate_scale
from napari_apgan.simulate import make_sample

from .images import LATTICES, PT_STEMS


@pytest.mark.parametrize("name", ["pto_sro", "srtio3_ser", "ptir"])
def test_the_spacing_of_a_lattice_is_that_of_its_labels(real_data, name):
    image, labels, _ = LATTICES[name]
    frame = open_source(real_data / image).frame(0)
    xy = positions(read_atoms(real_data / labels))
    nearest = float(np.median(cKDTree(xy).query(xy, k=2)[0][:, 1]))
    assert estimate_scale(frame).spacing_px == pytest.approx(nearest, rel=0.05)


def test_graphene_shows_its_translation_of_which_a_bond_is_058(real_data):
    image, labels, _ = LATTICES["graphene_flower"]
    frame = open_source(real_data / image).frame(0)
    xy = positions(read_atoms(real_data / labels))
    bond = float(np.median(cKDTree(xy).query(xy, k=2)[0][:, 1]))
    assert estimate_scale(frame).spacing_px == pytest.approx(bond * 3**0.5, rel=0.05)


@pytest.mark.parametrize("stem", PT_STEMS)
def test_single_atoms_on_a_texture_have_no_spacing(real_data, stem):
    frame = open_source(real_data / "ptnc_haadf" / f"{stem}.tif").frame(0)
    scale = estimate_scale(frame)
    assert scale.spacing_px is None
    assert 1.0 <= scale.width_px <= 5.6


@pytest.mark.parametrize("snr", [10.0, 3.0, 1.0])
def test_a_simulated_lattice_is_measured_in_noise(snr):
    pair = make_sample(seed=3, n_frames=1, snr=snr)[0]
    a_site = positions(pair.atoms[pair.atoms["sublattice"] == "A"])
    distance = float(np.median(cKDTree(a_site).query(a_site, k=2)[0][:, 1]))
    scale = estimate_scale(pair.frame)
    # Ti in the middle of each cell makes the half diagonal a translation too.
    both = [distance, distance / 2**0.5]
    assert any(scale.spacing_px == pytest.approx(d, rel=0.06) for d in both)
    assert 1.0 < scale.width_px < 2.5


def test_missing_pixels_do_not_change_the_spacing():
    pair = make_sample(seed=3, n_frames=1, snr=10.0)[0]
    valid = np.random.default_rng(0).random(pair.frame.shape) > 0.3
    holed = Frame(np.where(valid, pair.frame.data, 0).astype(np.float32), valid)
    whole = estimate_scale(pair.frame).spacing_px
    assert estimate_scale(holed).spacing_px == pytest.approx(whole, rel=0.03)


def test_noise_and_empty_images_have_no_spacing():
    noise = np.random.default_rng(0).normal(100.0, 5.0, (128, 128))
    assert estimate_scale(make_frame(noise)).spacing_px is None
    assert estimate_scale(make_frame(np.full((64, 64), 7.0))).spacing_px is None


def test_an_estimate_is_remembered_as_long_as_its_image_lives():
    from napari_apgan.label import spacing

    frame = make_sample(seed=4, n_frames=1, shape=(64, 64))[0].frame
    first = estimate_scale(frame)
    assert estimate_scale(Frame(frame.data, frame.valid)) is first
    key = id(frame.data)
    assert key in spacing._known
    del frame
    gc.collect()
    assert key not in spacing._known
