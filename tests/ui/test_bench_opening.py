"""The benchmark of opening, on one real process, and what it says of several."""

from __future__ import annotations

import sys

import pytest

from napari_apgan.bench import opening
from napari_apgan.bench.opening import Opening, OpeningResult, measure
from napari_apgan.errors import UserError

pytestmark = pytest.mark.gui


def test_a_fresh_process_is_measured():
    result = measure(1)
    assert len(result.runs) == 1
    assert result.median("napari_s") > 0
    assert result.median("workbench_cpu_s") > 0


def test_the_median_is_told_and_held_to_the_limit():
    runs = [
        Opening(napari_s=2.0, napari_cpu_s=1.9, workbench_s=s, workbench_cpu_s=0.5)
        for s in (0.7, 3.0, 0.8)
    ]
    result = OpeningResult(runs=tuple(runs))
    assert result.median("workbench_s") == 0.8
    assert "0.80 s (0.50 s)   each: 0.70 3.00 0.80" in result.table()
    assert result.table().endswith("kept")
    slow = OpeningResult(runs=(runs[1],))
    assert not slow.quick
    assert "NOT kept" in slow.table()


def test_a_window_that_does_not_open_is_a_sentence(monkeypatch):
    monkeypatch.setattr(opening, "_screen", lambda: [sys.executable, "-c", "1/0"])
    with pytest.raises(UserError, match=r"check that napari starts .*ZeroDivisionError"):
        measure(1)
