"""Projects and images that the tests of the project folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_apgan.elements import make_elements
from napari_apgan.frames import Calibration, Source
from napari_apgan.io import open_source
from napari_apgan.project import Project

SHAPE = (48, 64)


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """A small image on disk."""
    path = tmp_path / "images" / "STO 42.tif"
    path.parent.mkdir()
    rng = np.random.default_rng(3)
    tifffile.imwrite(path, rng.random(SHAPE, dtype=np.float32))
    return path


@pytest.fixture
def project(tmp_path: Path, image_file: Path) -> Iterator[Project]:
    """A project with Pb and Ti and one calibrated image."""
    made = Project.create(tmp_path / "work.apgan", make_elements(["Pb", "Ti"]))
    made.add_source(
        open_source(image_file, calibration=Calibration.from_pixel_size(20.0, origin="user"))
    )
    yield made
    made.close()


@pytest.fixture
def source_id(project: Project) -> str:
    return project.sources[0].id


@pytest.fixture
def series() -> Source:
    """A series of three frames that lives in memory."""
    rng = np.random.default_rng(5)
    return Source("movie", rng.random((3, *SHAPE), dtype=np.float32))


@pytest.fixture
def reopen() -> Iterator[Callable[[Project], Project]]:
    """Close a project and open it again; the new one is closed at the end."""
    opened: list[Project] = []

    def again(project: Project) -> Project:
        project.close()
        opened.append(Project.open(project.path))
        return opened[-1]

    yield again
    for project in opened:
        project.close()
