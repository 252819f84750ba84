"""Frames lie where their truth says, to a hundredth of a pixel."""

import numpy as np
import pytest

from napari_apgan.simulate.examples import EXAMPLES
from napari_apgan.simulate.ideal import draw_ideal
from napari_apgan.simulate.settings import changed

from .kernel_registration import kernel_shift_px

STILL = {"snr": None, "jitter_pm": 0.0, "drift_pm": 0.0, "shear_percent": 0.0, "background": 0.0}


@pytest.mark.parametrize(
    ("name", "structure", "mode"),
    [
        ("graphene", {"lines": "none", "holes": 0}, "hrtem"),
        ("pto-sto", {"polar": "none"}, "haadf"),
        ("si-110", {}, "haadf"),
    ],
)
def test_images_lie_on_their_truth(name, structure, mode):
    settings = changed(
        EXAMPLES[name],
        {"structure": structure, "degradation": STILL, "shape": (160, 160), "variety": 0.0},
    )
    assert settings.imaging.mode == mode
    ideal = draw_ideal(settings, 1, 0)
    columns = ideal.scene.columns
    size = ideal.scene.shape[0]
    near = ((columns.xy_px > -30) & (columns.xy_px < size + 30)).all(axis=1)
    xy, species = columns.xy_px[near], columns.element[near]
    if mode == "haadf":
        heavy = columns.weight[near] > 0.05 * columns.weight[near].max()
        xy, species = xy[heavy], species[heavy]
    shifts, residual = kernel_shift_px(np.asarray(ideal.image, dtype=np.float64), xy, species)
    assert residual < 0.35
    for element, shift in shifts.items():
        assert np.hypot(*shift) < 0.01, (element, shift)
