"""The journal: one edit a line, numbered, checksummed, synced; never rewritten.

A line is a JSON object whose last member is the CRC-32 of all that stands before it:

    {"n":12,"time":"2026-05-04T12:41:07.123+00:00","op":"edit","edit":{…},"crc":"1a2b3c4d"}
    {"n":13,"time":"…","op":"undo","of":12,"crc":"…"}
    {"n":14,"time":"…","op":"redo","of":12,"crc":"…"}
    {"n":31,"time":"…","op":"mark","note":"…","crc":"…"}

Numbers rise by one. A *mark* starts a new history after damage: what stands before it can no
longer be undone, and its number may leap.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Literal

from napari_apgan.errors import UserError
from napari_apgan.settings import sync_folder

from .edits import EDIT, Edit

_CRC = re.compile(rb',"crc":"([0-9a-f]{8})"\}')
_CRC_LENGTH = len(b',"crc":"00000000"}')
_HEAD = re.compile(
    rb'\{"n":(\d+),"time":"([^"]*)","op":"(edit|undo|redo|mark)"(?:,"of":(\d+)|,"(?:edit|note)":)'
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal.

    Parameters
    ----------
    number : int
    time : str
        ISO 8601, with time zone.
    op : {"edit", "undo", "redo", "mark"}
    of : int
        For undo and redo: the number of the edit.
    body : bytes
        The line without its checksum.
    """

    number: int
    time: str
    op: str
    of: int
    body: bytes

    def edit(self) -> Edit:
        """Read the edit of an ``edit`` line."""
        return EDIT.validate_python(json.loads(self.body + b"}")["edit"])


@dataclass(frozen=True, slots=True)
class JournalContent:
    """What a journal file holds.

    Parameters
    ----------
    entries : list of Entry
        The intact lines before the first damaged one.
    length : int
        Their length in bytes.
    torn : bool
        Whether a last line without its end was left out: the program died while writing it.
    damaged_line : int, optional
        The first line (from 1) that is not intact though others follow; None when all is well.
    """

    entries: list[Entry]
    length: int
    torn: bool
    damaged_line: int | None


def parse_line(line: bytes) -> Entry | None:
    """Read one line without its line end; None when it is not intact."""
    body, tail = line[:-_CRC_LENGTH], line[-_CRC_LENGTH:]
    crc = _CRC.fullmatch(tail)
    head = _HEAD.match(body)
    if crc is None or head is None or int(crc[1], 16) != zlib.crc32(body):
        return None
    number, time, op, of = head.groups()
    return Entry(int(number), time.decode(), op.decode(), int(of or 0), body)


def read_journal(path: Path) -> JournalContent:
    """Read a journal up to the first line that is not intact."""
    data = path.read_bytes() if path.exists() else b""
    entries: list[Entry] = []
    start, last = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        entry = parse_line(data[start:end]) if end >= 0 else None
        follows = entry is not None and (entry.number == last + 1 or _leaps(entry, last))
        if entry is None or not follows:
            is_last = end < 0 or not data[end + 1 :].strip(b"\0\r\n ")
            torn = entry is None and is_last
            return JournalContent(entries, start, torn, None if torn else len(entries) + 1)
        entries.append(entry)
        start, last = end + 1, entry.number
    return JournalContent(entries, start, False, None)


def _leaps(entry: Entry, last: int) -> bool:
    return entry.op == "mark" and entry.number > last


class JournalWriter:
    """Appends lines to a journal; every line is on the disk when `append` returns.

    Parameters
    ----------
    path : Path
    length : int
        The intact part; anything beyond it (a torn line) is cut off.
    number : int
        Of the last line.
    """

    def __init__(self, path: Path, length: int, number: int) -> None:
        self.number = number
        self._length = length
        self._broken = False
        mode: Literal["r+b", "w+b"] = "r+b" if path.exists() else "w+b"
        self._file: FileIO = open(path, mode, buffering=0)  # noqa: SIM115 - open until close()
        try:
            self._file.truncate(length)
            self._file.seek(length)
            sync_folder(path.parent)
        except OSError:
            self._file.close()
            raise

    def append(self, op: str, *, edit: str = "", of: int = 0, note: str = "") -> Entry:
        """Write one line and sync it.

        Raises
        ------
        UserError
            When the disk does not take it; the journal is then as before.
        """
        number = self.number + 1
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        detail = {
            "edit": f'"edit":{edit}',
            "undo": f'"of":{of}',
            "redo": f'"of":{of}',
            "mark": f'"note":{json.dumps(note)}',
        }[op]
        body = f'{{"n":{number},"time":"{time}","op":"{op}",{detail}'.encode()
        self._write(body + b',"crc":"%08x"}\n' % zlib.crc32(body))
        self.number = number
        return Entry(number, time, op, of, body)

    def _write(self, line: bytes) -> None:
        try:
            if self._broken:
                self._rewind()
            view = memoryview(line)
            while view:
                view = view[self._file.write(view) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._broken = True
            with contextlib.suppress(OSError):
                self._rewind()
            raise UserError(
                f"The last edit could not be written to the project ({error.strerror}) and was "
                "not done: make room on the disk, or save the project elsewhere."
            ) from error
        self._length += len(line)

    def _rewind(self) -> None:
        """Cut off what a failed write left."""
        self._file.truncate(self._length)
        self._file.seek(self._length)
        self._broken = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()
