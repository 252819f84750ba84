"""The benchmark of edits runs, and says what it measured and who drew it."""

from __future__ import annotations

import pytest

from napari_apgan.bench.edits import measure, summarise

pytestmark = pytest.mark.gui


def test_medians_are_compared_with_the_limit():
    slow = {"add": [0.05, 0.01, 0.06], "undo": [0.01, 0.01, 0.01]}
    turn = {**slow, "pan": [0.03, 0.02, 0.2]}
    result = summarise(slow, turn, atoms=10, renderer="llvmpipe", cores=2)
    assert result.python_ms == {"add": 50.0, "undo": 10.0}
    assert result.turn_ms["pan"] == 30.0
    assert not result.quick
    assert "NOT kept" in result.table()
    assert "llvmpipe" in result.table()


def test_every_kind_of_edit_is_timed(qapp, tmp_path, monkeypatch):
    monkeypatch.setenv("APGAN_HOME", str(tmp_path))
    result = measure(atoms=1500, repeats=2)
    acts = {"add", "move", "change element", "remove", "undo", "redo"}
    assert set(result.python_ms) == acts
    assert set(result.turn_ms) == acts | {"pan"}
    assert all(ms > 0 for ms in result.python_ms.values())
    assert result.renderer
    assert result.atoms >= 1500
