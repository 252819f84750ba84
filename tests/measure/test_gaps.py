"""Places of the lattice that the list has not: atoms overlooked, and true vacancies."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms, positions
from napari_apgan.frames import Calibration, make_frame
from napari_apgan.measure import refine
from napari_apgan.measure.beyond import lattice_gaps, lattice_windows
from napari_apgan.simulate import make_sample

SIDE = 96
CELL = 13.0
SPACING = CELL / np.sqrt(2)
STRONG, WEAK = 0, 1


def rock_salt():
    """Sites in a frame of strong atoms on the corners and weak ones in the middle of cells."""
    line = np.arange(4.0, SIDE, CELL)
    corners = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    middles = corners[(corners < line[-1]).all(axis=1)] + CELL / 2
    kind = np.repeat([STRONG, WEAK], [len(corners), len(middles)])
    return np.concatenate([corners, middles]), kind


def gaps_of(xy, kind):
    windows = lattice_windows(xy, kind, (SIDE, SIDE), SPACING)
    return lattice_gaps(windows, (SIDE, SIDE), SPACING)


def test_gaps_are_where_the_lattice_has_a_place_and_the_list_no_atom():
    site, kind = rock_salt()
    xy = site + np.random.default_rng(0).normal(0, 0.3, site.shape)
    assert len(gaps_of(xy, kind)[0]) == 0
    # One strong atom, two weak ones.
    missing = [24, 70, 75]
    listed = np.delete(np.arange(len(xy)), missing)
    places, kinds = gaps_of(xy[listed], kind[listed])
    order = np.lexsort(places.T[::-1])
    expected = np.lexsort(site[missing].T[::-1])
    np.testing.assert_allclose(places[order], site[missing][expected], atol=0.6)
    np.testing.assert_array_equal(kinds[order], kind[missing][expected])


def test_no_gaps_are_seen_where_there_is_no_lattice_or_nothing_around():
    rng = np.random.default_rng(1)
    scattered = rng.uniform(0, SIDE, (60, 2))
    assert len(gaps_of(scattered, np.zeros(60, np.intp))[0]) == 0
    # Nothing is expected inside of a large hole.
    xy, kind = rock_salt()
    away = np.hypot(*(xy - SIDE / 2).T)
    places, _ = gaps_of(xy[away > 30], kind[away > 30])
    assert (np.hypot(*(places - SIDE / 2).T) > 12).all()


def test_overlooked_weak_atoms_do_not_throw_the_listed_ones_off():
    sample = make_sample(seed=0, n_frames=1, shape=(128, 128), snr=8.0)
    pair = sample.pairs[0]
    whole = refine(pair.frame, pair.atoms)
    weak = (pair.atoms["element"] == "Ti").to_numpy()
    overlooked = weak & (np.random.default_rng(7).random(len(weak)) < 0.1)
    assert overlooked.sum() >= 5
    part = refine(pair.frame, pair.atoms[~overlooked].reset_index(drop=True))
    truth, site = positions(pair.atoms), positions(sample.undisplaced[0])
    listed = weak & ~overlooked
    moved = (positions(part)[weak[~overlooked]] - positions(whole)[listed]) * 29.0
    assert np.hypot(*moved.T).mean() < 2.0
    true = truth[listed] - site[listed]
    seen = positions(part)[weak[~overlooked]] - site[listed]
    true, seen = true - true.mean(axis=0), seen - seen.mean(axis=0)
    assert (true * seen).sum() / (true**2).sum() == pytest.approx(1.0, abs=0.1)


def test_true_vacancies_cost_nothing():
    rng = np.random.default_rng(2)
    site, kind = rock_salt()
    xy = site + rng.normal(0, 0.4, site.shape)
    y, x = np.mgrid[:SIDE, :SIDE]
    peaks = np.exp(-((x - xy[:, 0, None, None]) ** 2 + (y - xy[:, 1, None, None]) ** 2) / 9.0)
    height = np.where(kind == STRONG, 8.0, 1.0)
    noise = rng.normal(0, 0.1, (SIDE, SIDE))
    there = ~((kind == WEAK) & (rng.random(len(kind)) < 0.15))
    errors = []
    for drawn in (np.ones(len(kind), bool), there):
        image = 3.0 + np.tensordot(height[drawn], peaks[drawn], axes=1) + noise
        frame = make_frame(image, Calibration.from_pixel_size(20.0, origin="user"))
        names = np.array(["Pb", "Ti"])[kind[drawn]]
        refined = refine(frame, make_atoms(xy[drawn], names))
        weak = (kind == WEAK)[drawn]
        assert (refined["flag"] == "").all()
        error = np.full(len(kind), np.nan)
        error[np.flatnonzero(drawn)[weak]] = np.hypot(*(positions(refined) - xy[drawn])[weak].T)
        errors.append(error)
    full, vacant = errors
    assert np.nanmean(vacant) < 1.1 * np.nanmean(full[there])
