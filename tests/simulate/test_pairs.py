"""Simulated pairs: the table says where the atoms are, and the files say how they were made."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_apgan.atoms import positions
from napari_apgan.errors import UserError
from napari_apgan.io.pairs import read_pairs
from napari_apgan.regions import learn_mask
from napari_apgan.simulate import EXAMPLES, simulate_pair, simulate_pairs, write_simulated
from napari_apgan.simulate.examples import DESCRIPTIONS, find_settings, from_file
from napari_apgan.simulate.ideal import (
    columns_in_frame,
    draw_ideal,
    draw_scene,
    draw_specimen,
    sampling_of,
)
from napari_apgan.simulate.scene import Columns
from napari_apgan.simulate.settings import (
    SimulationSettings,
    changed,
    draw_variation,
    read_settings,
)
from napari_apgan.simulate.truth import flags, visible

#: Quick to make, and nothing but atoms.
CLEAN = changed(
    EXAMPLES["graphene"],
    {
        "shape": (64, 80),
        "structure": {"lines": "none", "holes": 0},
        "degradation": {"snr": None},
        "variety": 0.0,
    },
)


def with_noise(**noise: object) -> SimulationSettings:
    return changed(CLEAN, {"degradation": noise})


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_gives_a_frame_of_its_atoms(name):
    small = changed(EXAMPLES[name], {"shape": (96, 96)})
    made = simulate_pair(small, seed=1)
    frame, atoms = made.pair.frame, made.pair.atoms
    assert DESCRIPTIONS[name]
    assert frame.shape == made.expected.shape == (96, 96)
    assert frame.calibration.x_pm == small.pixel_size_pm
    assert len(atoms) > 3
    assert (atoms["origin"] == "simulated").all()
    assert len(made.undisplaced) == len(atoms)
    assert (made.undisplaced["element"] == atoms["element"]).all()
    assert frame.data[frame.valid].std() > 0
    snr = made.record["degradation"]["snr_expected"]
    assert 1 / 1.21 < snr / small.degradation.snr < 1.21


def test_positions_are_those_of_the_projected_atoms():
    made = simulate_pair(CLEAN, seed=2)
    scene = made.scene
    atoms = np.stack([scene.xyz_pm[:, 0], scene.xyz_pm[:, 1]], axis=1) / CLEAN.pixel_size_pm
    for xy in positions(made.pair.atoms):
        assert np.abs(atoms - xy).max(axis=1).min() < 1e-6
    shift = made.pair.frame.calibration.to_pm(
        positions(made.pair.atoms) - positions(made.undisplaced)
    )
    mean = np.hypot(*shift.T).mean()
    assert mean == pytest.approx(CLEAN.structure.displacement_pm, rel=0.25)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 1000),
    binning=st.sampled_from([1, 2]),
    drift=st.sampled_from([0.0, 200.0]),
    shear=st.sampled_from([0.0, 4.0]),
)
def test_the_truth_moves_with_drift_shear_and_binning(seed, binning, drift, shear):
    """The expected frame is brightest where the table says an atom is, however it was distorted."""
    moved = with_noise(drift_pm=drift, shear_percent=shear, binning=binning)
    made = simulate_pair(changed(moved, {"structure": {"displacement_pm": 0.0}}), seed=seed)
    expected = made.expected
    xy = positions(made.pair.atoms)
    # Rings of six atoms are dark in the middle, so between sums around atoms and around points
    # half a bond away there is a clear difference.
    inner = ((xy > 6) & (xy < np.array(expected.shape)[::-1] - 7)).all(axis=1)
    at = _sample(expected, xy[inner])
    for dx, dy in itertools.product((-2.5, 0.0, 2.5), repeat=2):
        if dx or dy:
            assert at.mean() > _sample(expected, xy[inner] + (dx, dy)).mean()


def _sample(image, xy):
    from scipy.ndimage import map_coordinates

    return map_coordinates(image, [xy[:, 1], xy[:, 0]], order=3)


def test_a_thick_tilted_strained_crystal_still_fills_the_frame():
    thick = changed(
        EXAMPLES["srtio3"],
        {
            "shape": (96, 96),
            "structure": {"thickness_nm": 60.0, "displacement_pm": 0.0},
            "view": {"tilt_mrad": 60.0, "strain_percent": 8.0},
            "degradation": {"drift_pm": 300.0, "shear_percent": 5.0},
        },
    )
    for number in range(6):
        rng = np.random.default_rng(number)
        scene, _ = draw_scene(draw_specimen(thick, rng), thick, rng)
        xy = sampling_of(thick).to_frame(scene.columns.xy_px)
        for corner in np.ndindex(2, 2):
            # A cell has 26 px; there is a column near every corner.
            assert np.hypot(*(xy - 95.0 * np.array(corner)).T).min() < 22


def test_the_noise_changes_nothing_else():
    """What is under the beam, and how it lies there, does not depend on the noise asked for."""
    one = simulate_pair(with_noise(snr=1.0), seed=3)
    two = simulate_pair(with_noise(snr=4.0), seed=3)
    np.testing.assert_array_equal(positions(one.pair.atoms), positions(two.pair.atoms))
    assert not np.array_equal(one.pair.frame.data, two.pair.frame.data)


def test_the_same_seed_and_number_give_the_same_frame_and_others_do_not():
    first, again, other, seed = (
        simulate_pair(with_noise(snr=2.0), s, n) for s, n in ((1, 4), (1, 4), (1, 5), (2, 4))
    )
    np.testing.assert_array_equal(first.pair.frame.data, again.pair.frame.data)
    assert first.record == again.record
    for different in (other, seed):
        assert not np.array_equal(first.pair.frame.data, different.pair.frame.data)
        assert not np.array_equal(
            positions(first.pair.atoms)[:20], positions(different.pair.atoms)[:20]
        )


def test_a_written_pair_comes_back_with_how_it_was_made(tmp_path):
    noisy = changed(with_noise(snr=2.0, loss="random", lost_fraction=0.3), {"variety": 0.3})
    vacant = changed(noisy, {"structure": {"vacancy_percent": 5.0}})
    made = list(write_simulated(simulate_pairs(vacant, 2, seed=5), tmp_path))
    pairs = read_pairs(tmp_path)
    assert [p.name for p in pairs] == ["graphene_0000", "graphene_0001"]
    for pair, known in zip(pairs, made, strict=True):
        assert pair.origin == "simulated"
        assert learn_mask(pair.regions, pair.frame.shape).all()
        np.testing.assert_array_equal(pair.frame.data, known.pair.frame.data)
        np.testing.assert_array_equal(pair.frame.valid, known.pair.frame.valid)
        np.testing.assert_allclose(positions(pair.atoms), positions(known.pair.atoms), atol=1e-6)
        assert pair.frame.missing_fraction == pytest.approx(0.3, abs=0.001)
        record = pair.simulation
        assert record == json.loads(json.dumps(known.record))
        assert SimulationSettings.model_validate(record["settings"]) == vacant
        assert record["seed"] == 5
        assert record["degradation"]["lost_fraction"] == pytest.approx(0.3, abs=0.001)
        assert set(record["versions"]) == {"napari-apgan", "numpy", "scipy"}
        assert len(record["vacancies"]) == len(known.vacancies) > 0
        assert {v["element"] for v in record["vacancies"]} == {"C"}
        again = simulate_pair(vacant, record["seed"], record["number"])
        np.testing.assert_array_equal(again.pair.frame.data, pair.frame.data)


def test_a_project_and_a_run_take_simulated_pairs_as_independent_frames(tmp_path):
    from napari_apgan.train.split import split_pairs

    pairs = [made.pair for made in simulate_pairs(with_noise(snr=2.0), 4)]
    split = split_pairs(pairs, ["C"], fraction=0.25, receptive_field_px=32, radius_px=2, seed=0)
    assert split.kind == "frames"


@pytest.mark.parametrize("zone", ["001", "110"])
def test_pure_oxygen_is_not_labelled_in_haadf_and_is_in_abf(zone):
    perovskite = changed(EXAMPLES["srtio3"], {"shape": (128, 128), "structure": {"zone": zone}})
    ideal = draw_ideal(perovskite, 0, 0)
    columns = ideal.scene.columns
    pixel = ideal.scene.pixel_size_pm
    inside = columns_in_frame(ideal.scene, ideal.sampling, (128, 128))
    dark_field = visible(columns, pixel, "haadf")
    assert set(columns.element[dark_field & inside]) == {"Sr", "Ti"}
    assert set(columns.element[~dark_field]) == {"O"}
    assert visible(columns, pixel, "abf").all()
    made = simulate_pair(perovskite)
    assert "O" not in set(made.pair.atoms["element"])
    assert made.record["unseen_columns"]["O"] > 20


def columns_of(compositions, xy=None):
    """Columns of given atoms, far apart unless placed."""
    from napari_apgan.elements import SYMBOLS

    count = len(compositions)
    xy = np.arange(2.0 * count).reshape(count, 2) * 100 if xy is None else np.asarray(xy)
    weights = [{s: n * (SYMBOLS.index(s) + 1) ** 1.7 for s, n in c.items()} for c in compositions]
    total = np.array([sum(w.values()) for w in weights])
    best = [max(w, key=w.get) for w in weights]
    return Columns(
        xy, xy, xy,
        np.array(best),
        np.array([w[b] for w, b in zip(weights, best, strict=True)]) / total,
        total,
        np.array([sum(c.values()) for c in compositions]),
        tuple(compositions),
        np.full(count, ""),
        np.zeros(count, dtype=int),
    )  # fmt: skip


def test_sulphur_is_labelled_beside_tungsten_and_one_sulphur_alone_is_not():
    two, one = ([{"W": 1}, {"S": n}] for n in (2, 1))
    assert visible(columns_of(two, [[0, 0], [18, 0]]), 10.0, "haadf").all()
    assert visible(columns_of(one, [[0, 0], [18, 0]]), 10.0, "haadf").tolist() == [True, False]


def test_mixed_and_crowded_columns_say_so():
    made = columns_of([{"Pb": 10}, {"Pb": 5, "Sr": 15}, {"Ti": 10, "O": 10}])
    found = flags(made, 10.0)
    assert found[0] == ""
    assert found[1] == "mixed: Pb 55 %, Sr 45 %"
    assert found[2] == ""
    close = flags(columns_of([{"C": 1}] * 3, [[0, 0], [4, 0], [100, 0]]), 10.0)
    assert close.tolist() == ["close: 40 pm", "close: 40 pm", ""]


def test_a_single_column_has_no_neighbours_to_hide_it():
    one = columns_of([{"O": 1}])
    assert visible(one, 10.0, "haadf").all()
    assert flags(one, 10.0).tolist() == [""]


def test_variety_makes_frames_differ_within_its_bounds():
    asked = changed(with_noise(snr=2.0, jitter_pm=10.0), {"variety": 0.5})
    drawn = [draw_variation(asked, np.random.default_rng(k)) for k in range(60)]
    ratios = np.array([d.degradation.snr / 2.0 for d in drawn])
    assert ratios.min() > 1 / 1.5
    assert ratios.max() < 1.5
    assert np.log(ratios).std() == pytest.approx(np.log(1.5) / np.sqrt(3), rel=0.3)
    focus = np.array([d.imaging.aberrations.c1_nm for d in drawn])
    assert (np.abs(focus - 10) <= 5).all()
    assert focus.std() > 1
    assert all(d.degradation.dose is None for d in drawn)
    same = changed(asked, {"variety": 0.0})
    assert draw_variation(same, np.random.default_rng(0)) is same


def test_making_pairs_can_be_watched_and_ended():
    seen = []
    made = list(
        simulate_pairs(
            CLEAN,
            10,
            on_progress=lambda done, total, what: seen.append((done, total, what)),
            cancelled=lambda: len(seen) == 2,
        )
    )
    assert len(made) == 2
    assert seen == [(1, 10, "graphene_0000"), (2, 10, "graphene_0001")]


def test_what_cannot_be_simulated_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="0 frames"):
        next(simulate_pairs(CLEAN, 0))
    with pytest.raises(UserError, match="sides must be between"):
        simulate_pair(changed(CLEAN, {"shape": (8, 8)}))
    with pytest.raises(UserError, match="does not fit: degradation"):
        changed(CLEAN, {"degradation": {"dose": -3}})
    with pytest.raises(ValidationError):
        SimulationSettings.model_validate({"structure": {"kind": "cheese"}})
    with pytest.raises(UserError, match="cannot be read"):
        read_settings(tmp_path / "none.json")
    (tmp_path / "odd.json").write_text('{"shape": 3}')
    with pytest.raises(UserError, match=r"odd\.json holds no simulation settings"):
        read_settings(tmp_path / "odd.json")
    with pytest.raises(UserError, match="no example called"):
        find_settings("cheese")
    with pytest.raises(UserError, match="neither an example"):
        from_file(tmp_path / "none.cif")


def test_a_frame_without_any_column_is_refused(monkeypatch):
    """A hole larger than the frame, however often the view is drawn."""
    from napari_apgan.simulate import ideal
    from napari_apgan.simulate.specimen import drop_columns

    real = ideal.build

    def hole(*arguments):
        specimen = real(*arguments)
        return drop_columns(specimen, np.hypot(*specimen.site_pm.T) > 3000)

    monkeypatch.setattr(ideal, "build", hole)
    with pytest.raises(UserError, match=r"No atomic column .* 1\.84 x 1\.47 nm"):
        simulate_pair(CLEAN)


def test_settings_survive_a_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(EXAMPLES["pto-sto"].model_dump_json())
    assert find_settings(str(path)) == EXAMPLES["pto-sto"]


def test_changing_the_kind_of_structure_starts_from_its_defaults():
    other = changed(EXAMPLES["graphene"], {"structure": {"kind": "perovskite", "zone": "110"}})
    assert other.structure.kind == "perovskite"
    assert other.structure.zone == "110"
    assert other.imaging == EXAMPLES["graphene"].imaging
