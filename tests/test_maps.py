"""Output maps: discs lie where the atoms are."""

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.elements import Element
from napari_apgan.errors import UserError
from napari_apgan.maps import default_radius_px, draw_discs, output_map, rgb_map


@pytest.mark.parametrize("radius", [1.5, 1.8, 2.5, 3.3, 5.0, 9.0])
def test_the_centre_of_mass_of_a_disc_lies_at_its_true_centre(radius):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:41, :41]
    worst = 0.0
    for centre in 20 + rng.uniform(-0.5, 0.5, (200, 2)):
        disc = draw_discs(centre[None], radius, (41, 41)).astype(np.float64)
        mass = np.array([(disc * x).sum(), (disc * y).sum()]) / disc.sum()
        worst = max(worst, float(np.hypot(*(mass - centre))))
    assert worst < 0.01


def test_a_pixel_holds_the_part_of_its_area_that_the_disc_covers():
    rng, fine = np.random.default_rng(1), 50
    grid = (np.arange(16 * fine) + 0.5) / fine - 0.5
    for radius in (1.5, 2.7, 4.0):
        x, y = 8 + rng.uniform(-0.5, 0.5, 2)
        inside = (grid - x) ** 2 + (grid[:, None] - y) ** 2 < radius**2
        covered = inside.reshape(16, fine, 16, fine).mean(axis=(1, 3))
        drawn = draw_discs(np.array([[x, y]]), radius, (16, 16))
        np.testing.assert_allclose(drawn, covered, atol=0.025)  # the disc is moved by up to 0.02 px
        assert drawn.sum() == pytest.approx(np.pi * radius**2, rel=1e-6)


def test_many_discs_are_drawn_like_single_ones():
    rng = np.random.default_rng(2)
    xy = rng.uniform(-5, 65, (9000, 2))  # more than are drawn at once
    single = np.zeros((50, 60), dtype=np.float32)
    for first in range(0, len(xy), 500):
        np.maximum(single, draw_discs(xy[first : first + 500], 2.2, (50, 60)), out=single)
    np.testing.assert_array_equal(draw_discs(xy, 2.2, (50, 60)), single)
    assert not draw_discs(np.empty((0, 2)), 2.2, (8, 8)).any()


def test_each_element_has_its_channel_and_radius():
    atoms = make_atoms([[10, 10], [30, 30], [20, 20]], ["Pb", "Ti", "Sr"])
    maps = output_map(atoms, ["Ti", "Pb"], (40, 40), {"Ti": 2.0, "Pb": 4.0})
    assert maps[0, 30, 30] == maps[1, 10, 10] == 1.0
    assert maps[:, 20, 20].max() == 0.0
    assert maps[0].sum() == pytest.approx(np.pi * 4, rel=0.05)
    assert maps[1].sum() == pytest.approx(np.pi * 16, rel=0.05)


def test_discs_are_cut_at_the_border_and_do_not_add_up():
    disc = draw_discs(np.array([[0.0, 0.0], [1.0, 0.0], [-50.0, 3.0]]), 3.0, (10, 10))
    assert disc.max() == 1.0
    with pytest.raises(UserError):
        draw_discs(np.array([[0.0, 0.0]]), 0.0, (10, 10))


def test_the_suggested_radius_is_a_quarter_of_the_spacing():
    line = np.arange(5) * 12.0
    assert default_radius_px(make_atoms(np.column_stack([line, line * 0]), "C")) == 3.0
    assert default_radius_px(make_atoms([[1, 1]], "C")) == 3.0


def test_a_painted_map_has_the_elements_colours():
    maps = np.zeros((2, 4, 4))
    maps[0, 0, 0] = maps[1, 1, 1] = 1.0
    painted = rgb_map(
        maps, [Element(name="A", color="#FF0080"), Element(name="B", color="#00FF00")]
    )
    assert painted[0, 0].tolist() == [255, 0, 128]
    assert painted[1, 1].tolist() == [0, 255, 0]
    assert painted[2, 2].tolist() == [0, 0, 0]
