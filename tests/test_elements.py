"""Elements, their colours, and the periodic table."""

import pytest
from pydantic import ValidationError

from napari_apgan.elements import SYMBOLS, Element, find_element, make_elements, table_cell
from napari_apgan.errors import UserError


def test_the_periodic_table_has_118_elements_each_in_a_cell_of_its_own():
    assert len(set(SYMBOLS)) == 118
    cells = {s: table_cell(s) for s in SYMBOLS}
    assert len(set(cells.values())) == 118
    assert all(0 <= row <= 8 and 0 <= column <= 17 for row, column in cells.values())


@pytest.mark.parametrize(
    ("symbol", "cell"),
    [("H", (0, 0)), ("He", (0, 17)), ("B", (1, 12)), ("Ti", (3, 3)), ("Sr", (4, 1)),
     ("Pb", (5, 13)), ("Hf", (5, 3)), ("La", (7, 2)), ("Lr", (8, 16)), ("Og", (6, 17))],
)  # fmt: skip
def test_elements_stand_where_chemists_look_for_them(symbol, cell):
    assert table_cell(symbol) == cell


def test_palettes_give_every_element_its_own_colour():
    paper = make_elements(["Pb", "Sr", "Ti"], "paper")
    assert [e.color for e in paper] == ["#FF00FF", "#00FFFF", "#FFFF00"]
    safe = make_elements(list("ABCDEFG"))
    assert len({e.color for e in safe}) == 7


def test_names_that_would_break_a_table_are_refused():
    for name in ("", "a,b", 'x"y', "x" * 25):
        with pytest.raises(ValidationError):
            Element(name=name, color="#000000")
    assert Element(name="Ti/O", color="#abcdef").color == "#ABCDEF"
    with pytest.raises(UserError, match="Xx"):
        find_element(make_elements(["Pb"]), "Xx")
