"""Atom tables: what is written reads back exactly; what others write is understood or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_apgan.atoms import conform, empty_atoms, make_atoms
from napari_apgan.errors import UserError
from napari_apgan.io import read_atoms, write_atoms

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.one_of(st.just(np.nan), FINITE)
NAMES = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters='#,;"\x7f\x85\xa0'),
    min_size=1,
    max_size=8,
)


@st.composite
def atom_tables(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(0, 6))

    def column(values: st.SearchStrategy[object]) -> list[object]:
        return draw(st.lists(values, min_size=n, max_size=n))

    ids = draw(st.lists(st.integers(0, 2**62), min_size=n, max_size=n, unique=True))
    return conform(
        pd.DataFrame(
            {
                "id": pd.Series(ids, dtype="int64"),
                "frame": pd.Series(column(st.integers(0, 10_000)), dtype="int64"),
                "element": pd.Series(column(NAMES), dtype=object),
                "x_px": pd.Series(column(FINITE), dtype=float),
                "y_px": pd.Series(column(FINITE), dtype=float),
                "sigma_x_pm": pd.Series(column(ANY), dtype=float),
                "probability": pd.Series(column(st.floats(0, 1)), dtype=float),
                "round": pd.Series(column(st.integers(0, 99)), dtype="int64"),
                "flag": pd.Series(
                    column(st.sampled_from(["", "too close, refused"])), dtype=object
                ),
            }
        )
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=atom_tables(), comment=st.sampled_from(["", "one", "two\nlines", "element,x_px"]))
def test_a_written_table_reads_back_exactly(
    table: pd.DataFrame, comment: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    write_atoms(table, path, comments=[comment])
    pd.testing.assert_frame_equal(read_atoms(path), table, check_exact=True)


def test_a_file_is_replaced_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.atoms.csv"
    for n in (3, 1):
        write_atoms(make_atoms(np.ones((n, 2)), "Pb"), path)
        assert len(read_atoms(path)) == n
    assert [p.name for p in path.parent.iterdir()] == ["a.atoms.csv"]
    write_atoms(empty_atoms(), path)
    assert len(read_atoms(path)) == 0


def test_one_atom_stays_one_line_whatever_its_flag_says(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_atoms(make_atoms([[1, 2]], "Pb", flag="two\nlines"), path)
    assert len(path.read_text().splitlines()) == 2
    assert read_atoms(path)["flag"].to_list() == ["two lines"]


def test_a_refused_write_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(UserError, match="could not be written"):
        write_atoms(empty_atoms(), tmp_path / "a.csv")


EXPECTED = [("Pb", 10.5, 20.25), ("Ti", 11.0, 21.0)]


@pytest.mark.parametrize(
    "text",
    [
        "element,x_px,y_px\nPb,10.5,20.25\nTi,11,21\n",
        "# made by hand\n# x is the column\nelement,x_px,y_px\nPb,10.5,20.25\n#\nTi,11,21",
        "element,x_px,y_px\r\r\nPb,10.5,20.25\r\r\nTi,11,21\r\r\n",
        "element,x_px,y_px\rPb,10.5,20.25\rTi,11,21\r",
        "\ufeffelement;x_px;y_px\r\nPb;10.5;20.25\r\nTi;11;21\r\n",
        "element\tx_px\ty_px\nPb\t10.5\t20.25\nTi\t11\t21\n",
        "element  x_px   y_px\nPb  10.5  20.25\nTi  11  21\n",
        "Row,Col,Element\n20.25,10.5,Pb\n21,11,Ti\n",
        "y,x,symbol\n20.25,10.5,Pb\n21,11,Ti\n",
        '"X (px)","Y (px)","Label"\n10.5,20.25,"Pb"\n11,21,"Ti"\n',
        "index,axis-0,axis-1,element\n0,20.25,10.5,Pb\n1,21,11,Ti\n",
        "element,x_px,y_px,mine\nPb,1.05e1,20.25,?\nTi,11,21,\n",
    ],
)
def test_tables_of_other_programs_are_understood(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    table = read_atoms(path)
    assert list(zip(table["element"], table["x_px"], table["y_px"], strict=True)) == EXPECTED
    assert table["id"].to_list() == [0, 1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Pb,10.5,20.25\n", "no header .*'Pb,10.5,20.25'"),
        ("10.5,20.25\n11,21\n", "no header"),
        ("element,a,b\nPb,1,2\n", r"lacks x_px, y_px: it has the columns element, a, b"),
        ("x,y\n1,2\n", "lacks element"),
        ("element,x_px,y_px\nPb,one,2\n", "x_px in row 1 is 'one'"),
        ("element,x_px,y_px\nPb,1,\n", "not numbers"),
        ("element,x_px,y_px\nPb,1,inf\n", "not numbers"),
        ("element,x_px,y_px\nPb,1,2,3\n", "Row 1 .* 4 values for 3 columns"),
        ("element,x,x_px,y\nPb,1,2,3\n", "more than one column that means x_px"),
        ("id,element,x_px,y_px\n1.5,Pb,1,2\n", "no whole number"),
        ("id,element,x_px,y_px\n1e30,Pb,1,2\n", "no whole number"),
        ("# nothing\n", "holds no table"),
        ("\x00\x01", "not a text file"),
    ],
)
def test_what_cannot_be_understood_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    with pytest.raises(UserError, match=sentence):
        read_atoms(path)


def test_a_table_without_a_header_needs_its_columns_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("20.25 10.5\n21 11\n")
    table = read_atoms(path, columns=("row", "col"), element="Pt")
    assert table["x_px"].to_list() == [10.5, 11.0]
    assert table["y_px"].to_list() == [20.25, 21.0]
    assert set(table["element"]) == {"Pt"}


@pytest.mark.data
def test_the_real_tables_are_read(real_data: Path) -> None:
    counts = {
        "graphene_flower/graphene_flower.csv": 1001,
        "pto_sro/pto_sro_left.csv": 222,
        "srtio3_ser/16_STOimage_1.csv": 1215,
        "ptir_particle/ptir.csv": 140,
        "hmm_series/hmm_series.csv": 5 * 117,
    }
    for name, count in counts.items():
        assert len(read_atoms(real_data / name)) == count
    labelled = [read_atoms(p) for p in (real_data / "ptnc_haadf").glob("*.csv")]
    assert sum(map(len, labelled)) == 481
    series = read_atoms(real_data / "hmm_series/hmm_series.csv")
    assert sorted(set(series["frame"])) == [0, 1, 2, 3, 4]
