"""Pixel sizes as files and users write them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.io import parse_pixel_size
from napari_apgan.io.units import Scale, calibration_from_scales, length_in_pm, scale_from


@pytest.mark.parametrize(
    ("unit", "pm"),
    [
        ("pm", 1),
        ("Å", 100),
        ("\u212b", 100),
        ("A", 100),
        ("Angstroms", 100),
        ("Ã…", 100),
        ("nm", 1e3),
        ("n_m", 1e3),
        (" NM ", 1e3),
        ("nanometers", 1e3),
        ("nm\x00", 1e3),
        ("µm", 1e6),
        ("μm", 1e6),
        ("um", 1e6),
        ("Âµm", 1e6),
        ("Ã‚Âµm", 1e6),
        ("Î¼m", 1e6),
        ("ï¿½m", 1e6),
        ("\ufffdm", 1e6),
        ("\\u00B5m", 1e6),
        ("micron", 1e6),
        ("microns", 1e6),
        ("mm", 1e9),
        ("m", 1e12),
    ],
)
def test_units_in_every_spelling(unit: str, pm: float) -> None:
    assert length_in_pm(unit) == pm


@pytest.mark.parametrize("unit", ["1/nm", "s", "eV", "", "px", None, "nm^2", "mrad"])
def test_what_is_no_length(unit: str | None) -> None:
    assert length_in_pm(unit) is None


def test_metres_are_taken_when_the_number_fits() -> None:
    calibration = calibration_from_scales(Scale(2.5e-11, "m"), Scale(2e-11, "m"), "the header")
    assert (calibration.y_pm, calibration.x_pm) == pytest.approx((25, 20))


@pytest.mark.parametrize(
    ("y", "x", "why"),
    [
        (Scale(-1.0, "nm"), Scale(-1.0, "nm"), "not positive"),
        (Scale(1.0, None), Scale(1.0, None), "1 without a unit"),
        (Scale(1.0, "[]"), Scale(1.0, "[]"), "1 without a unit"),
        (Scale(0.02, "nm"), Scale(1.0, None), "1 without a unit"),
        (Scale(0.0, "nm"), Scale(0.02, "nm"), "not positive"),
        (Scale(5.0, "px"), Scale(5.0, "px"), "has no unit"),
        (Scale(0.1, "1/nm"), Scale(0.1, "1/nm"), "not a length"),
        (Scale(1e-4, "nm"), Scale(1e-4, "nm"), "not between"),
    ],
)
def test_scales_that_cannot_be_believed(y: Scale, x: Scale, why: str) -> None:
    calibration = calibration_from_scales(y, x, "the header")
    assert not calibration.known
    assert calibration.origin == "unknown"
    assert why in calibration.note
    assert "give one" in calibration.note


def test_a_plausible_number_without_unit_is_nm_and_says_so() -> None:
    calibration = calibration_from_scales(Scale(0.0093, None), Scale(0.0093, ""), "the axes")
    assert calibration.x_pm == pytest.approx(9.3)
    assert "taken as nm: check it" in calibration.note


def test_whatever_a_reader_returns_becomes_a_scale() -> None:
    assert scale_from(np.float32(2), b"nm") == Scale(2.0, "nm")
    for odd in (None, "x", [1, 2], np.array([1.0, 2.0])):
        assert np.isnan(scale_from(odd, None).value)


@pytest.mark.parametrize(
    ("text", "y", "x"),
    [
        ("21.8", 21.8, 21.8),
        (" 21.8 , 22 ", 21.8, 22.0),
        ("0.0218nm", 21.8, 21.8),
        ("0.218 Å,0.22Å", 21.8, 22.0),
        ("2.18e1", 21.8, 21.8),
        ("20;25", 20.0, 25.0),
    ],
)
def test_a_user_gives_pm_or_y_and_x(text: str, y: float, x: float) -> None:
    calibration = parse_pixel_size(text)
    assert (calibration.y_pm, calibration.x_pm) == pytest.approx((y, x))
    assert calibration.origin == "user"
    assert calibration.note


@pytest.mark.parametrize(
    "text", ["", "a", "1,2,3", "-20", "nan", "1.2.3", "20 furlong", "0", "1e9"]
)
def test_what_is_no_pixel_size_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="pixel size"):
        parse_pixel_size(text)
