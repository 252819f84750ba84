"""The scripted user: what it counts, and that assistance saves what is asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.bench.effort import bench_effort
from napari_apgan.bench.effort_user import ACT_SECONDS, Hand, Task, corrected
from napari_apgan.errors import UserError
from napari_apgan.frames import make_frame


@pytest.fixture
def task() -> Task:
    """A clean square lattice of two elements."""
    line = np.arange(10.0, 110.0, 16.0)
    a = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    b = (a + 8.0)[((a + 8.0) < 100).all(axis=1)]
    y, x = np.mgrid[:112, :112]
    image = sum(
        h * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 8)
        for places, h in ((a, 100.0), (b, 50.0))
        for u, v in places
    )
    truth = pd.concat([make_atoms(a, "Sr"), make_atoms(b, "Ti")], ignore_index=True)
    return Task("lattice", make_frame(np.asarray(image)), truth, (0, 0, 112, 112))


def test_what_is_wrong_is_told_apart(task):
    labels = task.truth.copy()
    labels.loc[0, "element"] = "Ti"
    labels.loc[1, ["x_px", "y_px"]] += 6.0
    verdict = task.verdict(labels)
    assert (verdict.misnamed, verdict.false, verdict.missed) == ([0], [1], [1])
    assert verdict.right == len(labels) - 2
    assert verdict.f1 == pytest.approx((len(labels) - 2) / len(labels))


def test_corrections_are_counted_and_reach_what_is_asked(task):
    labels = task.truth.drop(index=[3, 4, 5]).reset_index(drop=True)
    labels.loc[0, "element"] = "Ti"
    labels = pd.concat([labels, make_atoms([[14.0, 18.0]], "Sr")], ignore_index=True)
    hand = Hand()
    strict = Task(task.name, task.frame, task.truth, task.box, target=1.0)
    mended = corrected(strict, labels, hand)
    assert strict.verdict(mended).f1 == 1.0
    # Three clicks for what is missed; the eraser, a click, out of it; a click and a key.
    assert dict(hand.acts) == {"click": 5, "key": 3}
    assert hand.seconds == pytest.approx(5 * ACT_SECONDS["click"] + 3 * ACT_SECONDS["key"])
    lenient = Hand()
    corrected(Task(task.name, task.frame, task.truth, task.box, target=0.5), labels, lenient)
    assert lenient.total == 0


def test_on_simulated_graphene_ten_times_fewer_acts_do():
    result = bench_effort(None)
    (line,) = result.lines
    print(result.report())
    assert line.periodic
    assert line.atoms > 110
    assert line.f1_after >= 0.98
    assert line.acts_unassisted == line.atoms + 1
    assert line.times_fewer >= 10
    with pytest.raises(UserError, match="no case 'pto_sro'"):
        bench_effort(None, cases=["pto_sro"])


@pytest.mark.parametrize("name", ["pto_sro", "srtio3_ser"])
def test_on_real_crystals_ten_times_fewer_acts_do(real_data, name):
    (line,) = bench_effort(real_data, cases=[name]).lines
    print(line)
    assert line.f1_after >= 0.98
    assert line.times_fewer >= 10


def test_single_atoms_are_labelled_as_well_as_asked(real_data):
    (line,) = bench_effort(real_data, cases=["ptnc_haadf"]).lines
    print(line)
    assert line.f1_after >= 0.9
    assert line.acts < line.acts_unassisted
