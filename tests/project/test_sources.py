"""Images: known again by content, copied from memory, found after a move."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Source
from napari_apgan.io import open_source
from napari_apgan.project import Project


def test_the_same_content_is_the_same_image(
    project: Project, source_id: str, image_file: Path
) -> None:
    copy = image_file.with_name("other name.tif")
    shutil.copy(image_file, copy)
    assert project.add_source(open_source(image_file)) == source_id
    assert project.add_source(open_source(copy)) == source_id
    assert project.calibration(source_id).x_pm == 20.0
    assert len(project.sources) == 1
    tifffile.imwrite(copy, np.zeros((48, 64), np.uint8) + np.arange(64, dtype=np.uint8))
    assert project.add_source(open_source(copy)) != source_id


def test_the_calibration_comes_back_with_where_it_came_from(
    project: Project, source_id: str, reopen: Callable[[Project], Project]
) -> None:
    given = Calibration(
        matrix_pm=((20.0, 0.5), (-0.5, 21.0)), origin="user", note="by hand", relative_error=0.02
    )
    project.set_calibration(source_id, given)
    again = reopen(project)
    assert again.calibration(source_id) == given
    assert again.source(source_id).calibration == given
    assert again.source(source_id).frame().calibration == given


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "uint16", "uint8", "bool", "float16", ">i2"]
)
def test_an_image_from_memory_is_copied_and_comes_back(
    project: Project, reopen: Callable[[Project], Project], dtype: str
) -> None:
    stack = (np.random.default_rng(0).random((3, 20, 24)) * 9).astype(dtype)
    source_id = project.add_source(Source("layer", stack, missing="none"))
    assert project.add_source(Source("the same", stack)) == source_id
    again = reopen(project)
    assert again.missing_sources() == {}
    back = again.source(source_id)
    assert back.missing == "none"
    for index in range(3):
        np.testing.assert_array_equal(back.frame(index).data, stack[index].astype(np.float32))
    assert again.add_source(Source("layer", stack)) == source_id


def test_a_large_image_from_memory_is_not_copied_but_that_is_said(
    project: Project,
    series: Source,
    reopen: Callable[[Project], Project],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_apgan.project.sources.MEMORY_LIMIT_BYTES", 1000)
    source_id = project.add_source(series)
    project.add_atoms(source_id, 1, make_atoms([[1, 1]], "Pb"))
    assert project.missing_sources() == {}
    again = reopen(project)
    assert "too large to be copied" in again.missing_sources()[source_id]
    with pytest.raises(UserError, match="open it again"):
        again.source(source_id)
    assert again.add_source(series) == source_id
    assert len(again.atoms(source_id, 1)) == 1
    assert again.missing_sources() == {}


def test_moving_project_and_images_together(
    project: Project, source_id: str, tmp_path: Path
) -> None:
    project.close()
    there = tmp_path / "another" / "machine"
    there.mkdir(parents=True)
    shutil.move(tmp_path / "images", there / "images")
    shutil.move(project.path, there / "work.apgan")
    with Project.open(there / "work.apgan") as moved:
        assert moved.missing_sources() == {}
        assert moved.source(source_id).path == there / "images" / "STO 42.tif"


def test_moving_the_project_alone(project: Project, source_id: str, tmp_path: Path) -> None:
    project.close()
    (tmp_path / "far" / "away").mkdir(parents=True)
    shutil.move(project.path, tmp_path / "far" / "away" / "work.apgan")
    with Project.open(tmp_path / "far" / "away" / "work.apgan") as moved:
        assert moved.source(source_id).frame().shape == (48, 64)


def test_an_image_beside_the_project_is_found_by_content(
    project: Project, source_id: str, image_file: Path, tmp_path: Path
) -> None:
    project.close()
    (tmp_path / "data").mkdir()
    shutil.move(image_file, tmp_path / "data" / "renamed.tif")
    with Project.open(project.path) as again:
        assert again.missing_sources() == {}
        assert again.record(source_id).path == "../data/renamed.tif"
        assert again.source(source_id).path == tmp_path / "data" / "renamed.tif"


def test_an_image_in_a_named_folder_is_found_by_content(
    project: Project, source_id: str, image_file: Path, tmp_path: Path
) -> None:
    deep = tmp_path / "disk" / "2026" / "05" / "raw"
    deep.mkdir(parents=True)
    decoy = image_file.read_bytes()
    (deep / "decoy.tif").write_bytes(decoy[:-4] + b"\0\0\0\1")
    shutil.move(image_file, deep / "x.tif")
    project.close()
    with Project.open(project.path) as again:
        assert "is not where it was" in again.missing_sources()[source_id]
        with pytest.raises(UserError, match="is not where it was"):
            again.source(source_id)
        assert again.search_in(tmp_path / "images") == []
        seen: list[str] = []
        found = again.search_in(tmp_path / "disk", lambda done, _total, name: seen.append(name))
        assert found == [source_id]
        assert "x.tif" in seen
        assert again.source(source_id).frame().shape == (48, 64)
    with Project.open(project.path) as third:
        assert third.missing_sources() == {}


def test_a_changed_file_is_noticed_and_taken_only_knowingly(
    project: Project, source_id: str, image_file: Path
) -> None:
    project.close()
    data = tifffile.imread(image_file)
    data[0, 0] += 1
    size = image_file.stat().st_size
    tifffile.imwrite(image_file, data)
    assert image_file.stat().st_size == size
    os.utime(image_file, ns=(1, 1))
    with Project.open(project.path) as again:
        assert "has changed since it was labelled" in again.missing_sources()[source_id]
        with pytest.raises(UserError, match="content differs"):
            again.relocate(source_id, image_file)
        again.relocate(source_id, image_file, force=True)
        assert again.source(source_id).frame().data[0, 0] == data[0, 0]
    with Project.open(project.path) as third:
        assert third.missing_sources() == {}


def test_a_file_of_another_shape_is_never_taken(
    project: Project, source_id: str, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "small.tif", np.ones((20, 20), np.float32))
    with pytest.raises(UserError, match=r"20x20 px, but STO 42.* was labelled with 1 of 64x48"):
        project.relocate(source_id, tmp_path / "small.tif", force=True)
    with pytest.raises(UserError, match="There is no file"):
        project.relocate(source_id, tmp_path / "none.tif")
    with pytest.raises(UserError, match="no image 'xyz'"):
        project.relocate("xyz", tmp_path / "small.tif")


def test_a_touched_file_is_the_same_file(
    project: Project, source_id: str, image_file: Path, reopen: Callable[[Project], Project]
) -> None:
    os.utime(image_file, ns=(1, 1))
    assert reopen(project).missing_sources() == {}


def test_a_lost_copy_is_replaced_from_a_file(
    project: Project, series: Source, tmp_path: Path, reopen: Callable[[Project], Project]
) -> None:
    source_id = project.add_source(series)
    (project.path / "images" / f"{source_id}.tif").unlink()
    again = reopen(project)
    assert source_id in again.missing_sources()
    tifffile.imwrite(tmp_path / "exported.tif", series.stack, photometric="minisblack")
    again.relocate(source_id, tmp_path / "exported.tif")
    np.testing.assert_array_equal(again.source(source_id).frame(2).data, series.stack[2])
    assert reopen(again).missing_sources() == {}


def test_labels_are_there_though_the_image_is_not(
    project: Project, source_id: str, image_file: Path, reopen: Callable[[Project], Project]
) -> None:
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    image_file.unlink()
    again = reopen(project)
    assert again.atoms(source_id, 0)["x_pm"].tolist() == [20.0]
    again.change_atoms(source_id, 0, [0], x_px=2.0)
    assert again.atoms(source_id, 0)["x_pm"].tolist() == [40.0]
