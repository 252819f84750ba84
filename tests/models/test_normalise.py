"""Normalised images do not depend on units, and missing pixels decide nothing."""

from __future__ import annotations

import numpy as np
import pytest

from napari_apgan.errors import UserError
from napari_apgan.frames import make_frame
from napari_apgan.models import normalise


def test_gain_and_offset_make_no_difference(rng: np.random.Generator) -> None:
    image = rng.normal(size=(40, 50))
    np.testing.assert_allclose(
        normalise(make_frame(image)), normalise(make_frame(3e4 * image + 7e5)), atol=1e-4
    )


def test_missing_pixels_are_zero_and_do_not_shift_the_scale(rng: np.random.Generator) -> None:
    image = 100 + rng.normal(size=(200, 200))
    holes = image.copy()
    holes[rng.random(image.shape) < 0.3] = np.nan
    whole, holed = normalise(make_frame(image)), normalise(make_frame(holes))
    missing = np.isnan(holes)
    assert (holed[missing] == 0).all()
    np.testing.assert_allclose(holed[~missing], whole[~missing], atol=0.1)


def test_a_hot_pixel_is_clipped_and_changes_little_else(rng: np.random.Generator) -> None:
    image = rng.normal(size=(100, 100))
    hot = image.copy()
    hot[50, 50] = 1e9
    out = normalise(make_frame(hot))
    assert out[50, 50] == 8
    rest = np.arange(out.size) != 50 * 100 + 50
    np.testing.assert_allclose(
        out.ravel()[rest], normalise(make_frame(image)).ravel()[rest], atol=0.05
    )


def test_a_flat_image_is_zero() -> None:
    assert not normalise(make_frame(np.full((8, 8), 5.0))).any()


def test_an_unknown_normalisation_is_one_sentence() -> None:
    with pytest.raises(UserError, match="update napari-apgan"):
        normalise(make_frame(np.ones((4, 4))), "future")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)
