"""Detection without training finds lattices, particles and graphene as well as it says."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, make_frame
from napari_apgan.io import open_source, read_atoms
from napari_apgan.label import delaunay_dual, detect
from napari_apgan.measure import match
from napari_apgan.simulate import make_sample

from .images import LATTICES


def f1(found, truth, tolerance_px=2.0):
    return 2 * len(match(found, truth, tolerance_px)[0]) / max(len(found) + len(truth), 1)


def best_f1(detected, truth):
    """F1 at the threshold that a user would slide to."""
    strengths = np.arange(0.0, 9.0, 0.5)
    return max(f1(positions(detected[detected["amplitude"] >= s]), truth) for s in strengths)


@pytest.mark.parametrize(("name", "at_least"), [("srtio3_ser", 0.94), ("ptir", 0.9)])
def test_lattices_and_particles_are_found(real_data, name, at_least):
    image, labels, polarity = LATTICES[name]
    frame = open_source(real_data / image).frame(0)
    truth = positions(read_atoms(real_data / labels))
    reached = best_f1(detect(frame, polarity=polarity), truth)
    print(f"{name}: F1 {reached:.3f} at 2 px")
    assert reached >= at_least


def test_every_labelled_column_of_the_supercrystal_is_among_the_detected(real_data):
    image, labels, _ = LATTICES["pto_sro"]
    truth = positions(read_atoms(real_data / labels))
    found = positions(detect(open_source(real_data / image).frame(0)))
    # The B columns between are found too and not labelled, so precision says nothing.
    assert len(match(found, truth, 2.0)[0]) / len(truth) > 0.97


def test_graphene_is_found_as_the_dual_of_its_rings(real_data):
    image, labels, polarity = LATTICES["graphene_flower"]
    frame = open_source(real_data / image).frame(0)
    truth = positions(read_atoms(real_data / labels))
    dual = positions(detect(frame, polarity=polarity, mode="dual"))
    clear = [xy[xy[:, 0] >= 128] for xy in (dual, truth)]  # the left is contaminated
    print(f"dual: F1 {f1(dual, truth):.3f}, right half {f1(*clear):.3f}")
    assert f1(dual, truth) > 0.88
    assert f1(*clear) > 0.88
    # Dark spots alone are far worse: that is what the mode is for.
    assert f1(positions(detect(frame, polarity=polarity)), truth) < 0.8


@pytest.mark.parametrize(("snr", "at_least"), [(10.0, 0.96), (3.0, 0.94)])
@pytest.mark.parametrize("sign", [1, -1])
def test_simulated_columns_are_found_bright_or_dark(snr, at_least, sign):
    pair = make_sample(seed=6, n_frames=1, snr=snr)[0]
    frame = Frame(sign * pair.frame.data, pair.frame.valid)
    found = detect(frame, polarity="bright" if sign > 0 else "dark")
    assert best_f1(found, positions(pair.atoms)) >= at_least
    assert (found["origin"] == "detected").all()
    assert (np.diff(found["amplitude"]) <= 0).all()


def test_the_threshold_leaves_out_the_weak_ones_alone():
    frame = make_sample(seed=6, n_frames=1)[0].frame
    every, strong = detect(frame), detect(frame, threshold=2.0)
    kept = every[every["amplitude"] >= 2.0]
    assert 0 < len(strong) < len(every)
    np.testing.assert_array_equal(positions(strong), positions(kept))
    assert len(detect(frame, threshold=1e9)) == 0


def test_missing_pixels_cost_few_atoms():
    pair = make_sample(seed=6, n_frames=1, snr=10)[0]
    valid = np.random.default_rng(0).random(pair.frame.shape) > 0.3
    holed = Frame(np.where(valid, pair.frame.data, 0).astype(np.float32), valid)
    assert best_f1(detect(holed), positions(pair.atoms)) > 0.9


def test_a_given_spacing_replaces_the_estimate():
    pair = make_sample(seed=6, n_frames=1, snr=10)[0]
    fine, coarse = detect(pair.frame, spacing_px=9.5), detect(pair.frame, spacing_px=40.0)
    assert len(coarse) < 0.5 * len(fine)
    with pytest.raises(UserError, match="spacing"):
        detect(pair.frame, spacing_px=0.0)


def test_empty_and_tiny_images():
    assert len(detect(make_frame(np.full((64, 64), 3.0)))) == 0
    assert len(detect(make_frame(np.full((64, 64), 3.0)), mode="dual")) == 0
    with pytest.raises(UserError, match="too small"):
        detect(make_frame(np.arange(100.0).reshape(10, 10)))


def test_the_dual_of_a_triangular_lattice_is_graphene():
    a = 11.0
    i, j = (g.ravel() for g in np.mgrid[:8, :8])
    rings = np.column_stack([a * (i + 0.5 * j), a * 3**0.5 / 2 * j])
    atoms = delaunay_dual(rings)
    distance = np.sort(np.linalg.norm(atoms[:, None] - atoms[None], axis=2), axis=1)
    np.testing.assert_allclose(distance[:, 1], a / 3**0.5, rtol=1e-6)
    assert delaunay_dual(rings[:2]).shape == (0, 2)
    assert delaunay_dual(np.column_stack([i, i]).astype(float)).shape == (0, 2)
