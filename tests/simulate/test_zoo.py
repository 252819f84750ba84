"""The stream of everything: frames of all kinds, told apart by contrast, endless and repeatable."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_apgan.atoms import positions
from napari_apgan.io.pairs import read_pairs, write_pairs
from napari_apgan.maps import default_radius_px
from napari_apgan.simulate.zoo import EXPOSURES, LANES, ZooStream, draw_view, held_out_frames
from napari_apgan.simulate.zoo_crystals import SHARES, draw_crystal
from napari_apgan.simulate.zoo_imaging import image_sites, record
from napari_apgan.simulate.zoo_lattices import (
    Sites,
    draw_cell,
    lattice_sites,
    nearest_distance,
    scattered_sites,
)
from napari_apgan.simulate.zoo_settings import (
    CHANNELS,
    KEY,
    ZooSettings,
    disc_radius_px,
    shown_channels,
)

SMALL = ZooSettings(shape=(96, 112), crystals=0.0)


def test_a_frame_follows_from_its_number_whatever_came_before():
    one, other = ZooStream(SMALL, 3), ZooStream(SMALL, 3)
    drawn = [one.frame(k) for k in range(LANES * EXPOSURES + 2)]
    for k in (13, 5, 0):
        again = other.frame(k)
        np.testing.assert_array_equal(again.frame.data, drawn[k].frame.data)
        np.testing.assert_array_equal(again.frame.valid, drawn[k].frame.valid)
        np.testing.assert_array_equal(positions(again.atoms), positions(drawn[k].atoms))
    assert not np.array_equal(ZooStream(SMALL, 4).frame(0).frame.data, drawn[0].frame.data)


def test_frames_of_a_view_share_their_atoms_and_nothing_else():
    stream = ZooStream(SMALL, 1)
    first, second = stream.frame(1), stream.frame(1 + LANES)
    np.testing.assert_array_equal(positions(first.atoms), positions(second.atoms))
    assert not np.array_equal(first.frame.data, second.frame.data)


def test_every_kind_of_frame_comes_and_says_what_it_knows():
    stream = ZooStream(SMALL, 0)
    seen, shown = set(), set()
    for k in range(30):
        pair = stream.frame(k // LANES * LANES * EXPOSURES + k % LANES)
        assert pair.frame.shape == SMALL.shape
        assert np.isfinite(pair.frame.data).all()
        names = set(pair.atoms["element"])
        channels = shown_channels(pair)
        assert channels is not None
        assert names <= set(channels)
        # Without an atom it is true of both contrasts that there is none.
        assert len(channels) == 1 or (set(channels) == set(CHANNELS) and not names)
        radius = disc_radius_px(pair)
        assert radius is not None
        assert 1.5 <= radius <= 12
        seen.add((pair.simulation or {})[KEY]["kind"])
        shown |= names
    assert {"scattered", "honeycomb", "perovskite"} <= seen
    assert shown == set(CHANNELS)


def test_the_spacing_lies_between_the_bounds_and_decides_the_radius():
    for number in range(12):
        rng = np.random.default_rng(number)
        sites = lattice_sites((160, 160), (6.0, 9.0), rng)
        assert 6.0 <= sites.spacing_px <= 9.0
    settings = ZooSettings(shape=(160, 160), crystals=0.0, scattered=0.0, empty=0.0)
    view = draw_view(settings, np.random.default_rng(2))
    assert view.radius_px == default_radius_px(view.atoms)


@pytest.mark.parametrize("number", range(8))
def test_the_nearest_distance_of_a_cell_is_that_of_its_lattice(number):
    _, cell, basis, weight = draw_cell(np.random.default_rng(number))
    cells = np.array([[i, j] for i in range(-4, 5) for j in range(-4, 5)])
    xy = ((cells[:, None] + basis) @ cell).reshape(-1, 2)
    found = np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1].min()
    assert nearest_distance(cell, basis) == pytest.approx(found)
    assert weight.max() == 1


def test_a_peak_stands_where_its_site_is():
    xy = np.array([[40.3, 30.75], [80.0, 60.5]])
    sites = Sites("pair", xy, np.ones(2), 2.0, 40.0)
    ideal = image_sites(sites, (96, 112), np.random.default_rng(0))
    rows, columns = np.mgrid[:96, :112]
    for x, y in xy:
        near = np.hypot(columns - x, rows - y) < 4
        weight = np.clip(ideal.signal, 0, None) * near
        centre = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
        assert centre == pytest.approx((x, y), abs=0.1)
        assert ideal.signal[near].max() == pytest.approx(1.0, abs=0.15)


def test_noise_has_the_ratio_asked_for_and_dark_atoms_are_dark():
    rng = np.random.default_rng(3)
    xy = np.stack(np.meshgrid(np.arange(8, 120, 12.0), np.arange(8, 120, 12.0)), -1).reshape(-1, 2)
    ideal = image_sites(Sites("square", xy, np.ones(len(xy)), 2.5, 12.0), (128, 128), rng)
    at = xy.astype(int)
    for dark in (False, True):
        for number in range(6):
            image, valid = record(ideal, 4.0, 2.5, np.random.default_rng(number), dark=dark)
            contrast = image[at[:, 1], at[:, 0]].mean() - image[at[:-1, 1], at[:-1, 0] + 6].mean()
            assert (contrast < 0) == dark
            assert valid.mean() > 0.2
    # Without scan and camera, which a seed decides, what is left is noise.
    image, _ = record(ideal, 4.0, 2.5, np.random.default_rng(5), dark=False)
    signal = ideal.signal - ideal.signal.mean()
    gain = float((image * signal).sum() / (signal**2).sum())
    noise = (image - image.mean() - gain * signal).std() / gain
    assert noise == pytest.approx(ideal.spread / 2, rel=0.35)


def test_lone_atoms_keep_apart_and_on_their_film():
    for number in range(6):
        sites = scattered_sites((128, 128), np.random.default_rng(number))
        if len(sites.xy_px) > 1:
            apart = np.asarray(cKDTree(sites.xy_px).query(sites.xy_px, k=2)[0])[:, 1]
            assert apart.min() >= 3 * sites.width_px
        if sites.film is not None:
            on = ((sites.xy_px > 0) & (sites.xy_px < 127)).all(axis=1)
            column, row = np.rint(sites.xy_px[on]).astype(int).T
            assert (sites.film[row, column] > 0).all()


def test_every_crystal_can_be_drawn():
    kinds = set()
    for number in range(40):
        crystal = draw_crystal((64, 64), (4.0, 30.0), np.random.default_rng(number))
        kinds.add(crystal.settings.structure.kind)
        assert crystal.width_px >= 0.7
    assert kinds == set(SHARES)


def test_a_crystal_stands_out_as_it_says():
    settings = ZooSettings(shape=(64, 64), crystals=1.0)
    for number in range(4):
        view = draw_view(settings, np.random.default_rng(number))
        at = np.clip(np.rint(positions(view.atoms)).astype(int), 0, 63)
        if len(at):
            assert view.ideal.signal[at[:, 1], at[:, 0]].mean() > view.ideal.signal.mean()


def test_held_out_frames_survive_a_pairs_folder(tmp_path):
    held = held_out_frames(SMALL, 3)
    assert len({pair.name for pair in held}) == 3
    write_pairs(held, tmp_path)
    for before, after in zip(held, read_pairs(tmp_path), strict=True):
        assert disc_radius_px(after) == disc_radius_px(before)
        assert shown_channels(after) == shown_channels(before)
