"""Predictions on disk."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.predict.files import (
    file_stem,
    prediction_files,
    read_prediction,
    write_prediction,
)
from napari_apgan.predict.prediction import Prediction, clip_box


@pytest.fixture
def prediction() -> Prediction:
    rng = np.random.default_rng(0)
    atoms = make_atoms(
        rng.uniform(0, 40, (6, 2)),
        ["Pb", "Ti"] * 3,
        probability=rng.uniform(0.5, 1, 6),
        x_map_px=1.25,
        y_map_px=2.5,
        sigma_x_pm=3.5,
        origin="predicted",
        frame=4,
        flag=["", "the fit did not converge", "", "", "cut by the border", ""],
    )
    return Prediction(
        rng.uniform(0, 1, (2, 30, 40)).astype(np.float32),
        atoms,
        ("Pb", "Ti"),
        ("The image was resampled,\nand so on: 20 pm.", "Second."),
        (5, 6, 45, 36),
        Calibration.from_pixel_size(20.0, origin="user"),
    )


def test_what_is_read_is_what_was_written(prediction, tmp_path):
    files = write_prediction(tmp_path / "new", "frame: 1/2", prediction)
    assert files.atoms.name == "frame_ 1_2.atoms.csv"
    assert files.maps is not None
    found = read_prediction(tmp_path / "new", "frame: 1/2")
    pd.testing.assert_frame_equal(found.atoms, prediction.atoms)
    np.testing.assert_array_equal(found.maps, prediction.maps)
    assert found.elements == ("Pb", "Ti")
    assert found.box == (5, 6, 45, 36)
    assert found.notes == ("The image was resampled, and so on: 20 pm.", "Second.")


def test_without_maps_older_maps_do_not_stay(prediction, tmp_path):
    write_prediction(tmp_path, "a", prediction)
    files = write_prediction(tmp_path, "a", prediction, maps=False)
    assert files.maps is None
    assert [p.name for p in tmp_path.glob("*a*")] == ["a.atoms.csv"]
    found = read_prediction(tmp_path, "a")
    assert found.maps.shape == (2, 0, 0)
    assert found.elements == ("Pb", "Ti")


def test_a_prediction_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="no prediction of movie"):
        read_prediction(tmp_path, "movie")


def test_a_crash_in_writing_leaves_the_old_prediction(prediction, tmp_path, monkeypatch):
    write_prediction(tmp_path, "a", prediction)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(UserError):
        write_prediction(tmp_path, "a", prediction)
    after = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    assert after == before


def test_files_are_named_after_the_source():
    files = prediction_files("out", "STO_0042")
    assert files.atoms.name == "STO_0042.atoms.csv"
    assert files.maps is not None
    assert files.maps.name == "STO_0042.maps.tif"


@pytest.mark.parametrize(
    ("name", "safe"), [("a/b\\c", "a_b_c"), ("  ..", "image"), ("é µ", "é µ"), ("aux", "_aux")]
)
def test_names_fit_every_file_system(name, safe):
    assert file_stem(name) == safe


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (None, None),
        ((0, 0, 40, 30), None),
        ((-5, -5, 100, 100), None),
        ((3.2, 4.8, 10.1, 12), (3, 4, 11, 12)),
        ((10, 12, 3, 4), (3, 4, 10, 12)),
    ],
)
def test_boxes_are_rounded_outwards_inside_the_frame(box, expected):
    assert clip_box(box, (30, 40)) == expected
