"""Pixel sizes: what files write, and what may be believed of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from napari_apgan.errors import UserError
from napari_apgan.frames import PIXEL_SIZE_BOUNDS_PM, Calibration

_PM = {
    1.0: "pm picometer picometre",
    1e2: "Å å A ang angstrom ångström ångstrom",
    1e3: "nm n_m nanometer nanometre",
    1e6: "µm um u_m µ_m micron micrometer micrometre",
    1e9: "mm millimeter millimetre",
    1e10: "cm centimeter centimetre",
    2.54e10: "inch in",
    1e12: "m meter metre",
}
_UNITS = {name: factor for factor, names in _PM.items() for name in names.split()}

#: Names of units that say nothing about a length.
_NO_UNIT = frozenset({"", "[]", "none", "null", "<undefined>", "undefined", "px", "pixel", "au"})

# µ and Å as they look after one or two wrong decodings, and their other code points.
_MOJIBAKE = (
    ("\\u00b5", "µ"),
    ("\\u00c5", "Å"),
    ("Ã\x85", "Å"),
    ("Ã…", "Å"),
    ("â„«", "Å"),
    ("\u212b", "Å"),
    ("Ã‚Âµ", "µ"),
    ("Âµ", "µ"),
    ("Î¼", "µ"),
    ("ï¿½m", "µm"),
    ("\ufffdm", "µm"),
    ("\u03bc", "µ"),
)

#: A length without a unit is taken for nm between these bounds, as hyperspy's users mean it.
_PLAIN_NM = (0.001, 0.5)


def length_in_pm(unit: str | None) -> float | None:
    r"""Return how many pm one `unit` is, or None when it is no length.

    Takes the spellings that microscope files hold: ``n_m``, ``micron``, ``\u00B5m``, a ``µ`` or
    ``Å`` decoded wrongly, plurals, any case where it cannot be mistaken.
    """
    text = (unit or "").strip().strip("\x00").strip()
    for wrong, right in _MOJIBAKE:
        text = re.sub(re.escape(wrong), right, text, flags=re.IGNORECASE)
    for candidate in (text, text.lower(), text.lower().removesuffix("s")):
        if candidate in _UNITS:
            return _UNITS[candidate]
    return None


def is_plain(unit: str | None) -> bool:
    """Whether a unit string says nothing at all."""
    text = (unit or "").strip().strip("\x00").strip().lower()
    return text in _NO_UNIT or text.removesuffix("s") in _NO_UNIT


@dataclass(frozen=True, slots=True)
class Scale:
    """What a file says of one axis: the size of a pixel and its unit, as stored."""

    value: float
    unit: str | None

    def __str__(self) -> str:
        return f"{self.value:.6g} {self.unit}" if not is_plain(self.unit) else f"{self.value:.6g}"


def scale_from(value: object, unit: object) -> Scale:
    """Make a scale of whatever a reader returned; a value that is no number becomes NaN."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(unit, bytes):
        unit = unit.decode("utf-8", "replace")
    return Scale(number, None if unit is None else str(unit))


def _pm_or_reason(scale: Scale) -> tuple[float | None, str]:
    """Return the pixel size in pm, and why not or how it was read."""
    if not math.isfinite(scale.value):
        return None, "is not a number"
    if scale.value <= 0:
        return None, "is not positive"
    if is_plain(scale.unit):
        if scale.value == 1.0:
            return None, "is 1 without a unit, which only says that nobody set it"
        if _PLAIN_NM[0] <= scale.value <= _PLAIN_NM[1]:
            return scale.value * 1e3, "without a unit, taken as nm"
        return None, "has no unit"
    factor = length_in_pm(scale.unit)
    if factor is None:
        return None, "is not a length"
    size = scale.value * factor
    if not PIXEL_SIZE_BOUNDS_PM[0] <= size <= PIXEL_SIZE_BOUNDS_PM[1]:
        return None, "is not between 0.5 pm and 1 µm a pixel"
    return size, ""


def calibration_from_scales(y: Scale, x: Scale, where: str) -> Calibration:
    """Judge the pixel sizes that a file holds.

    Parameters
    ----------
    y, x : Scale
        Along the rows' axis and along the columns' axis, as stored.
    where : str
        Which tag they come from, for the note.

    Returns
    -------
    Calibration
        From the file when both can be believed; else unknown, and the note says why.
    """
    sizes = []
    remarks: list[str] = []
    for scale in (y, x):
        size, reason = _pm_or_reason(scale)
        if size is None:
            return Calibration(
                note=f"The file's pixel size ({scale}, {where}) {reason}: give one, or a field "
                "of view."
            )
        sizes.append(size)
        remarks += [f"{scale} {reason}"] * bool(reason)
    y_pm, x_pm = sizes
    note = f"{describe(y_pm, x_pm)}, from {where} of the file"
    if remarks:
        note += f" ({remarks[0]}: check it)"
    return Calibration.from_pixel_size(x_pm, y_pm, origin="file", note=note + ".")


def describe(y_pm: float, x_pm: float) -> str:
    """Say a pixel size: one number, or y and x when they differ."""
    if math.isclose(y_pm, x_pm, rel_tol=1e-4):
        return f"{x_pm:.5g} pm a pixel"
    return f"{y_pm:.5g} pm a pixel along y and {x_pm:.5g} pm along x"


def parse_pixel_size(text: str) -> Calibration:
    """Read what a user typed: ``PM`` or ``PM_Y,PM_X``, in pm unless a unit follows the number.

    Raises
    ------
    UserError
        When it is not one or two positive numbers, or a size cannot be right.
    """
    parts = re.split(r"[,;]", text.strip())
    sizes = []
    for part in parts:
        found = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*(\D*?)\s*", part)
        factor = length_in_pm(found[2] or "pm") if found else None
        try:
            value = float(found[1]) if found else math.nan
        except ValueError:
            value = math.nan
        if factor is None or not math.isfinite(value) or len(parts) > 2:
            raise UserError(
                f"{text!r} is not a pixel size: write it in pm, as 21.8, or along y and x, as "
                "21.8,22.1."
            )
        sizes.append(value * factor)
    y_pm, x_pm = sizes[0], sizes[-1]
    return Calibration.from_pixel_size(
        x_pm,
        y_pm,
        origin="user",
        note=f"{y_pm:g} pm a pixel along y and {x_pm:g} along x, as given."
        if y_pm != x_pm
        else f"{x_pm:g} pm a pixel, as given.",
    )
