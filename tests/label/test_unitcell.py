"""A structure file says which element stands on which site."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.frames import Frame
from napari_apgan.label.lattice import propose
from napari_apgan.label.unitcell import cell_of_structure, project_structure
from napari_apgan.measure import match
from napari_apgan.simulate import EXAMPLES, simulate_pair
from napari_apgan.simulate.settings import changed


@pytest.fixture
def strontium_titanate(write_cif, tmp_path):
    pytest.importorskip("ase")
    sites = [("Sr", 0, 0, 0), ("Ti", 0.5, 0.5, 0.5)]
    sites += [("O", 0.5, 0.5, 0), ("O", 0.5, 0, 0.5), ("O", 0, 0.5, 0.5)]
    return write_cif(tmp_path / "srtio3.cif", 3.905, sites)


def test_sites_get_the_elements_of_the_file(strontium_titanate):
    pair = simulate_pair(changed(EXAMPLES["srtio3"], {"shape": (192, 192)})).pair
    structure = project_structure(strontium_titanate)
    proposal = propose(pair.frame)
    cell, notes = cell_of_structure(proposal.landscape, structure, proposal.lattices[0].cell)
    assert {s.element for s in cell.atoms} == {"Sr", "Ti"}
    assert any("O are too weak" in note for note in notes)
    atoms = propose(proposal.landscape, cell).tables().atoms
    found, true = match(positions(atoms), positions(pair.atoms), 3.0)
    assert len(found) > 0.97 * len(atoms)
    assert (
        atoms["element"].to_numpy()[found] == pair.atoms["element"].to_numpy()[true]
    ).mean() > 0.98


def test_columns_closer_than_the_image_resolves_are_joined_and_said(write_cif, tmp_path):
    pytest.importorskip("ase")
    fcc = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    sites = [("Ga", *p) for p in fcc.tolist()] + [("As", *p) for p in (fcc + 0.25).tolist()]
    structure = project_structure(write_cif(tmp_path / "gaas.cif", 5.653, sites), (1, 1, 0))
    blurred = changed(
        EXAMPLES["gaas-110"],
        {"pixel_size_pm": 40.0, "shape": (128, 128), "imaging": {"source_size_pm": 130.0}},
    )
    proposal = propose(simulate_pair(blurred).pair.frame)
    assert len(proposal.lattices[0].cell.atoms) == 1
    cell, notes = cell_of_structure(proposal.landscape, structure, proposal.lattices[0].cell)
    # The file's cube projects to a cell of two pairs.
    assert {s.element for s in cell.atoms} == {"As/Ga"}
    assert any("show as one" in note for note in notes)


def test_a_structure_that_does_not_fit_is_refused(strontium_titanate):
    pair = simulate_pair(changed(EXAMPLES["mos2"], {"shape": (160, 160)})).pair
    proposal = propose(pair.frame)
    with pytest.raises(UserError, match="zone axis"):
        cell_of_structure(
            proposal.landscape, project_structure(strontium_titanate), proposal.lattices[0].cell
        )
    bare = propose(Frame(pair.frame.data, pair.frame.valid))
    with pytest.raises(UserError, match="zone axis"):
        cell_of_structure(
            bare.landscape, project_structure(strontium_titanate), bare.lattices[0].cell
        )
