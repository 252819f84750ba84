"""The usual kernel of labelled frames, and what it tells where a frame leaves its own open."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.measure import refine, usual_kernel
from napari_apgan.measure.kernels import Kernel, Profile, mean_kernel

SIDE = 96
SPACING = 6.2
CALIBRATION = Calibration.from_pixel_size(20.0, origin="user")


def fringed(r):
    return np.exp(-(r**2) / 8) - 0.35 * np.exp(-((r - 5) ** 2) / 5)


def square_lattice():
    """Sites in and around the frame; the lattice is perfect."""
    line = np.arange(-24.0, SIDE + 24, SPACING)
    return np.stack(np.meshgrid(line + 0.2, line + 0.4), axis=-1).reshape(-1, 2)


def image_of(xy, rng):
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.zeros((SIDE, SIDE))
    for u, v in xy:
        image += fringed(np.hypot(x - u, y - v))
    return make_frame(4.0 * image + rng.normal(0, 0.15, image.shape), CALIBRATION)


def inside(xy):
    return ((xy > -0.5) & (xy < SIDE - 0.5)).all(axis=1)


def kernel_of(step, reach=16):
    profile = Profile(step, reach)
    return Kernel(profile, np.exp(-(profile.centers_px**2) / 18.0), {"C": 0.4, "N": 1.0})


def test_a_kernel_keeps_its_shape_on_another_basis_and_grows_by_the_scale():
    kernel = kernel_of(1.0)
    same = kernel.on(kernel.profile)
    np.testing.assert_allclose(same.weights, kernel.weights, atol=1e-9)
    whole = kernel.stamps(["C"])[0]
    finer = kernel.on(Profile(0.8, 16))
    np.testing.assert_allclose(finer.stamps(["C"])[0], whole, atol=0.01)
    larger = kernel.on(Profile(2.0, 32), scale=2.0)
    np.testing.assert_allclose(larger.stamps(["C"])[0][::2, ::2], whole, atol=0.01)


def test_the_mean_of_a_kernel_in_two_forms_is_that_kernel():
    mean = mean_kernel([kernel_of(1.0), kernel_of(1.0).on(Profile(0.9, 16))])
    np.testing.assert_allclose(mean.weights, kernel_of(1.0).weights, atol=0.01)
    assert mean.blur_px2 == pytest.approx(kernel_of(1.0).blur_px2)


def test_too_few_atoms_have_no_usual_kernel():
    frame = image_of(np.array([[40.0, 40.0]]), np.random.default_rng(0))
    assert usual_kernel([(frame, make_atoms(np.array([[40.0, 40.0]]), "C"))]) is None


def gains_of_single_atoms(seed):
    """Return the gain of displaced atoms of a perfect lattice, without and with a usual kernel."""
    rng = np.random.default_rng(seed)
    labelled = []
    for _ in range(2):
        xy = square_lattice()
        xy = xy + rng.normal(0, 0.5, xy.shape)
        labelled.append((image_of(xy, rng), make_atoms(xy[inside(xy)], "C")))
    prior = usual_kernel(labelled)
    xy = square_lattice()
    moved = np.zeros(len(xy), bool)
    middle = np.flatnonzero((np.abs(xy - SIDE / 2) < 32).all(axis=1))
    moved[middle[::7]] = True
    angle = rng.uniform(0, 2 * np.pi, len(xy))
    shift = 1.2 * moved[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    listed = inside(xy)
    frame, start = image_of(xy + shift, rng), make_atoms((xy + 0.6 * shift)[listed], "C")

    def gain(refined):
        seen, true = (positions(refined) - xy[listed])[moved[listed]], shift[moved]
        return (seen * true).sum() / (true**2).sum()

    return gain(refine(frame, start)), gain(refine(frame, start, prior=prior))


def test_single_atoms_of_a_perfect_lattice_move_in_full_with_the_usual_kernel():
    off = np.array([gains_of_single_atoms(seed) for seed in (5, 6, 7)]) - 1
    own, drawn = np.sqrt((off**2).mean(axis=0))
    assert drawn < 0.03
    assert drawn < 0.7 * own


def test_a_usual_kernel_leaves_nothing_of_the_peaks_in_the_residual():
    """Heights that do not follow would widen the error bars."""
    rng = np.random.default_rng(6)
    xy = square_lattice()
    xy = xy + rng.normal(0, 0.3, xy.shape)
    listed = inside(xy)
    frame, atoms = image_of(xy, rng), make_atoms(xy[listed], "C")
    prior = usual_kernel([(frame, atoms)])
    own, drawn = refine(frame, atoms), refine(frame, atoms, prior=prior)
    bars = [t[["sigma_x_pm", "sigma_y_pm"]].to_numpy() for t in (own, drawn)]
    assert np.median(bars[1]) == pytest.approx(np.median(bars[0]), rel=0.05)
