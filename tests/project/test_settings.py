"""What the program remembers, and files that a crash cannot tear."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from napari_apgan.settings import Settings, data_home, write_atomically


def test_a_file_is_old_or_new_never_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "below" / "file.json"
    write_atomically(path, "old")

    def fails(*_: object) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr("napari_apgan.settings.os.fsync", fails)
        with pytest.raises(OSError, match="power cut"):
            write_atomically(path, b"new")
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]
    write_atomically(path, "größer")
    assert path.read_bytes() == "größer".encode()


def test_a_file_in_use_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    refused = [True, True]
    replace = Path.replace

    def busy(self: Path, target: Path) -> Path:
        if refused:
            refused.pop()
            raise PermissionError("in use")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert not refused


def test_settings_come_back_and_survive_damage() -> None:
    settings = Settings.load()
    settings.device = "cpu"
    settings.save()
    assert Settings.load().device == "cpu"
    (data_home() / "settings.json").write_text("{")
    assert Settings.load() == Settings()


def test_ten_recent_projects_are_kept_newest_first(tmp_path: Path) -> None:
    for number in (*range(12), 5):
        Settings.load().remember_project(tmp_path / str(number))
    kept = [Path(p).name for p in Settings.load().recent_projects]
    assert kept == ["5", "11", "10", "9", "8", "7", "6", "4", "3", "2"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_atomically(tmp_path / "ours", "x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours")}
    assert len(modes) == 1
