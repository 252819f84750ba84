"""Fixtures that every test shares."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

# Before napari is imported anywhere: its own settings must not leak into or out of the tests.
os.environ.setdefault("QT_API", "pyqt6")
os.environ.setdefault("PYTEST_QT_API", os.environ["QT_API"])
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(prefix="apgan-napari-")) / "settings.yaml")


@pytest.fixture(autouse=True)
def isolated_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a data folder of its own, so nothing of the user's is read or written."""
    home = tmp_path / "apgan-home"
    monkeypatch.setenv("APGAN_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images; tests that need it are skipped where it is absent."""
    override = os.environ.get("APGAN_TEST_DATA")
    folder = Path(override) if override else Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "README.md").exists():
        pytest.skip(f"the folder of real images is not at {folder}")
    return folder
