"""Whether another round is worth it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_apgan.atoms import make_atoms
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration
from napari_apgan.review.rounds import STABLE_SENTENCE, compare_rounds

GRID = np.array([(x, y) for y in range(0, 100, 10) for x in range(0, 100, 10)], float)
SCALE = Calibration.from_pixel_size(20.0, 10.0, origin="user")


def atoms(xy: np.ndarray, **columns: object) -> pd.DataFrame:
    return make_atoms(xy, "Ti", **columns)


def test_a_shift_is_measured_in_px_and_pm():
    change = compare_rounds(atoms(GRID), atoms(GRID + np.array([0.3, 0.4])), calibration=SCALE)
    assert change.n_matched == 100
    assert change.n_appeared == change.n_vanished == change.n_relabelled == 0
    assert change.moved_px == pytest.approx(0.5)
    assert change.moved_pm == pytest.approx(np.hypot(6, 4))
    assert not change.stable
    assert change.sentence.startswith("Positions moved by 7.2 pm")


def test_what_came_went_and_changed_its_element_is_counted():
    before = atoms(GRID[:-3])
    after = atoms(GRID[2:])
    after.loc[:4, "element"] = "Sr"
    change = compare_rounds(before, after)
    assert (change.n_appeared, change.n_vanished, change.n_relabelled) == (3, 2, 5)
    assert change.changed_share == pytest.approx(10 / 100)
    assert not change.stable


def test_positions_that_hardly_move_are_stable():
    change = compare_rounds(atoms(GRID), atoms(GRID + np.array([0.1, 0.0])))
    assert change.stable
    assert change.sentence == STABLE_SENTENCE == "Positions are stable. You can stop."


def test_movement_within_the_standard_error_is_stable():
    moved = GRID + np.array([0.4, 0.0])
    unsure = atoms(moved, sigma_x_pm=15.0, sigma_y_pm=15.0)
    assert compare_rounds(atoms(GRID), unsure, calibration=SCALE).stable
    sure = atoms(moved, sigma_x_pm=3.0, sigma_y_pm=3.0)
    assert not compare_rounds(atoms(GRID), sure, calibration=SCALE).stable


def test_few_atoms_prove_nothing():
    change = compare_rounds(atoms(GRID[:40]), atoms(GRID[:40]))
    assert not change.stable
    assert change.sentence.startswith("Only 40 atoms")


def test_frames_are_compared_one_by_one():
    """The same positions on another frame are other atoms."""
    change = compare_rounds([atoms(GRID), atoms(GRID[:0])], [atoms(GRID[:0]), atoms(GRID)])
    assert (change.n_matched, change.n_appeared, change.n_vanished) == (0, 100, 100)
    with pytest.raises(UserError, match="same frames"):
        compare_rounds([atoms(GRID)], [atoms(GRID), atoms(GRID)])
