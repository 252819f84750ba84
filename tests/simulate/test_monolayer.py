import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.spatial import cKDTree

from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import View, place
from napari_apgan.simulate.structures.monolayer import (
    LATTICES_PM,
    MonolayerSettings,
    build_monolayer,
)

CLEAN = {"vacancy_percent": 0.0, "double_vacancy_percent": 0.0}


def build(seed=1, reach_pm=3500.0, **kwargs):
    return build_monolayer(MonolayerSettings(**kwargs), np.random.default_rng(seed), reach_pm)


def atoms_by_column(specimen):
    """Return for each column the sorted atomic numbers that stand in it."""
    numbers = [[] for _ in range(specimen.n_columns)]
    for column, number in zip(specimen.column.tolist(), specimen.number.tolist(), strict=True):
        if column >= 0:
            numbers[column].append(number)
    return [tuple(sorted(n)) for n in numbers]


@st.composite
def any_settings(draw):
    return MonolayerSettings(
        material=draw(st.sampled_from(sorted(LATTICES_PM))),
        vacancy_percent=draw(st.floats(0, 20)),
        double_vacancy_percent=draw(st.floats(0, 10)),
        chalcogen_dopant=draw(st.sampled_from(["S", "Se", "Te"])),
        chalcogen_dopant_percent=draw(st.floats(0, 100)),
        metal_dopant=draw(st.sampled_from(["Mo", "W", "Re", "V", "Nb"])),
        metal_dopant_percent=draw(st.floats(0, 100)),
        antisite_percent=draw(st.floats(0, 5)),
        twin_boundary=draw(st.booleans()),
        holes=draw(st.integers(0, 1)),
        hole_radius_nm=draw(st.floats(0.2, 0.6)),
        contamination_percent=draw(st.sampled_from([0.0, 30.0, 100.0])),
        contamination_nm=draw(st.floats(0.1, 1)),
    )


@settings(max_examples=25, deadline=None)
@given(any_settings(), st.integers(0, 2**32 - 1))
def test_any_settings_make_a_sound_layer(monolayer, seed):
    specimen = build_monolayer(monolayer, np.random.default_rng(seed), 2000.0)
    layer = specimen.column >= 0
    assert specimen.xyz_pm[:, 2].min() == 0
    assert cKDTree(specimen.xyz_pm[layer]).query_pairs(150.0) == set()
    # Every atom stands on the site of its column, and every column holds one to two atoms.
    assert np.array_equal(specimen.xyz_pm[layer, :2], specimen.site_pm[specimen.column[layer]])
    counts = np.bincount(specimen.column[layer], minlength=specimen.n_columns)
    assert set(counts.tolist()) <= {1, 2}
    assert np.hypot(*specimen.site_pm.T).max() <= 2000.0
    if len(specimen.vacancy_pm):
        assert cKDTree(specimen.site_pm).query(specimen.vacancy_pm)[0].min() > 150
        assert set(specimen.vacancy_element.tolist()) == {monolayer.material.lstrip("MoW")[:-1]}


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0, 2 * math.pi),
    st.tuples(*[st.floats(-0.05, 0.05)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 2),
    st.tuples(*[st.floats(-50, 50)] * 2),
    st.tuples(st.integers(32, 300), st.integers(32, 300)),
    st.floats(8, 40),
)
def test_truth_is_the_mean_of_the_projected_atoms(seed, turn, strain, offset, tilt, shape, pixel):
    specimen = build(seed, 1500.0, vacancy_percent=10, twin_boundary=True)
    exx, exy, eyy = strain
    scene = place(specimen, View(turn, offset, ((exx, exy), (exy, eyy)), tilt), shape, pixel)
    x, y, z = specimen.xyz_pm.T
    u, v = (1 + exx) * x + exy * y, exy * x + (1 + eyy) * y
    col = math.cos(turn) * u - math.sin(turn) * v + offset[0] + tilt[0] * z / 1000
    row = math.sin(turn) * u + math.cos(turn) * v + offset[1] + tilt[1] * z / 1000
    projected = np.column_stack(
        [col / pixel + (shape[1] - 1) / 2, row / pixel + (shape[0] - 1) / 2]
    )
    for column in range(specimen.n_columns):
        mean = projected[specimen.column == column].mean(axis=0)
        assert np.abs(scene.columns.xy_px[column] - mean).max() < 1e-6


@pytest.mark.parametrize(
    ("material", "metal", "chalcogen", "bond"),
    [
        ("MoS2", 42, 16, 241.0),
        ("WS2", 74, 16, 241.0),
        ("MoSe2", 42, 34, 252.7),
        ("WSe2", 74, 34, 252.7),
    ],
)
def test_a_clean_layer_has_the_stoichiometry_density_and_bonds(material, metal, chalcogen, bond):
    specimen = build(material=material, reach_pm=4000.0, **CLEAN)
    held = Counter(atoms_by_column(specimen))
    assert set(held) == {(metal,), (chalcogen, chalcogen)}
    assert held[(metal,)] / held[(chalcogen, chalcogen)] == pytest.approx(1, abs=0.03)
    cell_nm2 = math.sqrt(3) / 2 * LATTICES_PM[material] ** 2 * 1e-6
    inside = np.hypot(*specimen.site_pm.T) < 3800
    assert inside.sum() / (math.pi * 3.8**2) == pytest.approx(2 / cell_nm2, rel=0.02)
    metals = specimen.xyz_pm[specimen.number == metal]
    metals = metals[np.hypot(*metals[:, :2].T) < 3500]
    lengths = cKDTree(specimen.xyz_pm[specimen.number == chalcogen]).query(metals, k=6)[0]
    assert lengths == pytest.approx(bond, abs=0.01)
    # Trigonal prism: a metal's six chalcogens stand in three columns.
    assert np.all(specimen.sublattice[specimen.column[specimen.number == metal]] == "M")
    assert np.all(specimen.sublattice[specimen.column[specimen.number == chalcogen]] == "X")


def test_single_vacancies_leave_a_column_of_one_and_double_ones_are_listed():
    whole = build(reach_pm=5000.0, **CLEAN)
    specimen = build(reach_pm=5000.0, vacancy_percent=10, double_vacancy_percent=4)
    held = Counter(atoms_by_column(specimen))
    columns = Counter(atoms_by_column(whole))[(16, 16)]
    assert held[(42,)] == Counter(atoms_by_column(whole))[(42,)]
    assert held[(16,)] / columns == pytest.approx(0.10 * 0.96, abs=0.04)
    assert len(specimen.vacancy_pm) / columns == pytest.approx(0.04, abs=0.025)
    assert specimen.n_columns + len(specimen.vacancy_pm) == whole.n_columns
    assert set(specimen.vacancy_element.tolist()) == {"S"}
    # The atom that is left is as often the upper as the lower one.
    lone = [c for c, n in enumerate(atoms_by_column(specimen)) if n == (16,)]
    heights = specimen.xyz_pm[np.isin(specimen.column, lone), 2]
    assert 0.25 < np.mean(heights > heights.mean()) < 0.75


def test_dopants_stand_at_the_height_that_their_bond_asks_for():
    specimen = build(chalcogen_dopant_percent=30, metal_dopant_percent=10, **CLEAN)
    number = Counter(specimen.number.tolist())
    assert number[34] / (number[34] + number[16]) == pytest.approx(0.3, abs=0.05)
    assert number[75] / (number[75] + number[42]) == pytest.approx(0.1, abs=0.05)
    metals = specimen.xyz_pm[np.isin(specimen.number, (42, 75))]
    selenium = specimen.xyz_pm[specimen.number == 34]
    selenium = selenium[np.hypot(*selenium[:, :2].T) < 3000]
    assert cKDTree(metals).query(selenium, k=3)[0] == pytest.approx(252.7, abs=0.01)


def test_antisites_swap_a_metal_atom_and_a_pair():
    specimen = build(antisite_percent=5, **CLEAN)
    held = list(zip(atoms_by_column(specimen), specimen.sublattice.tolist(), strict=True))
    count = Counter(held)
    assert count[((42,), "X")] > 5
    assert count[((16, 16), "M")] > 5
    wrong = count[((42,), "X")] + count[((16, 16), "M")]
    assert wrong / specimen.n_columns == pytest.approx(0.05, abs=0.02)


def test_a_twin_boundary_is_a_mirror_of_squares_that_share_chalcogens():
    specimen = build(2, 4000.0, twin_boundary=True, **CLEAN)
    assert set(specimen.grain.tolist()) == {0, 1}
    metal = specimen.sublattice == "M"
    sites = specimen.site_pm
    # A shared column has four metal columns around it instead of three.
    around = cKDTree(sites[metal]).query_ball_point(sites[~metal], 1.2 * 316 / math.sqrt(3))
    shared = np.array([len(a) == 4 for a in around])
    line = sites[~metal][shared]
    assert np.ptp(line[:, 1]) < 1e-6
    assert np.diff(np.sort(line[:, 0])) == pytest.approx(316, abs=1e-6)
    # Mirror symmetry about that row, away from the rim.
    inside = np.hypot(*sites.T) < 2500
    mirrored = sites[inside] * [1, -1] + [0, 2 * line[0, 1]]
    for sort in (metal, ~metal):
        image = mirrored[sort[inside]]
        image = image[np.hypot(*image.T) < 3800]
        assert cKDTree(sites[sort]).query(image)[0].max() < 1e-6
    above = sites[metal][:, 1] > line[0, 1]
    assert sites[metal][above, 1].min() - sites[metal][~above, 1].max() == pytest.approx(0.85 * 316)
    # Inside each grain every chalcogen has three metals, none less and none more.
    bulk = np.hypot(*sites[~metal].T) < 3500
    assert {len(a) for a, b, s in zip(around, bulk, shared, strict=True) if b and not s} == {3}


def test_holes_leave_no_hanging_column_and_no_vacancies():
    specimen = build(holes=1, hole_radius_nm=0.8, **CLEAN)
    whole = build(**CLEAN)
    assert whole.n_columns - specimen.n_columns > 10
    assert len(specimen.vacancy_pm) == 0
    pairs = cKDTree(specimen.site_pm).query_pairs(220.0, output_type="ndarray")
    assert np.bincount(pairs.ravel(), minlength=specimen.n_columns).min() >= 2
    with pytest.raises(UserError, match="leave nothing of the layer"):
        build(reach_pm=600.0, holes=10, hole_radius_nm=5)


def test_contamination_lies_on_the_entrance_side():
    specimen = build(contamination_percent=30, contamination_nm=0.8, **CLEAN)
    dirt = specimen.column < 0
    assert np.all(specimen.number[dirt] == 6)
    gap = specimen.xyz_pm[~dirt, 2].min() - specimen.xyz_pm[dirt, 2].max()
    assert gap == pytest.approx(335, abs=60)


def test_the_same_seed_makes_the_same_layer():
    one, two, other = build(7), build(7), build(8)
    assert np.array_equal(one.xyz_pm, two.xyz_pm)
    assert one.xyz_pm.shape != other.xyz_pm.shape or not np.allclose(one.xyz_pm, other.xyz_pm)


@pytest.mark.parametrize("wrong", [{"material": "MoTe3"}, {"vacancy_percent": -1}, {"lines": "x"}])
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        MonolayerSettings(**wrong)
