"""A run folder holds everything its training needs, at one scale, or says what is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.atoms import positions
from napari_apgan.elements import Element, make_elements
from napari_apgan.errors import UserError
from napari_apgan.io.pairs import read_pairs
from napari_apgan.models import PRESETS
from napari_apgan.train import RunFile, RunSettings, prepare_run

from .conftest import lattice_pair


def test_the_snapshot_is_the_pairs_and_run_json_reads_back(
    tmp_path: Path, elements: list[Element]
) -> None:
    pair = lattice_pair(source="STO.dm4")
    run = prepare_run([pair], tmp_path / "r1", RunSettings(seed=3, steps=7), elements)
    assert RunFile.read(tmp_path / "r1") == run
    assert run.run_id == "r1"
    assert run.element_names == ["Pb", "Ti"]
    assert run.pixel_size_pm == 20
    assert run.preset.recipe.steps == 7
    assert run.preset.recipe.minutes is None
    assert len(run.dataset_hash) == 64
    (copied,) = read_pairs(tmp_path / "r1" / "pairs")
    np.testing.assert_array_equal(copied.frame.data, pair.frame.data)
    np.testing.assert_allclose(positions(copied.atoms), positions(pair.atoms), atol=1e-4)
    assert copied.source == "STO.dm4"


def test_other_pixel_sizes_are_resampled_and_the_atoms_follow(
    tmp_path: Path, elements: list[Element]
) -> None:
    fine = lattice_pair("fine", size=96, pixel_size_pm=10.0)
    coarse = [lattice_pair(n, pixel_size_pm=20.0) for n in ("b", "c")]
    run = prepare_run([fine, *coarse], tmp_path / "r", RunSettings(), elements)
    assert run.pixel_size_pm == 20
    assert [p.scale for p in run.pairs] == [0.5, 1.0, 1.0]
    assert "resampled to 20 pm" in run.notes[0]
    copied = next(p for p in read_pairs(tmp_path / "r" / "pairs") if p.name == "fine")
    assert copied.frame.shape == (48, 48)
    assert copied.frame.calibration.mean_pm == pytest.approx(20)
    np.testing.assert_allclose(
        positions(copied.atoms), (positions(fine.atoms) + 0.5) / 2 - 0.5, atol=1e-4
    )
    # The atoms still lie on the bright spots.
    rows, columns = np.rint(positions(copied.atoms)).astype(int).T[::-1]
    on_atoms = copied.frame.data[rows, columns].mean()
    assert on_atoms > copied.frame.data.mean() + copied.frame.data.std()


def test_the_users_radius_and_pixel_size_win(tmp_path: Path) -> None:
    elements = [
        Element(name="Pb", color="#FF00FF", radius_pm=80),
        Element(name="Ti", color="#FFFF00"),
    ]
    settings = RunSettings(pixel_size_pm=40)
    run = prepare_run([lattice_pair()], tmp_path / "r", settings, elements)
    assert run.pixel_size_pm == 40
    assert run.radius_px["Pb"] == 2.0
    assert run.radius_px["Ti"] == 1.5


def test_names_that_meet_are_told_apart(tmp_path: Path, elements: list[Element]) -> None:
    run = prepare_run(
        [lattice_pair("a"), lattice_pair("A"), lattice_pair("a")],
        tmp_path / "r",
        RunSettings(),
        elements,
    )
    assert [p.name for p in run.pairs] == ["a", "A~2", "a~3"]
    assert len(read_pairs(tmp_path / "r" / "pairs")) == 3


def test_an_element_without_atoms_is_left_out_and_named(tmp_path: Path) -> None:
    run = prepare_run(
        [lattice_pair()], tmp_path / "r", RunSettings(), make_elements(["Pb", "Ti", "Sr"])
    )
    assert run.element_names == ["Pb", "Ti"]
    assert any(note.startswith("Sr:") for note in run.notes)


def test_validation_pairs_are_kept_apart(tmp_path: Path, elements: list[Element]) -> None:
    run = prepare_run(
        [lattice_pair("a")],
        tmp_path / "r",
        RunSettings(),
        elements,
        validation=[lattice_pair("a", seed=1)],
    )
    assert [p.name for p in run.validation_pairs] == ["a~2"]
    assert len(read_pairs(tmp_path / "r" / "validation")) == 1


def test_what_cannot_be_trained_on_is_one_sentence(tmp_path: Path, elements: list[Element]) -> None:
    good = lattice_pair()
    cases = {
        "at least one labelled frame": [],
        "No region is marked as complete": [replace(good, regions=())],
        "No labelled atom lies inside": [replace(good, atoms=good.atoms[:0])],
        "have no pixel size": [good, lattice_pair("b", pixel_size_pm=None)],
        "times smaller or larger": [
            *(lattice_pair(n) for n in "cd"),
            lattice_pair("b", pixel_size_pm=500.0),
        ],
    }
    for sentence, pairs in cases.items():
        with pytest.raises(UserError, match=sentence):
            prepare_run(pairs, tmp_path / "r", RunSettings(), elements)
    prepare_run([good], tmp_path / "r", RunSettings(), elements)
    with pytest.raises(UserError, match="holds a run already"):
        prepare_run([good], tmp_path / "r", RunSettings(), elements)


def test_settings_that_do_not_fit_are_one_sentence() -> None:
    with pytest.raises(UserError, match="no preset called"):
        RunSettings(preset="best").chosen_preset()
    with pytest.raises(UserError, match="'batch' does not fit"):
        RunSettings(recipe={"batch": 0}).chosen_preset()
    with pytest.raises(UserError, match="has no end"):
        RunSettings(recipe={"steps": None, "minutes": None, "epochs": None}).chosen_preset()


def test_a_users_budget_replaces_the_presets_and_changes_reach_nested_fields() -> None:
    recipe = RunSettings(minutes=2, recipe={"weights": {"mse": 3.0}}).chosen_preset().recipe
    assert (recipe.minutes, recipe.steps, recipe.epochs) == (2, None, None)
    assert recipe.weights.mse == 3
    assert recipe.weights.bce == PRESETS["fast"].recipe.weights.bce


def test_an_uncalibrated_set_trains_without_a_pixel_size(
    tmp_path: Path, elements: list[Element]
) -> None:
    pairs = [lattice_pair(n, pixel_size_pm=None) for n in "ab"]
    assert prepare_run(pairs, tmp_path / "r", RunSettings(), elements).pixel_size_pm is None


def test_the_hash_of_the_data_changes_with_the_data(
    tmp_path: Path, elements: list[Element]
) -> None:
    runs = [
        prepare_run([lattice_pair(seed=s)], tmp_path / f"r{k}", RunSettings(), elements)
        for k, s in enumerate([0, 0, 1])
    ]
    assert runs[0].dataset_hash == runs[1].dataset_hash != runs[2].dataset_hash
