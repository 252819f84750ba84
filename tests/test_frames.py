"""Frames: calibrations, and which pixels carry no measurement."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from napari_apgan.errors import UserError
from napari_apgan.frames import Calibration, Frame, Source, find_missing, make_frame


def lattice(mean: float, contrast: float = 0.9, size: int = 192) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return mean * (1 + contrast * np.cos(x / 3) * np.cos(y / 3))


@pytest.mark.parametrize("dose", [0.1, 0.3, 1, 3])
@pytest.mark.parametrize("gain", [1, 0.37, 100.0, 1.6e-19])
@pytest.mark.parametrize("contrast", [0.0, 0.9])
def test_zeros_of_counting_data_are_true_counts(dose: float, gain: float, contrast: float) -> None:
    image = np.random.default_rng(2).poisson(lattice(dose, contrast)) * gain
    valid, note = find_missing(image)
    assert valid.all()
    assert "true counts: kept" in note
    assert "zero" in note


def test_one_electron_a_pixel_leaves_37_percent_of_true_zeros() -> None:
    image = np.random.default_rng(3).poisson(1.0, (256, 256))
    assert np.mean(image == 0) == pytest.approx(math.exp(-1), abs=0.01)
    assert find_missing(image)[0].all()


@pytest.mark.parametrize("dropped", [0.01, 0.3, 0.7])
@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_pixels_zeroed_at_random_are_missing(dropped: float, dtype: type) -> None:
    image = lattice(2000, 0.5) + np.random.default_rng(4).normal(0, 40, (192, 192))
    lost = np.random.default_rng(5).random(image.shape) < dropped
    valid, note = find_missing(np.where(lost, 0, image).astype(dtype))
    np.testing.assert_array_equal(valid, ~lost)
    assert "taken as missing" in note


def test_zeros_that_follow_the_brightness_are_kept_and_asked_about() -> None:
    image = lattice(1000, 0.9)
    image[image < 400] = 0  # clipped dark areas, with a gap above zero
    valid, note = find_missing(image)
    assert valid.all()
    assert "their number follows the brightness: kept" in note
    assert "set missing pixels to “zero”" in note


def test_nan_is_always_missing_and_zero_only_when_asked() -> None:
    image = np.random.default_rng(6).poisson(1.0, (64, 64)).astype(np.float64)
    image[3, 5] = np.nan
    image[7, 9] = np.inf
    for policy in ("auto", "nan", "none"):
        valid, note = find_missing(image, policy)  # type: ignore[arg-type]
        assert (~valid).sum() == 2
        assert "not numbers" in note
    valid, note = find_missing(image, "zero")
    np.testing.assert_array_equal(valid, np.isfinite(image) & (image != 0))
    assert "as asked" in note


def test_nothing_missing_says_nothing() -> None:
    valid, note = find_missing(lattice(100) + 1000)
    assert valid.all()
    assert note == ""


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((32, 32)),
        np.full((32, 32), 7),
        np.where(np.arange(1024).reshape(32, 32) % 2, 0.0, 1e-320),
        np.where(np.arange(1024).reshape(32, 32) % 2, 0.0, 1e308),
        np.where(np.arange(1024).reshape(32, 32) % 3, 0.0, -5.0),
        np.arange(1024).reshape(32, 32) % 2 == 0,
    ],
    ids=["zeros", "constant", "tiny", "huge", "negative", "bool"],
)
def test_odd_images_raise_nothing(image: np.ndarray) -> None:
    valid, _ = find_missing(image)
    assert valid.shape == image.shape


def test_a_frame_is_float32_with_zero_where_it_is_not_valid() -> None:
    image = np.full((16, 16), 5.0)
    image[0, 0] = np.nan
    image[0, 1] = 1e300  # beyond float32
    frame = make_frame(image)
    assert frame.data.dtype == np.float32
    assert frame.data[0, 0] == frame.data[0, 1] == 0
    assert (~frame.valid).sum() == 2
    assert frame.missing_fraction == pytest.approx(2 / 256)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros((4, 4, 4)), "not a 2-D image"),
        (np.zeros((1, 40)), "not a 2-D image"),
        (np.zeros((8, 8), complex), "not real intensities"),
        (np.full((8, 8), np.nan), "no valid pixel"),
    ],
)
def test_what_is_no_image_is_refused(image: np.ndarray, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make_frame(image)


@pytest.mark.parametrize("dtype", ["float16", "uint32", "int16", "bool", "uint8", ">f8", ">u2"])
def test_every_real_type_becomes_a_frame(dtype: str) -> None:
    image = (np.arange(256).reshape(16, 16) % 7 + 1).astype(dtype)
    np.testing.assert_array_equal(make_frame(image).data, image.astype(np.float32))


def test_a_source_gives_its_frames_and_refuses_others() -> None:
    stack = np.stack([np.full((8, 8), i + 1.0) for i in range(3)])
    source = Source("movie", stack, note="Turned.")
    assert (source.n_frames, source.shape, source.dtype) == (3, (8, 8), np.float64)
    assert source.frame(2).data[0, 0] == 3
    assert source.frame(2).index == 2
    assert source.frame(2).note == "Turned."
    for index in (-1, 3):
        with pytest.raises(UserError, match="has 3 frames"):
            source.frame(index)


def test_pixel_sizes_are_kept_apart_and_bounded() -> None:
    calibration = Calibration.from_pixel_size(20, 25, origin="user")
    assert (calibration.x_pm, calibration.y_pm) == (20, 25)
    assert calibration.mean_pm == pytest.approx(math.sqrt(500))
    np.testing.assert_allclose(calibration.to_pm(np.array([[2.0, 4.0]])), [[40, 100]])
    for size in (0.4, -1.0, 2e6, math.nan, 0.0):
        with pytest.raises(UserError, match="pixel size"):
            Calibration.from_pixel_size(size, origin="user")
    with pytest.raises(ValidationError):
        Calibration(matrix_pm=((0.1, 0), (0, 20)))
    assert np.isnan(Calibration().to_pm(np.zeros((2, 2)))).all()
    assert not Calibration().known


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="same 2-D shape"):
        Frame(np.zeros((4, 4), np.float32), np.ones((4, 5), bool))
