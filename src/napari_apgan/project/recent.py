"""Where projects are: names, unsaved ones, recent ones."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from napari_apgan.names import safe_name
from napari_apgan.settings import Settings, data_home

from .folder import SUFFIX


def project_path(path: str | Path) -> Path:
    """Return the folder that a project of this name gets, with the ending ``.apgan``."""
    path = Path(path).expanduser().absolute()
    stem = path.name.removesuffix(SUFFIX) if path.name != SUFFIX else "project"
    return path.with_name(safe_name(stem, empty="project") + SUFFIX)


def unsaved_home() -> Path:
    """Return the folder of projects that have no place of their own yet."""
    return data_home() / "Unsaved"


def new_unsaved_path() -> Path:
    """Return a free place for an unsaved project, named by the time."""
    home = unsaved_home()
    home.mkdir(parents=True, exist_ok=True)
    stem = datetime.now().strftime("%Y-%m-%d %H.%M.%S")
    path, count = home / f"{stem}{SUFFIX}", 1
    while path.exists():
        count += 1
        path = home / f"{stem} ({count}){SUFFIX}"
    return path


def is_unsaved(path: Path) -> bool:
    """Whether a project folder is one of the unsaved ones."""
    return path.resolve().parent == unsaved_home().resolve()


def unsaved_projects() -> list[Path]:
    """Return the unsaved projects that no window has open, newest first.

    After a crash the first of them is the one to offer.
    """
    found = [p for p in unsaved_home().glob(f"*{SUFFIX}") if (p / "project.json").is_file()]
    return sorted((p for p in found if not is_open(p)), key=_last_change, reverse=True)


def _last_change(path: Path) -> float:
    journal = path / "journal.jsonl"
    return (journal if journal.exists() else path / "project.json").stat().st_mtime


def is_open(path: Path) -> bool:
    """Whether some window or program has a project open for writing."""
    if not (path / "lock").exists():
        return False
    probe = FileLock(path / "lock", thread_local=False)
    try:
        with probe.acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True


def recent_projects() -> list[Path]:
    """Return the projects opened last that still exist, newest first."""
    paths = [Path(p) for p in Settings.load().recent_projects]
    return [p for p in paths if (p / "project.json").is_file()]
