"""The training set as pairs, to a pairs folder and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pandas.testing import assert_frame_equal

from napari_apgan.atoms import make_atoms
from napari_apgan.elements import make_elements
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Source
from napari_apgan.io import Pair, read_pairs
from napari_apgan.project import Project
from napari_apgan.regions import Region


def label(project: Project, source_id: str, frame: int = 0) -> None:
    """Label a frame as a user would: ids with gaps, two regions, sent to training."""
    xy = np.random.default_rng(frame).random((5, 2)) * 30
    ids = project.add_atoms(
        source_id, frame, make_atoms(xy, ["Pb", "Ti", "Pb", "Ti", "Pb"], sigma_x_pm=1 / 3)
    )
    project.remove_atoms(source_id, frame, [ids[1]])
    project.add_region(source_id, frame, Region.rectangle(0.1, 0.2, 30, 31))
    project.add_region(source_id, frame, Region.rectangle(3, 3, 7, 9, kind="ignore"))
    project.add_pair(source_id, frame)


def assert_same(one: Pair, other: Pair) -> None:
    assert (one.name, one.origin, one.source) == (other.name, other.origin, other.source)
    assert one.regions == other.regions
    assert one.frame.calibration == other.frame.calibration
    assert one.frame.index == other.frame.index
    np.testing.assert_array_equal(one.frame.data, other.frame.data)
    np.testing.assert_array_equal(one.frame.valid, other.frame.valid)
    assert_frame_equal(one.atoms, other.atoms, check_exact=True)


def test_only_complete_frames_of_the_training_set_are_pairs(
    project: Project, source_id: str, series: Source
) -> None:
    movie = project.add_source(series)
    project.add_region(movie, 0, Region.rectangle(0, 0, 9, 9))
    project.add_pair(movie, 1)
    assert project.training_pairs() == []
    with pytest.raises(UserError, match="training set is empty"):
        project.export_pairs(project.path.parent / "out")
    project.add_pair(movie, 0)
    label(project, source_id)
    pairs = project.training_pairs()
    assert sorted(p.name for p in pairs) == ["STO 42", "movie_00000"]
    (labelled,) = (p for p in pairs if p.name == "STO 42")
    assert labelled.atoms["id"].tolist() == [0, 2, 3, 4]
    assert labelled.frame.calibration.x_pm == 20.0
    assert labelled.origin == "human"


def test_the_training_set_comes_back_from_a_pairs_folder_unchanged(
    project: Project, source_id: str, tmp_path: Path
) -> None:
    stack = np.random.default_rng(9).random((4, 40, 44)).astype(np.float32)
    stack[:, 3, 5] = np.nan
    movie = project.add_source(
        Source("tilt", stack, Calibration.from_pixel_size(9.5, 10.5, origin="file"))
    )
    label(project, source_id)
    label(project, movie, 1)
    label(project, movie, 3)
    exported = project.export_pairs(tmp_path / "pairs")
    read = read_pairs(tmp_path / "pairs")
    with Project.create(tmp_path / "second", make_elements(["Ti"])) as second:
        report = second.import_pairs(tmp_path / "pairs")
        assert len(report.source_ids) == 3
        assert report.sentence() == "Imported 3 pairs into the training set."
        assert [e.name for e in second.elements] == ["Ti", "Pb"]
    with Project.open(second.path) as again:
        imported = again.training_pairs()
        by_name = {p.name: p for p in imported}
        for pair in exported:
            assert_same(by_name[pair.name], pair)
        again.export_pairs(tmp_path / "back")
        for pair, back in zip(read, read_pairs(tmp_path / "back"), strict=True):
            assert_same(back, pair)
        assert again.undo()
        assert again.training_pairs() == []
        assert again.frames_with_labels() == []


def test_importing_again_leaves_labels_alone(
    project: Project, source_id: str, tmp_path: Path
) -> None:
    label(project, source_id)
    project.export_pairs(tmp_path / "pairs")
    with Project.create(tmp_path / "second") as second:
        (image,) = second.import_pairs(tmp_path / "pairs").source_ids
        second.remove_atoms(image, 0, second.atoms(image, 0)["id"][:1])
        report = second.import_pairs(tmp_path / "pairs")
        assert (report.source_ids, report.kept) == ([], ["STO 42"])
        assert "left as they are: STO 42" in report.sentence()
        assert len(second.atoms(image, 0)) == 3


def test_a_folder_that_is_wrong_changes_nothing(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        project.import_pairs(tmp_path / "none")
    tifffile.imwrite(tmp_path / "images" / "lonely.tif", np.ones((9, 9), np.float32))
    with pytest.raises(UserError, match="lack the other"):
        project.import_pairs(tmp_path / "images")
    assert (len(project.sources), project.edit_number) == (1, 0)


def test_what_is_assumed_of_a_bare_pair_is_said(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.arange(400, dtype=np.float32).reshape(20, 20))
    (folder / "a.csv").write_text("element,x_px,y_px\nPb,3,4\n")
    report = project.import_pairs(folder)
    assert report.notes[0].startswith("a: No regions are given")
    (pair,) = project.training_pairs()
    assert pair.regions == (Region.whole((20, 20)),)


def test_names_of_pairs_differ_even_where_case_does_not_count(
    project: Project, tmp_path: Path
) -> None:
    for seed, name in enumerate(["con", "a:b", "A?b", ".hidden"]):
        stack = np.random.default_rng(seed).random((1, 20, 24)).astype(np.float32)
        image = project.add_source(Source(name, stack))
        project.add_region(image, 0, Region.whole((20, 24)))
        project.add_pair(image, 0)
    names = [p.name.lower() for p in project.export_pairs(tmp_path / "pairs")]
    assert len(set(names)) == 4
    assert len(read_pairs(tmp_path / "pairs")) == 4


def test_a_missing_image_of_the_training_set_is_said(
    project: Project,
    source_id: str,
    image_file: Path,
    reopen: Callable[[Project], Project],
) -> None:
    label(project, source_id)
    image_file.unlink()
    with pytest.raises(UserError, match="is not where it was"):
        reopen(project).training_pairs()


@pytest.mark.parametrize(
    ("origins", "word"),
    [
        (["human", "human"], "human"),
        (["predicted", "human"], "corrected"),
        (["detected", "human"], "human"),
        (["simulated", "simulated"], "simulated"),
    ],
)
def test_a_pair_says_who_placed_its_atoms(
    project: Project, source_id: str, origins: list[str], word: str
) -> None:
    project.add_atoms(source_id, 0, make_atoms([[1, 1], [9, 9]], "Pb", origin=origins))
    project.add_region(source_id, 0, Region.whole((48, 64)))
    project.add_pair(source_id, 0)
    assert project.training_pairs()[0].origin == word
