"""Timings of simulated frames, and the tables that hold `fast` against multislice."""

from __future__ import annotations

import pytest

from napari_apgan.bench import engines, simulation
from napari_apgan.bench.engines import EngineResult, HaadfRow, HrtemRow
from napari_apgan.bench.simulation import Timing, TimingResult, machine_with_abtem, measure
from napari_apgan.errors import UserError


def haadf_row(**changes: float | str) -> HaadfRow:
    fields: dict[str, float | str] = {
        "thickness_nm": 20.0,
        "tilt_mrad": 5.0,
        "element": "Ti",
        "intensity_ratio": 1.1,
        "mean_shift_pm": 0.4,
        "rms_shift_pm": 1.9,
        "seen_pm": 30.0,
    }
    return HaadfRow.model_validate(fields | changes)


def test_every_case_is_timed_and_the_table_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "SHAPE", (64, 64))
    fast = [case for case in simulation.CASES if "fast" in case[0]]
    monkeypatch.setattr(simulation, "CASES", tuple(fast))
    result = measure(repeats=1)
    assert [t.name for t in result.timings] == [case[0] for case in fast]
    assert all(t.image_s > 0 and t.build_s > 0 for t in result.timings)
    rows = [line for line in result.table().splitlines() if "fast" in line]
    assert [f"| {case[0]} |" in row for case, row in zip(fast, rows, strict=True)] == [True, True]
    assert result.pixel_size_pm == {fast[0][0]: 23.0, fast[1][0]: 29.0}


def test_the_report_says_how_many_times_faster_fast_is() -> None:
    seconds = {simulation.CASES[0][0]: 0.02, simulation.CASES[1][0]: 3.0}
    timings = tuple(
        Timing(name=name, build_s=1.0, image_s=s, first_s=s, limit_s=5.0)
        for name, s in seconds.items()
    )
    sizes = dict.fromkeys(seconds, 23.0)
    machine = machine_with_abtem()
    both = TimingResult(timings=timings, pixel_size_pm=sizes, machine=machine)
    assert both.speedup() == pytest.approx(150)
    assert "1 : 150" in both.report()
    assert str(machine) in both.report()
    alone = TimingResult(timings=timings[:1], pixel_size_pm=sizes, machine=machine)
    assert alone.speedup() is None
    assert "1 :" not in alone.report()


def test_a_row_says_what_is_not_as_asked_and_by_how_much() -> None:
    assert haadf_row().faults() == []
    assert haadf_row(intensity_ratio=0.8).faults() == ["intensity -20 %"]
    assert haadf_row(intensity_ratio=1.17, rms_shift_pm=2.3).faults() == [
        "intensity +17 %",
        "rms shift 2.30 pm",
    ]
    assert haadf_row(mean_shift_pm=0.51).faults() == ["mean shift 0.51 pm"]


def test_the_tables_count_the_rows_that_hold() -> None:
    graphene = HrtemRow(
        scene="perfect", lens="C1", correlation=0.99, gain=1.0, mean_shift_pm=0, rms_shift_pm=0
    )
    result = EngineResult(
        hrtem=(graphene, graphene.model_copy(update={"correlation": 0.97})),
        haadf=(haadf_row(), haadf_row(mean_shift_pm=3.0), haadf_row(element="Sr")),
        passes=2,
        machine=machine_with_abtem(),
    )
    assert "1 of 2 hold" in result.hrtem_table()
    assert "2 of 3 rows hold" in result.haadf_table()
    assert "| mean shift 3.00 pm |" in result.haadf_table()


def test_without_abtem_the_comparison_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"napari-apgan\[simulate\]"):
        engines.compare()
