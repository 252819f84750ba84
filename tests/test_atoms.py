"""The atom table: any table with element, x and y becomes one, or is refused in a sentence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from napari_apgan.atoms import (
    COLUMNS,
    concat,
    conform,
    empty_atoms,
    make_atoms,
    next_id,
    positions,
    with_calibration,
)
from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration


def test_three_columns_make_a_table() -> None:
    table = conform(pd.DataFrame({"y_px": [2, 4], "element": ["Pb", "Ti"], "x_px": ["1", "3.5"]}))
    assert list(table.columns) == list(COLUMNS)
    assert positions(table).tolist() == [[1.0, 2.0], [3.5, 4.0]]
    assert table["id"].tolist() == [0, 1]
    assert table["origin"].tolist() == ["human", "human"]
    assert table["x_pm"].isna().all()


def test_every_column_has_its_type() -> None:
    for table in (empty_atoms(), make_atoms([[1, 2]], "A", round=3, flag="x")):
        for name, (kind, _) in COLUMNS.items():
            assert str(table[name].dtype) == ("str" if kind == "str" else kind), name


def test_conforming_twice_changes_nothing_and_copies() -> None:
    table = make_atoms([[1, 2], [3, 4]], ["A", "B"], sigma_x_pm=[0.1, np.nan])
    again = conform(table)
    assert_frame_equal(again, table)
    again.loc[0, "x_px"] = 9.0
    assert table["x_px"].iloc[0] == 1.0


def test_absent_values_get_the_default() -> None:
    table = conform(
        pd.DataFrame(
            {
                "element": ["A", None, np.nan],
                "x_px": [1.0, 2.0, 3.0],
                "y_px": [0, 0, 0],
                "round": [1, None, 2],
                "probability": [0.5, None, "0.25"],
                "colour": ["red"] * 3,
            }
        )
    )
    assert table["element"].tolist() == ["A", "unknown", "unknown"]
    assert table["round"].tolist() == [1, 0, 2]
    np.testing.assert_array_equal(table["probability"], [0.5, np.nan, 0.25])
    assert "colour" not in table.columns


def test_rows_without_an_id_get_the_next_ones() -> None:
    table = make_atoms(np.zeros((4, 2)), "A", id=[7, -1, 3, -1])
    assert table["id"].tolist() == [7, 8, 3, 9]
    assert next_id(table["id"]) == 10
    assert next_id(empty_atoms()["id"]) == 0


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"x_px": [1]}, "lacks the columns element, y_px"),
        ({"element": ["A"], "x_px": [1.0]}, "lacks the column y_px"),
        ({"element": ["A"], "x_px": [np.nan], "y_px": [1]}, "positions that are not numbers"),
        ({"element": ["A"], "x_px": [1], "y_px": [np.inf]}, "positions that are not numbers"),
        ({"element": ["A"], "x_px": ["one"], "y_px": [1]}, "x_px of the atom table is not all"),
        ({"element": ["A"], "x_px": [1], "y_px": [1], "frame": [0.5]}, "whole numbers"),
        ({"element": ["A"], "x_px": [1], "y_px": [1], "round": [np.inf]}, "whole numbers"),
    ],
)
def test_what_is_no_atom_table_is_refused(columns: dict[str, list[object]], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        conform(pd.DataFrame(columns))


def test_positions_in_pm_follow_the_calibration() -> None:
    table = make_atoms([[10, 20]], "A")
    calibrated = with_calibration(table, Calibration.from_pixel_size(5.0, 7.0, origin="user"))
    assert calibrated[["x_pm", "y_pm"]].to_numpy().tolist() == [[50.0, 140.0]]
    assert with_calibration(calibrated, Calibration())[["x_pm", "y_pm"]].isna().all(axis=None)
    assert table["x_pm"].isna().all()


def test_stacking_keeps_ids() -> None:
    one, two = make_atoms([[1, 1]], "A", id=5), make_atoms([[2, 2]], "B", id=2)
    assert concat([one, empty_atoms(), two])["id"].tolist() == [5, 2]
    assert_frame_equal(concat([]), empty_atoms())


def test_a_table_without_rows_takes_any_columns() -> None:
    assert_frame_equal(make_atoms(np.zeros((0, 2)), "A", flag="x"), empty_atoms())
