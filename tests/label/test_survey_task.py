"""The survey of a folder in the helper: rows are there while it is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_apgan.frames import Calibration
from napari_apgan.io.tiffs import tiff_bytes
from napari_apgan.label import process
from napari_apgan.label.protocol import LANGUAGE, SourceRef, TaskRequest
from napari_apgan.label.survey_row import SurveyRow, SurveyWish, read_rows, row_line, summary


def lattice(spacing: float, seed: int) -> np.ndarray:
    yy, xx = np.mgrid[:128, :128]
    image = np.cos(2 * np.pi * xx / spacing) + np.cos(2 * np.pi * yy / spacing)
    noise = np.random.default_rng(seed).normal(0, 0.3, image.shape)
    return (5 + np.maximum(image, 0) ** 2 + noise).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "images"
    made.mkdir()
    known = Calibration.from_pixel_size(20.0, origin="file")
    for name, image in (("a", lattice(11.0, 1)), ("b", lattice(11.0, 2)), ("c", lattice(17.0, 3))):
        (made / f"{name}.tif").write_bytes(tiff_bytes(image, known, "YX"))
    (made / "copy.tif").write_bytes((made / "a.tif").read_bytes())
    (made / "broken.dm4").write_bytes(b"no image")
    return made


def ask(request: TaskRequest) -> list[Any]:
    replies = io.BytesIO()
    process.Server(io.BytesIO(), replies)._answer(request)
    return LANGUAGE.replies().feed(replies.getvalue())


def test_rows_are_written_one_a_line_and_summed_up(folder: Path, tmp_path: Path) -> None:
    wish = SurveyWish(
        paths=[str(folder)],
        example=SourceRef(path=str(folder / "a.tif")),
        rows=str(tmp_path / "rows.jsonl"),
    )
    request = TaskRequest(
        id="s", task="survey", options=wish.model_dump(mode="json"), out_dir=str(tmp_path)
    )
    done = ask(request)[-1]
    rows = read_rows((tmp_path / "rows.jsonl").read_text(encoding="utf-8"))
    assert [r.path.name for r in rows] == ["a.tif", "b.tif", "broken.dm4", "c.tif", "copy.tif"]
    by_name = {r.path.name: r for r in rows}
    assert by_name["b.tif"].fits
    assert not by_name["c.tif"].fits
    assert by_name["copy.tif"].duplicate_of == folder / "a.tif"
    assert by_name["broken.dm4"].error
    assert done.sentence == summary(rows)
    assert done.sentence.startswith("5 files: 3 fit, 1 cannot be read, 1 doubled")


def test_an_empty_folder_is_a_sentence(tmp_path: Path) -> None:
    wish = SurveyWish(paths=[str(tmp_path)], rows=str(tmp_path / "rows.jsonl"))
    request = TaskRequest(
        id="s", task="survey", options=wish.model_dump(mode="json"), out_dir=str(tmp_path)
    )
    assert "holds no image" in ask(request)[-1].sentence


def test_a_row_comes_back_as_it_was() -> None:
    row = SurveyRow(
        Path("a.tif"), n_frames=2, shape=(3, 4), pixel_size_pm=(1.0, 2.0), fits=False, why="no"
    )
    assert read_rows(row_line(row)) == [row]
