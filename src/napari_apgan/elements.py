"""Elements: the classes of atoms a user tells apart, with their colours.

An element is named by a chemical symbol or by any class the user invents (``A``, ``Ti/O``,
``unknown``); nothing downstream treats the two differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .errors import UserError

Polarity = Literal["bright", "dark"]

#: Okabe and Ito's colour-blind-safe set, ordered for contrast on a grey image.
SAFE_COLORS: tuple[str, ...] = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#D55E00",
    "#CC79A7",
    "#0072B2",
)

#: Colours of Chen et al. 2023: Pb magenta, Sr cyan, Ti yellow; graphene's C green.
PAPER_COLORS: dict[str, str] = {
    "Pb": "#FF00FF",
    "Sr": "#00FFFF",
    "Ti": "#FFFF00",
    "C": "#00FF00",
}

PaletteName = Literal["safe", "paper"]

_HEX = re.compile(r"#[0-9A-Fa-f]{6}")


def _hex_color(value: str) -> str:
    if not _HEX.fullmatch(value):
        raise ValueError(f"colour must look like #RRGGBB, not {value!r}")
    return value.upper()


def _class_name(value: str) -> str:
    value = value.strip()
    if not value or len(value) > 24 or any(c in value for c in ',;"\n\r\t'):
        raise ValueError(
            "an element needs a name of 1 to 24 characters without commas, quotes or line breaks"
        )
    return value


Color = Annotated[str, AfterValidator(_hex_color)]
ElementName = Annotated[str, AfterValidator(_class_name)]


class Element(BaseModel):
    """One class of atoms.

    Parameters
    ----------
    name : str
        Chemical symbol or free class name.
    color : str
        ``#RRGGBB``.
    polarity : {"bright", "dark"}
        Whether its atoms are local maxima or minima of the image.
    radius_pm : float, optional
        Radius of its disc on the output map, in pm; by default it follows from the spacing of
        the atoms (:func:`napari_apgan.maps.default_radius_px`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ElementName
    color: Color
    polarity: Polarity = "bright"
    radius_pm: float | None = Field(default=None, gt=0, le=10_000)


def pick_color(name: str, taken: Iterable[str] = (), palette: PaletteName = "safe") -> str:
    """Choose a colour for a new element that is not yet taken.

    Parameters
    ----------
    name : str
        The element, looked up in the paper's palette when that is chosen.
    taken : iterable of str
        Colours in use.
    palette : {"safe", "paper"}
        ``safe`` is for colour-blind eyes, ``paper`` uses the colours of Chen et al. 2023.

    Returns
    -------
    str
        ``#RRGGBB``.
    """
    used = {c.upper() for c in taken}
    if palette == "paper" and name in PAPER_COLORS and PAPER_COLORS[name] not in used:
        return PAPER_COLORS[name]
    candidates = SAFE_COLORS if palette == "safe" else (*PAPER_COLORS.values(), *SAFE_COLORS)
    return next((c for c in candidates if c not in used), candidates[len(used) % len(candidates)])


def make_elements(names: Sequence[str], palette: PaletteName = "safe") -> list[Element]:
    """Make elements for `names`, each with a colour of its own."""
    elements: list[Element] = []
    for name in names:
        color = pick_color(name, [e.color for e in elements], palette)
        elements.append(Element(name=name, color=color))
    return elements


def find_element(elements: Iterable[Element], name: str) -> Element:
    """Return the element called `name`; `UserError` when there is none."""
    elements = list(elements)
    for element in elements:
        if element.name == name:
            return element
    known = ", ".join(e.name for e in elements) or "none yet"
    raise UserError(f"There is no element called {name!r} here (known: {known}).")


#: Symbols by atomic number, hydrogen first.
SYMBOLS: tuple[str, ...] = tuple(
    (
        "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As "
        "Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu "
        "Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np "
        "Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
    ).split()
)


def table_cell(symbol: str) -> tuple[int, int]:
    """Return (row, column), both from 0, of `symbol` in the usual 18-column periodic table.

    Lanthanides and actinides stand in rows 7 and 8, below their gap.
    """
    number = SYMBOLS.index(symbol) + 1
    if 57 <= number <= 71:
        return 7, number - 57 + 2
    if 89 <= number <= 103:
        return 8, number - 89 + 2
    row, start, length = next(
        (r, s, n)
        for r, (s, n) in enumerate(
            [(1, 2), (3, 8), (11, 8), (19, 18), (37, 18), (55, 32), (87, 32)]
        )
        if s <= number < s + n
    )
    from_left = number - start
    if from_left < (1 if length == 2 else 2):
        return row, from_left
    return row, 18 - (start + length - number)
