"""Wide averages are those of a Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_apgan.label.wide import wide_blur, wide_mean


@pytest.mark.parametrize("shape", [(60, 90), (61, 47)])
@pytest.mark.parametrize("sigma", [3.0, 15.0, 40.0])
def test_a_wide_blur_is_a_gaussian_reflected_at_the_borders(
    shape: tuple[int, int], sigma: float
) -> None:
    image = np.random.default_rng(1).normal(3.0, 1.0, shape)
    expected = gaussian_filter(image, sigma, mode="reflect", truncate=8.0)
    assert np.abs(wide_blur(image, sigma) - expected).max() < 1e-6


def test_missing_pixels_do_not_pull_a_wide_mean() -> None:
    weight = np.ones((64, 64))
    weight[20:40, 10:50] = 0
    assert np.allclose(wide_mean(7.0 * weight, weight, 12.0), 7.0)
