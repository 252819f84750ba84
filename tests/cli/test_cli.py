"""The command line: exit codes, what goes to stdout, and the loop from pairs to a score."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.cli import run
from napari_apgan.cli.predict import parse_shard
from napari_apgan.cli.score import default_tolerance_px, frames_of_folders
from napari_apgan.cli.train import split_validation
from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Source
from napari_apgan.io import read_atoms, write_atoms, write_pairs
from napari_apgan.measure import score_frames
from napari_apgan.project import Project
from napari_apgan.regions import Region
from napari_apgan.simulate import make_sample


@pytest.fixture(scope="module")
def pairs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small simulated frames with exact atoms."""
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(make_sample(seed=3, n_frames=3, shape=(96, 96)).pairs, folder)
    return folder


def stdout_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    code = run([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "nowhere.dm4"],
        ["predict", "no-model.safetensors", "image.tif", "-o", "out"],
        ["score", "nowhere", "nowhere-else"],
        ["train", "nowhere", "-o", "run"],
        ["export", "nowhere.csv", "--to", "word", "-o", "x"],
        ["review", "no-model", "image.tif", "-o", "x.csv"],
        ["predict", "m", "i.tif", "-o", "x", "--shard", "3/2"],
        ["info", "pyproject.toml"],
        ["no-such-verb"],
        ["train"],
    ],
)
def test_bad_input_gives_one_sentence_and_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.strip()
    assert captured.out == ""


def test_info_tells_an_image(pairs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(stdout_of(capsys, "info", pairs_folder / "sample_00.tif", "--json"))
    image = told["images"][0]
    assert (told["kind"], image["rows"], image["columns"], image["frames"]) == ("image", 96, 96, 1)
    assert image["pixel_size_x_pm"] == pytest.approx(29, rel=0.04)


def test_info_tells_a_pairs_folder(pairs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(stdout_of(capsys, "info", pairs_folder, "--json"))
    assert (told["kind"], told["pairs"], told["origins"]) == ("pairs", 3, {"simulated": 3})
    assert told["sizes"] == ["96 x 96"]
    assert 27 < told["smallest_pixel_size_pm"] < told["largest_pixel_size_pm"] < 31
    assert told["pairs_without_pixel_size"] == 0
    tables = [read_atoms(file) for file in pairs_folder.glob("*.csv")]
    assert told["atoms"] == sum(map(len, tables)) == sum(told["elements"].values())


def test_info_tells_what_the_bundled_model_is(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(stdout_of(capsys, "info", "bundled", "--json"))
    assert told["kind"] == "model"
    assert Path(told["path"]).name == "fast.safetensors"
    about = told["about"]
    assert "simulated" in about["trained_on"]
    assert about["output_channels"].startswith("bright, dark")
    assert about["licence"].startswith("GPL-3.0-or-later")
    assert [e["name"] for e in told["elements"]] == ["bright", "dark"]
    text = stdout_of(capsys, "info", "bundled")
    assert "licence: GPL-3.0-or-later" in text
    assert "does not know: elements" in text


def test_info_goes_on_after_a_bad_file(
    pairs_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.dm3"
    broken.write_bytes(b"\0" * 50)
    assert run(["info", str(broken), str(pairs_folder / "sample_00.tif"), "--json"]) == 2
    captured = capsys.readouterr()
    assert len(json.loads(captured.out)) == 1
    assert "broken.dm3" in captured.err


def test_the_loop_from_pairs_to_a_score(
    pairs_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir, out = tmp_path / "run", tmp_path / "out"
    trained = json.loads(
        stdout_of(capsys, "train", pairs_folder, "-o", run_dir, "--steps", "4", "--json")
    )
    assert trained["event"] == "done"
    assert (run_dir / "best.safetensors").is_file()
    assert json.loads(stdout_of(capsys, "info", run_dir, "--json"))["status"] == "done"
    card = json.loads(stdout_of(capsys, "info", run_dir / "best.safetensors", "--json"))
    assert [e["name"] for e in card["elements"]] == ["Pb", "Sr", "Ti"]

    image = pairs_folder / "sample_02.tif"
    written = stdout_of(capsys, "predict", run_dir, image, "-o", out, "--maps").split()
    assert sorted(Path(p).name for p in written) == ["sample_02.atoms.csv", "sample_02.maps.tif"]
    scored = json.loads(stdout_of(capsys, "score", out, pairs_folder, "--json"))
    assert {e["name"] for e in scored["elements"]} == {"Pb", "Sr", "Ti"}
    listed = json.loads(
        stdout_of(capsys, "review", run_dir, image, "-o", tmp_path / "worst.csv", "--json")
    )
    assert listed[0]["source"].endswith("sample_02.tif")
    assert (tmp_path / "worst.csv").is_file()


def test_training_a_second_time_into_the_same_folder_is_refused(
    pairs_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text("{}")
    assert run(["train", str(pairs_folder), "-o", str(tmp_path)]) == 2


def test_perfect_predictions_score_one(pairs_folder: Path, tmp_path: Path) -> None:
    for table in pairs_folder.glob("*.csv"):
        write_atoms(read_atoms(table), tmp_path / f"{table.stem}.atoms.csv")
    result = score_frames(frames_of_folders(tmp_path, pairs_folder), tolerance_px=2.0)
    assert result.overall.f1 is not None
    assert result.overall.f1.value == 1.0
    assert result.overall.rmse_px is not None
    assert result.overall.rmse_px.value == pytest.approx(0, abs=1e-9)


def test_score_counts_frames_of_a_series_apart(tmp_path: Path) -> None:
    truth, found = tmp_path / "truth", tmp_path / "found"
    truth.mkdir()
    found.mkdir()
    atoms = make_atoms([[5, 5], [20, 5], [5, 5], [20, 5]], "C", frame=[0, 0, 1, 1])
    write_atoms(atoms, truth / "movie.csv")
    write_atoms(atoms.iloc[:3], found / "movie.atoms.csv")
    result = score_frames(frames_of_folders(found, truth), tolerance_px=2.0)
    assert (result.overall.n_true, result.overall.n_matched) == (4, 3)


def test_the_default_tolerance_is_half_the_spacing() -> None:
    grid = np.stack(np.meshgrid(np.arange(5) * 8.0, np.arange(5) * 8.0), axis=-1).reshape(-1, 2)
    assert default_tolerance_px([make_atoms(grid, "C")]) == pytest.approx(4.0)
    with pytest.raises(UserError, match="tolerance"):
        default_tolerance_px([make_atoms([[1, 1]], "C")])


def test_export_writes_a_file_for_each_labelled_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project.create(tmp_path / "p.apgan", make_elements(["Pb"]))
    with project:
        for number in range(2):
            image = np.random.default_rng(number).normal(10, 1, (1, 32, 32)).astype(np.float32)
            source = Source(
                f"image {number}", image, Calibration.from_pixel_size(20, origin="user")
            )
            source_id = project.add_source(source)
            project.add_atoms(source_id, 0, make_atoms([[3, 4], [10, 11]], "Pb"))
            project.add_region(source_id, 0, Region.whole((32, 32)))
    one = str(tmp_path / "one.csv")
    assert run(["export", str(project.path), "--to", "csv", "-o", one]) == 2
    written = stdout_of(
        capsys, "export", project.path, "--to", "xyz", "-o", tmp_path / "out"
    ).split("\n")
    assert len([p for p in written if p]) == 2
    assert all(Path(p).read_text().startswith("2\n") for p in written if p)
    assert json.loads(stdout_of(capsys, "info", project.path, "--json"))["atoms"] == 4


def test_options_are_read_as_documented() -> None:
    assert parse_shard("2/8") == (1, 8)
    assert parse_shard(None) is None
    assert split_validation("0.3") == ([], 0.3)
    for bad in ("0/3", "4/3", "a/b", "3"):
        with pytest.raises(UserError):
            parse_shard(bad)
    for bad in ("0", "1", "-0.1", "many"):
        with pytest.raises(UserError):
            split_validation(bad)


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "napari_apgan.cli", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in ("demo", "train", "predict", "score", "review"))
