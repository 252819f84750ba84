"""Particles: their lattice, shape, twins, alloys and film."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import PURE_SHARE, View, place
from napari_apgan.simulate.specimen import Specimen
from napari_apgan.simulate.structures.metals import (
    FCC_PM,
    HCP_PM,
    facet_planes,
    metal_crystal,
    nearest_pm,
)
from napari_apgan.simulate.structures.particle import (
    FEWEST_NEIGHBOURS,
    ParticleSettings,
    build_particle,
)

REACH_PM = 5000.0


def build(seed: int = 3, reach_pm: float = REACH_PM, **settings: object) -> Specimen:
    made = ParticleSettings.model_validate({"diameter_spread_percent": 0} | settings)
    return build_particle(made, np.random.default_rng(seed), reach_pm)


@pytest.mark.parametrize("metal", [*FCC_PM, *HCP_PM])
@pytest.mark.parametrize("shape", ["faceted", "round"])
def test_atoms_stand_as_far_apart_as_in_the_metal(metal: str, shape: str) -> None:
    specimen = build(metal=metal, shape=shape, diameter_nm=3.0)
    crystal = metal_crystal(metal)
    distance, _ = cKDTree(specimen.xyz_pm).query(specimen.xyz_pm, k=2)
    assert np.allclose(distance[:, 1], nearest_pm(crystal), rtol=1e-6)
    atom = abs(np.linalg.det(crystal.lattice_pm)) / len(crystal.fraction)
    sphere = math.pi / 6 * 3000.0**3
    assert len(specimen.xyz_pm) * atom == pytest.approx(sphere, rel=0.15)


def test_nearest_neighbours_of_known_metals() -> None:
    assert nearest_pm(metal_crystal("Pt")) == pytest.approx(277.5, abs=0.1)
    assert nearest_pm(metal_crystal("Au")) == pytest.approx(288.4, abs=0.1)
    assert nearest_pm(metal_crystal("Co")) == pytest.approx(249.8, abs=1.0)
    assert nearest_pm(metal_crystal("Pt", "Ir", 0.5)) == pytest.approx(274.5, abs=0.2)


@pytest.mark.parametrize(("metal", "facets"), [("Pt", 14), ("Ru", 20)])
def test_facets_are_those_of_the_crystal(metal: str, facets: int) -> None:
    normals, _ = facet_planes(metal, metal_crystal(metal), np.random.default_rng(0))
    assert len(normals) == facets
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    assert np.allclose(normals.sum(axis=0), 0, atol=1e-12)
    closest = (normals @ normals.T - 3 * np.eye(facets)).max(axis=1)
    assert (closest < 0.95).all(), "no facet comes twice"


def test_a_truncated_octahedron_is_convex_and_shows_facets() -> None:
    """Its (111) surfaces are flat: many atoms have nine neighbours, and few have less than six."""
    specimen = build(diameter_nm=4.0, displacement_pm=0)
    pairs = cKDTree(specimen.xyz_pm).query_pairs(1.2 * 277.5, output_type="ndarray")
    neighbours = np.bincount(pairs.ravel(), minlength=len(specimen.xyz_pm))
    assert neighbours.max() == 12
    assert (neighbours == 9).sum() > 150
    assert (neighbours < 5).sum() < 0.02 * len(neighbours)
    # No column is missing within the outline: each inner one has its six neighbours in the image.
    apart = cKDTree(specimen.site_pm)
    middle = specimen.site_pm - specimen.site_pm.mean(axis=0)
    inner = np.hypot(*middle.T) < 1000
    assert {len(n) for n in apart.query_ball_point(specimen.site_pm[inner], 300)} == {7}


def test_rounded_particles_have_no_loose_atoms() -> None:
    specimen = build(shape="round", diameter_nm=5.0)
    pairs = cKDTree(specimen.xyz_pm).query_pairs(1.2 * 277.5, output_type="ndarray")
    neighbours = np.bincount(pairs.ravel(), minlength=len(specimen.xyz_pm))
    assert (neighbours >= FEWEST_NEIGHBOURS - 1).all()


@pytest.mark.parametrize("zone", ["110", "112"])
def test_a_twin_is_a_mirror_image(zone: str) -> None:
    specimen = build(metal="Au", zone=zone, twins_percent=100, diameter_nm=4.0)
    xyz = specimen.xyz_pm
    distance, _ = cKDTree(xyz).query(xyz, k=2)
    assert np.allclose(distance[:, 1], nearest_pm(metal_crystal("Au")), rtol=1e-6)
    assert set(specimen.grain.tolist()) == {0, 1}
    # The mirror: where the columns that belong to no pair stand.
    far = specimen.site_pm[specimen.grain == 1]
    near = specimen.site_pm[specimen.grain == 0]
    normal = far.mean(axis=0) - near.mean(axis=0)
    found = 0
    for angle in np.arctan2(normal[1], normal[0]) + np.linspace(-0.4, 0.4, 801):
        n = np.array([math.cos(angle), math.sin(angle)])
        image = far - 2 * ((far @ n) - (near @ n).max())[:, None] * n
        found = max(found, int((cKDTree(near).query(image)[0] < 15).sum()))
    assert found == len(far)


def test_alloys_hold_their_share_and_their_mixed_columns_are_known() -> None:
    specimen = build(metal="Pt", alloy="Co", alloy_percent=40, diameter_nm=6.0)
    share = (specimen.number == 27).mean()
    assert share == pytest.approx(0.4, abs=4 * math.sqrt(0.24 / len(specimen.number)))
    columns = place(specimen, View(), (64, 64), 12.0).columns
    assert set(specimen.sublattice) == {"Pt/Co"}
    assert any(len(c) == 2 for c in columns.composition)
    pure = place(build(alloy="Ir", alloy_percent=50), View(), (64, 64), 12.0).columns
    assert (pure.share < PURE_SHARE).mean() > 0.5


def test_surfaces_relax_as_asked_and_the_inside_does_not() -> None:
    still = build(seed=8)
    relaxed = build(seed=8, relaxation_percent=6)
    moved = np.linalg.norm(relaxed.xyz_pm - still.xyz_pm, axis=1)
    # A relaxed particle is a little thinner: depths are compared from the middle.
    step = relaxed.xyz_pm - relaxed.xyz_pm.mean(axis=0) - still.xyz_pm + still.xyz_pm.mean(axis=0)
    moved = np.linalg.norm(step, axis=1)
    pairs = cKDTree(still.xyz_pm).query_pairs(1.2 * 277.5, output_type="ndarray")
    neighbours = np.bincount(pairs.ravel(), minlength=len(moved))
    assert moved[neighbours == 12].max() < 2.0
    layer = 392.4 / math.sqrt(3)
    assert np.median(moved[neighbours == 9]) == pytest.approx(0.06 * layer, abs=2.0)
    outward = (step * (still.xyz_pm - still.xyz_pm.mean(axis=0))).sum(axis=1)
    assert (outward[neighbours < 10] < 0).mean() > 0.97


def test_a_film_lies_behind_the_particle_and_belongs_to_no_column() -> None:
    specimen = build(film_nm=2.0, diameter_nm=2.0, reach_pm=2500.0)
    film = specimen.column < 0
    assert (specimen.number[film] == 6).all()
    assert (specimen.number[~film] == 78).all()
    assert specimen.xyz_pm[~film, 2].min() == pytest.approx(0)
    assert specimen.xyz_pm[film, 2].min() > specimen.xyz_pm[~film, 2].max() + 100
    assert np.ptp(specimen.xyz_pm[film, 2]) == pytest.approx(2000, abs=60)
    assert np.hypot(*specimen.xyz_pm[film, :2].T).max() > 2300


def test_several_particles_are_grains_apart_from_each_other() -> None:
    specimen = build(particles=4, diameter_nm=2.0, metal="Co", film_nm=0)
    assert set(specimen.grain.tolist()) == {0, 1, 2, 3}
    grain = specimen.grain[specimen.column]
    for one in range(4):
        others = cKDTree(specimen.xyz_pm[grain != one, :2])
        assert others.query(specimen.xyz_pm[grain == one, :2])[0].min() > 300
    lowest = [specimen.xyz_pm[grain == g, 2].max() for g in range(4)]
    assert np.ptp(lowest) < 1e-6, "all stand on one film"


def test_the_same_seed_gives_the_same_particle() -> None:
    one, two, other = build(seed=1), build(seed=1), build(seed=2)
    assert np.array_equal(one.xyz_pm, two.xyz_pm)
    assert one.xyz_pm.shape != other.xyz_pm.shape or not np.allclose(one.xyz_pm, other.xyz_pm)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"zone": (0, 0, 0)}, "zone axis"),
        ({"zone": (1, 0, 0), "twins_percent": 10}, "twin"),
        ({"metal": "Ru", "twins_percent": 10}, "twin"),
        ({"particles": 60, "diameter_nm": 5.0}, "no room"),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_sentence(
    settings: dict[str, object], word: str
) -> None:
    with pytest.raises(UserError, match=word) as caught:
        build(**settings)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
