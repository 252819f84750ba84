"""`apgan label register` and `transfer`: from a series to pairs of its frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.bench.drifting import Drifting, drifting
from napari_apgan.cli import run
from napari_apgan.io import open_source, read_atoms, read_pairs, write_atoms


@pytest.fixture(scope="module")
def movie() -> Drifting:
    return drifting(21, n_frames=6, snr=2.0, vanishing=0.08)


@pytest.fixture
def series(tmp_path: Path, movie: Drifting) -> Path:
    path = tmp_path / "movie.npy"
    np.save(path, np.stack([f.data for f in movie.frames]))
    return path


def test_a_series_is_registered_its_labels_carried_and_pairs_written(
    tmp_path: Path, series: Path, movie: Drifting, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--pixel-size", "20", "--missing", "none", "--json"]
    out = tmp_path / "registered"
    assert run(["label", "register", str(series), "-o", str(out), *given]) == 0
    said = json.loads(capsys.readouterr().out)
    drift = np.array([[f["dx_px"], f["dy_px"]] for f in said["frames"]])
    assert np.abs(drift - movie.drift).max() < 0.2
    mean = open_source(out / "movie.mean.tif")
    assert mean.shape == (96, 96)
    assert mean.calibration.x_pm == pytest.approx(20.0)
    write_atoms(make_atoms(movie.sites, "Pt"), tmp_path / "labels.csv")
    arguments = [
        "label",
        "transfer",
        str(series),
        str(out / "movie.registration.npz"),
        str(tmp_path / "labels.csv"),
        "-o",
        str(tmp_path / "atoms.csv"),
        "--left-out",
        str(tmp_path / "gone.csv"),
        "--box",
        "20,20,76,76",
        "--pairs",
        str(tmp_path / "pairs"),
    ]
    assert run([*arguments, *given]) == 0
    said = json.loads(capsys.readouterr().out)
    atoms = read_atoms(tmp_path / "atoms.csv")
    assert said["carried"] == len(atoms) == len(movie.sites) * 6 - sum(said["left_out"].values())
    assert abs(len(atoms) - movie.there.sum()) <= 2
    gone = (tmp_path / "gone.csv").read_text(encoding="utf-8").splitlines()
    assert len(gone) - 1 == sum(said["left_out"].values())
    pairs = read_pairs(tmp_path / "pairs")
    assert [p.frame.index for p in pairs] == list(range(6))
    assert all(p.regions[0].kind == "complete" for p in pairs)
    assert sum(len(p.atoms) for p in pairs) == len(atoms)


def test_pairs_without_a_complete_area_are_refused(
    tmp_path: Path, series: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["label", "transfer", str(series), "r.npz", "l.csv", "-o", str(tmp_path / "a.csv")]
    assert run([*words, "--pairs", str(tmp_path / "pairs")]) == 2
    assert "--box" in capsys.readouterr().err
    assert run([*words]) == 2
    assert "register the series again" in capsys.readouterr().err
