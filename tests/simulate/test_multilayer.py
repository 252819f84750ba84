"""Multilayers and single crystals of perovskites: columns, layers, polarization, thickness."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_apgan.errors import UserError
from napari_apgan.simulate.scene import View, place
from napari_apgan.simulate.structures.multilayer import MultilayerSettings, build_multilayer
from napari_apgan.simulate.structures.perovskite import PerovskiteSettings, build_perovskite

PB, SR, TI, O = 82, 38, 22, 8  # noqa: E741


def layers(reach_pm=5000.0, seed=0, **fields):
    chosen = MultilayerSettings(**({"thickness_nm": 4.0} | fields))
    return build_multilayer(chosen, np.random.default_rng(seed), reach_pm)


def mean_of(specimen, number):
    """Return the mean position of the atoms of one species in each column that holds them."""
    held = specimen.number == number
    column, xy = specimen.column[held], specimen.xyz_pm[held, :2]
    columns = np.unique(column)
    mean = np.array([xy[column == c].mean(axis=0) for c in columns])
    return columns, mean


def polar_shifts(specimen):
    """Return sites (pm) and shifts (pm) of the titanium columns."""
    columns, mean = mean_of(specimen, TI)
    site = specimen.site_pm[columns]
    return site, mean - site


def test_columns_are_a_b_and_o_with_one_oxygen_behind_each_titanium():
    specimen = layers(polar="none")
    b = np.flatnonzero(specimen.sublattice == "B")
    for column in b[:: max(len(b) // 30, 1)]:
        numbers = specimen.number[specimen.column == column]
        assert (numbers == TI).sum() == (numbers == O).sum() == round(4000 / 390.5)
    a = np.isin(specimen.column, np.flatnonzero(specimen.sublattice == "A"))
    assert set(specimen.number[a]) == {PB, SR}
    o = np.isin(specimen.column, np.flatnonzero(specimen.sublattice == "O"))
    assert set(specimen.number[o]) == {O}


def test_the_circle_is_covered():
    specimen = layers(polar="none")
    a = specimen.site_pm[specimen.sublattice == "A"]
    spots = np.random.default_rng(1).uniform(-3500, 3500, (200, 2))
    nearest = np.hypot(*(spots[:, None] - a).transpose(2, 0, 1)).min(axis=1)
    assert nearest.max() < 300


def test_sharp_interfaces_have_pure_columns_and_diffuse_ones_mixed():
    def mixed(specimen):
        a = np.flatnonzero(specimen.sublattice == "A")
        both = [len(set(specimen.number[specimen.column == c]) & {PB, SR}) for c in a]
        return np.array(both) == 2, specimen.site_pm[a, 1]

    sharp, _ = mixed(layers(polar="none", reach_pm=3000.0))
    assert not sharp.any()
    diffuse, y = mixed(layers(polar="none", reach_pm=3000.0, intermixing_cells=0.7))
    assert diffuse.any()
    assert not diffuse.all()
    rows = np.unique(np.round(y[diffuse] / 100))
    assert len(rows) < len(np.unique(np.round(y / 100)))


@pytest.mark.parametrize("amplitude", [8.0, 25.0])
def test_uniform_polarization_moves_titanium_and_oxygen_the_same_way(amplitude):
    specimen = layers(
        polar="uniform", amplitude_pm=amplitude, first_cells=(8, 8), second_cells=(4, 4)
    )
    _, shift = polar_shifts(specimen)
    size = np.hypot(*shift.T)
    assert size.max() == pytest.approx(amplitude, rel=0.02)
    most = shift[size > 0.9 * amplitude]
    direction = most.mean(axis=0) / amplitude
    assert np.hypot(*direction) > 0.95
    columns, mean = mean_of(specimen, O)
    pure = specimen.sublattice[columns] == "O"
    moved = (mean - specimen.site_pm[columns])[pure]
    polar = np.hypot(*moved.T) > 0.9 * amplitude
    assert polar.any()
    assert ((moved[polar] @ direction) > 0).all()


def test_walls_turn_the_polarization_over():
    specimen = layers(reach_pm=7000.0, polar="walls", amplitude_pm=20.0, first_cells=(12, 12))
    _, shift = polar_shifts(specimen)
    assert shift[:, 1].max() == pytest.approx(20.0, rel=0.05)
    assert shift[:, 1].min() == pytest.approx(-20.0, rel=0.05)
    assert np.abs(shift[:, 0]).max() < 1e-6


@pytest.mark.parametrize("polar", ["vortex", "flux_closure"])
def test_closed_patterns_turn_in_both_directions(polar):
    specimen = layers(reach_pm=8000.0, polar=polar, amplitude_pm=20.0, first_cells=(10, 10))
    _, shift = polar_shifts(specimen)
    for axis in (0, 1):
        assert shift[:, axis].max() > 10
        assert shift[:, axis].min() < -10
    assert np.hypot(*shift.T).max() <= 20.5


def test_a_field_given_as_an_array_is_followed(tmp_path):
    field = np.zeros((2, 8, 8))
    field[0] = 1.0
    path = tmp_path / "field.npy"
    np.save(path, field)
    specimen = layers(
        polar="field", field_file=path, amplitude_pm=15.0, first_cells=(8, 8), decay_cells=0
    )
    _, shift = polar_shifts(specimen)
    assert shift[:, 0].max() == pytest.approx(15.0, rel=0.02)
    assert np.abs(shift[:, 1]).max() < 0.1


def test_a_wedge_thins_the_crystal():
    specimen = layers(polar="none", thickness_nm=10.0, wedge_deg=30.0)
    a = np.flatnonzero(specimen.sublattice == "A")
    counts = np.bincount(specimen.column[specimen.column >= 0], minlength=specimen.n_columns)[a]
    assert counts.max() > 1.5 * counts.min()
    assert specimen.xyz_pm[:, 2].min() >= 0


def test_mistilt_moves_the_mean_to_half_depth_and_the_entrance_less():
    specimen = layers(polar="none", thickness_nm=20.0, reach_pm=2500.0)
    flat = place(specimen, View(), (64, 64), 29.0)
    tilted = place(specimen, View(tilt_mrad=(5.0, 0.0)), (64, 64), 29.0)
    ti = flat.columns.element == "Ti"
    moved = (tilted.columns.xy_px - flat.columns.xy_px)[ti] * 29.0
    held = specimen.number == TI
    depth = specimen.xyz_pm[held, 2].mean()
    assert moved[:, 0] == pytest.approx(5e-3 * depth, abs=1e-6)
    assert 5e-3 * depth == pytest.approx(50, abs=2)
    entrance = (tilted.columns.entrance_px - flat.columns.entrance_px)[ti] * 29.0
    assert (entrance[:, 0] < moved[:, 0]).all()
    sites = (tilted.columns.site_px - flat.columns.site_px)[ti] * 29.0
    assert sites[:, 0] == pytest.approx(moved[:, 0], abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(
    formula=st.sampled_from(["SrTiO3", "BaTiO3", "PbTiO3", "SrRuO3"]),
    zone=st.sampled_from(["001", "100", "110"]),
    turn=st.floats(0, 12),
    angle=st.floats(0, 6.28),
    pixel=st.floats(8, 40),
    seed=st.integers(0, 99),
)
def test_truth_is_the_mean_of_the_projected_atoms(formula, zone, turn, angle, pixel, seed):
    chosen = PerovskiteSettings(
        formula=formula,
        zone=zone,
        turn_c_deg=turn,
        thickness_nm=3.0,
        polar="uniform",
        amplitude_pm=12.0,
    )
    specimen = build_perovskite(chosen, np.random.default_rng(seed), 1500.0)
    view = View(angle, (30.0, -70.0), ((0.01, 0.002), (0.002, -0.01)), (3.0, -4.0))
    scene = place(specimen, view, (48, 64), pixel)
    c, s = np.cos(angle), np.sin(angle)
    main = {"A": formula[:2], "B": formula[2:4], "O": "O"}
    numbers = {"Sr": SR, "Ba": 56, "Pb": PB, "Ti": TI, "Ru": 44, "O": O}
    for column in range(0, specimen.n_columns, max(specimen.n_columns // 25, 1)):
        name = main[str(specimen.sublattice[column])]
        assert scene.columns.element[column] == name
        atoms = specimen.xyz_pm[(specimen.column == column) & (specimen.number == numbers[name])]
        x = atoms[:, 0] * 1.01 + atoms[:, 1] * 0.002
        y = atoms[:, 0] * 0.002 + atoms[:, 1] * 0.99
        seen_x = c * x - s * y + 31.5 * pixel + 30.0 + 3e-3 * atoms[:, 2]
        seen_y = s * x + c * y + 23.5 * pixel - 70.0 - 4e-3 * atoms[:, 2]
        expected = np.array([seen_x.mean(), seen_y.mean()]) / pixel
        assert scene.columns.xy_px[column] == pytest.approx(expected, abs=1e-6)


def test_layers_of_a_wrong_size_are_refused_in_one_sentence():
    with pytest.raises(UserError, match="cannot be built"):
        layers(first_cells=(8, 4))
