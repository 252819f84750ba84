"""The images of a project: where they are, how they are known again, how they are found again."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Missing, Source
from napari_apgan.io import content_hash, open_source

from .folder import Folder

#: Images without a file larger than this are not copied into the project.
MEMORY_LIMIT_BYTES = 512 * 2**20

#: Files beyond this size are taken as unchanged when size and time of change agree, or on trust of
#: their size; smaller ones are read and compared whenever the time differs.
_VERIFY_LIMIT_BYTES = 256 * 2**20

#: A search looks at no more files than this.
_SEARCH_LIMIT = 20_000


class SourceRecord(BaseModel):
    """What the project knows of one source.

    Parameters
    ----------
    id : str
        Names its folders; lower case letters, digits, `-` and `_`.
    name : str
        What the user calls it.
    path : str
        Relative to the project folder, with `/`; empty where no file holds the image.
    absolute_path : str
        Where the file was when last seen.
    stored : bool
        Whether `path` is the project's own copy of an image from memory.
    size, modified_ns : int
        Bytes, and time of change in ns, of the file.
    sha256 : str
        Of the file, or of the array where there is none.
    dataset : str
        Which image of the file.
    calibration : Calibration
        With where it came from.
    missing : {"auto", "zero", "nan", "none"}
    n_frames : int
    shape : (int, int)
        (rows, columns).
    metadata : dict of str to str
    next_id, next_region_id : int
        No atom or region has had these ids yet.
    removed : bool
        The user took it out of the project; undo, or adding the same content, brings it back.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9_-]+$")
    name: str
    path: str = ""
    absolute_path: str = ""
    stored: bool = False
    size: int = 0
    modified_ns: int = 0
    sha256: str
    dataset: str = ""
    calibration: Calibration = Field(default_factory=Calibration)
    missing: Missing = "auto"
    n_frames: int = Field(ge=1)
    shape: tuple[int, int]
    metadata: dict[str, str] = Field(default_factory=dict)
    next_id: int = 0
    next_region_id: int = 0
    removed: bool = False

    @property
    def file_name(self) -> str:
        """Name of its file, without the folder."""
        return (self.path or self.absolute_path).replace("\\", "/").rpartition("/")[2]


class SourcesFile(BaseModel):
    """``sources.json``; `edit` is the last edit that it holds."""

    model_config = ConfigDict(extra="ignore")

    edit: int = 0
    sources: tuple[SourceRecord, ...] = ()


def identify(source: Source) -> tuple[str, str]:
    """Return (id, SHA-256) of a source: the same content and dataset give the same id.

    The id is the name, made safe for every file system, and eight digits of the hash.
    """
    sha256 = content_hash(source.stack if source.path is None else source.path)
    digits = hashlib.sha256(f"{sha256}\n{source.dataset}".encode()).hexdigest()[:8]
    stem = re.sub(r"[^a-z0-9]+", "_", Path(source.name).stem.lower()).strip("_")[:24] or "image"
    return f"{stem}-{digits}", sha256


def make_record(source: Source, source_id: str, sha256: str, folder: Folder) -> SourceRecord:
    """Describe a source; an image without a file is copied into the project.

    Raises
    ------
    UserError
        When the file cannot be read or the copy cannot be written.
    """
    record = SourceRecord(
        id=source_id,
        name=source.name,
        sha256=sha256,
        dataset=source.dataset,
        calibration=source.calibration,
        missing=source.missing,
        n_frames=source.n_frames,
        shape=source.shape,
        metadata={str(k): str(v) for k, v in source.metadata.items()},
    )
    if source.path is not None:
        return located(record, source.path, folder)
    if source.n_frames * source.shape[0] * source.shape[1] * source.dtype.itemsize > (
        MEMORY_LIMIT_BYTES
    ):
        return record
    path = folder.images / f"{source_id}.tif"
    _store(source.stack, path)
    return located(record, path, folder).model_copy(update={"stored": True})


def located(record: SourceRecord, path: Path, folder: Folder) -> SourceRecord:
    """Return the record with its file at `path`."""
    path = path.absolute()
    try:
        stat = path.stat()
    except OSError as error:
        raise UserError(f"{path} could not be read: {error.strerror}.") from error
    return record.model_copy(
        update={
            "path": _relative(path, folder.path),
            "absolute_path": str(path),
            "size": stat.st_size,
            "modified_ns": stat.st_mtime_ns,
        }
    )


def _relative(path: Path, start: Path) -> str:
    """Path from the project folder with `/`; empty across Windows drives."""
    try:
        return Path(os.path.relpath(path, start.absolute())).as_posix()
    except ValueError:
        return ""


def _store(stack: Any, path: Path) -> None:
    """Write a (T, Y, X) stack as an uncompressed TIFF, one page a frame, atomically."""
    import tifffile

    dtype = np.dtype(stack.dtype)
    written = np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            with tifffile.TiffWriter(file, bigtiff=True) as tif:
                for index in range(int(stack.shape[0])):
                    page = np.ascontiguousarray(np.asarray(stack[index]), dtype=written)
                    tif.write(page, photometric="minisblack", contiguous=False, metadata=None)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"The image could not be copied into the project ({error.strerror}): save it to a "
            "file first and open that."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _read_stored(path: Path) -> Any:
    """Read the project's own copy as a (T, Y, X) array."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        return np.stack([page.asarray() for page in tif.pages])


def resolve(record: SourceRecord, folder: Folder) -> Path | None:
    """Return where the file is now: first as seen from the project, then where it was.

    A file of another size counts only when no other candidate fits (it was changed in place).
    """
    # Lexically, as the relative path was made: `a.apgan/../images` is `images`.
    candidates = [Path(os.path.normpath(folder.path / record.path))] if record.path else []
    if record.absolute_path:
        candidates.append(Path(record.absolute_path))
    present = [p for p in candidates if p.is_file()]
    fitting = [p for p in present if p.stat().st_size == record.size]
    return next(iter(fitting or present), None)


def is_unchanged(record: SourceRecord, path: Path) -> bool:
    """Whether a file still has the content that was labelled."""
    stat = path.stat()
    if stat.st_size != record.size or record.stored:
        return stat.st_size == record.size
    if stat.st_mtime_ns == record.modified_ns or stat.st_size > _VERIFY_LIMIT_BYTES:
        return True
    return content_hash(path) == record.sha256


def why_missing(record: SourceRecord, folder: Folder) -> str:
    """Say in one sentence why a source cannot be shown; empty when it can."""
    if not record.path and not record.absolute_path:
        return (
            f"{record.name} came from memory and was too large to be copied into the project: "
            "open it again, its labels are kept."
        )
    path = resolve(record, folder)
    if path is None:
        return (
            f"{record.name} is not where it was ({record.absolute_path or record.path}): say "
            "where it is, or name a folder to search."
        )
    if not is_unchanged(record, path):
        return (
            f"{record.name} has changed since it was labelled ({path}): put the old file back, or "
            "take the new one knowingly."
        )
    return ""


def open_record(record: SourceRecord, folder: Folder) -> Source:
    """Open the image of a record.

    Raises
    ------
    UserError
        When it is missing, has changed, or cannot be read.
    """
    reason = why_missing(record, folder)
    path = resolve(record, folder)
    if reason or path is None:
        raise UserError(reason)
    source = open_file(record, path)
    check_shape(record, source)
    return source


def open_file(record: SourceRecord, path: Path) -> Source:
    """Open a file as the image of a record."""
    if record.stored:
        try:
            stack = _read_stored(path)
        except Exception as error:
            raise UserError(f"The project's copy of {record.name} is damaged: {error}") from error
        source = Source(record.name, stack)
    else:
        source = open_source(
            path,
            dataset=record.dataset or None,
            missing=record.missing,
            calibration=record.calibration,
        )
    return replace(
        source,
        name=record.name,
        calibration=record.calibration,
        path=None if record.stored else path,
        dataset=record.dataset,
        metadata=dict(record.metadata),
        missing=record.missing,
    )


def check_shape(record: SourceRecord, source: Source) -> None:
    """Raise `UserError` when an image does not fit the labels made on it."""
    if (source.n_frames, source.shape) != (record.n_frames, record.shape):
        raise UserError(
            f"{source.path or source.name} has {source.n_frames} frames of "
            f"{source.shape[1]}x{source.shape[0]} px, but {record.name} was labelled with "
            f"{record.n_frames} of {record.shape[1]}x{record.shape[0]} px: choose the right file."
        )


def search(
    records: Iterable[SourceRecord],
    folder: Path,
    *,
    depth: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Path]:
    """Look for the files of records by size and hash.

    Parameters
    ----------
    records : iterable of SourceRecord
    folder : Path
    depth : int, optional
        How many levels of folders to go down; all by default.
    progress : callable, optional
        Called with (files looked at, 0, name).

    Returns
    -------
    dict of source id to Path
    """
    wanted = {r.id: r for r in records if r.size and not r.stored}
    found: dict[str, Path] = {}
    hashes: dict[Path, str] = {}
    for count, path in enumerate(_walk(folder, depth)):
        if count >= _SEARCH_LIMIT or len(found) == len(wanted):
            break
        if progress is not None:
            progress(count, 0, path.name)
        try:
            size = path.stat().st_size
            for source_id, record in wanted.items():
                if source_id in found or size != record.size:
                    continue
                if path not in hashes:
                    hashes[path] = content_hash(path)
                if hashes[path] == record.sha256:
                    found[source_id] = path
        except (OSError, UserError):
            continue
    return found


def _walk(folder: Path, depth: int | None) -> Iterator[Path]:
    """Yield the files below a folder, nearest first; unreadable folders are passed over."""
    level = [folder]
    while level:
        below: list[Path] = []
        for place in level:
            try:
                entries = sorted(place.iterdir())
            except OSError:
                continue
            for entry in entries:
                if entry.is_symlink() and entry.is_dir():
                    continue
                if entry.is_dir():
                    below.append(entry)
                elif entry.is_file():
                    yield entry
        if depth is not None:
            depth -= 1
        level = below if depth is None or depth >= 0 else []


def relocated(record: SourceRecord, path: Path, folder: Folder, *, force: bool) -> SourceRecord:
    """Return the record with its file at a place that the user named.

    Raises
    ------
    UserError
        When the content differs and `force` is not set, or its shape differs.
    """
    if not path.is_file():
        raise UserError(f"There is no file {path}: choose the image {record.file_name}.")
    sha256 = content_hash(path)
    if sha256 == record.sha256:
        return located(record, path, folder)
    source = open_file(record.model_copy(update={"stored": False}), path)
    check_shape(record, source)
    if record.stored or not record.path:
        sha256_of_array = content_hash(source.stack)
        if sha256_of_array == record.sha256:
            return located(record, path, folder).model_copy(
                update={"stored": False, "sha256": sha256}
            )
    if not force:
        raise UserError(
            f"{path.name} is not the image that was labelled as {record.name}: its content "
            "differs. Choose another file, or take this one knowingly."
        )
    changed = located(record, path, folder)
    return changed.model_copy(update={"stored": False, "sha256": sha256})
