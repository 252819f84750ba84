"""Atoms are read from maps where they were drawn."""

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.maps import draw_discs
from napari_apgan.measure import find_atoms, match

SHAPE = (200, 200)


def grid(radius, rng, margin=None):
    step = 4 * radius
    line = np.arange(margin or step, SHAPE[0] - (margin or step), step)
    xy = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return xy + rng.uniform(-0.5, 0.5, xy.shape)


@pytest.mark.parametrize("radius", [1.5, 2.0, 2.5, 3.7, 6.0])
def test_a_perfect_map_gives_every_atom_within_three_thousandths_of_a_pixel(radius):
    xy = grid(radius, np.random.default_rng(0))
    atoms = find_atoms(draw_discs(xy, radius, SHAPE)[None], ["C"], radius_px=radius)
    found, true = match(positions(atoms), xy, 0.5)
    assert len(found) == len(xy) == len(atoms)
    assert np.hypot(*(positions(atoms)[found] - xy[true]).T).max() < 0.003
    assert (atoms["origin"] == "predicted").all()
    assert atoms["probability"].min() > 0.8


@pytest.mark.parametrize("apart", [2.0, 1.8, 1.6])
def test_touching_and_overlapping_discs_are_two_atoms(apart):
    rng, radius = np.random.default_rng(1), 4.0
    for angle in rng.uniform(0, 2 * np.pi, 20):
        first = rng.uniform(28, 30, 2)
        xy = np.array([first, first + apart * radius * np.array([np.cos(angle), np.sin(angle)])])
        atoms = find_atoms(draw_discs(xy, radius, (60, 60))[None], ["C"], radius_px=radius)
        assert len(atoms) == 2
        assert len(match(positions(atoms), xy, 0.1)[0]) == 2


def test_a_disc_cut_by_the_border_is_read_from_what_is_left_and_says_so():
    xy = np.array([[0.3, 30.2], [58.8, 20.6], [30.0, 30.0]])
    atoms = find_atoms(draw_discs(xy, 3.0, (60, 60))[None], ["C"], radius_px=3.0)
    found, true = match(positions(atoms), xy, 0.1)
    assert len(found) == 3
    cut = atoms["flag"].to_numpy()[found] != ""
    np.testing.assert_array_equal(cut, true != 2)


def test_two_elements_at_one_place_become_the_more_probable_one():
    disc = draw_discs(np.array([[30.0, 30.0]]), 3.0, (60, 60))
    other = draw_discs(np.array([[30.8, 30.0], [45.0, 45.0]]), 3.0, (60, 60))
    atoms = find_atoms(np.stack([0.9 * disc, 0.7 * other]), ["Pb", "Sr"], radius_px=3.0)
    assert sorted(atoms["element"]) == ["Pb", "Sr"]
    assert np.hypot(*(positions(atoms[atoms["element"] == "Pb"])[0] - 30.0)) < 0.02
    assert np.hypot(*(positions(atoms[atoms["element"] == "Sr"])[0] - 45.0)) < 0.02


def test_the_threshold_bounds_the_probability():
    maps = draw_discs(np.array([[20.0, 20.0]]), 3.0, (40, 40))[None] * 0.4
    assert len(find_atoms(maps, ["C"], radius_px=3.0)) == 0
    assert len(find_atoms(maps, ["C"], radius_px=3.0, threshold=0.3)) == 1


def test_atoms_where_nothing_was_measured_are_left_out():
    xy = np.array([[15.0, 15.0], [45.0, 45.0]])
    valid = np.ones((60, 60), dtype=bool)
    valid[35:55, 35:55] = False
    maps = draw_discs(xy, 3.0, (60, 60))[None]
    atoms = find_atoms(maps, ["C"], radius_px=3.0, valid=valid)
    np.testing.assert_allclose(positions(atoms), xy[:1], atol=0.02)


def test_the_centre_survives_noise_on_the_map():
    rng = np.random.default_rng(2)
    xy = grid(3.0, rng)
    maps = np.clip(draw_discs(xy, 3.0, SHAPE) + rng.normal(0, 0.1, SHAPE), 0, 1)[None]
    atoms = find_atoms(maps, ["C"], radius_px=3.0)
    found, true = match(positions(atoms), xy, 1.0)
    assert len(found) == len(xy) == len(atoms)
    error = positions(atoms)[found] - xy[true]
    assert np.abs(error.mean(axis=0)).max() < 0.02
    assert error.std() < 0.1


def test_maps_without_atoms_and_wrong_arguments():
    assert len(find_atoms(np.zeros((1, 40, 40)), ["C"], radius_px=3.0)) == 0
    with pytest.raises(UserError, match="one channel"):
        find_atoms(np.zeros((2, 40, 40)), ["C"], radius_px=3.0)
    with pytest.raises(UserError, match="threshold"):
        find_atoms(np.zeros((1, 40, 40)), ["C"], radius_px=3.0, threshold=1.0)
