"""Perovskite crystals: stoichiometry, columns, oxygen, thickness, and the truth under tilt."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import View, place
from napari_apgan.simulate.structures.abo3 import PEROVSKITES, project_cell
from napari_apgan.simulate.structures.perovskite import PerovskiteSettings, build_perovskite
from napari_apgan.simulate.structures.thick import atomic_number


def build(seed=0, reach_pm=1500.0, **chosen):
    chosen.setdefault("thickness_nm", 2.0)
    return build_perovskite(PerovskiteSettings(**chosen), np.random.default_rng(seed), reach_pm)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(PEROVSKITES)),
    st.sampled_from(["001", "100", "110"]),
    st.floats(0.1, 12.0),
    st.floats(0.0, 20.0),
)
def test_one_a_one_b_three_o_at_any_thickness_and_wedge(formula, zone, thickness, wedge):
    crystal = PEROVSKITES[formula]
    specimen = build(formula=formula, zone=zone, thickness_nm=thickness, wedge_deg=wedge)
    counts = [
        int((specimen.number == atomic_number(s)).sum())
        for s in (crystal.a_site, crystal.b_site, "O")
    ]
    assert counts[0] > 0
    assert counts[1:] == [counts[0], 3 * counts[0]]
    assert (np.bincount(specimen.column, minlength=specimen.n_columns) > 0).all()
    distance, _ = cKDTree(specimen.xyz_pm).query(specimen.xyz_pm, k=2)
    assert distance[:, 1].min() == pytest.approx(min(crystal.a_pm, crystal.c_pm) / 2, rel=1e-6)


def test_oxygen_hides_behind_b_along_001_and_behind_a_along_110():
    def held(zone):
        return sorted(
            (s.sublattice, "".join(a.site for a in s.atoms)) for s in project_cell(zone).stacks
        )

    assert held("001") == [("A", "A"), ("B", "OB"), ("O", "O"), ("O", "O")]
    rows = held("110")
    assert [row[0] for row in rows] == ["A", "A", "B", "B", "O", "O"]
    assert {"".join(sorted(row[1])) for row in rows} == {"AO", "B", "OO"}


@pytest.mark.parametrize("in_phase", [(False, False, False), (True, True, True)])
def test_turned_octahedra_stay_joined_and_their_b_stays_in_the_middle(in_phase):
    turned = build(
        formula="SrTiO3", turn_a_deg=6.0, turn_b_deg=4.0, turn_c_deg=9.0, in_phase=in_phase
    )
    b, o = (turned.xyz_pm[turned.number == z] for z in (22, 8))
    middle = b[np.hypot(b[:, 0], b[:, 1]) < 600.0]
    middle = middle[np.abs(middle[:, 2] - 1000.0) < 400.0]
    distance, near = cKDTree(o).query(middle, k=6)
    assert len(middle) > 5
    # Every bond grows alike in this first order, to sqrt(1 + tan²) of its length.
    assert distance.max() < 390.5 / 2 * 1.03
    np.testing.assert_allclose(o[near].mean(axis=1), middle, atol=1e-6)


@pytest.mark.parametrize(
    ("formula", "apical", "equatorial"), [("PbTiO3", 46.5, 48.8), ("BaTiO3", -9.8, -4.2)]
)
def test_oxygen_moves_as_refined_from_neutron_diffraction(formula, apical, equatorial):
    polar = build(formula=formula, zone="100", polar="uniform", direction_deg=90.0)
    rest = build(formula=formula, zone="100")
    moved = (polar.xyz_pm - rest.xyz_pm)[:, :2]
    np.testing.assert_allclose(moved[:, 0], 0.0, atol=1e-9)
    # Apical oxygen stands below and above B along y, in the rows of A.
    c_pm = PEROVSKITES[formula].c_pm
    oxygen, row = rest.number == 8, np.rint(rest.xyz_pm[:, 1] / c_pm * 2).astype(int) % 2
    np.testing.assert_allclose(moved[oxygen & (row == 0), 1], apical, atol=0.15)
    np.testing.assert_allclose(moved[oxygen & (row == 1), 1], equatorial, atol=0.15)
    np.testing.assert_allclose(moved[rest.number == 22, 1], PEROVSKITES[formula].polar_pm)


def test_a_tilted_column_has_its_mean_at_half_depth_and_its_entrance_before_it():
    specimen = build(thickness_nm=20.0)
    view = View(rotation_rad=0.4, offset_pm=(30.0, -40.0), tilt_mrad=(3.0, 4.0))
    scene = place(specimen, view, (64, 64), 25.0)
    c, s = np.cos(0.4), np.sin(0.4)
    foot = (specimen.site_pm @ np.array([[c, s], [-s, c]]) + 31.5 * 25.0 + [30.0, -40.0]) / 25.0
    a = scene.columns.sublattice == "A"
    half = 25 * 390.5  # 51 cells: the middle of the first and the last of 51 A atoms
    expected = foot[a] + half * np.array([3e-3, 4e-3]) / 25.0
    np.testing.assert_allclose(scene.columns.xy_px[a], expected, atol=1e-6)
    np.testing.assert_allclose(scene.columns.site_px, scene.columns.xy_px, atol=1e-6)
    back = (scene.columns.entrance_px - scene.columns.xy_px) @ np.array([0.6, 0.8]) * 25.0
    assert (back < -5.0).all()
    assert (back > -half * 5e-3).all()


def test_a_titanium_column_is_where_titanium_is_not_where_its_oxygen_is():
    specimen = build(formula="PbTiO3", zone="100", polar="uniform", direction_deg=0.0)
    columns = place(specimen, View(tilt_mrad=(0.0, 5.0)), (64, 64), 10.0).columns
    shift = (columns.xy_px - columns.site_px)[columns.sublattice == "B"] * 10.0
    assert (columns.element[columns.sublattice == "B"] == "Ti").all()
    np.testing.assert_allclose(shift, np.broadcast_to([15.7, 0.0], shift.shape), atol=1e-6)


def test_a_wedge_grows_thicker_by_its_angle_and_runs_out_into_vacuum():
    specimen = build(thickness_nm=1.5, wedge_deg=45.0, wedge_direction_deg=0.0, reach_pm=2500.0)
    a = np.flatnonzero(specimen.sublattice == "A")
    atoms = np.bincount(specimen.column)[a]
    x = specimen.site_pm[a, 0] + 390.5 / 2
    assert np.abs(atoms * 390.5 - (1500.0 + x)).max() <= 390.5 / 2 + 1e-6
    # The last cell is the last that rounds to one repeat.
    assert -1305.0 < x.min() < -1305.0 + 390.5


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(["A", "B", "O"]), st.integers(0, 50))
def test_vacancies_leave_their_share_of_atoms_and_list_the_missing_columns(site, seed):
    whole = build(thickness_nm=4.0)
    thinned = build(seed, thickness_nm=4.0, vacancies_on=site, vacancies_percent=30.0)
    number = {"A": 38, "B": 22, "O": 8}[site]
    sites = int((whole.number == number).sum())
    share = (thinned.number == number).sum() / sites
    # Each site draws by itself: four standard deviations of a share of so many.
    assert share == pytest.approx(0.7, abs=4 * np.sqrt(0.7 * 0.3 / sites))
    others = whole.number != number
    assert (thinned.number != number).sum() == others.sum()
    holes = build(seed, vacancies_on=site, missing_columns_percent=25.0)
    asked = int((whole.sublattice == site).sum())
    assert holes.n_columns + len(holes.vacancy_pm) == whole.n_columns
    assert 0 < len(holes.vacancy_pm) < 0.6 * asked
    assert set(holes.vacancy_element) == {{"A": "Sr", "B": "Ti", "O": "O"}[site]}


def test_a_crystal_that_is_not_polar_asks_for_the_amplitude():
    with pytest.raises(UserError, match="SrTiO3 is not polar by itself"):
        build(polar="uniform")
    assert build(polar="uniform", amplitude_pm=5.0).n_columns > 0
