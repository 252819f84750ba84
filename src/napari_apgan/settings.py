"""Where the program keeps its own files, and what it remembers between starts."""

from __future__ import annotations

import errno
import os
import secrets
import time
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError


def data_home() -> Path:
    """Return the folder of unsaved projects and settings: `APGAN_HOME`, or the system's place."""
    override = os.environ.get("APGAN_HOME")
    home = (
        Path(override)
        if override
        else Path(platformdirs.user_data_dir("napari-apgan", appauthor=False))
    )
    home.mkdir(parents=True, exist_ok=True)
    return home


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut; Windows does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot sync a folder; the files themselves are synced.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a crash leaves either the old or the new one, never a part.

    The content goes to a temporary name beside it, is synced, and swapped in. Windows refuses the
    swap while another program reads the old file; that is retried for two seconds.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not `mkstemp`, whose files only their owner may read: groups share project folders.
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        for attempt in range(21):
            try:
                temporary.replace(path)
                sync_folder(path.parent)
                return
            except PermissionError:
                if attempt == 20:
                    raise
                time.sleep(0.1)
    finally:
        temporary.unlink(missing_ok=True)


class Settings(BaseModel):
    """What is remembered between starts; shared by the docks and the command line."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True)

    palette: Literal["safe", "paper"] = "safe"
    device: str = "auto"
    preset: str = "fast"
    recent_projects: list[str] = Field(default_factory=list)
    last_folder: str = ""
    #: Sections of the Label tab that stand open.
    open_sections: list[str] = Field(default_factory=list)
    #: Keys of the canvas that the user changed: act -> combination, as the window reads it.
    keys: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def load(cls) -> Settings:
        """Read the settings file; defaults where it is absent or unreadable."""
        try:
            return cls.model_validate_json((data_home() / "settings.json").read_bytes())
        except (OSError, ValidationError):
            return cls()

    def save(self) -> None:
        """Write the settings file."""
        write_atomically(data_home() / "settings.json", self.model_dump_json(indent=2))

    def remember_project(self, path: Path) -> None:
        """Put a project at the head of the recent ones (ten are kept)."""
        text = str(path.resolve())
        self.recent_projects = [text, *(p for p in self.recent_projects if p != text)][:10]
        self.save()
