"""The hand's acts and seconds come from the journal, so they survive closing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.project import Project
from napari_apgan.project.effort import IDLE_SECONDS, Effort
from napari_apgan.project.journal import Entry


def line(number: int, seconds: float, op: str = "edit") -> Entry:
    time = f"2026-05-04T12:{int(seconds // 60):02}:{seconds % 60:06.3f}+00:00"
    return Entry(number, time, op, 0, b"")


def test_the_time_between_acts_counts_and_long_pauses_do_not() -> None:
    effort = Effort([line(1, 0), line(2, 2.5), line(3, 4), line(4, 600, "undo"), line(5, 601)])
    assert effort.acts == 5
    assert effort.seconds() == pytest.approx(4 + IDLE_SECONDS + 1)


def test_marks_are_no_acts_and_a_clock_that_runs_back_takes_nothing_away() -> None:
    effort = Effort([line(1, 10), line(2, 5, "mark"), line(3, 4)])
    assert (effort.acts, effort.seconds()) == (2, 0.0)


def test_the_clock_goes_on_after_an_act_and_pauses() -> None:
    effort = Effort([line(1, 0), line(2, 3)])
    end = 1777896000.0 + 3  # 12:00:03
    assert effort.seconds(end + 4) == pytest.approx(7)
    assert effort.running(end + 4)
    assert effort.seconds(end + 400) == pytest.approx(3 + IDLE_SECONDS)
    assert not effort.running(end + 400)
    assert Effort().seconds(end) == 0


def test_a_project_counts_and_goes_on_counting_after_reopening(
    project: Project, source_id: str, reopen: Callable[[Project], Project]
) -> None:
    project.add_atoms(source_id, 0, make_atoms([[1, 1]], "Pb"))
    project.undo()
    project.redo()
    seconds = project.effort.seconds()
    assert project.effort.acts == 3
    again = reopen(project)
    assert (again.effort.acts, again.effort.seconds()) == (3, seconds)
    again.add_atoms(source_id, 0, make_atoms([[2, 2]], "Pb"))
    assert again.effort.acts == 4
