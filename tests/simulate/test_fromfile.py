"""Structures from files: what ASE reads is cut, tiled or taken as it is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import View, place
from napari_apgan.simulate.specimen import Specimen
from napari_apgan.simulate.structures.fromfile import FileSettings, build_file, read_structure

REACH_PM = 2000.0


@pytest.fixture
def ase() -> Any:
    return pytest.importorskip("ase")


@pytest.fixture
def mixed(ase: Any, write_cif: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Write a perovskite that has two elements on one of its sites."""

    def write(a: float, lead: float, strontium: float) -> Path:
        cations = [("Pb", 0, 0, 0, lead), ("Sr", 0, 0, 0, strontium)]
        others = [("Ti", 0.5, 0.5, 0.5), ("O", 0.5, 0.5, 0)]
        return write_cif(tmp_path / "mixed.cif", a, cations + others, "P m -3 m")

    return write


@pytest.fixture
def silicon(ase: Any, tmp_path: Path) -> Path:
    from ase.build import bulk

    path = tmp_path / "si.cif"
    bulk("Si", cubic=True, a=5.431).write(path)
    return path


def build(path: Path, seed: int = 0, reach_pm: float = REACH_PM, **settings: object) -> Specimen:
    made = FileSettings.model_validate({"path": path, "displacement_pm": 0} | settings)
    return build_file(made, np.random.default_rng(seed), reach_pm)


def refusal(path: Path, **settings: object) -> str:
    with pytest.raises(UserError) as caught:
        build(path, **settings)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_a_crystal_is_cut_along_its_zone_axis_and_covers_the_circle(silicon: Path) -> None:
    specimen = build(silicon, zone="110", thickness_nm=5.0)
    distance, _ = cKDTree(specimen.site_pm).query(specimen.site_pm, k=2)
    assert np.median(distance[:, 1]) == pytest.approx(135.8, abs=0.05)
    assert specimen.thickness_pm == pytest.approx(5000, abs=400)
    assert REACH_PM - 150 < np.hypot(*specimen.site_pm.T).max() <= REACH_PM
    volume = np.pi * REACH_PM**2 * 5000
    assert len(specimen.xyz_pm) == pytest.approx(volume * 8 / 543.1**3, rel=0.03)


def test_a_direction_of_the_crystal_can_point_right(silicon: Path) -> None:
    """Along [110] with [001] to the right, the dumbbells lie along x."""
    specimen = build(silicon, zone="110", right=(0, 0, 1))
    _, index = cKDTree(specimen.site_pm).query(specimen.site_pm, k=2)
    inner = np.hypot(*specimen.site_pm.T) < REACH_PM - 200
    step = specimen.site_pm[index[inner, 1]] - specimen.site_pm[inner]
    assert np.allclose(np.abs(step), [135.775, 0], atol=1e-3)


def test_the_same_part_of_a_crystal_is_not_always_in_the_middle(silicon: Path) -> None:
    one, same, other = build(silicon, seed=1), build(silicon, seed=1), build(silicon, seed=2)
    assert np.array_equal(one.site_pm, same.site_pm)
    nearest = cKDTree(one.site_pm).query(other.site_pm[np.hypot(*other.site_pm.T) < 1000])[0]
    assert nearest.min() > 1


def test_species_and_vacancies_of_partial_occupancy_are_drawn(
    mixed: Callable[..., Path],
) -> None:
    path = mixed(a=3.93, lead=0.6, strontium=0.3)
    specimen = build(path, thickness_nm=30.0)
    cations = np.isin(specimen.number, [82, 38])
    assert (specimen.number[cations] == 82).mean() == pytest.approx(2 / 3, abs=0.03)
    per_column = np.bincount(specimen.column)[specimen.sublattice == "Pb/Sr"]
    assert per_column.mean() / (30_000 / 393) == pytest.approx(0.9, abs=0.02)
    assert set(specimen.sublattice) == {"Pb/Sr", "Ti/O", "O"}
    columns = place(specimen, View(), (64, 64), 20.0).columns
    assert set(columns.element.tolist()) <= {"Pb", "Sr", "Ti", "O"}
    thin = build(path, thickness_nm=0.3)
    assert len(thin.vacancy_pm) > 0
    assert set(thin.vacancy_element) == {"Pb"}


@pytest.fixture
def layer(ase: Any) -> Any:
    from ase.build import mx2

    return mx2("MoS2", a=3.16, thickness=3.17, vacuum=8)


def test_a_layer_stands_once_whether_its_cell_is_padded_or_open(layer: Any, tmp_path: Path) -> None:
    layer.write(tmp_path / "open.xyz", format="extxyz")
    layer.pbc = True
    layer.write(tmp_path / "padded.cif")
    for path in (tmp_path / "open.xyz", tmp_path / "padded.cif"):
        specimen = build(path)
        assert specimen.thickness_pm == pytest.approx(317, abs=0.1)
        columns = place(specimen, View(), (64, 64), 20.0).columns
        sulphur = columns.element == "S"
        assert (columns.n_atoms[sulphur] == 2).all()
        assert (columns.n_atoms[~sulphur] == 1).all()
        area = np.pi * REACH_PM**2
        cell = 316.0**2 * np.sqrt(3) / 2
        assert (~sulphur).sum() == pytest.approx(area / cell, rel=0.03)
    assert "0 0 1" in refusal(tmp_path / "open.xyz", zone=(1, 0, 0))


@pytest.fixture
def supercell(ase: Any, tmp_path: Path) -> Path:
    """SrTiO3, 12 x 12 x 3 cells, every atom some 5 pm off."""
    from ase.spacegroup import crystal

    cell = crystal(
        ("Sr", "Ti", "O"),
        [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)],
        spacegroup=221,
        cellpar=[3.905, 3.905, 3.905, 90, 90, 90],
    ).repeat((12, 12, 3))
    cell.rattle(0.05, seed=1)
    path = tmp_path / "super.cif"
    cell.write(path)
    return path


def test_a_supercell_of_another_simulator_is_tiled_across_the_beam_only(supercell: Path) -> None:
    specimen = build(supercell, repeat="layer", reach_pm=4000.0)
    assert specimen.thickness_pm == pytest.approx(3 * 390.5 - 195, abs=60)
    columns = place(specimen, View(), (64, 64), 20.0).columns
    counts = dict(zip(columns.element.tolist(), columns.n_atoms.tolist(), strict=True))
    assert counts == {"Sr": 3, "Ti": 6, "O": 3}
    # It repeats after its own width, not after that of the small cell.
    tree = cKDTree(specimen.site_pm)
    inner = specimen.site_pm[np.hypot(*(specimen.site_pm - [6 * 390.5, 0]).T) < 1500]
    assert tree.query(inner - [12 * 390.5, 0])[0].max() < 0.1
    assert tree.query(inner - [390.5, 0])[0].max() > 1


def test_a_cell_too_small_for_the_field_is_refused(supercell: Path) -> None:
    whole = build(supercell, repeat="layer", tile=False, reach_pm=2300.0)
    assert whole.n_columns > 400
    text = refusal(supercell, repeat="layer", tile=False, reach_pm=2400.0)
    assert "4.69 nm wide" in text
    assert "4.8 nm" in text


@pytest.fixture
def particle(ase: Any, tmp_path: Path) -> Path:
    from ase.cluster import Octahedron

    made = Octahedron("Pt", 7, 2)
    made.rattle(0.05, seed=2)
    path = tmp_path / "pt.xyz"
    made.write(path, format="xyz")
    return path


def test_what_does_not_repeat_is_taken_as_it_is(particle: Path) -> None:
    specimen = build(particle, zone="110")
    atoms = read_structure(particle).position_pm
    assert len(specimen.xyz_pm) == len(atoms)
    apart = np.sort(np.linalg.norm(atoms[:, None] - atoms[None], axis=2).ravel())
    ours = np.sort(np.linalg.norm(specimen.xyz_pm[:, None] - specimen.xyz_pm[None], axis=2).ravel())
    assert np.allclose(apart, ours, atol=1e-6)
    assert (specimen.column >= 0).all()
    distance, _ = cKDTree(specimen.site_pm).query(specimen.site_pm, k=2)
    assert np.median(distance[:, 1]) == pytest.approx(392 * np.sqrt(6) / 4, abs=12)
    assert np.allclose(specimen.site_pm.min(axis=0) + specimen.site_pm.max(axis=0), 0, atol=20)
    spread = np.hypot(*(specimen.xyz_pm[:, :2] - specimen.site_pm[specimen.column]).T)
    assert 1 < spread.max() < 30


def test_a_molecule_shows_atoms_where_they_stand_alone(ase: Any, tmp_path: Path) -> None:
    from ase.build import molecule

    path = tmp_path / "benzene.xyz"
    molecule("C6H6").write(path, format="xyz")
    specimen = build(path)
    assert specimen.n_columns == 12
    assert (np.bincount(specimen.column) == 1).all()


def test_a_file_is_read_anew_when_it_changes(mixed: Callable[..., Path]) -> None:
    path = mixed(a=3.93, lead=1.0, strontium=0.0)
    assert set(read_structure(path).occupancy.ravel().tolist()) == {0.0, 1.0}
    again = read_structure(mixed(a=4.1234, lead=0.25, strontium=0.5))
    assert again.cell_pm[0, 0] == pytest.approx(412.34)
    assert again.occupancy.max(axis=1).min() == pytest.approx(0.5)


def test_bad_files_are_refused_in_a_sentence(silicon: Path, tmp_path: Path) -> None:
    assert "[0 0 0]" in refusal(silicon, zone=(0, 0, 0))
    assert "point right" in refusal(silicon, zone=(0, 0, 1), right=(0, 0, 2))
    assert "no layer" in refusal(silicon, zone=(1, 1, 0), repeat="layer")
    assert "lower indices" in refusal(silicon, zone=(13, 17, 19))
    assert "cannot be opened" in refusal(tmp_path / "absent.cif")
    assert "no file" in refusal(tmp_path)

    def written(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    assert "cannot be read" in refusal(written("junk.cif", "this is no structure\n"))
    assert "cannot be read" in refusal(written("junk.xyz", "2\n\nC 0 0\n"))
    assert "cannot be read" in refusal(written("notes.txt", "dear diary"))
    assert "no atoms" in refusal(written("none.xyz", "0\n\n"))
    assert "not finite" in refusal(written("nan.xyz", "2\n\nC 0 0 0\nC nan 0 1\n"))
    assert "no known element" in refusal(written("dummy.xyz", "1\n\nX 0 0 0\n"))
    flat = 'Lattice="4 0 0 0 4 0 4 4 0" Properties=species:S:1:pos:R:3 pbc="T T T"'
    assert "no volume" in refusal(written("flat.xyz", f"1\n{flat}\nC 0 0 0\n"))
    alone = written("alone.xyz", "1\n\nC 0 0 0\n")
    assert "no volume" in refusal(alone, repeat="crystal")
    assert "[0 0 0]" in refusal(alone, zone=(0, 0, 0))


def test_structures_without_columns_are_refused(ase: Any, tmp_path: Path) -> None:
    from ase import Atoms

    cloud = Atoms("C2000", np.random.default_rng(0).uniform(0, 10, (2000, 3)))
    path = tmp_path / "cloud.xyz"
    cloud.write(path, format="xyz")
    assert "columns" in refusal(path)


def test_without_ase_the_user_is_told_what_to_install(
    silicon: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ase.io", None)
    assert 'pip install "napari-apgan[simulate]"' in refusal(silicon)
