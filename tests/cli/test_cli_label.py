"""`apgan label`: what the docks of labelling compute, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_apgan.atoms import positions
from napari_apgan.cli import run
from napari_apgan.io import read_atoms, write_atoms, write_pairs
from napari_apgan.measure import match
from napari_apgan.simulate import make_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A simulated PbTiO3/SrTiO3 frame and its exact atoms."""
    folder = tmp_path_factory.mktemp("sample")
    write_pairs(make_sample(seed=3, n_frames=1, shape=(128, 128), snr=4.0).pairs, folder)
    return folder / "sample_00.tif", folder / "sample_00.csv"


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict:
    code = run(["label", *(str(a) for a in arguments), "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def test_detect_writes_candidates(sample, tmp_path, capsys):
    image, truth = sample
    out = tmp_path / "new" / "found.csv"
    said = told(capsys, "detect", image, "-o", out, "--element", "Pb", "--threshold", "1")
    table = read_atoms(out)
    assert said["atoms"] == len(table) == said["elements"]["Pb"]
    assert len(match(positions(table), positions(read_atoms(truth)), 3.0)[0]) > 0.6 * len(table)
    assert table["x_pm"].notna().all()


def test_lattice_writes_atoms_by_sublattice(sample, tmp_path, capsys):
    image, truth = sample
    out, sites = tmp_path / "atoms.csv", tmp_path / "missing.csv"
    given = ["--element", "A=Pb", "--element", "B=Ti", "--missing-to", sites]
    said = told(capsys, "lattice", image, "-o", out, *given)
    table, exact = read_atoms(out), read_atoms(truth)
    assert said["grains"] == 1
    assert set(said["sublattices"]) == {"A", "B"}
    assert said["elements"] == table["element"].value_counts().to_dict()
    a, b = match(positions(table), positions(exact), 2.0)
    assert len(a) > 0.97 * len(table)
    is_ti = exact["element"].to_numpy()[b] == "Ti"
    assert ((table["element"].to_numpy()[a] == "Ti") == is_ti).mean() > 0.98
    assert len(read_atoms(sites)) == said["missing"]


def test_a_box_bounds_the_lattice(sample, tmp_path, capsys):
    out = tmp_path / "atoms.csv"
    told(capsys, "lattice", sample[0], "-o", out, "--area", "10,20,90,100", "--presence", "0.4")
    xy = positions(read_atoms(out))
    assert len(xy) > 50
    assert xy[:, 0].min() > 8
    assert xy[:, 1].max() < 102


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lattice", "--pick", "3,4"], "three times"),
        (["lattice", "--pick", "3"], "2 numbers"),
        (["lattice", "--zone", "0,0,0"], "not all 0"),
        (["lattice", "--element", "Pb"], "NAME=VALUE"),
        (["lattice", "--area", "1,2,3,4,5"], "two or more corners"),
        (["lattice", "--frame", "4"], "counts from 0"),
        (["lattice", "--structure", "nowhere.cif"], "nowhere.cif"),
        (["detect", "--polarity", "grey"], "bright or dark"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, said, sample, tmp_path, capsys):
    verb, *others = arguments
    out = tmp_path / "atoms.csv"
    assert run(["label", verb, str(sample[0]), "-o", str(out), *others]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""
    assert not out.exists()


def test_elements_are_named_by_sublattice_and_intensity(sample, tmp_path, capsys):
    image, truth = sample
    out = tmp_path / "named.csv"
    given = ["--element", "A1=Pb", "--element", "A2=Sr", "--element", "B=Ti"]
    bare = tmp_path / "bare.csv"
    write_atoms(read_atoms(truth).assign(element="unknown"), bare)
    said = told(capsys, "elements", image, bare, "-o", out, *given)
    assert list(said["classes"]) == ["A1", "A2", "B"]
    named, exact = read_atoms(out), read_atoms(truth)
    assert len(named) == len(exact)
    a, b = match(positions(named), positions(exact), 0.5)
    same = named["element"].to_numpy()[a] == exact["element"].to_numpy()[b]
    assert same.mean() > 0.93
    assert said["to_check"] == named["flag"].str.contains("unsure").sum()


def test_the_atoms_between_are_added(sample, tmp_path, capsys):
    image, truth = sample
    exact = read_atoms(truth)
    some, out = tmp_path / "first.csv", tmp_path / "all.csv"
    write_atoms(exact[exact["element"] != "Ti"], some)
    told(capsys, "elements", image, some, "-o", out, "--between", "Ti")
    made = read_atoms(out)
    added = made[made["element"] == "Ti"]
    near = match(positions(added), positions(exact[exact["element"] == "Ti"]), 2.0)[0]
    assert len(near) > 0.97 * len(added) > 30


def test_contrast_says_a_sentence_and_all_of_it_as_json(sample, capsys):
    image, _ = sample
    said = told(capsys, "contrast", image)
    assert (said["polarity"], said["rings"], said["boundaries_px"]) == ("bright", False, [])
    assert run(["label", "contrast", str(image)]) == 0
    assert capsys.readouterr().out.strip() == said["sentence"]


def test_refine_fits_labels_and_counts_what_failed(sample, tmp_path, capsys):
    image, truth = sample
    out = tmp_path / "refined.csv"
    said = told(capsys, "refine", image, truth, "-o", out, "--shape", "gaussian")
    table = read_atoms(out)
    assert said["atoms"] == len(table) == len(read_atoms(truth))
    failed = table["flag"].str.startswith("fit: ")
    assert sum(said["failed"].values()) == failed.sum()
    assert table.loc[~failed, "sigma_x_pm"].gt(0).all()
    assert run(["label", "refine", str(image), str(truth), "-o", str(out), "--shape", "egg"]) == 2
