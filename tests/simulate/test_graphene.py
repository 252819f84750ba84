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
from napari_apgan.simulate.structures.boundaries import symmetric_boundaries, symmetric_turn
from napari_apgan.simulate.structures.graphene import GrapheneSettings, build_graphene
from napari_apgan.simulate.structures.lattice2d import Network, honeycomb, relax
from napari_apgan.simulate.structures.ripples import Ripples

CC = 142.0
#: Two atoms in a cell of (3√3/2) CC².
PER_NM2 = 2 / (1.5 * math.sqrt(3) * CC**2 * 1e-6)


def build(seed=1, reach_pm=3500.0, **kwargs):
    return build_graphene(GrapheneSettings(**kwargs), np.random.default_rng(seed), reach_pm)


def bonds_of(xy, longest=185.0):
    """Neighbours by distance alone, independent of the builder's own list of bonds."""
    return cKDTree(xy).query_pairs(longest, output_type="ndarray")


def lengths_of(specimen, within_pm, longest=185.0):
    bonds = bonds_of(specimen.site_pm, longest)
    ends = specimen.site_pm[bonds]
    inside = np.hypot(*ends.mean(axis=1).T) < within_pm
    return np.hypot(*(ends[:, 0] - ends[:, 1]).T)[inside]


def rings_of(xy, within_pm, longest=185.0):
    """Sizes and middles of the rings: the faces of the network drawn in the plane."""
    around = [[] for _ in xy]
    for i, j in bonds_of(xy, longest).tolist():
        around[i].append(j)
        around[j].append(i)
    for i, others in enumerate(around):
        others.sort(key=lambda j, i=i: math.atan2(xy[j][1] - xy[i][1], xy[j][0] - xy[i][0]))
    seen, rings = set(), []
    for i, others in enumerate(around):
        for j in others:
            face, a, b = [], i, j
            while (a, b) not in seen:
                seen.add((a, b))
                face.append(a)
                turn = around[b]
                a, b = b, turn[turn.index(a) - 1]
            # The last face is the outside of the sheet.
            if face and len(face) < 100 and np.hypot(*xy[face].mean(axis=0)) < within_pm:
                rings.append((len(face), xy[face].mean(axis=0)))
    return rings


def count_rings(specimen, within_pm, longest=185.0):
    return Counter(size for size, _ in rings_of(specimen.site_pm, within_pm, longest))


@st.composite
def any_settings(draw):
    return GrapheneSettings(
        lines=draw(st.sampled_from(["none", "5-8-5", "5-7", "tilt", "loop"])),
        line_count=draw(st.integers(1, 3)),
        line_spacing_nm=draw(st.floats(1.2, 4)),
        tilt_deg=draw(st.floats(2, 58)),
        bend_nm=draw(st.floats(0, 1)),
        loop_radius_nm=draw(st.floats(0.5, 1.5)),
        vacancy_percent=draw(st.floats(0, 2)),
        dopant=draw(st.sampled_from(["N", "B", "Si"])),
        dopant_percent=draw(st.floats(0, 3)),
        holes=draw(st.integers(0, 1)),
        hole_radius_nm=draw(st.floats(0.2, 0.5)),
        contamination_percent=draw(st.sampled_from([0.0, 20.0, 100.0])),
        contamination_nm=draw(st.floats(0.1, 1)),
        ripple_pm=draw(st.sampled_from([0.0, 100.0])),
        thermal_pm=draw(st.none() | st.floats(0, 20)),
    )


@settings(max_examples=12, deadline=None)
@given(any_settings(), st.integers(0, 2**32 - 1))
def test_any_settings_make_a_sound_sheet(graphene, seed):
    reach = 2000.0
    specimen = build_graphene(graphene, np.random.default_rng(seed), reach)
    sheet = specimen.column >= 0
    assert np.array_equal(specimen.column[sheet], np.arange(specimen.n_columns))
    assert np.allclose(specimen.xyz_pm[sheet, :2], specimen.site_pm)
    assert specimen.xyz_pm[:, 2].min() == 0
    assert cKDTree(specimen.xyz_pm[sheet]).query(specimen.xyz_pm[sheet], k=2)[0].max() < 250
    assert cKDTree(specimen.xyz_pm[sheet]).query_pairs(115.0) == set()
    assert set(specimen.number.tolist()) <= {6, {"N": 7, "B": 5, "Si": 14}[graphene.dopant]}
    assert set(specimen.sublattice.tolist()) <= {"A", "B", ""}
    # Vacancies at the rim and ripples carry sites a little out of the disc.
    assert np.hypot(*specimen.site_pm.T).max() <= reach * (1.1 if graphene.ripple_pm else 1) + 100
    if graphene.thermal_pm is not None:
        assert np.all(specimen.thermal_pm == graphene.thermal_pm)


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
def test_truth_is_the_projected_atoms(seed, turn, strain, offset, tilt, shape, pixel):
    specimen = build(seed, 1500.0, ripple_pm=80, vacancy_percent=2, contamination_percent=20)
    exx, exy, eyy = strain
    view = View(turn, offset, ((exx, exy), (exy, eyy)), tilt)
    scene = place(specimen, view, shape, pixel)
    sheet = specimen.column >= 0
    x, y, z = specimen.xyz_pm[sheet].T
    u, v = (1 + exx) * x + exy * y, exy * x + (1 + eyy) * y
    col = math.cos(turn) * u - math.sin(turn) * v + offset[0] + tilt[0] * z / 1000
    row = math.sin(turn) * u + math.cos(turn) * v + offset[1] + tilt[1] * z / 1000
    expected = np.column_stack([col / pixel + (shape[1] - 1) / 2, row / pixel + (shape[0] - 1) / 2])
    assert np.abs(scene.columns.xy_px - expected).max() < 1e-6
    assert np.abs(scene.columns.site_px - expected).max() < 1e-6
    assert np.abs(scene.xyz_pm[sheet, :2] / pixel - expected).max() < 1e-6


def test_a_perfect_sheet_has_the_density_and_bonds_of_graphene():
    specimen = build(reach_pm=4000.0)
    inside = np.hypot(*specimen.site_pm.T) < 3800
    assert inside.sum() / (math.pi * 3.8**2) == pytest.approx(PER_NM2, rel=0.005)
    assert np.allclose(lengths_of(specimen, 3800), CC, atol=1e-9)
    assert set(count_rings(specimen, 3500)) == {6}
    assert Counter(specimen.sublattice.tolist()) == {"A": len(inside) // 2, "B": len(inside) // 2}


def test_the_lattice_lies_around_the_origin_and_reaches_as_far_as_asked():
    specimen = build(reach_pm=4000.0)
    gaps, _ = cKDTree(specimen.site_pm).query(
        3800 * np.column_stack([np.cos(np.arange(60)), np.sin(np.arange(60))])
    )
    assert gaps.max() <= CC + 1e-6


def test_neighbours_are_on_the_other_sublattice():
    specimen = build()
    first, second = bonds_of(specimen.site_pm).T
    assert np.all(specimen.sublattice[first] != specimen.sublattice[second])


@pytest.mark.parametrize("lines", ["5-8-5", "5-7", "tilt", "loop"])
def test_bonds_near_lines_are_those_of_carbon(lines):
    for seed in range(3):
        lengths = lengths_of(build(seed, lines=lines, tilt_deg=25), 3000)
        assert lengths.min() > 126
        assert lengths.max() < 160
        assert lengths.mean() == pytest.approx(CC, abs=0.5)


def test_a_line_585_repeats_two_pentagons_and_an_octagon_every_two_cells():
    specimen = build(lines="5-8-5", line_spacing_nm=1.2)
    rings = rings_of(specimen.site_pm, 3000)
    period = 2 * math.sqrt(3) * CC
    octagons = np.array([m for n, m in rings if n == 8])
    pentagons = np.array([m for n, m in rings if n == 5])
    assert np.ptp(octagons[:, 1]) < 1
    assert np.diff(np.sort(octagons[:, 0])) == pytest.approx(period, abs=2)
    assert abs(len(pentagons) - 2 * len(octagons)) <= 2
    assert {n for n, _ in rings} == {5, 6, 8}
    assert set(specimen.grain.tolist()) == {0, 1}
    # Dimers on the line belong to no sublattice.
    line = np.median(octagons[:, 1])
    nameless = specimen.site_pm[specimen.sublattice == ""]
    assert np.abs(nameless[:, 1] - line).max() < 150


def test_several_lines_585_keep_their_spacing():
    specimen = build(lines="5-8-5", line_count=3, line_spacing_nm=1.6, reach_pm=4000.0)
    y = np.sort([m[1] for n, m in rings_of(specimen.site_pm, 3500) if n == 8])
    lines = [group.mean() for group in np.split(y, np.flatnonzero(np.diff(y) > 300) + 1)]
    assert len(lines) == 3
    # Whole chains of 213 pm fit between the lines.
    assert np.abs(np.diff(lines) - 1600).max() < 110


@pytest.mark.parametrize(("n", "tilt"), [(1, 21.787), (2, 13.174), (4, 7.341), (7, 4.408)])
def test_a_57_boundary_has_one_dislocation_a_period(n, tilt):
    found, angle, period = symmetric_turn(tilt + 0.2)
    assert found == n
    assert angle == pytest.approx(tilt, abs=0.001)
    specimen = build(lines="5-7", tilt_deg=tilt, line_spacing_nm=1.2, reach_pm=4500.0)
    rings = rings_of(specimen.site_pm, 4000)
    assert {k for k, _ in rings} == {5, 6, 7}
    for size in (5, 7):
        x = np.sort([m[0] for k, m in rings if k == size])
        assert np.diff(x) == pytest.approx(period, abs=15)
    # Burgers: the spacing of dislocations is b / (2 sin(θ/2)).
    lattice = math.sqrt(3) * CC
    assert period == pytest.approx(lattice / (2 * math.sin(math.radians(angle) / 2)), rel=1e-9)


def grain_angle(specimen, grain, middle_pm, radius_pm):
    """Orientation in degrees, modulo 60, of the bonds in a part of a grain."""
    inside = (specimen.grain == grain) & (np.hypot(*(specimen.site_pm - middle_pm).T) < radius_pm)
    xy = specimen.site_pm[inside]
    first, second = bonds_of(xy).T
    angle = np.arctan2(*(xy[second] - xy[first]).T[::-1])
    return math.degrees(np.angle(np.exp(6j * angle).mean())) / 6


@pytest.mark.parametrize("tilt", [10.0, 21.8, 30.0, 47.0])
def test_grains_are_turned_against_each_other_as_asked(tilt):
    specimen = build(3, lines="tilt", tilt_deg=tilt, line_spacing_nm=1.2, reach_pm=4000.0)
    below = grain_angle(specimen, 0, (0, -2800), 900)
    above = grain_angle(specimen, 1, (0, 2800), 900)
    apart = (above - below - tilt + 30) % 60 - 30
    assert abs(apart) < 1.0


def test_a_tilt_boundary_is_made_of_pentagons_and_heptagons_and_leaves_no_gap():
    for seed in range(4):
        specimen = build(seed, lines="tilt", tilt_deg=27, line_spacing_nm=1.2)
        rings = count_rings(specimen, 3000)
        assert set(rings) == {5, 6, 7}
        assert rings[5] >= 5
        assert abs(rings[5] - rings[7]) <= 2
        gaps, _ = cKDTree(specimen.site_pm).query(
            np.random.default_rng(0).uniform(-2000, 2000, (3000, 2))
        )
        assert gaps.max() < 190
        inside = np.hypot(*specimen.site_pm.T) < 3000
        assert inside.sum() / (math.pi * 9) == pytest.approx(PER_NM2, rel=0.02)


def test_a_loop_is_closed_by_as_many_pentagons_as_heptagons():
    specimen = build(2, 5000.0, lines="loop", tilt_deg=30, loop_radius_nm=0.8)
    rings = count_rings(specimen, 4500)
    assert rings[5] == rings[7] > 4
    assert 20 < np.sum(specimen.grain == 1) < 250


def test_sublattices_change_names_only_across_boundaries():
    specimen = build(4, lines="tilt", tilt_deg=20, line_spacing_nm=1.2)
    first, second = bonds_of(specimen.site_pm).T
    same = specimen.grain[first] == specimen.grain[second]
    named = (specimen.sublattice[first] != "") & (specimen.sublattice[second] != "")
    inside = np.hypot(*specimen.site_pm[first].T) < 3000
    differ = specimen.sublattice[first] != specimen.sublattice[second]
    assert np.mean(differ[same & named & inside]) > 0.995
    assert np.mean(specimen.sublattice == "") < 0.1


def test_vacancies_are_listed_where_atoms_are_missing():
    specimen, whole = build(vacancy_percent=2), build()
    expected = 0.02 * whole.n_columns
    assert abs(len(specimen.vacancy_pm) - expected) < 5 * math.sqrt(expected)
    assert specimen.n_columns + len(specimen.vacancy_pm) == whole.n_columns
    assert set(specimen.vacancy_element.tolist()) == {"C"}
    # Each vacancy is a site of the perfect sheet, and nobody stands there.
    assert cKDTree(whole.site_pm).query(specimen.vacancy_pm)[0].max() < 1e-6
    assert cKDTree(specimen.site_pm).query(specimen.vacancy_pm)[0].min() > 90


def test_a_lone_vacancy_closes_a_pentagon_beside_a_ring_of_nine():
    specimen = build(5, vacancy_percent=0.6)
    rings = rings_of(specimen.site_pm, 3300, longest=215.0)
    nines = np.array([m for n, m in rings if n == 9])
    pentagons = np.array([m for n, m in rings if n == 5])
    assert len(nines) >= 3
    inner = nines[np.hypot(*nines.T) < 2900]
    assert cKDTree(pentagons).query(inner)[0] == pytest.approx(280, abs=40)
    assert cKDTree(specimen.vacancy_pm).query(inner)[0].max() < 120
    lengths = lengths_of(specimen, 2900, longest=215.0)
    weak = lengths[lengths > 170]
    assert weak == pytest.approx(202, abs=5)
    assert lengths[lengths < 170].min() > 130


def test_the_inside_of_a_hole_is_not_a_vacancy():
    whole = build(reach_pm=5000.0)
    specimen = build(reach_pm=5000.0, holes=1, hole_radius_nm=0.8)
    missing = whole.n_columns - specimen.n_columns
    assert 0.4 < missing / (PER_NM2 * math.pi * 0.8**2) < 1.8
    assert len(specimen.vacancy_pm) == 0
    bonds = bonds_of(specimen.site_pm)
    assert np.bincount(bonds.ravel()).min() >= 2


def test_holes_that_leave_nothing_are_refused_in_a_sentence():
    with pytest.raises(UserError, match="leave nothing of the graphene"):
        build(reach_pm=600.0, holes=10, hole_radius_nm=5)


@pytest.mark.parametrize(("element", "number", "length"), [("N", 7, 141.5), ("B", 5, 148)])
def test_dopants_pull_or_push_their_neighbours(element, number, length):
    specimen = build(dopant=element, dopant_percent=2)
    foreign = specimen.number == number
    expected = 0.02 * specimen.n_columns
    assert abs(foreign.sum() - expected) < 5 * math.sqrt(expected)
    first, second = bonds_of(specimen.site_pm).T
    at = foreign[first] | foreign[second]
    assert not np.any(foreign[first] & foreign[second])
    lengths = np.hypot(*(specimen.site_pm[first] - specimen.site_pm[second]).T)
    assert lengths[at].mean() == pytest.approx(length, abs=1)
    assert lengths[~at].min() > 138


def test_silicon_stands_above_the_sheet_with_bonds_of_its_length():
    specimen = build(dopant="Si", dopant_percent=0.5)
    silicon = specimen.number == 14
    tree = cKDTree(specimen.xyz_pm[~silicon])
    lengths = tree.query(specimen.xyz_pm[silicon], k=3)[0]
    assert lengths.mean(axis=1) == pytest.approx(175, abs=1)
    # Towards the source: the beam enters at z = 0.
    assert specimen.xyz_pm[silicon, 2].max() < specimen.xyz_pm[~silicon, 2].min()


def test_contamination_covers_as_much_as_asked_and_belongs_to_no_column():
    for percent in (10, 40):
        covers = []
        for seed in range(6):
            specimen = build(seed, 5000.0, contamination_percent=percent, contamination_nm=1)
            dirt = specimen.xyz_pm[specimen.column < 0]
            assert np.all(specimen.number[specimen.column < 0] == 6)
            sheet = specimen.xyz_pm[specimen.column >= 0]
            assert dirt[:, 2].max() == pytest.approx(sheet[0, 2] - 335, abs=60)
            assert np.ptp(dirt[:, 2]) <= 1000
            spots = np.random.default_rng(0).uniform(-1500, 1500, (2000, 2))
            covers.append(np.mean(cKDTree(dirt[:, :2]).query(spots)[0] < 150))
        assert np.mean(covers) == pytest.approx(percent / 100, abs=0.12)


def test_contamination_keeps_out_of_holes():
    specimen = build(contamination_percent=100, holes=1, hole_radius_nm=0.8)
    dirt, sheet = specimen.xyz_pm[specimen.column < 0], specimen.site_pm
    assert len(dirt) > 100
    assert cKDTree(sheet).query(dirt[:, :2])[0].max() < 300


def test_ripples_keep_bonds_in_space_and_shorten_them_in_projection():
    specimen = build(reach_pm=4000.0, ripple_pm=150, ripple_nm=7)
    flat = build(reach_pm=4000.0)
    first, second = bonds_of(flat.site_pm).T
    space = np.linalg.norm(specimen.xyz_pm[first] - specimen.xyz_pm[second], axis=1)
    projected = np.hypot(*(specimen.site_pm[first] - specimen.site_pm[second]).T)
    unrelieved = np.sqrt(CC**2 + (specimen.xyz_pm[first, 2] - specimen.xyz_pm[second, 2]) ** 2)
    assert space.mean() == pytest.approx(CC, rel=2e-3)
    assert projected.mean() < space.mean() - 0.5
    assert np.std(space) < 0.5 * np.std(unrelieved) + 0.3
    assert np.std(specimen.xyz_pm[:, 2]) == pytest.approx(150, rel=0.6)


def test_a_single_wave_is_relieved_completely():
    wave = Ripples(np.array([[0.0008, 0.0005]]), np.array([120.0]), np.array([0.7]))
    xy = np.random.default_rng(0).uniform(-3000, 3000, (500, 2))
    step = np.random.default_rng(1).normal(0, 1.0, (500, 2))

    def raised(xy):
        return np.column_stack([xy + wave.shift(xy), wave.height(xy)])

    stretched = np.linalg.norm(raised(xy + step) - raised(xy), axis=1) / np.hypot(*step.T)
    # What remains is of the fourth order in the slope, which is 0.11 here.
    assert np.abs(stretched - 1).max() < 2e-4


def test_relaxing_restores_a_disturbed_sheet_and_leaves_frozen_atoms():
    sheet = honeycomb(1500.0)
    rng = np.random.default_rng(0)
    middle = np.hypot(*sheet.xy_pm.T) < 900
    noise = rng.normal(0, 15, sheet.xy_pm.shape) * middle[:, None]
    disturbed = Network(
        sheet.xy_pm + noise, sheet.bonds, sheet.rest_pm, sheet.grain, sheet.turn_rad
    )
    assert np.abs(relax(disturbed, middle).xy_pm - sheet.xy_pm).max() < 0.05
    held = relax(disturbed, np.zeros(len(sheet), dtype=bool))
    assert np.array_equal(held.xy_pm, disturbed.xy_pm)


def spring_energy(sheet, xy):
    """The energy of the valence force field in eV Å⁻² pm², atom by atom, from its formula."""
    around = [[] for _ in xy]
    energy = 0.0
    for (i, j), rest in zip(sheet.bonds.tolist(), sheet.rest_pm.tolist(), strict=True):
        around[i].append(j)
        around[j].append(i)
        energy += 3 / 16 * 26.06 / rest**2 * (((xy[i] - xy[j]) ** 2).sum() - rest**2) ** 2
    for i, others in enumerate(around):
        for j, k in ((j, k) for n, j in enumerate(others) for k in others[:n]):
            one, two = xy[j] - xy[i], xy[k] - xy[i]
            angle = math.acos(one @ two / np.hypot(*one) / np.hypot(*two))
            energy += 3 / 8 * 5.511 * CC**2 * (angle - 2 * math.pi / 3) ** 2
    return energy


def test_relaxed_boundaries_are_at_the_least_energy_of_the_force_field():
    raw = symmetric_boundaries(900.0, 1, np.array([0.0]))
    sheet = relax(raw)
    least = spring_energy(sheet, sheet.xy_pm)
    assert least < 0.7 * spring_energy(raw, raw.xy_pm)
    rng = np.random.default_rng(0)
    for _ in range(20):
        push = rng.normal(0, 1, sheet.xy_pm.shape)
        ahead, back = (spring_energy(sheet, sheet.xy_pm + s * push) for s in (0.5, -0.5))
        assert min(ahead, back) > least
        # No slope is left: what remains is the curvature.
        assert abs(ahead - back) < 0.05 * (ahead + back - 2 * least)


def test_the_same_seed_makes_the_same_sheet():
    kwargs = {"lines": "tilt", "vacancy_percent": 1, "contamination_percent": 20, "ripple_pm": 50}
    one, two, other = build(7, **kwargs), build(7, **kwargs), build(8, **kwargs)
    assert np.array_equal(one.xyz_pm, two.xyz_pm)
    assert one.xyz_pm.shape != other.xyz_pm.shape or not np.allclose(one.xyz_pm, other.xyz_pm)


@pytest.mark.parametrize(
    "wrong",
    [{"tilt_deg": 0}, {"vacancy_percent": -1}, {"lines": "7-7"}, {"ripple_nm": 0.1}, {"colour": 1}],
)
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        GrapheneSettings(**wrong)
