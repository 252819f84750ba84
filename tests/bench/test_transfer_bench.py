"""The transfer of labels, held against series whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_apgan.bench import transfer
from napari_apgan.bench.drifting import drifting
from napari_apgan.bench.transfer import TransferResult, bench_transfer
from napari_apgan.errors import UserError


@pytest.fixture(scope="module")
def result() -> TransferResult:
    """What is measured of two short series."""
    made = drifting(40, n_frames=6, snr=2.35, vanishing=0.1)
    patch = pytest.MonkeyPatch()

    def case(name: str, there: np.ndarray) -> transfer._Series:
        return transfer._Series(name, made.frames, list(made.places), there, made.drift)

    everywhere = np.ones_like(made.there)
    cases = [lambda: case("true", made.there), lambda: case("wrong", everywhere)]
    patch.setattr(transfer, "_simulated", lambda: cases)
    measured = bench_transfer(None)
    patch.undo()
    return measured


def test_atoms_that_are_gone_are_counted_as_such(result: TransferResult) -> None:
    line = result.lines[0]
    assert line.frames == 6
    assert line.carried == line.right
    assert line.gone > 10
    assert line.gone_carried == 0
    assert line.lost == 0
    assert line.error_px < 0.15
    assert line.drift_px < 0.2
    assert sum(line.reasons.values()) + line.carried == line.labels


def test_a_truth_that_says_otherwise_is_held_against_the_transfer(result: TransferResult) -> None:
    true, wrong = result.lines
    assert wrong.gone == 0
    assert wrong.lost == true.gone, "left out, though this truth has them"
    assert wrong.taught > 0.9 * wrong.lost


def test_the_report_is_a_table_with_its_machine(result: TransferResult) -> None:
    lines = result.report().splitlines()
    assert lines[2].startswith("| true")
    assert "vanished" in lines[2]
    assert lines[-1].startswith(result.machine.date)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        bench_transfer(tmp_path / "nowhere")
