"""The journal: what is torn is dropped, what is damaged is said."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.project import Edit, Project
from napari_apgan.project.edits import SetPairs
from napari_apgan.project.journal import Entry, JournalWriter, parse_line, read_journal

EDIT = SetPairs(before=(), after=())


def write(path: Path, n: int = 4) -> list[bytes]:
    writer = JournalWriter(path, 0, 0)
    for _ in range(n):
        writer.append("edit", edit=EDIT.model_dump_json())
    writer.append("undo", of=n)
    writer.close()
    return path.read_bytes().splitlines(keepends=True)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    lines = write(tmp_path / "j")
    content = read_journal(tmp_path / "j")
    assert [(e.number, e.op, e.of) for e in content.entries] == [
        (1, "edit", 0),
        (2, "edit", 0),
        (3, "edit", 0),
        (4, "edit", 0),
        (5, "undo", 4),
    ]
    assert content.entries[0].edit() == EDIT
    assert (content.length, content.torn, content.damaged_line) == (
        sum(map(len, lines)),
        False,
        None,
    )


def test_every_cut_leaves_the_whole_lines_before_it(tmp_path: Path) -> None:
    lines = write(tmp_path / "j")
    data = b"".join(lines)
    for cut in range(len(data)):
        (tmp_path / "cut").write_bytes(data[:cut])
        content = read_journal(tmp_path / "cut")
        whole = data[:cut].count(b"\n")
        assert len(content.entries) == whole
        assert content.length == sum(map(len, lines[:whole]))
        assert content.torn == (content.length < cut)
        assert content.damaged_line is None


def test_a_torn_line_is_cut_off_before_the_next_is_written(tmp_path: Path) -> None:
    lines = write(tmp_path / "j")
    (tmp_path / "j").write_bytes(b"".join(lines[:3]) + lines[3][:-1] + b"x" * 300)
    content = read_journal(tmp_path / "j")
    writer = JournalWriter(tmp_path / "j", content.length, 3)
    writer.append("redo", of=1)
    writer.close()
    again = read_journal(tmp_path / "j")
    assert [(e.number, e.op) for e in again.entries][2:] == [(3, "edit"), (4, "redo")]


def test_zeros_at_the_end_are_a_torn_line(tmp_path: Path) -> None:
    lines = write(tmp_path / "j")
    (tmp_path / "j").write_bytes(b"".join(lines) + b"\0" * 512)
    content = read_journal(tmp_path / "j")
    assert (len(content.entries), content.torn, content.damaged_line) == (5, True, None)


@pytest.mark.parametrize("damage", ["flip", "drop", "repeat", "swap"])
def test_damage_in_the_middle_is_found(tmp_path: Path, damage: str) -> None:
    lines = write(tmp_path / "j")
    if damage == "flip":
        lines[1] = lines[1].replace(b"before", b"befare")
    elif damage == "drop":
        del lines[1]
    elif damage == "repeat":
        lines.insert(1, lines[0])
    else:
        lines[1], lines[2] = lines[2], lines[1]
    (tmp_path / "j").write_bytes(b"".join(lines))
    content = read_journal(tmp_path / "j")
    assert content.damaged_line == 2
    assert len(content.entries) == 1


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    line = write(tmp_path / "j")[0].rstrip(b"\n")
    assert parse_line(line) is not None
    for place in range(len(line)):
        assert parse_line(line[:place] + bytes([line[place] ^ 4]) + line[place + 1 :]) is None


def test_a_full_disk_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "j")
    before = (tmp_path / "j").read_bytes()
    writer = JournalWriter(tmp_path / "j", len(before), 5)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"No space left.*was not done"):
            writer.append("undo", of=3)
    assert (tmp_path / "j").read_bytes() == before
    assert writer.append("undo", of=3).number == 6
    writer.close()
    assert [e.number for e in read_journal(tmp_path / "j").entries] == [1, 2, 3, 4, 5, 6]


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none").entries == []


def test_a_long_journal_is_not_read_edit_by_edit_when_its_files_are_up_to_date(
    project: Project, source_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening takes as long as going over the lines; edits are read when they are undone."""
    ids = [project.add_atoms(source_id, 0, make_atoms([[k, 1]], "Pb"))[0] for k in range(30)]
    project.close()
    read: list[int] = []
    whole = Entry.edit

    def counted(entry: Entry) -> Edit:
        read.append(entry.number)
        return whole(entry)

    monkeypatch.setattr(Entry, "edit", counted)
    with Project.open(project.path) as again:
        assert read == []
        assert not again.recovered.happened
        for expected in range(30, 0, -1):
            assert again.undo()
            assert read[-1] == expected
        assert again.count_atoms(source_id, 0) == 0
        assert not again.undo()
    assert len(read) == len(ids)
