"""Small real networks with seeded random weights, and frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_apgan.elements import make_elements
from napari_apgan.frames import Calibration, Frame, make_frame
from napari_apgan.models.card import ModelCard
from napari_apgan.models.modelfile import Model, save_model
from napari_apgan.models.networks import build_network
from napari_apgan.models.recipe import NetworkSpec

PIXEL_PM = 20.0

SPECS = {
    # Smaller than the presets: the trunk sees 40 px, the local contrast before it 80 px more.
    "fast": NetworkSpec(
        kind="fast",
        options={"channels": 8, "dilations": (1, 2, 4)},
        receptive_field_px=119,
        stride=4,
    ),
    "paper": NetworkSpec(
        kind="paper", options={"blocks": 2, "channels": 8}, receptive_field_px=27, stride=1
    ),
}


def make_model(kind: str, *, pixel_size_pm: float | None = PIXEL_PM, seed: int = 0) -> Model:
    """A network whose every weight matters: gains, biases and statistics are drawn too."""
    torch.manual_seed(seed)
    card = ModelCard(
        preset=kind,
        network=SPECS[kind],
        elements=tuple(make_elements(["Pb", "Ti"])),
        radius_px={"Pb": 3.0, "Ti": 2.5},
        pixel_size_pm=pixel_size_pm,
        threshold=0.5,
    )
    network = build_network(card)
    with torch.no_grad():
        for weight in network.parameters():
            fan = weight[0].numel() if weight.ndim == 4 and weight.shape[0] > 1 else 4
            weight.normal_(0, 1.5 / fan**0.5)
        for name, statistic in network.named_buffers():
            if name.endswith("running_var"):
                statistic.uniform_(0.5, 2.0)
            elif name.endswith("running_mean"):
                statistic.normal_()
    return Model(card, network.eval())


@pytest.fixture(params=["fast", "paper"])
def model(request: pytest.FixtureRequest) -> Model:
    return make_model(request.param)


@pytest.fixture
def fast_model() -> Model:
    return make_model("fast")


@pytest.fixture
def model_file(fast_model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_model(path, fast_model.network, fast_model.card)
    return path


def noise_frame(
    shape: tuple[int, int],
    *,
    pixel_pm: float | None = PIXEL_PM,
    missing: float = 0.0,
    seed: int = 1,
) -> Frame:
    rng = np.random.default_rng(seed)
    image = rng.normal(100.0, 10.0, shape)
    image[rng.random(shape) < missing] = np.nan
    calibration = None if pixel_pm is None else Calibration.from_pixel_size(pixel_pm, origin="user")
    return make_frame(image, calibration, name="noise")
