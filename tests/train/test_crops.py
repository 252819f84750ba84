"""Crops carry their labels along, and maps are drawn where the atoms truly are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.frames import Frame
from napari_apgan.io.pairs import Pair
from napari_apgan.maps import output_map
from napari_apgan.measure import find_atoms
from napari_apgan.models.recipe import Augmentation
from napari_apgan.train.augment import augment, jitter_rows
from napari_apgan.train.crops import (
    Placement,
    choose_placement,
    cut_crop,
    fill_missing,
    make_training_frame,
)

from .conftest import lattice_pair

NAMES = ["Pb", "Ti"]
RADII = [2.0, 2.5]


def prepared(pair: Pair | None = None):  # type: ignore[no-untyped-def]
    pair = pair or lattice_pair()
    return pair, make_training_frame(pair, np.ones(pair.frame.shape, bool), NAMES, 2.5, "robust")


def test_an_unturned_crop_is_a_part_of_the_frame() -> None:
    pair, frame = prepared()
    crop = cut_crop(frame, Placement(np.array([31.5, 31.5]), np.eye(2), True), 32, RADII)
    cut = np.s_[16:48, 16:48]
    np.testing.assert_array_equal(crop.image, frame.image[cut])
    expected = output_map(pair.atoms, NAMES, pair.frame.shape, dict(zip(NAMES, RADII, strict=True)))
    np.testing.assert_allclose(crop.target, expected[:, *cut], atol=1e-6)


def test_quarter_turns_and_mirrors_interpolate_nothing() -> None:
    _, frame = prepared()
    rng = np.random.default_rng(1)
    for _ in range(20):
        placement = choose_placement(frame, 32, Augmentation(flip=True), rng)
        crop = cut_crop(frame, placement, 32, RADII)
        assert placement.exact
        assert np.isin(crop.image, frame.image).all()
        assert crop.valid.all()


@pytest.mark.parametrize("seed", range(4))
def test_turned_labels_lie_on_the_turned_atoms(seed: int) -> None:
    """The atoms of a turned crop, found in its image, lie at the centres of its discs."""
    _, frame = prepared(lattice_pair(size=96, seed=seed))
    rng = np.random.default_rng(seed)
    angle, zoom = rng.uniform(0, 6), rng.uniform(0.9, 1.1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirror = np.diag([-1.0, 1.0])
    crop = cut_crop(
        frame, Placement(np.array([47.5, 46.5]), turn @ mirror / zoom, False), 48, RADII
    )
    heavy = find_atoms(crop.target, NAMES, radius_px=dict(zip(NAMES, RADII, strict=True)))
    heavy = heavy[(heavy["element"] == "Pb") & (heavy["flag"] == "")]
    xy = positions(heavy)
    xy = xy[((xy > 6) & (xy < 41)).all(axis=1)]
    assert len(xy) >= 6
    yy, xx = np.mgrid[:48, :48]
    for x, y in xy:
        near = np.hypot(xx - x, yy - y) < 3.5
        weight = np.where(near, crop.image - crop.image[near].min(), 0)
        centre = np.array([(weight * xx).sum(), (weight * yy).sum()]) / weight.sum()
        assert np.hypot(*(centre - (x, y))) < 0.35


def test_every_crop_holds_something_to_learn() -> None:
    pair = lattice_pair(size=96)
    learn = np.zeros(pair.frame.shape, bool)
    learn[80:, 80:] = True
    frame = make_training_frame(pair, learn, NAMES, 2.5, "robust")
    rng = np.random.default_rng(2)
    settings = Augmentation(flip=True, rotate=True, scale=0.1)
    shown = []
    for _ in range(30):
        crop = cut_crop(frame, choose_placement(frame, 32, settings, rng), 32, RADII)
        shown.append(crop.learn.any())
        assert not (crop.learn & ~crop.valid).any()
    assert np.mean(shown) > 0.9


def test_a_frame_smaller_than_the_crop_is_surrounded_by_missing_pixels() -> None:
    _, frame = prepared(lattice_pair(size=24))
    rng = np.random.default_rng(0)
    crop = cut_crop(frame, choose_placement(frame, 32, Augmentation(flip=False), rng), 32, RADII)
    assert crop.valid.sum() == crop.learn.sum() == 24 * 24


def test_single_missing_pixels_are_learned_and_empty_areas_are_not() -> None:
    pair = lattice_pair()
    valid = np.ones(pair.frame.shape, bool)
    valid[::3, ::2] = False
    valid[40:, :] = False
    holed = Frame(np.where(valid, pair.frame.data, 0), valid, pair.frame.calibration)
    frame = make_training_frame(
        Pair("a", holed, pair.atoms, pair.regions), np.ones_like(valid), NAMES, 2.0, "robust"
    )
    assert frame.learn[:40].all()
    assert not frame.learn[43:].any()


def test_missing_pixels_are_filled_from_their_neighbours() -> None:
    image = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (40, 1))
    valid = np.random.default_rng(0).random(image.shape) > 0.4
    np.testing.assert_allclose(fill_missing(np.where(valid, image, 0), valid), image, atol=0.1)


def test_augmentation_is_fresh_seeded_and_leaves_labels_alone() -> None:
    _, frame = prepared()
    crop = cut_crop(frame, Placement(np.array([31.5, 31.5]), np.eye(2), True), 32, RADII)
    settings = Augmentation(
        contrast=0.3,
        brightness=0.2,
        gradient=0.3,
        background=0.3,
        gamma=0.2,
        noise=0.5,
        blur_px=0.5,
        row_jitter_px=0.4,
        dropout=0.5,
        dropout_chance=1.0,
    )
    rng = np.random.default_rng(0)
    one, two = augment(crop, settings, rng), augment(crop, settings, rng)
    again = augment(crop, settings, np.random.default_rng(0))
    np.testing.assert_array_equal(one.image, again.image)
    assert not np.array_equal(one.image, two.image)
    assert one.target is crop.target
    assert one.learn is crop.learn
    assert (one.image[~one.valid] == 0).all()
    assert 0 < (~one.valid).mean() < 0.6
    assert np.corrcoef(one.image[one.valid], crop.image[one.valid])[0, 1] > 0.6


def test_rows_are_shifted_whole_and_independently() -> None:
    image = np.tile(np.arange(64, dtype=np.float32), (50, 1))
    moved = jitter_rows(image, 0.5, np.random.default_rng(0)) - image
    inner = moved[:, 4:-4]
    np.testing.assert_allclose(inner, np.broadcast_to(inner[:, :1], inner.shape), atol=1e-4)
    assert 0.3 < inner[:, 0].std() < 0.7
