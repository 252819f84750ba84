"""All atoms fitted together: fringes, atoms beyond the border, wrong entries, given kernels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_apgan.atoms import concat, make_atoms, positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame
from napari_apgan.measure import (
    learn_kernel,
    pieces,
    refine,
)

PIXEL_PM = 20.0
SIDE = 112
SPACING = 6.2
CALIBRATION = Calibration.from_pixel_size(PIXEL_PM, origin="user")


def fringed(r):
    """A peak with a dark ring and a faint bright one, as in thin HRTEM."""
    return np.exp(-(r**2) / 8) - 0.35 * np.exp(-((r - 5) ** 2) / 5) + 0.06 * np.exp(-((r - 9) ** 2))


def honeycomb(rng, displacement=0.4):
    """Displaced positions in and around a frame with a hole, and their sites."""
    a = SPACING * np.sqrt(3)
    i, j = np.mgrid[-30:31, -30:31]
    cells = np.stack([a * (i + j / 2), a * np.sqrt(3) / 2 * j], axis=-1).reshape(-1, 2)
    site = np.concatenate([cells, cells + np.array([0.0, SPACING])])
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    site = site @ turn.T + SIDE / 2
    near = ((site > -40) & (site < SIDE + 40)).all(axis=1)
    hole = np.hypot(*(site - [70.0, 40.0]).T) < 9
    site = site[near & ~hole]
    return site + rng.normal(0, displacement, site.shape), site


def draw(xy, kernel=fringed):
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.zeros((SIDE, SIDE))
    for u, v in xy:
        image += kernel(np.hypot(x - u, y - v))
    return image


@pytest.fixture(scope="module")
def crystal():
    """A clean image with what stands in the frame: true places, sites and start (gain 0.4)."""
    rng = np.random.default_rng(0)
    everything, site = honeycomb(rng)
    image = draw(everything)
    inside = ((everything > -0.5) & (everything < SIDE - 0.5)).all(axis=1)
    xy, site = everything[inside], site[inside]
    return image, xy, site, site + 0.4 * (xy - site)


def frame_of(image, noise=0.0, seed=1, valid=None):
    rng = np.random.default_rng(seed)
    data = 10.0 + 4.0 * image + rng.normal(0, 1, image.shape) * noise
    valid = np.ones(image.shape, bool) if valid is None else valid
    return Frame(np.where(valid, data, 0).astype(np.float32), valid, CALIBRATION)


def gain(xy, truth, site):
    return ((xy - site) * (truth - site)).sum() / ((truth - site) ** 2).sum()


def test_fringes_of_neighbours_and_of_atoms_beyond_the_border_move_nothing(crystal):
    image, xy, site, start = crystal
    refined = refine(frame_of(image), make_atoms(start, "C"))
    assert (refined["flag"] == "").mean() > 0.98
    error = (positions(refined) - xy) * PIXEL_PM
    inner = ((xy > 12) & (xy < SIDE - 13)).all(axis=1)
    assert np.sqrt((error[inner] ** 2).mean()) < 1.0
    assert np.sqrt((error**2).mean()) < 2.0
    assert gain(positions(refined)[inner], xy[inner], site[inner]) == pytest.approx(1, abs=0.03)


def test_false_and_missing_entries_do_not_throw_others_off(crystal):
    image, xy, _, start = crystal
    rng = np.random.default_rng(3)
    kept = np.sort(rng.permutation(len(xy))[5:])
    hexagon = np.array([70.0, 40.0])  # nothing is in the hole
    listed = concat([make_atoms(start[kept], "C"), make_atoms(hexagon[None], "C")])
    frame = frame_of(image, noise=0.3)
    refined, whole = refine(frame, listed), refine(frame, make_atoms(start, "C"))
    assert refined["flag"].iloc[-1] == "fit: no peak there on the raw image"
    np.testing.assert_array_equal(positions(refined)[-1], hexagon)
    apart = np.hypot(*(positions(refined)[:-1] - positions(whole)[kept]).T) * PIXEL_PM
    assert np.median(apart) < 0.7
    assert (np.hypot(*(positions(refined)[:-1] - xy[kept]).T) < 0.35).mean() > 0.97


def test_a_kernel_learned_from_known_positions_serves_another_frame(crystal):
    image, xy, _, start = crystal
    kernel, table = learn_kernel(frame_of(image), make_atoms(xy, "C"))
    assert len(table) > len(xy)  # the lattice goes on beyond the border
    np.testing.assert_array_equal(positions(table)[: len(xy)], xy)
    few = np.hypot(*(xy - [30.0, 80.0]).T) < 7.0  # too few to learn a kernel from
    alone = frame_of(draw(xy[few]))
    refined = refine(alone, make_atoms(start[few], "C"), kernel=kernel)
    np.testing.assert_allclose(positions(refined), xy[few], atol=0.1)
    with pytest.raises(UserError, match="knows C but not N"):
        refine(alone, make_atoms(start[few], "N"), kernel=kernel)
    with pytest.raises(UserError, match="at least"):
        learn_kernel(alone, make_atoms(xy[few], "C"))


def test_a_frame_in_pieces_gives_what_the_whole_gives(crystal, monkeypatch):
    image, xy, _, start = crystal
    frame, atoms = frame_of(image, noise=0.5), make_atoms(start, "C")
    whole = refine(frame, atoms)
    monkeypatch.setattr(pieces, "LARGEST_ATOMS", 100)
    monkeypatch.setattr(pieces, "TILE_ATOMS", 90)
    cut = refine(frame, atoms)
    assert (cut["flag"] == "").mean() > 0.97
    apart = np.hypot(*(positions(cut) - positions(whole)).T) * PIXEL_PM
    assert np.median(apart) < 1.0
    assert np.median(np.hypot(*(positions(cut) - xy).T)) * PIXEL_PM < 4.0
    np.testing.assert_array_equal(cut["id"], atoms["id"])


def test_turning_dark_changes_nothing_but_the_sign(crystal):
    image, _, _, start = crystal
    frame = frame_of(image, noise=0.5)
    bright = refine(frame, make_atoms(start, "C"))
    dark = Frame(20 - frame.data, frame.valid, CALIBRATION)
    turned = refine(dark, make_atoms(start, "C"), polarity="dark")
    np.testing.assert_allclose(positions(turned), positions(bright), atol=0.02)
    assert (turned["amplitude"] < 0).mean() > 0.98
    pd.testing.assert_series_equal(turned["flag"], bright["flag"])
