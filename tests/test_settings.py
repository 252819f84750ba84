"""Settings and atomic writing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from napari_apgan.settings import Settings, data_home, write_atomically


def test_the_data_folder_follows_its_variable(isolated_home: Path) -> None:
    assert data_home() == isolated_home
    assert isolated_home.is_dir()


def test_settings_come_back_and_survive_damage() -> None:
    settings = Settings.load()
    settings.preset = "paper"
    settings.save()
    assert Settings.load().preset == "paper"
    (data_home() / "settings.json").write_text('{"preset": ')
    assert Settings.load() == Settings()


def test_ten_projects_are_remembered_newest_first(tmp_path: Path) -> None:
    settings = Settings()
    for number in [*range(12), 5]:
        settings.remember_project(tmp_path / f"p{number}.apgan")
    names = [Path(p).stem for p in Settings.load().recent_projects]
    assert names == ["p5", "p11", "p10", "p9", "p8", "p7", "p6", "p4", "p3", "p2"]


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    write_atomically(path, "old")

    def no_replace(self: Path, target: Path) -> Path:
        raise OSError("disk gone")

    monkeypatch.setattr(Path, "replace", no_replace)
    with pytest.raises(OSError, match="disk gone"):
        write_atomically(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_atomically(tmp_path / "ours", "x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours")}
    assert len(modes) == 1
