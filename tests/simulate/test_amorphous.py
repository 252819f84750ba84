import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_apgan.errors import UserError
from napari_apgan.simulate.structures.amorphous import (
    ATOMS_PER_NM3,
    SMALLEST_PM,
    amorphous_film,
)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(800, 2500),
    st.floats(50, 1000),
    st.sampled_from(sorted(ATOMS_PER_NM3)),
)
def test_a_film_keeps_its_atoms_apart_and_within_its_disc(seed, reach, thickness, element):
    film = amorphous_film(np.random.default_rng(seed), reach, thickness, element=element)
    assert film.shape[1] == 3
    assert np.hypot(film[:, 0], film[:, 1]).max() <= reach
    assert film[:, 2].min() >= 0
    assert film[:, 2].max() <= thickness
    assert cKDTree(film).query(film, k=2)[0][:, 1].min() >= SMALLEST_PM[element]


@pytest.mark.parametrize(("element", "thickness"), [("C", 300.0), ("C", 3000.0), ("Si", 2000.0)])
def test_a_film_has_the_density_of_the_real_one(element, thickness):
    film = amorphous_film(np.random.default_rng(1), 4000.0, thickness, element=element)
    volume_nm3 = np.pi * 4.0**2 * thickness * 1e-3
    assert len(film) / volume_nm3 == pytest.approx(ATOMS_PER_NM3[element], rel=0.015)


def test_a_film_scatters_like_speckle_without_bragg_peaks():
    film = amorphous_film(np.random.default_rng(2), 4000.0, 1000.0)
    along = np.linspace(1e-3, 9e-3, 1601)  # 1/pm: from 1 nm down to 110 pm, finer than 1 / (8 nm)
    for x in film.T[:2]:
        power = np.abs(np.exp(2j * np.pi * along[:, None] * x).sum(axis=1)) ** 2 / len(film)
        # Intensities of speckle are exponential, and S(k) is below 3: exp(-20 / 3) a draw at most.
        assert power.max() < 20
        assert power.mean() > 0.2


def test_a_patch_of_film_stays_within_its_outline():
    film = amorphous_film(
        np.random.default_rng(3), 3000.0, 400.0, within=lambda xy: np.hypot(*xy.T) < 1000.0
    )
    assert 0.8 * 95.3 < len(film) / (np.pi * 0.4) < 1.2 * 95.3
    assert np.hypot(film[:, 0], film[:, 1]).max() < 1000.0 + SMALLEST_PM["C"]


def test_a_film_without_room_is_empty():
    film = amorphous_film(
        np.random.default_rng(4), 2000.0, 400.0, within=lambda xy: np.zeros(len(xy), dtype=bool)
    )
    assert film.shape == (0, 3)


def test_unknown_elements_and_crystalline_densities_are_refused_in_a_sentence():
    rng = np.random.default_rng(5)
    with pytest.raises(UserError, match="No density is known for an amorphous film of Au"):
        amorphous_film(rng, 1000.0, 300.0, element="Au")
    with pytest.raises(UserError, match="cannot keep its atoms 400 pm apart"):
        amorphous_film(rng, 1000.0, 300.0, smallest_pm=400.0)
    gold = amorphous_film(rng, 1000.0, 300.0, element="Au", atoms_per_nm3=40.0, smallest_pm=240.0)
    assert len(gold) > 10
