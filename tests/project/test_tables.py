"""Atom tables survive CSV exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from napari_apgan.atoms import empty_atoms, make_atoms
from napari_apgan.errors import UserError
from napari_apgan.project import tables

numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(numbers, numbers, st.floats(), texts, texts, st.integers(-(2**40), 2**40)),
        max_size=6,
    )
)
def test_a_table_comes_back_from_csv_bit_for_bit(
    rows: list[tuple[float, float, float, str, str, int]],
) -> None:
    table = make_atoms(
        np.array([r[:2] for r in rows]).reshape(-1, 2),
        [r[3] for r in rows],
        sigma_x_pm=[r[2] for r in rows],
        flag=[r[4] for r in rows],
        grain=[r[5] for r in rows],
    )
    state = tables.decode_rows(tables.encode_rows(table), 3)
    text = tables.to_csv(state, ["one", tables.stamp(12, len(state))])
    assert tables.read_stamp(text) == (12, len(rows))
    assert_frame_equal(tables.from_csv(text), state, check_exact=True)


def test_an_empty_table_comes_back(tmp_path: object) -> None:
    text = tables.to_csv(empty_atoms(), [tables.stamp(0, 0)])
    assert_frame_equal(tables.from_csv(text), empty_atoms())


@pytest.mark.parametrize(
    "text", ["", "# only a comment", "a,b\n1,2\n", "\0\0\0", '"unclosed', "id\nx"]
)
def test_what_is_no_table_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(UserError, match="not a table of labels"):
        tables.from_csv(text)


def test_positions_must_be_numbers() -> None:
    table = make_atoms([[1.0, 2.0]], "A", id=1)
    text = tables.to_csv(table.assign(x_px=np.nan), [])
    with pytest.raises(UserError, match="positions that are not numbers"):
        tables.from_csv(text)


def test_rows_are_found_by_id() -> None:
    table = make_atoms(np.zeros((4, 2)), "A", id=[2, 5, 7, 11])
    assert tables.rows_of(table, [11, 2, 7]).tolist() == [3, 0, 2]
    for missing in (3, 12, -1):
        with pytest.raises(UserError, match=f"no atom number {missing}"):
            tables.rows_of(table, [2, missing])
    with pytest.raises(UserError, match="no atom number 1"):
        tables.rows_of(empty_atoms(), [1])


def test_insertion_keeps_the_order_of_ids() -> None:
    table = make_atoms(np.zeros((2, 2)), "A", id=[2, 7])
    more = make_atoms(np.ones((2, 2)), "B", id=[5, 11])
    joined = tables.insert(table, more)
    assert joined["id"].tolist() == [2, 5, 7, 11]
    assert_frame_equal(tables.remove(joined, [11, 5]), table)
