"""Dumbbells: against the crystals that the textbook says they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_apgan.simulate.specimen import Specimen
from napari_apgan.simulate.structures.crystal import (
    cut_along,
    draw_species,
    fill,
    strands_within,
)
from napari_apgan.simulate.structures.dumbbell import (
    MATERIALS,
    DumbbellSettings,
    Material,
    build_dumbbell,
)

from .crystals import make_crystal

REACH_PM = 2500.0


def build(**settings: object) -> Specimen:
    made = DumbbellSettings.model_validate({"thickness_nm": 2.0} | settings)
    return build_dumbbell(made, np.random.default_rng(5), REACH_PM)


def around_pm(site: np.ndarray) -> np.ndarray:
    """Return the sorted distances of columns from the one nearest the origin, up to 1.4 nm."""
    middle = site[np.hypot(*site.T).argmin()]
    distance = np.sort(np.hypot(*(site - middle).T))
    return distance[distance < 1400]


@pytest.mark.parametrize(
    ("material", "separation_pm"), [("Si", 135.8), ("GaAs", 141.3), ("Ge", 141.4), ("CdTe", 162.1)]
)
def test_the_halves_of_a_dumbbell_stand_a_quarter_of_the_cell_apart_along_x(
    material: str, separation_pm: float
) -> None:
    site = build(material=material).site_pm
    middle = site[np.hypot(*site.T) < 1500]
    distance, index = cKDTree(site).query(middle, k=3)
    assert np.allclose(distance[:, 1], separation_pm, atol=0.05)
    assert (distance[:, 2] > 1.5 * separation_pm).all()
    assert np.allclose((site[index[:, 1]] - middle)[:, 1], 0, atol=1e-6)


def zinc_blende(first: str, second: str, a_pm: float):
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    fraction = np.concatenate([corners, corners + 0.25])
    return make_crystal(np.eye(3) * a_pm, [first] * 4 + [second] * 4, fraction), (1, 1, 0)


def wurtzite(first: str, second: str, a_pm: float, c_pm: float, u: float):
    lattice = [[a_pm, 0, 0], [-a_pm / 2, a_pm * math.sqrt(3) / 2, 0], [0, 0, c_pm]]
    third = 1 / 3
    lower = [[third, 2 * third, 0], [2 * third, third, 0.5]]
    upper = [[third, 2 * third, u], [2 * third, third, 0.5 + u]]
    return make_crystal(lattice, [first] * 2 + [second] * 2, lower + upper), (1, 1, 0)


@pytest.mark.parametrize(
    ("material", "crystal"),
    [
        ("GaAs", zinc_blende("Ga", "As", 565.33)),
        ("InP", zinc_blende("In", "P", 586.87)),
        ("GaN", wurtzite("Ga", "N", 318.9, 518.5, 0.377)),
        ("ZnO", wurtzite("Zn", "O", 325.0, 520.7, 0.382)),
    ],
)
def test_a_stack_without_faults_is_the_crystal(material: Material, crystal) -> None:
    """Distances in the image and in space are those of the crystal cut along its zone axis."""
    cell, zone = crystal
    specimen = build(material=material)
    strands = strands_within(cut_along(cell, zone), REACH_PM)
    xyz, strand = fill(strands, 0.0, 2000.0)
    number, _ = draw_species(
        cell.species, cell.occupancy, strands.site[strand], np.random.default_rng(0)
    )
    symbols = MATERIALS[material].species
    for name, z in zip(symbols, cell.species.tolist(), strict=True):
        ours = around_pm(specimen.site_pm[specimen.sublattice == name])
        theirs = around_pm(np.unique(np.round(xyz[number == z, :2], 6), axis=0))
        assert len(ours) == len(theirs)
        assert np.allclose(ours, theirs, atol=1e-4)

    def bonds(points: np.ndarray) -> np.ndarray:
        core = np.linalg.norm(points - [0, 0, 1000.0], axis=1)
        return np.sort(np.linalg.norm(points - points[core.argmin()], axis=1))[:60]

    assert np.allclose(
        bonds(specimen.xyz_pm[specimen.number == cell.species[0]]),
        bonds(xyz[number == cell.species[0]]),
        atol=1e-4,
    )


@pytest.mark.parametrize("material", ["Si", "GaAs", "AlN"])
@pytest.mark.parametrize(("twins", "faults"), [(0, 0), (25, 0), (0, 30), (40, 40), (100, 100)])
def test_every_atom_keeps_four_neighbours_of_the_other_kind(
    material: Material, twins: float, faults: float
) -> None:
    """Twins and stacking faults leave all bonds of a tetrahedral crystal whole."""
    specimen = build(material=material, twins_percent=twins, faults_percent=faults)
    xyz = specimen.xyz_pm
    inner = (np.hypot(xyz[:, 0], xyz[:, 1]) < REACH_PM - 600) & (abs(xyz[:, 2] - 1000) < 500)
    distance, index = cKDTree(xyz).query(xyz[inner], k=6)
    bond = MATERIALS[material].bond_pm
    assert inner.sum() > 100
    assert np.allclose(distance[:, 1:5], bond, rtol=0.01)
    assert (distance[:, 5] > 1.5 * bond).all()
    kind = np.array([name[-1] for name in specimen.sublattice])[specimen.column]
    assert (kind[index[:, 1:5]] != kind[inner][:, None]).all()


def test_twins_are_grains_and_faults_are_not() -> None:
    assert build().grain.max() == 0
    assert build(faults_percent=50).grain.max() == 0
    twinned = build(twins_percent=15)
    assert twinned.grain.max() >= 1


def test_the_two_sides_of_silicon_are_two_sublattices() -> None:
    specimen = build()
    assert set(specimen.sublattice) == {"Si 1", "Si 2"}
    _, index = cKDTree(specimen.site_pm).query(specimen.site_pm, k=2)
    inner = np.hypot(*specimen.site_pm.T) < REACH_PM - 300
    assert (specimen.sublattice[index[inner, 1]] != specimen.sublattice[inner]).all()


def test_thickness_sets_the_atoms_of_a_column() -> None:
    specimen = build(thickness_nm=10.0)
    per_column = np.bincount(specimen.column)
    assert set(per_column.tolist()) <= {26, 27}  # 10 nm / (543.1 pm / √2)
    assert specimen.thickness_pm == pytest.approx(10_000, abs=400)


def test_the_circle_is_covered() -> None:
    site = build(twins_percent=10).site_pm
    rng = np.random.default_rng(0)
    turn, far = rng.uniform(0, 2 * math.pi, 3000), REACH_PM * np.sqrt(rng.random(3000))
    spots = np.column_stack([far * np.cos(turn), far * np.sin(turn)])
    assert cKDTree(site).query(spots)[0].max() < 450
