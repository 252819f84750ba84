"""Many files at once, as the command line predicts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.io import read_atoms, read_maps
from napari_apgan.predict.batch import predict_files

from .conftest import PIXEL_PM

CALIBRATION = Calibration.from_pixel_size(PIXEL_PM, origin="user")


def save(path: Path, shape: tuple[int, ...], seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.random.default_rng(seed).normal(100, 10, shape).astype(np.float32))
    return path


def run(model_file: Path, inputs: list[Path], out: Path, **options: object) -> list[Path]:
    return predict_files(
        model_file, inputs, out, device="cpu", refine=False, calibration=CALIBRATION, **options
    )


def test_an_image_gives_a_table_and_maps(model_file, tmp_path):
    image = save(tmp_path / "a.npy", (60, 70))
    written = run(model_file, [image], tmp_path / "out", maps=True)
    assert [p.name for p in written] == ["a.atoms.csv", "a.maps.tif"]
    maps, elements = read_maps(written[1])
    assert maps.shape == (2, 60, 70)
    assert elements == ("Pb", "Ti")
    assert len(read_atoms(written[0])) > 0


def test_a_series_gives_one_table_and_a_zarr(model_file, tmp_path):
    movie = save(tmp_path / "movie.npy", (5, 60, 70))
    seen: list[tuple[int, int, str]] = []
    written = run(
        model_file,
        [movie],
        tmp_path / "out",
        maps=True,
        progress=lambda *report: seen.append(report),
    )
    assert sorted(p.name for p in written) == ["movie.atoms.csv", "movie.maps.zarr"]
    atoms = read_atoms(tmp_path / "out" / "movie.atoms.csv")
    assert set(atoms["frame"]) == set(range(5))
    assert atoms["id"].is_unique
    maps, _ = read_maps(tmp_path / "out" / "movie.maps.zarr")
    assert maps.shape == (5, 2, 60, 70)
    single = run(model_file, [save_frame(movie, 3, tmp_path)], tmp_path / "one", maps=True)
    np.testing.assert_allclose(np.asarray(maps[3]), read_maps(single[1])[0], atol=1e-6)
    assert seen[-1][:2] == (1000, 1000)
    assert [s[0] for s in seen] == sorted(s[0] for s in seen)


def save_frame(movie: Path, index: int, folder: Path) -> Path:
    path = folder / f"frame_{index}.npy"
    np.save(path, np.load(movie)[index])
    return path


def test_the_parts_of_a_series_make_the_whole(model_file, tmp_path):
    movie = save(tmp_path / "movie.npy", (5, 50, 50))
    run(model_file, [movie], tmp_path / "whole", maps=True)
    for part in (2, 0, 1):
        assert not (tmp_path / "parts" / "movie.atoms.csv").exists()
        run(model_file, [movie], tmp_path / "parts", maps=True, shard=(part, 3))
    whole, parts = (read_atoms(tmp_path / name / "movie.atoms.csv") for name in ("whole", "parts"))
    pd.testing.assert_frame_equal(whole, parts)
    assert not list((tmp_path / "parts").glob("*part-*"))
    maps = [read_maps(tmp_path / name / "movie.maps.zarr")[0] for name in ("whole", "parts")]
    np.testing.assert_array_equal(np.asarray(maps[0]), np.asarray(maps[1]))


def test_parts_share_out_single_images(model_file, tmp_path):
    images = [save(tmp_path / f"{k}.npy", (40, 40), seed=k) for k in range(5)]
    names = [
        [p.name for p in run(model_file, images, tmp_path / "out", shard=(part, 2))]
        for part in (0, 1)
    ]
    assert names == [
        ["0.atoms.csv", "2.atoms.csv", "4.atoms.csv"],
        ["1.atoms.csv", "3.atoms.csv"],
    ]


def test_a_folder_stands_for_the_images_in_it(model_file, tmp_path):
    for name in ("b.npy", "a.npy"):
        save(tmp_path / "in" / name, (40, 40))
    (tmp_path / "in" / "notes.md").write_text("no image")
    written = run(model_file, [tmp_path / "in"], tmp_path / "out")
    assert [p.name for p in written] == ["a.atoms.csv", "b.atoms.csv"]


def test_inputs_of_one_name_keep_their_own_results(model_file, tmp_path):
    first = save(tmp_path / "a.npy", (40, 40))
    np.savez(tmp_path / "a.npz", image=np.load(first))
    written = run(model_file, [first, tmp_path / "a.npz"], tmp_path / "out")
    assert [p.name for p in written] == ["a.atoms.csv", "a_npz.atoms.csv"]
    twin = save(tmp_path / "other" / "a.npy", (40, 40))
    twin2 = save(tmp_path / "third" / "a.npy", (40, 40))
    with pytest.raises(UserError, match=r"called a\.npy"):
        run(model_file, [first, twin, twin2], tmp_path / "out")


def test_nothing_to_predict_is_said(model_file, tmp_path):
    with pytest.raises(UserError, match="nothing to predict"):
        run(model_file, [], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no image"):
        run(model_file, [tmp_path / "empty"], tmp_path)
    with pytest.raises(UserError, match="no model"):
        run(tmp_path / "none.safetensors", [tmp_path / "a.npy"], tmp_path)
