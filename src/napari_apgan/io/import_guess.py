"""Guess what the columns of a table mean, and say how sure that is."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_apgan.frames import Frame

from .import_image import Fit, ask_image
from .import_tables import TextTable
from .import_types import LengthUnit, Question
from .units import length_in_pm

Floats = NDArray[np.float64]

_X = re.compile(r"(x|xm|cx|pos_?x|x_?pos(ition)?|x_?cent(er|re|roid)|col(umn)?s?|axis-?1)")
_Y = re.compile(r"(y|ym|cy|pos_?y|y_?pos(ition)?|y_?cent(er|re|roid)|rows?|lines?|axis-?0)")
_ROW_OR_COLUMN = re.compile(r"(rows?|lines?|col(umn)?s?|axis-?[01])")
_ELEMENT = re.compile(
    r"(element|symbol|species|label|type|class|atom|group|sublattice|counter|category|name)"
)
_FRAME = re.compile(r"(frame|slice|t|frame_?number|time|position|image)")
_UNIT = re.compile(r"[\(\[_ ]*(px|pixels?|pix|nm|n_m|å|a|ang(?:strom)?s?|pm|µm|um)[\)\]]*$")

#: Guesses surer than this are not asked.
SURE = 0.9


@dataclass(slots=True)
class Guess:
    """What a table seems to hold; each with how sure that is."""

    x: int
    y: int
    order: float
    element: int | None = None
    frame: int | None = None
    unit: LengthUnit = "px"
    unit_sure: float = 1.0
    first_pixel: float = 0.0
    first_pixel_sure: float = 0.5
    notes: list[str] | None = None


def plain(name: str) -> tuple[str, str]:
    """Return a column's name in lower case without its unit, and the unit ("" for none)."""
    text = name.strip().strip('"').lower().replace(" ", "")
    found = _UNIT.search(text)
    if found and found.start() > 0:
        return text[: found.start()].strip("_-.([ "), found.group(1)
    return text, ""


def guess_columns(table: TextTable) -> tuple[int, int, float]:
    """Return the columns of x and y, and how sure that is."""
    names = [plain(n)[0] for n in table.names] if table.header else []
    xs = [k for k, n in enumerate(names) if _X.fullmatch(n)]
    ys = [k for k, n in enumerate(names) if _Y.fullmatch(n)]
    if xs and ys:
        both_spoken = _ROW_OR_COLUMN.fullmatch(names[xs[0]]) and _ROW_OR_COLUMN.fullmatch(
            names[ys[0]]
        )
        return xs[0], ys[0], 1.0 if both_spoken else 0.95
    numeric = [k for k in range(table.width) if _is_coordinate(table, k)]
    if len(numeric) < 2:
        numeric = [k for k in range(table.width) if np.isfinite(table.numbers(k)).any()]
    first = numeric[0] if numeric else 0
    second = numeric[1] if len(numeric) > 1 else min(first + 1, table.width - 1)
    return first, second, 0.5


def _is_coordinate(table: TextTable, column: int) -> bool:
    """Whether a column holds positions: numbers that vary and do not just count the rows."""
    values = table.numbers(column)
    if np.isfinite(values).mean() < 0.8:
        return False
    values = values[np.isfinite(values)]
    counting = len(values) > 2 and bool((np.diff(values) == 1).all())
    return len(np.unique(values)) > max(1, 0.2 * len(values)) and not counting


def other_columns(table: TextTable, x: int, y: int) -> tuple[int | None, int | None]:
    """Return the columns of element and frame, where there are such."""
    element = frame = None
    if table.header:
        names = [plain(n)[0] for n in table.names]
        for k, name in enumerate(names):
            if k in (x, y):
                continue
            if element is None and _ELEMENT.fullmatch(name) and _speaks(table, k):
                element = k
            elif frame is None and _FRAME.fullmatch(name) and _whole(table.numbers(k)):
                frame = k
        return element, frame
    for k in range(table.width):
        if k not in (x, y) and np.isnan(table.numbers(k)).all() and _speaks(table, k):
            return k, None
    return None, None


def _speaks(table: TextTable, column: int) -> bool:
    """Whether a column names few classes: not one value a row, and short ones."""
    cells = [row[column] for row in table.rows]
    return len(set(cells)) <= max(24, len(cells) // 5) and all(len(c) <= 24 for c in cells)


def _whole(values: Floats) -> bool:
    values = values[np.isfinite(values)]
    return bool(len(values)) and bool((values == np.rint(values)).all() and (values >= 0).all())


def guess(table: TextTable, frame: Frame | None, shape: tuple[int, int] | None) -> Guess:
    """Guess columns, order, unit and origin.

    Parameters
    ----------
    table : TextTable
    frame : Frame, optional
        The image that the labels belong to: it can tell the order, and often the origin.
    shape : (int, int), optional
        (rows, columns) of the image, where only that is known.
    """
    x, y, order = guess_columns(table)
    element, number = other_columns(table, x, y)
    out = Guess(x, y, order, element, number, notes=[])
    a, b = table.numbers(x), table.numbers(y)
    good = np.isfinite(a) & np.isfinite(b)
    a, b = a[good], b[good]
    size_pm = frame.calibration.mean_pm if frame is not None else None
    shape = frame.shape if frame is not None else shape
    out.unit, out.unit_sure = guess_unit(table, x, a, b, shape, size_pm)
    if out.unit != "px":
        factor = {"nm": 1e3, "Å": 100.0, "pm": 1.0}[out.unit]
        if size_pm is None:
            return out
        a, b = a * factor / size_pm, b * factor / size_pm
    if shape is not None and out.order < SURE:
        _order_from_shape(out, a, b, shape)
    if frame is not None and len(a):
        _from_image(out, ask_image(frame, a, b), named=order > SURE)
    _origin_from_values(out, a, b)
    return out


def _order_from_shape(out: Guess, a: Floats, b: Floats, shape: tuple[int, int]) -> None:
    rows, columns = shape
    fits = a.max(initial=0) <= columns + 1 and b.max(initial=0) <= rows + 1
    fits_swapped = a.max(initial=0) <= rows + 1 and b.max(initial=0) <= columns + 1
    if fits != fits_swapped:
        out.order = 0.97
        if fits_swapped:
            out.x, out.y = out.y, out.x


def _from_image(out: Guess, fit: Fit, *, named: bool) -> None:
    trust = float(1 - 0.5 * np.exp(-fit.order_sigmas / 2))
    if not named and out.order < SURE and fit.order_sigmas > 0:
        if fit.swapped:
            out.x, out.y = out.y, out.x
        out.order = max(out.order, min(trust, 0.99))
    elif named and fit.swapped and fit.order_sigmas > 6:
        # Programs that call rows x exist; the image says so, but the user decides.
        out.order = 0.4
        if out.notes is not None:
            out.notes.append("The image fits better with x and y exchanged.")
    if fit.first_pixel_sigmas > 4:
        out.first_pixel, out.first_pixel_sure = fit.first_pixel, 0.93


def _origin_from_values(out: Guess, a: Floats, b: Floats) -> None:
    """Smallest values and fractions: 0 needs an origin of 0, halves say 0.5."""
    if out.unit != "px" or not len(a) or out.first_pixel_sure > SURE:
        return
    both = np.concatenate([a, b])
    if both.min() < -0.51:
        out.first_pixel, out.first_pixel_sure = 0.0, 0.6
    elif (np.abs(both % 1 - 0.5) < 1e-9).all():
        out.first_pixel, out.first_pixel_sure = 0.5, 0.85
    elif both.min() < 0.5:
        out.first_pixel, out.first_pixel_sure = 0.0, 0.8


def guess_unit(
    table: TextTable,
    column: int,
    a: Floats,
    b: Floats,
    shape: tuple[int, int] | None,
    size_pm: float | None,
) -> tuple[LengthUnit, float]:
    """Return the unit of the positions, and how sure that is."""
    spoken = plain(table.names[column])[1] if table.header else ""
    if spoken in ("px", "pix", "pixel", "pixels"):
        return "px", 1.0
    by_name: dict[float, LengthUnit] = {1e3: "nm", 100.0: "Å", 1.0: "pm"}
    factor = length_in_pm("Å" if spoken in ("a", "å") else spoken) if spoken else None
    if factor in by_name:
        return by_name[factor], 1.0
    if shape is None or not len(a):
        return "px", 0.7
    extent = max(float(np.ptp(a)), float(np.ptp(b)), 1e-9)
    side = float(max(shape))
    fits = [("px", extent / side)]
    if size_pm is not None:
        fits += [(u, extent * f / size_pm / side) for f, u in by_name.items()]
    filling = [(u, share) for u, share in fits if 0.25 <= share <= 1.05]
    if fits[0][1] > 0.25:
        return ("px", 0.95) if fits[0][1] <= 1.05 else _other(filling)
    return _other(filling)


def _other(filling: list[tuple[str, float]]) -> tuple[LengthUnit, float]:
    lengths = [u for u, _ in filling if u != "px"]
    if len(lengths) == 1:
        only: dict[str, LengthUnit] = {"nm": "nm", "Å": "Å", "pm": "pm"}
        return only[lengths[0]], 0.85
    return "px", 0.4


def questions(out: Guess, names: tuple[str, ...], *, calibrated: bool) -> tuple[Question, ...]:
    """Return what must be asked, the surest answer first."""
    asked = []
    if out.order < SURE:
        as_is = f"{names[out.x]} is x (column), {names[out.y]} is y (row)"
        turned = f"{names[out.y]} is x (column), {names[out.x]} is y (row)"
        asked.append(Question("order", "Which column is x, along the width?", (as_is, turned)))
    if out.unit_sure < SURE:
        options = [out.unit, *[u for u in ("px", "nm", "Å", "pm") if u != out.unit]]
        asked.append(Question("unit", "In which unit are the positions?", tuple(options)))
    if out.unit != "px" and not calibrated:
        asked.append(Question("pixel_size_pm", "How large is a pixel of this image, in pm?"))
    if out.first_pixel_sure < SURE and out.unit == "px":
        options = [f"{out.first_pixel:g}", *[o for o in ("0", "0.5", "1")
                                            if float(o) != out.first_pixel]]  # fmt: skip
        asked.append(
            Question(
                "first_pixel",
                "Which coordinate has the centre of the first pixel (0 in napari, 0.5 in "
                "ImageJ for points between pixels, 1 in MATLAB)?",
                tuple(options),
            )
        )
    if out.element is None:
        asked.append(Question("element", "Which element are these atoms?"))
    return tuple(asked)
