"""Tables of columns: what they cover, and the multislice that they come from."""

import json
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from napari_apgan.simulate.imaging import table_cells
from napari_apgan.simulate.imaging.make_tables import CellFit
from napari_apgan.simulate.imaging.table_cells import BEAM, CELLS, cell_image, slices_of
from napari_apgan.simulate.imaging.tables import HAZE, SHIFT, load_tables


def test_the_shipped_file_is_small_and_holds_every_cell_that_the_command_computes():
    path = resources.files("napari_apgan.simulate.imaging") / "columns.npz"
    with resources.as_file(path) as file, np.load(file, allow_pickle=False) as arrays:
        assert file.stat().st_size < 500_000
        named = set(json.loads(str(arrays["meta"]))["columns"])
    assert named == {f"{n} in {cell.name}" for cell in CELLS for n, _, _ in cell.columns}


@pytest.mark.parametrize("detector", ["haadf", "adf"])
def test_the_first_atom_of_a_column_scatters_nearly_as_if_alone(detector):
    tables = load_tables()
    first = tables.response[detector][:, :, 0]
    # The first slab is an atom and the beginning of the next one, which heavy columns light more.
    light = tables.strength_per_pm < 0.15
    assert first[light, :, :SHIFT].sum(axis=-1) == pytest.approx(1.0, abs=0.07)
    assert first[~light, :, :SHIFT].sum(axis=-1) == pytest.approx(1.0, abs=0.2)
    assert first[light, :, HAZE] == pytest.approx(0.0, abs=0.05)


def test_kinds_of_columns_between_those_of_the_tables_are_between_them():
    tables = load_tables()
    low, high = tables.strength_per_pm[2:4]
    ends = tables.of_columns("haadf", np.array([low, high]), np.zeros(2))
    middle = tables.of_columns("haadf", np.array([np.sqrt(low * high)]), np.zeros(1))
    assert middle[0] == pytest.approx(ends.mean(axis=0))
    beyond = tables.of_columns("haadf", np.array([10 * tables.strength_per_pm[-1]]), np.zeros(1))
    assert beyond[0] == pytest.approx(tables.response["haadf"][-1, 0])


@pytest.fixture
def still(monkeypatch):
    """Let the atoms of the cells rest."""
    monkeypatch.setattr(table_cells, "THERMAL_PM", dict.fromkeys(("Sr", "Ti", "O", "Pb"), 0.0))
    monkeypatch.setattr(table_cells, "POOL", 2)


def test_the_multislice_of_the_cells_agrees_with_abtem(still):
    abtem = pytest.importorskip("abtem")
    cell = replace(CELLS[1], scan=(2, 2), mirrored=False)
    periods = 4
    thickness = np.array([periods * cell.period_pm])
    ours = cell_image(cell, 0.0, thickness, passes=1, rng=np.random.default_rng(0))[0]

    phases = [np.angle(p[0]).T for p in slices_of(cell, BEAM, np.random.default_rng(0))]
    sigma = table_cells.interaction(BEAM.voltage_kv) * 100
    array = np.array(phases * periods, dtype=np.float32) / sigma
    side = cell.size_pm[0] * cell.repeats[0] / 100
    potential = abtem.PotentialArray(array, cell.period_pm / 200, extent=(side, side))
    probe = abtem.Probe(semiangle_cutoff=BEAM.aperture_mrad, energy=BEAM.voltage_kv * 1e3)
    probe.grid.match(potential)
    places = np.array([[0.0, 0.0], [0.25, 0.0], [0.0, 0.25], [0.25, 0.25]]) * side
    detector = abtem.AnnularDetector(inner=70.0, outer=200.0)
    theirs = probe.multislice(
        potential, scan=abtem.CustomScan(places), detectors=detector, lazy=False
    ).array
    rings = ours[4:6].sum(axis=0)
    expected = np.array([rings[0, 0], rings[0, 1], rings[1, 0], rings[1, 1]])
    # They part by how each treats the pixels that the edges of aperture and detector cut.
    assert np.ravel(theirs) == pytest.approx(expected, rel=0.07, abs=2e-4)


def test_the_mirrors_of_a_cell_only_spare_work(still):
    cell = replace(CELLS[0], scan=(4, 4))
    depth = np.array([3 * cell.period_pm])
    spared = cell_image(cell, 5.0, depth, passes=1, rng=np.random.default_rng(0))
    whole = cell_image(
        replace(cell, mirrored=False), 5.0, depth, passes=1, rng=np.random.default_rng(0)
    )
    assert spared == pytest.approx(whole, rel=2e-3, abs=1e-6)


def test_the_fit_of_a_cell_finds_what_was_drawn():
    cell = CELLS[0]
    fit = CellFit(cell)
    nx, ny = cell.scan
    image = np.zeros((ny, nx))
    expected = {"Sr": 900.0, "Ti": 400.0, "O": 60.0}
    frequency = (np.fft.fftfreq(ny, 1 / ny)[:, None], np.fft.fftfreq(nx, 1 / nx))
    size = np.hypot(*frequency) / cell.size_pm[0]
    probe = table_cells.sampled_transfer(cell, BEAM)
    spectrum = np.zeros((ny, nx), dtype=np.complex128)
    for name, u, v in cell.columns:
        x = u + 6.0 / cell.size_pm[0] * (name != "O")
        turn = np.exp(-2j * np.pi * (frequency[0] * v + frequency[1] * x))
        spectrum += expected[name] * turn * probe * np.exp(-2 * (np.pi * 28.0 * size) ** 2)
    image = np.fft.ifft2(spectrum).real * nx * ny / cell.size_pm[0] ** 2
    found, shifts, haze, misfit = fit.read(image, np.full(3, np.nan), 40.0)
    assert misfit < 0.01
    assert found.sum(axis=1) == pytest.approx([expected[n] for n in fit.names], rel=0.02)
    assert shifts[:2] == pytest.approx(6.0, abs=0.2)
    assert abs(haze) < 20.0
