"""`apgan label doctor` and `apgan label survey`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.atoms import concat, make_atoms, next_id, positions
from napari_apgan.cli import run
from napari_apgan.io import read_pairs, write_atoms, write_pairs
from napari_apgan.project import Project
from napari_apgan.simulate import make_sample


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A pair with one atom labelled twice."""
    folder = tmp_path / "pairs"
    write_pairs(make_sample(seed=3, n_frames=1, shape=(128, 128), snr=6.0).pairs, folder)
    (pair,) = read_pairs(folder)
    inner = np.hypot(*(positions(pair.atoms) - 64).T).argmin()
    twice = make_atoms(
        positions(pair.atoms)[inner] + 1.0,
        str(pair.atoms["element"].iloc[inner]),
        id=next_id(pair.atoms["id"]),
    )
    write_atoms(concat([pair.atoms, twice]), folder / "sample_00.csv")
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    code = run(["label", *(str(a) for a in arguments)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def test_the_doctor_names_what_is_labelled_twice(pairs, capsys):
    said = printed(capsys, "doctor", pairs)
    assert "1 too close" in said.splitlines()[0]
    assert "[Delete" in said
    (report,) = json.loads(printed(capsys, "doctor", pairs, "--json"))
    assert "too close" in [s["kind"] for s in report["suspects"]]


def test_the_doctor_examines_a_project(pairs, tmp_path, capsys):
    with Project.create(tmp_path / "p.apgan") as project:
        project.import_pairs(pairs)
    (report,) = json.loads(printed(capsys, "doctor", tmp_path / "p.apgan", "--json"))
    assert "too close" in [s["kind"] for s in report["suspects"]]


def test_nothing_labelled_is_one_sentence(tmp_path, capsys):
    assert run(["label", "doctor", str(tmp_path / "none")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_a_folder_becomes_a_table(pairs, tmp_path, capsys):
    table = tmp_path / "table.csv"
    out = printed(capsys, "survey", pairs, "-o", table, "--like", pairs / "sample_00.tif")
    assert out == ""
    (row,) = csv.DictReader(table.read_text().splitlines())
    assert row["lattice"] in ("square", "rectangular")
    assert row["fits"] == "True"
    (again,) = json.loads(printed(capsys, "survey", pairs, "--json"))
    assert again["shape"] == [128, 128]
