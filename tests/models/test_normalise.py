"""Normalised images do not depend on units, and missing pixels decide nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

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


def test_contrast_makes_atoms_as_high_on_a_slope_as_without_one(
    rng: np.random.Generator,
) -> None:
    yy, xx = np.mgrid[:160, :160]
    atoms = sum(
        np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 8) for x in (30, 80, 130) for y in (30, 80, 130)
    )
    flat = atoms + rng.normal(0, 0.05, atoms.shape)
    tilted = flat + np.linspace(0, 4, 160)[None, :]
    heights = []
    for image in (flat, 900 * tilted + 5e4):
        seen = normalise(make_frame(image), "contrast")
        beside = (seen[:, :-24] + seen[:, 24:]) / 2
        heights.append(
            [seen[y, x] - beside[y, x - 12] for x in (30, 80, 130) for y in (30, 80, 130)]
        )
    np.testing.assert_allclose(heights[1], heights[0], atol=0.35 * np.median(heights[0]))
    assert np.abs(normalise(make_frame(tilted), "contrast")).max() < 12


def test_contrast_leaves_missing_pixels_at_zero_and_reads_nothing_there(
    rng: np.random.Generator,
) -> None:
    image = 100 + rng.normal(size=(120, 120))
    holes = np.where(rng.random(image.shape) < 0.3, np.nan, image)
    whole, holed = (normalise(make_frame(i), "contrast") for i in (image, holes))
    missing = np.isnan(holes)
    assert (holed[missing] == 0).all()
    assert np.corrcoef(holed[~missing], whole[~missing])[0, 1] > 0.98
    assert np.isfinite(normalise(make_frame(np.full((32, 32), 5.0)), "contrast")).all()


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("shape", [(98, 121), (1024, 2100)])
def test_contrast_parts_an_image_as_plain_gaussians_do(
    rng: np.random.Generator, shape: tuple[int, int], missing: float
) -> None:
    """Cells and samples of rows are for speed; blurs of every pixel give the same image."""
    y, x = np.indices(shape)
    lattice = np.cos(2 * np.pi * (0.9 * x + 0.3 * y) / 9) + np.cos(
        2 * np.pi * (0.9 * y - 0.3 * x) / 9
    )
    image = 1e4 + 100 * (lattice + 4 * np.sin(x / 90) * np.cos(y / 70) + rng.normal(0, 0.3, shape))
    valid = rng.random(shape) >= missing
    seen = normalise(make_frame(np.where(valid, image, np.nan)), "contrast")

    def blur(values: np.ndarray, sigma: float) -> np.ndarray:
        return gaussian_filter(np.where(valid, values, 0), sigma) / gaussian_filter(
            valid.astype(float), sigma
        )

    smooth = blur(image, 10.0)
    fine = image - smooth
    low, high = np.percentile(blur(fine, 1.5)[valid], [0.5, 99.5])
    unit = (high - low) / 4
    expected = fine / unit + 4 * np.tanh((smooth - np.median(smooth[valid])) / unit / 4)
    difference = (seen - expected)[valid]
    assert np.abs(difference - np.median(difference)).max() < 0.08
    assert abs(np.median(difference)) < 0.08
    assert (seen[~valid] == 0).all()
