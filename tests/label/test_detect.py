"""Detection without training finds lattices, particles and graphene as well as it says."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame, make_frame
from napari_apgan.io import open_source, read_atoms
from napari_apgan.label import delaunay_dual, detect, find_candidates
from napari_apgan.measure import match
from napari_apgan.simulate import make_sample

from .images import LATTICES, PT_STEMS


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
    assert f1(*clear) > 0.9
    # The labels end 11 px before the border.
    inner = [xy[((xy > [128, 11]) & (xy < 245)).all(axis=1)] for xy in (dual, truth)]
    print(f"labelled part of it: F1 {f1(*inner):.3f}")
    assert f1(*inner) > 0.97
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


def two_sizes():
    """A frame of strong wide columns with weak narrow ones between them, and their places."""
    rng = np.random.default_rng(4)
    line = np.arange(14.0, 250.0, 24.0)
    wide = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2) + rng.normal(0, 0.3, (100, 2))
    small = (wide + 12.0)[(wide < 220).all(axis=1)]
    y, x = np.mgrid[:256, :256]
    image = np.zeros((256, 256))
    for places, width, height in ((wide, 5.0, 100.0), (small, 1.3, 18.0)):
        for u, v in places:
            image += height * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * width**2))
    return make_frame(image + rng.normal(0, 2.0, image.shape)), wide, small


def test_weak_small_columns_are_found_beside_strong_large_ones_when_several_sizes_are_looked_for():
    frame, wide, small = two_sizes()
    everything = np.concatenate([wide, small])
    one, several = find_candidates(frame), find_candidates(frame, several_sizes=True)
    reached = [f1(c.atoms_px(len(everything)), everything) for c in (one, several)]
    print(
        f"strongest {len(everything)}: F1 {reached[0]:.3f} at one size, {reached[1]:.3f} at three"
    )
    assert reached[1] > 0.9
    assert reached[1] > reached[0] + 0.1
    found, true = match(several.xy, everything, 2.0)
    of_small = several.width_px[found[true >= len(wide)]]
    assert np.median(of_small) < 0.7 * np.median(several.width_px[found[true < len(wide)]])


@pytest.mark.parametrize("rings", [False, True])
def test_fewer_candidates_are_the_strongest_of_them(rings):
    pair = make_sample(seed=6, n_frames=1, snr=10)[0]
    found = find_candidates(pair.frame, rings=rings)
    assert (np.diff(found.strength) <= 0).all()
    for n in (len(found.xy), found.first, 100, 3, 0):
        xy, table = found.atoms_px(n), found.table(n)
        assert len(xy) == len(table)
        order = np.lexsort(xy.T), np.lexsort(positions(table).T)
        np.testing.assert_array_equal(xy[order[0]], positions(table)[order[1]])
        assert (table["amplitude"] >= found.strength[max(n - 1, 0)]).all()
    assert found.above(found.strength[49]) == 50


def test_single_atoms_on_a_support_start_with_those_that_stand_out(real_data):
    name = f"ptnc_haadf/{PT_STEMS[0]}"
    found = find_candidates(open_source(real_data / f"{name}.tif").frame(0))
    truth = positions(read_atoms(real_data / f"{name}.csv"))
    at_first = f1(found.atoms_px(found.first), truth, 5.0)
    print(f"{found.first} of {len(found.xy)} at first: F1 {at_first:.3f}")
    assert found.spacing_px is None
    assert found.first < 0.15 * len(found.xy)
    assert at_first > 0.4


def test_what_a_step_of_the_slider_costs_is_told():
    rng = np.random.default_rng(0)
    a = 14.0
    i, j = (g.ravel() for g in np.mgrid[-80:160, :90])
    centres = np.column_stack([a * (i + 0.5 * j), a * 3**0.5 / 2 * j])
    centres = centres[((centres > 0) & (centres < 1023)).all(axis=1)]
    image = np.zeros((1024, 1024))
    np.add.at(image, tuple(np.rint(centres).astype(int).T[::-1]), 80.0)
    frame = make_frame(gaussian_filter(image, 3.0) + rng.normal(0, 0.2, image.shape))
    for rings, polarity in ((False, "bright"), (True, "dark")):
        began = time.perf_counter()
        found = find_candidates(frame, polarity=polarity, rings=rings)
        once = time.perf_counter() - began
        steps = []
        for n in np.linspace(len(found.xy) / 2, len(found.xy), 5).astype(int).tolist():
            began = time.perf_counter()
            atoms = found.atoms_px(n)
            steps.append(time.perf_counter() - began)
        print(
            f"1024x1024, rings {rings}: {len(found.xy)} spots in {once:.2f} s, a slider's step "
            f"{1e3 * max(steps):.1f} ms for up to {len(atoms)} atoms"
        )
        assert len(atoms) >= 0.9 * len(centres) * (2 if rings else 1)


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
