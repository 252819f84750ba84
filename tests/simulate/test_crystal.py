"""Crystals cut along zone axes: their columns are the projected atoms, by brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import View, place
from napari_apgan.simulate.structures.base import BaseStructure
from napari_apgan.simulate.structures.columns import group_projected, make_specimen
from napari_apgan.simulate.structures.crystal import (
    Crystal,
    Direction,
    complete_basis,
    cut_along,
    draw_species,
    fill,
    name_groups,
    reduce_plane,
    strands_within,
)

from .crystals import make_crystal

STILL = BaseStructure(displacement_pm=0)
SHAPE, PIXEL_PM = (64, 80), 17.0

zones = st.sampled_from([z for z in itertools.product(range(-3, 4), repeat=3) if any(z)])
lengths, angles = st.floats(250, 600), st.floats(70, 115)


@st.composite
def crystals(draw: st.DrawFn) -> Crystal:
    """Triclinic cells with one to four atoms, two of them sometimes almost behind one another."""
    a, b, c = draw(lengths), draw(lengths), draw(lengths)
    alpha, beta, gamma = (math.radians(draw(angles)) for _ in range(3))
    x = (math.cos(alpha) - math.cos(beta) * math.cos(gamma)) / math.sin(gamma)
    height = 1 - math.cos(beta) ** 2 - x**2
    assume(height > 0.3)
    lattice = np.array(
        [
            [a, 0, 0],
            [b * math.cos(gamma), b * math.sin(gamma), 0],
            [c * math.cos(beta), c * x, c * math.sqrt(height)],
        ]
    )
    count = draw(st.integers(1, 4))
    fraction = np.array([[draw(st.floats(-1, 2)) for _ in range(3)] for _ in range(count)])
    return make_crystal(lattice, ["Sr", "Ti", "O", "O"][:count], fraction)


def brute_force(
    crystal: Crystal, zone: tuple[int, int, int], right: tuple[int, int, int], depth_pm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return atoms (N, 3) in x right, y down, z along the beam, and their atomic numbers."""
    z = np.array(zone) @ crystal.lattice_pm
    z = z / np.linalg.norm(z)
    x = np.array(right) @ crystal.lattice_pm
    x = x - x @ z * z
    x = x / np.linalg.norm(x)
    y = np.cross(z, x)
    radius = math.hypot(depth_pm, REACH_PM) + 200
    most = (
        np.ceil(radius * np.linalg.norm(np.linalg.inv(crystal.lattice_pm), axis=0)).astype(int) + 3
    )
    cells = np.array(list(itertools.product(*(range(-m, m + 1) for m in most))))
    numbers = crystal.species[crystal.occupancy.argmax(axis=1)]
    xyz = np.concatenate([(cells + f) @ crystal.lattice_pm for f in crystal.fraction])
    xyz = xyz @ np.array([x, y, z]).T
    number = np.repeat(numbers, len(cells))
    inside = (np.hypot(xyz[:, 0], xyz[:, 1]) < REACH_PM + 200) & (xyz[:, 2] >= -1e-3)
    inside &= xyz[:, 2] < depth_pm - 1e-3
    return xyz[inside], number[inside]


REACH_PM = 650.0


@settings(max_examples=50, deadline=None)
@given(
    crystal=crystals(),
    zone=zones,
    right=zones,
    depth_pm=st.floats(300, 900),
    turn=st.floats(0, 6.3),
    offset=st.tuples(st.floats(-400, 400), st.floats(-400, 400)),
    strain=st.tuples(*[st.floats(-0.05, 0.05)] * 3),
)
def test_columns_are_the_projected_atoms(
    crystal: Crystal,
    zone: tuple[int, int, int],
    right: tuple[int, int, int],
    depth_pm: float,
    turn: float,
    offset: tuple[float, float],
    strain: tuple[float, float, float],
) -> None:
    assume(np.linalg.norm(np.cross(zone, right)) > 0)
    xyz, number = brute_force(crystal, zone, right, depth_pm)
    # Grouping is tested where it is beyond doubt: atoms within 2 pm, or more than 6 pm apart.
    apart = np.hypot(*(xyz[:, None, :2] - xyz[None, :, :2]).transpose(2, 0, 1))
    assume(not ((apart > 2) & (apart < 6)).any())
    assume(not (np.abs(xyz[:, 2, None] - [0, depth_pm]) < 0.01).any())

    try:
        cut = cut_along(crystal, zone, right=right, tolerance_pm=4.0)
    except UserError:
        # Columns run into each other only where atoms stand close.
        assume(False)
    strands = strands_within(cut, REACH_PM)
    got, strand = fill(strands, 0.0, depth_pm)
    numbers, _ = draw_species(
        crystal.species, crystal.occupancy, strands.site[strand], np.random.default_rng(0)
    )
    specimen = make_specimen(got, numbers, strands.column[strand], STILL)
    view = View(turn, offset, ((strain[0], strain[2]), (strain[2], strain[1])))
    columns = place(specimen, view, SHAPE, PIXEL_PM).columns

    # The same atoms through a view written out by hand, one column after another.
    left = np.ones(len(xyz), dtype=bool)
    expected = {}
    for i in range(len(xyz)):
        if left[i]:
            together = left & (apart[i] < 4)
            left &= ~together
            atoms = number[together].tolist()
            element = max(set(atoms), key=lambda z: atoms.count(z) * z**1.7)
            mean = xyz[together & (number == element), :2].mean(axis=0)
            if np.hypot(*mean) < REACH_PM - 10:
                c, s = math.cos(turn), math.sin(turn)
                u = (1 + strain[0]) * mean[0] + strain[2] * mean[1]
                v = strain[2] * mean[0] + (1 + strain[1]) * mean[1]
                x = (c * u - s * v + offset[0]) / PIXEL_PM + (SHAPE[1] - 1) / 2
                y = (s * u + c * v + offset[1]) / PIXEL_PM + (SHAPE[0] - 1) / 2
                expected[x, y] = atoms
    assume(expected)
    at = np.array(list(expected))
    distance = np.hypot(*(columns.xy_px[None] - at[:, None]).transpose(2, 0, 1))
    nearest = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 1e-6
    assert len(set(nearest.tolist())) == len(expected)
    for which, atoms in zip(nearest.tolist(), expected.values(), strict=True):
        assert columns.n_atoms[which] == len(atoms)
        assert sum(columns.composition[which].values()) == len(atoms)
        names = {38: "Sr", 22: "Ti", 8: "O"}
        assert columns.composition[which] == {
            names[z]: atoms.count(z) for z in dict.fromkeys(atoms)
        }


@given(zone=st.tuples(*[st.integers(-40, 40)] * 3).filter(any))
def test_the_lattice_is_spanned_by_steps_of_which_one_is_along_the_zone_axis(
    zone: tuple[int, int, int],
) -> None:
    steps = complete_basis(zone)
    assert abs(round(np.linalg.det(steps))) == 1
    assert (np.array(zone) == math.gcd(*zone) * steps[2]).all()


@given(st.lists(st.integers(-30, 30), min_size=4, max_size=4))
def test_reduced_vectors_span_the_same_lattice_and_are_the_shortest(entries: list[int]) -> None:
    plane = np.array(entries, dtype=float).reshape(2, 2) * 100
    assume(abs(np.linalg.det(plane)) > 1)
    whole = reduce_plane(plane)
    assert abs(round(np.linalg.det(whole))) == 1
    first, second = whole @ plane
    shortest = min(
        np.linalg.norm(i * first + j * second)
        for i, j in itertools.product(range(-4, 5), repeat=2)
        if i or j
    )
    assert np.linalg.norm(first) == pytest.approx(shortest)
    assert 2 * abs(first @ second) <= first @ first * (1 + 1e-6)


def diamond(a_pm: float) -> Crystal:
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    return make_crystal(np.eye(3) * a_pm, ["Si"] * 8, np.concatenate([corners, corners + 0.25]))


def spacing_pm(crystal: Crystal, zone: tuple[int, int, int]) -> float:
    strands = strands_within(cut_along(crystal, zone), 1500.0)
    xyz, strand = fill(strands, 0.0, 2000.0)
    number = np.full(len(xyz), 14)
    site = make_specimen(xyz, number, strands.column[strand], STILL).site_pm
    middle = site[np.hypot(*site.T).argmin()]
    return float(np.sort(np.hypot(*(site - middle).T))[1])


def test_silicon_shows_its_dumbbells() -> None:
    assert spacing_pm(diamond(543.1), (1, 1, 0)) == pytest.approx(135.8, abs=0.05)
    assert spacing_pm(diamond(543.1), (1, 1, 2)) == pytest.approx(78.4, abs=0.05)


def test_columns_of_fcc_along_110_are_spaced_as_they_should() -> None:
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    platinum = make_crystal(np.eye(3) * 392.4, ["Pt"] * 4, corners)
    # Along <112>: a √6 / 4; half of it goes up the beam by half a repeat.
    assert spacing_pm(platinum, (1, 1, 0)) == pytest.approx(392.4 * math.sqrt(6) / 4)
    assert spacing_pm(platinum, (0, 0, 1)) == pytest.approx(392.4 / 2)


def perovskite() -> Crystal:
    half = 0.5
    fraction = [[0, 0, 0], [half] * 3, [half, half, 0], [half, 0, half], [0, half, half]]
    return make_crystal(np.eye(3) * 390.5, ["Sr", "Ti", "O", "O", "O"], fraction)


def test_species_that_share_a_column_are_one_column() -> None:
    crystal = perovskite()
    cut = cut_along(crystal, (0, 0, 1))
    names = name_groups(crystal.species, crystal.occupancy, cut.group)
    assert sorted(names) == ["O", "O", "Sr", "Ti/O"]
    cut = cut_along(crystal, (1, 1, 0))
    names = name_groups(crystal.species, crystal.occupancy, cut.group)
    assert sorted(names) == ["O", "Sr/O", "Ti"]


def test_zigzag_columns_stand_at_the_mean_of_their_atoms() -> None:
    """Two atoms a repeat, 30 pm apart across the beam, on both sides of the cell's border."""
    lattice = np.diag([400.0, 400.0, 500.0])
    crystal = make_crystal(lattice, ["O", "O"], [[0.0375, 0.5, 0], [0.9625, 0.5, 0.5]])
    strands = strands_within(cut_along(crystal, (0, 0, 1), right=(1, 0, 0)), 900.0)
    xyz, strand = fill(strands, 0.0, 1000.0)
    specimen = make_specimen(xyz, np.full(len(xyz), 8), strands.column[strand], STILL)
    assert np.allclose(specimen.site_pm[:, 0] % 400, 0) | np.allclose(
        specimen.site_pm[:, 0] % 400, 400
    )
    assert (np.bincount(specimen.column) == 4).all()
    apart = cut_along(crystal, (0, 0, 1), right=(1, 0, 0), tolerance_pm=25.0)
    assert len(set(apart.group.tolist())) == 2


def test_the_surface_of_a_cut_is_where_it_should_be() -> None:
    strands = strands_within(cut_along(perovskite(), (0, 0, 1)), 1000.0)
    xyz, strand = fill(strands, 0.0, 3905.0)
    per_column = np.bincount(strands.column[strand])
    assert set(per_column.tolist()) == {10, 20}
    assert xyz[:, 2].min() == pytest.approx(0)
    assert xyz[:, 2].max() < 3905


def test_partial_occupancy_is_drawn_atom_by_atom() -> None:
    rng = np.random.default_rng(1)
    species, occupancy = np.array([82, 38]), np.array([[0.6, 0.3], [1.0, 0.0], [0.5, 0.4999]])
    site = np.tile([0, 1, 2], 20_000)
    number, present = draw_species(species, occupancy, site, rng)
    first = present[site == 0]
    assert first.mean() == pytest.approx(0.9, abs=0.01)
    assert (number[site == 0][first] == 82).mean() == pytest.approx(2 / 3, abs=0.015)
    assert present[site != 0].all(), "sites that are full but for rounding stay full"
    assert (number[site == 1] == 82).all()


def test_columns_that_lose_all_atoms_are_vacancies() -> None:
    xyz = np.array([[0, 0, 0], [0, 0, 100], [300, 0, 0.0]])
    specimen = make_specimen(
        xyz,
        np.array([16, 16, 42]),
        np.array([4, 4, 7]),
        STILL,
        present=np.array([False, False, True]),
    )
    assert specimen.vacancy_pm.tolist() == [[0, 0]]
    assert specimen.vacancy_element.tolist() == ["S"]
    assert specimen.column.tolist() == [0]
    assert specimen.site_pm.tolist() == [[300, 0]]
    assert specimen.sublattice.tolist() == ["Mo"]


def test_atoms_of_no_crystal_are_gathered_where_they_stand_apart() -> None:
    rng = np.random.default_rng(0)
    corners = np.array(list(itertools.product(range(0, 2000, 250), repeat=2)), dtype=float)
    column = np.repeat(np.arange(len(corners)), 7)
    xy = corners[column] + rng.uniform(-12, 12, (len(column), 2))
    found = group_projected(xy)
    assert len(set(found.tolist())) == len(corners)
    assert all(len(set(found[column == c].tolist())) == 1 for c in range(len(corners)))


def test_amorphous_matter_has_no_columns() -> None:
    rng = np.random.default_rng(0)
    cloud = rng.uniform(0, 1500, (4000, 2))
    lonely = np.array([[3000.0, 0.0]])
    found = group_projected(np.concatenate([cloud, lonely]))
    assert found[-1] >= 0
    assert (found[:-1] == -1).mean() > 0.99


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("[110]", (1, 1, 0)),
        ("1-10", (1, -1, 0)),
        ("1 -1 12", (1, -1, 12)),
        ("11-20", (3, 3, 0)),
        ("[0001]", (0, 0, 1)),
        ((2, 1, 0), (2, 1, 0)),
    ],
)
def test_directions_are_read_as_people_write_them(text: object, indices: tuple[int, ...]) -> None:
    assert TypeAdapter(Direction).validate_python(text) == indices


@pytest.mark.parametrize("text", ["", "abc", "11", "1 1 1 1", "11-10", "1.5 0 0"])
def test_directions_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Direction).validate_python(text)


def refusal(call: object) -> str:
    with pytest.raises(UserError) as caught:
        call()  # type: ignore[operator]
    return str(caught.value)


def test_what_cannot_be_cut_is_refused_in_a_sentence() -> None:
    silicon = diamond(543.1)
    assert "[0 0 0]" in refusal(lambda: cut_along(silicon, (0, 0, 0)))
    assert "point right" in refusal(lambda: cut_along(silicon, (1, 1, 0), right=(2, 2, 0)))
    assert "lower indices" in refusal(lambda: cut_along(silicon, (9, 13, 17)))
    cut = cut_along(silicon, (0, 0, 1))
    strands = strands_within(cut, 5000.0)
    assert "million atoms" in refusal(lambda: fill(strands, 0.0, 1e7))
    assert "million atoms" in refusal(lambda: strands_within(cut, 1e7))


def test_nothing_makes_an_empty_specimen() -> None:
    none = np.zeros(0, dtype=int)
    specimen = make_specimen(np.zeros((0, 3)), none, none, STILL, sublattice=np.zeros(0, dtype=str))
    assert specimen.n_columns == 0
    assert len(place(specimen, View(), SHAPE, PIXEL_PM).columns) == 0
